"""Train one network on one fold with one seed."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.models import Model
    from seqmill.runtime.device import choose_device
    from seqmill.search_steps import with_best

    model = Model.model_validate_json(snakemake.params.section)
    if snakemake.input.search:
        model = with_best(model, noun(snakemake.input.search[0]), f"models.{snakemake.params.name}")
    choose_device(model.training.device, model.training.xla_threads)  # before jax is imported

    from seqmill.training.train import train_model

    train_model(
        noun(snakemake.output[0]),
        name=snakemake.params.name,
        model=model,
        dataset=noun(snakemake.input.dataset),
        fold=snakemake.wildcards.fold,
        seed=int(snakemake.wildcards.seed),
        initial=noun(snakemake.input.initial[0]) if snakemake.input.initial else None,
        initial_datasets=[noun(marker) for marker in snakemake.input.initial_datasets],
    )
