"""The settings that a search chooses in one fold."""

from pathlib import Path

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.models import Model
    from seqmill.config.search import Search
    from seqmill.runtime.device import choose_device
    from seqmill.stages.searches import choose_settings

    model = Model.model_validate_json(snakemake.params.model)
    training = model.training
    choose_device(training.device, training.xla_threads, training.devices)  # before jax is imported
    choose_settings(
        noun(snakemake.output[0]),
        Path(snakemake.input.workers[0]).parent,
        name=snakemake.params.name,
        model=model,
        search=Search.model_validate_json(snakemake.params.search),
        dataset=noun(snakemake.input.dataset),
        fold=snakemake.wildcards.fold,
        seed=snakemake.params.seed,
    )
