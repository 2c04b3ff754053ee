"""Fit one baseline on one fold and write its predictions."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.baselines.run import run_baseline
    from seqmill.config.baselines import Baseline

    run_baseline(
        noun(snakemake.output[0]),
        name=snakemake.params.name,
        baseline=Baseline.model_validate_json(snakemake.params.section),
        dataset=noun(snakemake.input.dataset),
        fold=snakemake.wildcards.fold,
    )
