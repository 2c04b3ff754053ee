"""Scores of the networks of a curve over the size of their training data."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.models import Model
    from seqmill.stages.curves import write_points

    write_points(
        noun(snakemake.output[0]),
        name=snakemake.params.name,
        dataset=noun(snakemake.input.dataset),
        model=Model.model_validate_json(snakemake.params.section),
        points=list(zip(snakemake.params.fractions, map(noun, snakemake.input.points), strict=True)),
    )
