"""Scores of a set of variants."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.effects import VariantSet
    from seqmill.stages.effects import resume_of
    from seqmill.stages.predictions import choose_device_of

    models = [noun(path) for path in snakemake.input.models]
    choose_device_of(models[0])  # before jax is imported

    from seqmill.config.models import Prediction
    from seqmill.effects.variants.build import score_variants

    out = noun(snakemake.output[0])
    score_variants(
        out,
        name=snakemake.params.name,
        section=VariantSet.model_validate_json(snakemake.params.section),
        genome=noun(snakemake.input.genome),
        models=models,
        prediction=Prediction.model_validate_json(snakemake.params.prediction),
        datasets=[noun(path) for path in snakemake.input.datasets],
        state=resume_of(out),
    )
