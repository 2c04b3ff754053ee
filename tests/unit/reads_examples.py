"""A toy genome, reads whose places are known, and slow readers of alignments that share no code with seqmill."""

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pysam
import pytest

from seqmill.config.reads import Library, Reads
from seqmill.config.sources import Genome
from seqmill.reads.fragments import FragmentTable
from seqmill.reads.index import build_index
from seqmill.reads.library import Run, build_library
from seqmill.stores.genome import build_genome

PROGRAMS = ("bowtie2", "bowtie2-build", "bwa", "hisat2", "hisat2-build", "samtools")
needs_programs = pytest.mark.skipif(
    any(shutil.which(name) is None for name in PROGRAMS), reason="bowtie2, bwa, hisat2 and samtools are not all on PATH"
)
SIZES = {"chr1": 20_000, "chr2": 9_000, "chrM": 1_500}
REPEAT = (3_000, 12_000, 400)
"""Two places of chr1 that are the same for so many bp."""
READ_BP = 50
NEXTERA = "CTGTCTCTTATACACATCTCCGAGCCCACGAGAC", "CTGTCTCTTATACACATCTGACGCTGCCGACGA"
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


class Insert(NamedTuple):
    """A molecule: read 1 is of its + strand (start) or - strand (end)."""

    contig: str
    start: int
    end: int
    strand: int


def sequences(sizes=SIZES, seed=4):
    rng = random.Random(seed)
    found = {name: rng.choices("ACGT", k=size) for name, size in sizes.items()}
    one, two, length = REPEAT
    found["chr1"][two : two + length] = found["chr1"][one : one + length]
    return {name: "".join(bases) for name, bases in found.items()}


def write_genome(folder: Path, bases, name="toy"):
    fasta = folder / f"{name}.fa"
    fasta.write_text("".join(f">{contig}\n{text}\n" for contig, text in bases.items()))
    build_genome(folder / f"{name}.zarr", name=name, genome=Genome(fasta=fasta))
    return folder / f"{name}.zarr"


def write_index(folder: Path, genome: Path, aligner="bowtie2", threads=1):
    build_index(folder / f"toy.{aligner}", name=f"toy.{aligner}", genome=genome, aligner=aligner, threads=threads)
    return folder / f"toy.{aligner}"


def reverse(bases):
    return bases.translate(_COMPLEMENT)[::-1]


def reads_of(insert: Insert, bases, read_bp=READ_BP, adapters=NEXTERA):
    """What the sequencer says of a molecule: read 1 and read 2, which run into the adapter after a short one."""
    text = bases[insert.contig][insert.start : insert.end]
    ends = [text, reverse(text)] if insert.strand == 1 else [reverse(text), text]
    return [(one + adapter + "A" * read_bp)[:read_bp] for one, adapter in zip(ends, adapters)]


def random_inserts(contig, number, seed, sizes=SIZES, lengths=(60, 300), outside=()):
    """Inserts that do not touch the places ``outside``, each somewhere else."""
    rng = random.Random(seed)
    found = {}
    while len(found) < number:
        length = rng.randint(*lengths)
        start = rng.randrange(0, sizes[contig] - length)
        if all(start + length <= first or start >= last for first, last in outside):
            found[start, start + length] = Insert(contig, start, start + length, rng.choice([1, -1]))
    return list(found.values())


def write_fastq(folder: Path, name, pairs, paired=True):
    """Pairs: (name, read 1, read 2); quality I."""
    paths = [folder / f"{name}_R{mate}.fastq" for mate in ((1, 2) if paired else (1,))]
    for mate, path in enumerate(paths):
        path.write_text("".join(f"@{row[0]}\n{row[1 + mate]}\n+\n{'I' * len(row[1 + mate])}\n" for row in pairs))
    return paths if paired else [paths[0], None]


def planned_pairs(bases, seed=1):
    """A library with all that can become of a pair: rows of FASTQ, and inserts by what becomes of them.

    ``kept`` has each place once, with how often it was copied beside it.
    """
    one, two, length = REPEAT
    outside = [(one - 10, one + length + 10), (two - 10, two + length + 10)]
    rng = random.Random(seed)
    kept = random_inserts("chr1", 120, seed, outside=outside) + random_inserts("chr2", 60, seed + 1)
    copies = dict.fromkeys(kept, 1)
    for insert in kept[:20]:
        copies[insert] = 2
    for insert in kept[20:27]:
        copies[insert] = 4
    start = one + 60
    low = [Insert("chr1", start + 5 * i, start + 5 * i + 120, 1) for i in range(9)]  # both mates in the repeat
    half = [Insert("chr1", one - 90 - 3 * i, one + 100, 1) for i in range(6)]  # read 2 in the repeat: told by read 1
    mito = random_inserts("chrM", 30, seed + 2)
    rows = []
    for kind, inserts in (("kept", kept), ("low", low), ("half", half), ("mito", mito)):
        for number, insert in enumerate(inserts):
            for copy in range(copies.get(insert, 1)):
                rows.append((f"{kind}{number}.{copy}", *reads_of(insert, bases)))
    for number in range(11):
        rows.append((f"none{number}", *("".join(rng.choices("ACGT", k=READ_BP)) for _ in range(2))))
    for number in range(5):  # read 2 of nowhere
        insert = Insert("chr2", 100 + 50 * number, 300 + 50 * number, 1)
        rows.append((f"single{number}", reads_of(insert, bases)[0], "".join(rng.choices("ACGT", k=READ_BP))))
    rng.shuffle(rows)
    return rows, {"kept": copies, "low": low, "half": half, "mito": mito}


def slow_complexity(bam, excluded=()):
    """MT, M0, M1, M2 of ENCODE over a BAM whose duplicates are marked but there; loops over reads by name."""
    places = Counter()
    mates = {}
    with pysam.AlignmentFile(str(bam)) as file:
        for read in file.fetch(until_eof=True):
            if read.reference_name in excluded:
                continue
            strand = "-" if read.is_reverse else "+"
            if not read.is_paired:
                places[read.reference_name, read.reference_start, read.reference_end, strand] += 1
            elif read.query_name in mates:
                left, right = sorted(
                    [mates.pop(read.query_name), (read.reference_start, read.reference_end, strand)],
                    key=lambda one: one[0],
                )
                places[read.reference_name, left[0], right[1], left[2], right[2]] += 1
            else:
                mates[read.query_name] = (read.reference_start, read.reference_end, strand)
    assert not mates
    seen = Counter(places.values())
    return {
        "fragments_before_duplicates": places.total(),
        "distinct": len(places),
        "once": seen[1],
        "twice": seen[2],
    }


def library_row(location, assay="DNase-seq", **cells):
    return Library(experiment="toy", location=str(location), assay=assay, **cells)


def build_toy(folder, genome, rows, runs, *, index=None, partial=False, threads=1, **settings):
    return build_library(
        folder,
        name="toy.1",
        rows=rows,
        runs=[Run(*run) for run in runs],
        settings=Reads(**settings),
        genome=genome,
        index=index,
        partial=partial,
        threads=threads,
    )


def table_rows(folder):
    """Rows (contig, start, end, strand of read 1)."""
    table = FragmentTable(folder / "fragments.parquet")
    return sorted((contig, *one) for contig, found in table for one in zip(*(column.tolist() for column in found)))
