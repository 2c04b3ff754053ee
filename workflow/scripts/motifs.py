"""Motifs of a map or of a network."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.stages.motifs import write_motifs
    from seqmill.stages.predictions import choose_device_of

    models = [noun(path) for path in snakemake.input.models]
    choose_device_of(models[0])  # before jax is imported
    write_motifs(
        noun(snakemake.output[0]),
        snakemake.params.name,
        snakemake.params.section,
        snakemake.params.prediction,
        models,
        noun(snakemake.input.dataset),
        [noun(path) for path in snakemake.input.map],
    )
