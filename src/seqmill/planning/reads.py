"""What reads cost until they are signal and peaks: disk and time of each noun, from the sizes of their files."""

from collections.abc import Iterator
from pathlib import Path

from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.stages.reads_jobs import aligner_of

# What one core of a laptop does, roughly, with bytes of gzipped FASTQ (about 1.4 million pairs of 2 x 75 bp in 100 MB).
RATES = {
    "index": (1.0e6, "bp/s"),
    "reads": (0.35e6, "bytes/s"),
    "aligned reads": (3e6, "bytes/s"),
    "experiment": (4e6, "bytes/s"),
}
INDEX_BYTES_PER_BP = {"bowtie2": 1.4, "bwa": 1.8, "hisat2": 1.5}
# On disk for a byte of FASTQ: filtered alignments with the table of fragments; signal and peaks.
LIBRARY, EXPERIMENT = 0.7, 0.25


def reads_amounts(project: Project, lengths: dict[str, int]) -> Iterator[tuple[str, str, str, float, float]]:
    """Noun, name, place below the results, bytes and seconds of everything that is made of reads.

    Parameters
    ----------
    lengths : assembly -> bp.
    """
    indices: dict[tuple[str, str], None] = {}
    fetched = {name: sum(row.bytes for row in rows) for name, rows in project.fetched().items()}
    for name, experiment in project.experiments.items():
        aligner, total = aligner_of(project, name), 0
        if aligner:
            indices[experiment.assembly, aligner] = None
        for replicate, runs in experiment.replicates.items():
            names = [project.libraries.names.get((name, replicate, run), "") for run in range(len(runs))]
            files = [path for row in runs for path in row.files()]
            size = sum(fetched.get(key, 0) for key in names) + sum(_bytes(path) for path in files)
            rate = RATES["reads" if aligner else "aligned reads"][0]
            library = f"{slug(name)}.{replicate}"
            yield "library", f"{name}.{replicate}", f"libraries/{library}", LIBRARY * size, size / rate
            total += size
        yield "experiment", name, f"experiments/{slug(name)}", EXPERIMENT * total, total / RATES["experiment"][0]
        yield "quality", name, f"quality/{slug(name)}", 500_000, total / RATES["experiment"][0]
    for assembly, aligner in indices:
        bp = lengths[assembly]
        place = f"aligners/{slug(assembly)}.{aligner}"
        yield "aligner", f"{assembly}.{aligner}", place, INDEX_BYTES_PER_BP[aligner] * bp, bp / RATES["index"][0]


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
