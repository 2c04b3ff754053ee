"""Peaks by macs: its call on tags, and its narrowPeak made clean.

Tags are what ENCODE's pipelines give to macs: one a read, as BED, of which macs uses the 5' end. macs is run in a
temporary folder, on contigs that go by numbers there: it skips lines of contigs whose names begin with "track" or
"browser", and sorts by name.
"""

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqmill.reads.fragments import Fragments
from seqmill.reads.programs import pipeline
from seqmill.runtime.errors import WorkerError

MAX_SCORE = 1000
COLUMNS = ("contig", "start", "end", "name", "score", "strand", "signal", "p", "q", "summit")


class Tags(NamedTuple):
    """A file of tags: its path, how many there are, and the length that macs is told they have."""

    path: Path
    total: int
    length: int


class Peaks(NamedTuple):
    """Peaks of all contigs, sorted by contig, start, end and summit.

    contig : int32 (n,), place in the order of the genome. start, end : int64 (n,), 0-based half-open.
    signal, p, q : float64 (n,), fold enrichment at the summit, -log10 p and -log10 q. summit : int64 (n,), the base.
    """

    contig: np.ndarray
    start: np.ndarray
    end: np.ndarray
    signal: np.ndarray
    p: np.ndarray
    q: np.ndarray
    summit: np.ndarray

    def take(self, rows: np.ndarray) -> "Peaks":
        """The peaks at ``rows``, an index or a mask."""
        return Peaks(*(column[rows] for column in self))


class MacsSettings(NamedTuple):
    """What macs is told. ``shift`` and ``extend`` in bp; ``p`` up to which peaks are called."""

    genome_bp: int
    p: float
    shift: int
    extend: int
    summits: bool


def contig_code(number: int) -> str:
    """Name of a contig in the files that macs sees."""
    return f"c{number:07d}"


def write_tags(path: Path, sizes: Mapping[str, int], pieces: Iterable[tuple[str, Fragments]], length: int) -> Tags:
    """Write tags for macs.

    Parameters
    ----------
    sizes : contig -> bp, in the order of the genome. pieces : contig and its tags, start < end, strand 1 or -1.
    length : of the reads in bp; gaps up to it are closed within a peak.
    """
    import pyarrow as pa
    from pyarrow import csv

    codes = {contig: contig_code(number) for number, contig in enumerate(sizes)}
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    count = 0
    with open(path, "wb") as out:
        for contig, tags in pieces:
            n = len(tags.start)
            # macs looks at the 5' end by the strand; name and score only have to be there
            constant = [pa.array([text]).take(pa.array(np.zeros(n, np.int32))) for text in (codes[contig], "N", "0")]
            strand = pa.array(["-", "+"]).take(pa.array((tags.strand > 0).astype(np.int32)))
            columns = [constant[0], pa.array(tags.start), pa.array(tags.end), *constant[1:], strand]
            if n:
                csv.write_csv(pa.table(columns, names=list("abcdef")), out, options)
            count += n
    return Tags(path, count, length)


def callpeak(name: str, treatment: Tags, control: Tags | None, settings: MacsSettings, *, signal: bool) -> list[str]:
    """Arguments of macs for peaks, as in ENCODE's pipelines.

    Parameters
    ----------
    name : of macs' files. treatment, control : in the folder that macs runs in.
    signal : also write the two bedGraph files that `seqmill.reads.chip` compares.
    """
    command = ["callpeak", "-t", treatment.path.name, *(["-c", control.path.name] if control else [])]
    command += ["-f", "BED", "-n", name, "-g", str(settings.genome_bp), "-p", f"{settings.p:g}"]
    command += ["-s", str(treatment.length), "--nomodel", "--shift", str(settings.shift)]
    command += ["--extsize", str(settings.extend), "--keep-dup", "all"]
    return command + ["--call-summits"] * settings.summits + ["-B", "--SPMR"] * signal


def run_macs(work: Path, commands: dict[str, list[str]]) -> None:
    """Run macs in a folder with several sets of arguments at once. Raises WorkerError with macs' last words.

    macs neither reads its standard input nor writes to standard output: as a pipeline, all calls start together, and
    when one fails or a signal comes the others are stopped.
    """
    calls = [["macs", *command, "--tempdir", "."] for command in commands.values()]
    pipeline(calls, cwd=work, what=f"peaks of {', '.join(commands)}")


def collect_peaks(work: Path, name: str, sizes: Mapping[str, int], most: int) -> Peaks:
    """The ``most`` best peaks that macs wrote as ``name``, whose files are taken away (but for the bedGraph files)."""
    peaks = best(read_macs_peaks(work / f"{name}_peaks.narrowPeak", list(sizes.values())), most)
    for leftover in ("_peaks.xls", "_summits.bed", "_peaks.narrowPeak"):
        (work / f"{name}{leftover}").unlink(missing_ok=True)
    return peaks


def read_macs_peaks(path: Path, sizes: list[int]) -> Peaks:
    """Read a narrowPeak file of macs, clip its peaks to the contigs (as bedClip) and sort them.

    Parameters
    ----------
    sizes : lengths of the contigs in bp, in the order of their codes. A summit that is not given (-1) is the middle.
    """
    import pyarrow as pa
    from pyarrow import csv

    if not path.is_file():
        raise WorkerError(f"macs ended well but wrote no {path.name}")
    if not path.stat().st_size:
        return empty_peaks()
    texts = ("contig", "name", "strand")
    types = {column: pa.string() if column in texts else pa.float64() for column in COLUMNS}
    try:
        table = csv.read_csv(
            path,
            csv.ReadOptions(column_names=list(COLUMNS), use_threads=False),
            csv.ParseOptions(delimiter="\t", quote_char=False),
            csv.ConvertOptions(column_types=types),
        )
        contig = np.array([int(code.removeprefix("c")) for code in table["contig"].to_pylist()], np.int32)
    except (pa.ArrowInvalid, ValueError) as error:
        raise WorkerError(f"{path.name} of macs is not narrowPeak: {error}") from None
    start, end, offset = (table[column].to_numpy().astype(np.int64) for column in ("start", "end", "summit"))
    signal, p, q = (table[column].to_numpy() for column in ("signal", "p", "q"))
    size = np.array(sizes, np.int64)[contig]
    summit = np.where(offset < 0, (start + end) // 2, start + offset)
    start, end = np.maximum(start, 0), np.minimum(end, size)
    peaks = Peaks(contig, start, end, signal, p, q, np.clip(summit, start, end - 1))
    return _sorted(peaks.take(start < end))


def empty_peaks() -> Peaks:
    """No peaks."""
    kinds = (np.int32, np.int64, np.int64, np.float64, np.float64, np.float64, np.int64)
    return Peaks(*(np.zeros(0, kind) for kind in kinds))


def _sorted(peaks: Peaks) -> Peaks:
    return peaks.take(np.lexsort((peaks.summit, peaks.end, peaks.start, peaks.contig)))


def ranks(peaks: Peaks) -> np.ndarray:
    """Rank of each peak by p-value, then fold enrichment, then place: int64 (n,), 1 is the best."""
    order = np.lexsort((np.arange(len(peaks.p)), -peaks.signal, -peaks.p))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    return rank


def best(peaks: Peaks, most: int) -> Peaks:
    """The ``most`` best peaks by p-value, in their order."""
    return peaks.take(ranks(peaks) <= most)


def write_peaks(path: Path, peaks: Peaks, contigs: list[str]) -> None:
    """Write narrowPeak, gzip; its bytes depend on the peaks only. No peaks give an empty text.

    Names are ``peak_`` and the rank by p-value; the fifth column is 10 times -log10 p, at most 1,000.
    """
    rank = ranks(peaks)
    score = np.clip(np.rint(peaks.p * 10), 0, MAX_SCORE).astype(np.int64)
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as out:
        for row, (contig, start, end, signal, p, q, summit) in enumerate(zip(*(column.tolist() for column in peaks))):
            line = f"{contigs[contig]}\t{start}\t{end}\tpeak_{rank[row]}\t{score[row]}\t."
            out.write(f"{line}\t{signal:.5f}\t{p:.5f}\t{q:.5f}\t{summit - start}\n".encode())
