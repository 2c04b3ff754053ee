"""Join the parts of a dataset."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.stores.dataset import finish_dataset

    finish_dataset(noun(snakemake.output[0]), name=snakemake.params.name, arrays=list(snakemake.params.parts))
