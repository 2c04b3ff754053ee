"""Train one network on one fold with one seed."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.models import Model
    from seqmill.stages.searches import with_best
    from seqmill.stages.training import train_here

    model = Model.model_validate_json(snakemake.params.section)
    if snakemake.input.search:
        model = with_best(model, noun(snakemake.input.search[0]), f"models.{snakemake.params.name}")
    train_here(
        noun(snakemake.output[0]),
        snakemake.params.name,
        model.model_dump_json(),
        noun(snakemake.input.dataset),
        snakemake.wildcards.fold,
        int(snakemake.wildcards.seed),
        noun(snakemake.input.initial[0]) if snakemake.input.initial else None,
        [noun(marker) for marker in snakemake.input.initial_datasets],
    )
