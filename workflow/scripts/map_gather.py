"""The parts of a mutagenesis map as one."""

import shutil

from seqmill.runtime.job import job, noun

with job(snakemake):
    from seqmill.effects.maps.parts import gather_map

    parts = [noun(path) for path in snakemake.input.parts]
    gather_map(noun(snakemake.output[0]), name=snakemake.params.name, parts=parts)
    shutil.rmtree(parts[0].parent)  # the map holds all that they hold
