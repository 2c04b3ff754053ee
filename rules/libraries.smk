# What the rules of reads ask of the configuration. No rules.

import os
import sys

from seqmill.config.call_samples import quality_place
from seqmill.stages.reads_jobs import (
    aligner_job,
    aligner_of,
    experiment_job,
    library_job,
    quality_job,
    call_quality_job,
    table_job,
)

EXPERIMENT_NAMES = {slug(name): name for name in PROJECT.experiments}
SAMPLES = {slug(name): name for name in PROJECT.call_samples}
ALIGNER_NAMES = ["bowtie2", "bwa", "hisat2"]
# With --sdm conda, a job has other programs on its path but keeps our own Python.
os.environ["SEQMILL_PYTHON"] = sys.executable


envvars:
    "SEQMILL_PYTHON",


def experiment_of(wildcards):
    return PROJECT.experiments[EXPERIMENT_NAMES[wildcards.experiment]]


def experiment_genome(wildcards):
    assembly = experiment_of(wildcards).assembly
    return f"results/genome/{slug(assembly)}.zarr/marker.json"


def library_rows(wildcards):
    return experiment_of(wildcards).replicates[int(wildcards.replicate)]


def library_sources(wildcards):
    """Local files of a replicate, and the folders of its fetched ones."""
    name, replicate = (
        EXPERIMENT_NAMES[wildcards.experiment],
        int(wildcards.replicate),
    )
    folders = PROJECT.libraries.folders
    fetched = [
        f"{folders[key]}/marker.json" for key in folders if key[:2] == (name, replicate)
    ]
    return [
        *(path for row in library_rows(wildcards) for path in row.files()),
        *fetched,
    ]


def library_index(wildcards):
    name = EXPERIMENT_NAMES[wildcards.experiment]
    aligner, assembly = aligner_of(PROJECT, name), PROJECT.experiments[name].assembly
    return f"results/aligners/{slug(assembly)}.{aligner}/marker.json" if aligner else []


def library_markers(name):
    """Replicates of an experiment, '' for none."""
    replicates = PROJECT.experiments[name].replicates if name else []
    return [
        f"results/libraries/{slug(name)}.{number}/marker.json" for number in replicates
    ]


def tss_files(wildcards):
    tss = PROJECT.config.reads.tss
    return tracked([tss]) if tss else []


def deciding_quality(wildcards):
    """The quality of what a track is made of, where it decides what becomes of the track."""
    place = quality_place(TRACKS[wildcards.track], PROJECT.call_samples)
    decides = PROJECT.config.reads.on_poor_quality != "warn"
    return f"results/quality/{place}/marker.json" if place and decides else []


def sample_files(wildcards):
    """Files of calls of a sample."""
    rows = PROJECT.call_samples[SAMPLES[wildcards.sample]]
    return [row.path for row in rows]


def sample_genome(wildcards):
    assembly = PROJECT.call_samples[SAMPLES[wildcards.sample]][0].assembly
    return f"results/genome/{slug(assembly)}.zarr/marker.json"


def experiment_markers():
    return [f"results/experiments/{key}/marker.json" for key in EXPERIMENT_NAMES]


def quality_markers():
    return [
        f"results/quality/{key}/marker.json" for key in [*EXPERIMENT_NAMES, *SAMPLES]
    ]


def quality_table():
    return ["results/quality-table/marker.json"] if quality_markers() else []
