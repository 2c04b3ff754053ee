"""Predictions that others published, on the test part of a dataset."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.baselines.published import run_published
    from seqmill.config.published import Published

    run_published(
        noun(snakemake.output[0]),
        name=snakemake.params.name,
        published=Published.model_validate_json(snakemake.params.section),
        dataset=noun(snakemake.input.dataset),
        fold=snakemake.wildcards.fold,
    )
