"""One network of a curve, on a part of the training rows."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.models import Model
    from seqmill.stages.searches import with_best
    from seqmill.stages.training import train_here

    name = snakemake.params.name
    model = Model.model_validate_json(snakemake.params.section)
    if snakemake.input.search:
        model = with_best(model, noun(snakemake.input.search[0]), f"curves.{name}")
    train_here(
        noun(snakemake.output[0]),
        f"{name}@{model.training.train_fraction:g}",
        model.model_dump_json(),
        noun(snakemake.input.dataset),
        snakemake.wildcards.fold,
        int(snakemake.wildcards.seed),
        None,
        [],
    )
