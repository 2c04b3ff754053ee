"""Sequencing reads whose truth is known: FASTQ files of a planned library, and the table of what they came from."""

import gzip
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqmill.genome.sequence import decode, encode, reverse_complement
from seqmill.simulate.files import write_gzip
from seqmill.simulate.molecules import LibraryPlan, Molecules, draw_molecules, transcript_places

# Adapters that reads run into: Nextera (Tn5) and TruSeq, of read 1 and read 2 (Illumina document 1000000002694).
NEXTERA = ("CTGTCTCTTATACACATCTCCGAGCCCACGAGAC", "CTGTCTCTTATACACATCTGACGCTGCCGACGA")
TRUSEQ = ("AGATCGGAAGAGCACACGTCTGAACTCCAGTCA", "AGATCGGAAGAGCGTCGTGTAGGGAAAGAGTGT")
_BATCH = 1 << 16
_GOOD, _DOUBTFUL = ord("I"), ord("+")  # Phred 40 and 10


class SimulatedLibrary(NamedTuple):
    """A library on disk: its FASTQ files (reads2 None where single), its molecules, names of its contigs."""

    reads1: Path
    reads2: Path | None
    truth: Path
    molecules: Molecules
    contigs: list[str]


def random_genome(sizes: dict[str, int], seed: int = 0, *, gc: float = 0.45, repeat_bp: int = 0) -> dict[str, str]:
    """Contigs of random bases.

    Parameters
    ----------
    sizes : contig -> bp. repeat_bp : the middle of the first contig is copied this long to its end, where a read
    cannot tell the two apart.
    """
    rng = np.random.default_rng([seed, 7])
    share = ((1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2)
    found = {name: rng.choice(4, size, p=share).astype(np.uint8) for name, size in sizes.items()}
    if repeat_bp:
        first = next(iter(found.values()))
        middle = len(first) // 2
        first[len(first) - repeat_bp :] = first[middle : middle + repeat_bp]
    return {name: decode(codes) for name, codes in found.items()}


def simulate_library(folder: str | Path, name: str, contigs: dict[str, str], plan: LibraryPlan) -> SimulatedLibrary:
    """Write ``{name}_R1.fastq.gz``, ``{name}_R2.fastq.gz`` (paired) and ``{name}.truth.tsv.gz``.

    The same plan gives the same bytes. A read is called ``m{row of the truth table}c{copy}``; reads come in random
    order, copies of a molecule apart from each other.

    Parameters
    ----------
    contigs : name -> sequence (ACGTN).

    Raises
    ------
    ValueError if the name is no plain file name.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"{name!r} is no name of a library")
    folder = Path(folder)
    molecules = draw_molecules(plan, contigs)
    paths = [folder / f"{name}_R{number}.fastq.gz" for number in ((1, 2) if plan.paired else (1,))]
    rng = np.random.default_rng([plan.seed, 1])
    row = np.repeat(np.arange(len(molecules.start)), molecules.copies)
    copy = np.arange(len(row)) - np.repeat(np.cumsum(molecules.copies) - molecules.copies, molecules.copies)
    order = rng.permutation(len(row))
    row, copy = row[order], copy[order]
    source = _Source(contigs, plan, molecules)
    for mate, path in enumerate(paths):
        with open(path, "wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as handle:
            for first in range(0, len(row), _BATCH):
                rows, copies = row[first : first + _BATCH], copy[first : first + _BATCH]
                handle.write(_fastq(source.reads(rows, mate), rows, copies, plan.error_rate, rng))
    truth = folder / f"{name}.truth.tsv.gz"
    _write_truth(truth, molecules, list(contigs))
    return SimulatedLibrary(paths[0], paths[1] if plan.paired else None, truth, molecules, list(contigs))


class _Source:
    """Bases of the molecules as a sequencer sees them: insert, then adapter."""

    def __init__(self, contigs: dict[str, str], plan: LibraryPlan, molecules: Molecules):
        self.plan, self.molecules = plan, molecules
        codes = [encode(text) for text in contigs.values()]
        if plan.assay == "rna":  # a molecule is a stretch of a transcript, not of the genome
            names = list(contigs)
            codes = [self._transcript(one, codes[names.index(one.contig)]) for one in plan.transcripts]
            self.piece, self.start, self.end = molecules.transcript, molecules.first, molecules.last
            self.strand = np.full(len(self.start), -1)  # read 1 is of the strand that the transcript is not
        else:
            self.piece, self.start, self.end, self.strand = molecules[:4]
        self.codes = np.concatenate(codes)
        self.offset = np.cumsum([0] + [len(one) for one in codes[:-1]])
        adapters = NEXTERA if plan.assay == "atac" else TRUSEQ
        width = plan.read_bp
        self.tails = [encode((one if plan.adapters else "").ljust(width, "A")[:width]) for one in adapters]

    @staticmethod
    def _transcript(transcript, codes: np.ndarray) -> np.ndarray:
        bases = codes[transcript_places(transcript)]
        return bases if transcript.strand == "+" else reverse_complement(bases)[::-1]

    def reads(self, rows: np.ndarray, mate: int) -> np.ndarray:
        """Codes (rows, read_bp) of read 1 (mate 0) or read 2 (mate 1)."""
        steps = np.arange(self.plan.read_bp)
        start = self.offset[self.piece[rows]] + self.start[rows]
        end = self.offset[self.piece[rows]] + self.end[rows]
        forward = (self.strand[rows] == 1) != bool(mate)
        place = np.where(forward[:, None], start[:, None] + steps, end[:, None] - 1 - steps)
        bases = self.codes[np.clip(place, 0, len(self.codes) - 1)]
        complement = np.array([3, 2, 1, 0, 4], np.uint8)
        bases = np.where(forward[:, None], bases, complement[bases])
        beyond = steps - (end - start)[:, None]
        return np.where(beyond >= 0, self.tails[mate][np.clip(beyond, 0, None)], bases).astype(np.uint8)


def _fastq(codes: np.ndarray, rows: np.ndarray, copies: np.ndarray, error_rate: float, rng) -> bytes:
    """Records of reads with substitutions, which mostly have a low quality."""
    wrong = (rng.random(codes.shape) < error_rate) & (codes < 4)
    codes = np.where(wrong, (codes + rng.integers(1, 4, codes.shape)) % 4, codes)
    low = (wrong & (rng.random(codes.shape) < 0.8)) | (codes == 4)
    n, width = codes.shape
    head, tail = b"@m000000000c000\n", b"\n+\n"
    out = np.empty((n, len(head) + width + len(tail) + width + 1), np.uint8)
    out[:, : len(head)] = np.frombuffer(head, np.uint8)
    for first, digits, numbers in ((2, 9, rows), (12, 3, copies)):
        for digit in range(digits):
            out[:, first + digit] = ord("0") + numbers // 10 ** (digits - 1 - digit) % 10
    out[:, len(head) : len(head) + width] = np.frombuffer(b"ACGTN", np.uint8)[codes]
    out[:, len(head) + width : -width - 1] = np.frombuffer(tail, np.uint8)
    out[:, -width - 1 : -1] = np.where(low, _DOUBTFUL, _GOOD)
    out[:, -1] = ord("\n")
    return out.tobytes()


def _write_truth(path: Path, molecules: Molecules, contigs: list[str]) -> None:
    """Rows ``contig start end strand copies transcript``; strand is that of read 1, transcript empty if none."""
    header = "#contig\tstart\tend\tstrand\tcopies\ttranscript"
    columns = zip(*(column.tolist() for column in molecules[:6]), strict=True)
    write_gzip(
        path,
        [header]
        + [
            f"{contigs[contig]}\t{start}\t{end}\t{'+' if strand == 1 else '-'}\t{copies}\t{'' if of < 0 else of}"
            for contig, start, end, strand, copies, of in columns
        ],
    )
