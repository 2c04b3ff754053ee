"""Build one genome store."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.config.sources import Genome
    from seqmill.stores.genome import build_genome

    build_genome(
        noun(snakemake.output[0]),
        name=snakemake.params.name,
        genome=Genome.model_validate_json(snakemake.params.section),
    )
