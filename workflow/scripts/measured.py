"""Measured effects beside what a network and baselines predict of them."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.baselines import Baseline
    from seqmill.config.measured import Measured
    from seqmill.stages.predictions import choose_device_of

    models = [noun(path) for path in snakemake.input.models]
    choose_device_of(models[0])  # before jax is imported

    from seqmill.config.models import Prediction
    from seqmill.effects.measured.build import build_measured
    from seqmill.evaluation.measured import judge

    genome, baseline = snakemake.input.genome, snakemake.params.baseline
    build_measured(
        noun(snakemake.output[0]),
        name=snakemake.params.name,
        section=Measured.model_validate_json(snakemake.params.section),
        genome=noun(genome) if genome else None,
        models=models,
        prediction=Prediction.model_validate_json(snakemake.params.prediction),
        datasets=[noun(path) for path in snakemake.input.datasets],
        baseline=Baseline.model_validate_json(baseline) if baseline else None,
        fitted=[noun(path) for path in snakemake.input.fitted],
        judge=judge,
    )
