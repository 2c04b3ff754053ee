"""One folder of fetched files."""

from seqmill.config.lock import read_lock
from seqmill.config.locked import lock_path
from seqmill.config.names import slug
from seqmill.config.portals import Sources
from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.sources.fetch import fetch

    rows = [row for row in read_lock(lock_path(snakemake.config)) if slug(row.name) == snakemake.wildcards.source]
    fetch(noun(snakemake.output[0]), rows, Sources(**snakemake.config.get("sources", {})))
