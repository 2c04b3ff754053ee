"""Make a dataset that lies elsewhere readable here."""

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.stores.remote import link_dataset

    params = snakemake.params
    link_dataset(noun(snakemake.output[0]), name=params.name, url=params.url, arrays=list(params.parts))
