"""A network trained with the settings that were chosen in its fold."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.models import Model
    from seqmill.runtime.device import choose_device
    from seqmill.search_steps import with_best

    name = snakemake.params.name
    model = with_best(
        Model.model_validate_json(snakemake.params.model), noun(snakemake.input.search), f"searches.{name}"
    )
    choose_device(model.training.device, model.training.xla_threads)  # before jax is imported

    from seqmill.training.train import train_model

    train_model(
        noun(snakemake.output[0]),
        name=name,
        model=model,
        dataset=noun(snakemake.input.dataset),
        fold=snakemake.wildcards.fold,
        seed=int(snakemake.wildcards.seed),
    )
