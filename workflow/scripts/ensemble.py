"""The mean over the seeds of a network's predictions."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.stores.ensemble import average_seeds

    average_seeds(noun(snakemake.output[0]), members=[noun(marker) for marker in snakemake.input])
