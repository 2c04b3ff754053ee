"""Predictions of one network as bigWig files."""

import json

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.exports.browser import write_bigwigs
    from seqmill.stages.browser import network_signals

    genomes = zip(snakemake.params.genomes, snakemake.input.genomes)
    signals = network_signals(
        snakemake.params.name,
        [noun(path) for path in snakemake.input.predictions],
        {name: noun(path) for name, path in genomes},
        json.loads(snakemake.params.spans),
    )
    write_bigwigs(noun(snakemake.output[0]), signals)
