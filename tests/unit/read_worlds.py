"""Simulated libraries taken all the way, for tests that compare what comes out with what went in."""

import gzip
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pyBigWig
import pytest

from seqmill.config.reads import Experiment, Library, Reads
from seqmill.config.sources import Genome
from seqmill.reads.experiment import build_experiment
from seqmill.reads.index import build_index
from seqmill.reads.library import Run, build_library
from seqmill.runtime.marker import read_marker
from seqmill.simulate.molecules import LibraryPlan
from seqmill.simulate.reads import SimulatedLibrary, simulate_library
from seqmill.stores.genome import build_genome

needs_programs = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("bowtie2", "hisat2", "samtools", "bedtools"))
    or all(shutil.which(name) is None for name in ("macs2", "macs3")),
    reason="bowtie2, hisat2, samtools, bedtools and macs are not all on PATH",
)
ASSAYS = {"atac": "ATAC-seq", "dnase": "DNase-seq", "mnase": "MNase-seq", "chip": "ChIP-seq", "rna": "RNA-seq"}
Place = tuple[str, int, int]


class Truth(NamedTuple):
    """Molecules before PCR by place (read from the table on disk), their strands, and reads in all."""

    molecules: Counter[Place]
    strands: dict[Place, set[str]]
    reads: int


def read_truth(made: SimulatedLibrary) -> Truth:
    molecules: Counter[Place] = Counter()
    strands: dict[Place, set[str]] = {}
    reads = 0
    for line in gzip.decompress(made.truth.read_bytes()).decode().splitlines()[1:]:
        contig, start, end, strand, copies, _ = line.split("\t")
        place = contig, int(start), int(end)
        molecules[place] += 1
        strands.setdefault(place, set()).add(strand)
        reads += int(copies)
    return Truth(molecules, strands, reads)


def table_rows(library: Path) -> list[tuple[str, int, int, int]]:
    """Rows of ``fragments.parquet``: contig, start, end, strand; a row group is a contig of the genome, in order."""
    file = pq.ParquetFile(library / "fragments.parquet")
    sizes = json.loads(file.schema_arrow.metadata[b"seqmill"])["sizes"]
    rows = []
    for number, contig in enumerate(sizes):
        columns = file.read_row_group(number).to_pydict()
        rows += [(contig, *row) for row in zip(columns["start"], columns["end"], columns["strand"])]
    return rows


def signal(path: Path, contig: str) -> np.ndarray:
    """Values of a bigWig, 0 where there is none."""
    with pyBigWig.open(str(path)) as handle:
        return np.nan_to_num(np.array(handle.values(contig, 0, handle.chroms(contig))))


def peaks(path: Path) -> list[tuple[str, int, int, int]]:
    """Contig, start, end and summit of narrowPeak rows."""
    rows = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    return [(row[0], int(row[1]), int(row[2]), int(row[1]) + int(row[9])) for row in rows]


class ReadWorld:
    """A toy genome with its store, and what is built on it."""

    def __init__(self, folder: Path, contigs: dict[str, str]):
        self.folder, self.contigs = folder, contigs
        fasta = folder / "toy.fa"
        fasta.write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
        self.genome = folder / "toy.zarr"
        build_genome(self.genome, name="toy", genome=Genome(fasta=fasta))
        self.indexes: dict[str, Path] = {}

    def index(self, aligner: str) -> Path:
        if aligner not in self.indexes:
            path = self.folder / f"toy.{aligner}"
            build_index(path, name="toy", aligner=aligner, genome=self.genome, threads=1)
            self.indexes[aligner] = path
        return self.indexes[aligner]

    def simulate(self, name: str, plan: LibraryPlan) -> SimulatedLibrary:
        return simulate_library(self.folder, name, self.contigs, plan)

    def library(self, name: str, reads1: Path, reads2: Path | None, assay: str, **row: Any) -> Path:
        """A library of one run; ``row`` are cells of the sheet, ``settings`` those of the section."""
        settings = Reads(**row.pop("settings", {}))
        cells = {"experiment": name, "location": str(reads1), "assay": ASSAYS[assay], "format": "fastq", **row}
        if reads2 and cells["format"] == "fastq":
            cells["mate"] = str(reads2)
        folder = self.folder / f"libraries/{name}"
        build_library(
            folder,
            name=name,
            rows=[Library(**cells)],
            runs=[Run(reads1, reads2)],
            settings=settings,
            genome=self.genome,
            index=self.index("hisat2" if assay == "rna" else "bowtie2") if cells["format"] == "fastq" else None,
            partial=False,
            threads=1,
        )
        return folder

    def experiment(self, name: str, assay: str, libraries: list[Path], **more: Any) -> Path:
        """An experiment of replicates 1, 2, ...; ``control``: libraries, ``settings`` of the section."""
        settings, control = Reads(**more.pop("settings", {})), more.pop("control", [])
        about = Experiment(name, assay, "", "input" if control else "", "toy", more.pop("strandedness", "none"))
        folder = self.folder / f"experiments/{name}"
        build_experiment(
            folder,
            experiment=about,
            libraries=dict(enumerate(libraries, start=1)),
            control=control,
            settings=settings,
            genome=self.genome,
            threads=1,
        )
        return folder


def counts_of(library: Path) -> dict[str, Any]:
    return attrs_of(library)["counts"]


def attrs_of(folder: Path) -> dict[str, Any]:
    return read_marker(folder).attrs
