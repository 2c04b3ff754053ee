"""Fold change over control and -log10 p of enrichment: macs' pileup against its background, as bigWig.

With a control its tags, scaled to the treatment, are the background; without, the treatment's own local one is (macs'
lambda). Values are those of ``macs bdgcmp``; zeros are left out of the file.
"""

import mmap
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from seqmill.formats.bigwig_out import Piece, write_bigwig
from seqmill.reads.fragments import FragmentTable
from seqmill.reads.peaks import contig_code
from seqmill.reads.programs import pipeline
from seqmill.reads.strands import cross_correlation, fragment_length
from seqmill.runtime.errors import WorkerError

METHODS = {"fold_change": "FE", "p_value": "ppois"}
MAX_SHIFT = 1000
DEFAULT_LENGTH = 200
BLOCK = 1 << 25
"""Bytes of bedGraph text that are handled at once."""


def fragment_bp(table: FragmentTable, read_length: int) -> tuple[int, str]:
    """Length of a library's fragments in bp, and how it was found.

    Returns
    -------
    The median length of pairs ("median"), or of single reads where the strands correlate best ("cross-correlation");
    macs' 200 bp where that cannot be told ("default").
    """
    if not table.paired:
        found = fragment_length(cross_correlation(table, MAX_SHIFT), read_length)
        return (found, "cross-correlation") if found else (DEFAULT_LENGTH, "default")
    counts = np.zeros(1, np.int64)
    for _, fragments in table:
        found_here = np.bincount(fragments.end - fragments.start, minlength=len(counts))
        found_here[: len(counts)] += counts
        counts = found_here
    middle = int(np.searchsorted(np.cumsum(counts), (counts.sum() + 1) // 2))
    return (middle, "median") if counts.sum() else (DEFAULT_LENGTH, "default")


def write_comparison(
    path: Path,
    sizes: Mapping[str, int],
    work: Path,
    name: str,
    output: str,
    tags: int,
    excluded: Collection[str],
    threads: int = 1,
) -> list[str]:
    """Write one signal of a call of macs.

    macs compares whole files in memory, 80 bytes a tag. It is given some contigs at a time, which changes no value.

    Parameters
    ----------
    path : bigWig to write. work, name : folder and name of macs' bedGraph files. output : a key of `METHODS`.
    tags : of the treatment; its millions undo the scaling of the pileup (to reads per million) before p-values are
        taken, as in ENCODE's pipelines. excluded : contigs that were not looked at; they are not in the file.
    threads : groups of contigs that are compared at once.

    Returns
    -------
    The arguments of macs, as for whole files.
    """
    inputs = [work / f"{name}_treat_pileup.bdg", work / f"{name}_control_lambda.bdg"]
    method = ["-m", METHODS[output]] + (["-S", f"{tags / 1e6:.6f}"] if output == "p_value" else [])
    write_bigwig(path, sizes, _compared(inputs, method, sizes, excluded, threads, path.name))
    return ["bdgcmp", "-t", inputs[0].name, "-c", inputs[1].name, *method]


def _compared(
    inputs: list[Path], method: list[str], sizes: Mapping[str, int], excluded: Collection[str], threads: int, what: str
) -> Iterator[Piece]:
    """Values of ``macs bdgcmp``, in the order of the genome."""
    work, contigs = inputs[0].parent, list(sizes)
    with ExitStack() as stack:
        texts = [stack.enter_context(_mapped(path)) for path in inputs]
        runs = [contig_runs(text) for text in texts]
        groups = _groups(runs[0], len(contigs))
        for first in range(0, len(groups), max(1, threads)):
            commands: list[list[str]] = []
            parts: dict[Path, list[int]] = {}
            for numbers in groups[first : first + max(1, threads)]:
                codes = [contig_code(number) for number in numbers]
                files = [work / f"part{len(parts)}.{side}.bdg" for side in ("pileup", "background", "compared")]
                parts[files[2]] = numbers
                for file, text, run in zip(files, texts, runs):
                    _copy(file, text, [run[code] for code in codes if code in run])
                if files[0].stat().st_size:
                    names = [file.name for file in files]
                    commands.append(["macs", "bdgcmp", "-t", names[0], "-c", names[1], *method, "-o", names[2]])
            if commands:
                # they use neither standard input nor output: as a pipeline they run at once and stop together
                pipeline(commands, cwd=work, what=f"signal {what}")
            for file, numbers in parts.items():
                yield from bedgraph_pieces(file, {number: contigs[number] for number in numbers}, sizes, excluded)
            for leftover in work.glob("part*.bdg"):
                leftover.unlink()


def _groups(runs: dict[str, tuple[int, int]], n: int) -> list[list[int]]:
    """Contigs by number, in order, as many together as have up to `BLOCK` bytes of text; one that has more is alone."""
    groups: list[list[int]] = []
    room = 0
    for number in range(n):
        first, last = runs.get(contig_code(number), (0, 0))
        if not groups or last - first > room:
            groups.append([])
            room = BLOCK
        groups[-1].append(number)
        room -= last - first
    return groups


def _copy(path: Path, text: mmap.mmap, ranges: list[tuple[int, int]]) -> None:
    with open(path, "wb") as out, memoryview(text) as view:
        for first, last in ranges:
            out.write(view[first:last])


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as text:
        yield text


def bedgraph_pieces(
    path: Path, contigs: Mapping[int, str], sizes: Mapping[str, int], excluded: Collection[str] = (), block: int = BLOCK
) -> Iterator[Piece]:
    """Values of a bedGraph file of macs in the order of the genome, clipped to its contigs, zeros left out.

    Parameters
    ----------
    path : contigs by their codes, each in one run of lines, in any order; no file: no values.
    contigs : number of a contig to its name. block : bytes of text held at once.
    excluded : contigs that were not looked at. Others without a value get one record of 0, so that readers know them.
    """
    with ExitStack() as stack:
        text = stack.enter_context(_mapped(path)) if path.exists() and path.stat().st_size else None
        runs = contig_runs(text) if text else {}
        unknown = set(runs) - set(map(contig_code, contigs))
        if unknown:
            raise WorkerError(f"{path.name} of macs has a contig {sorted(unknown)[0]!r}")
        for number, contig in contigs.items():
            at, stop = runs.get(contig_code(number), (0, 0))
            blank, size = contig not in excluded, sizes[contig]
            while text and at < stop:
                end = stop if stop - at <= block else text.rfind(b"\n", at, at + block) + 1
                starts, ends, values = _columns(path, text[at:end], contig_code(number))
                ends = np.minimum(ends, size)
                keep = (values != 0) & (starts < ends)
                yield contig, starts[keep], ends[keep], values[keep]
                blank, at = blank and not keep.any(), end
            if blank and size:
                yield contig, np.array([0]), np.array([size]), np.array([0.0])


def contig_runs(text: mmap.mmap) -> dict[str, tuple[int, int]]:
    """Contig to first and one-past-last byte of its lines, for a file whose contigs are not mixed; by bisection."""
    runs: dict[str, tuple[int, int]] = {}
    at = 0
    while at < len(text):
        name = text[at : text.find(b"\t", at) + 1]
        last, beyond = at, len(text)  # the begin of a line of this contig, and of one that is not
        while (after := text.find(b"\n", last) + 1) < beyond and after:
            line = text.rfind(b"\n", 0, (after + beyond) // 2) + 1
            if text[line : line + len(name)] == name:
                last = line
            else:
                beyond = line
        runs[name[:-1].decode()] = (at, beyond)
        at = beyond
    return runs


def _columns(path: Path, text: bytes, code: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import pyarrow as pa
    from pyarrow import csv

    names = ["contig", "start", "end", "value"]
    words = pa.dictionary(pa.int32(), pa.string())
    types = {"contig": words, "start": pa.int64(), "end": pa.int64(), "value": pa.float64()}
    try:
        table = csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
            csv.ParseOptions(delimiter="\t", quote_char=False),
            csv.ConvertOptions(column_types=types),
        )
    except pa.ArrowInvalid as error:
        raise WorkerError(f"{path.name} of macs is not bedGraph: {error}") from None
    found = table["contig"].unique().to_pylist()
    if found != [code]:
        raise WorkerError(f"{path.name} of macs mixes lines of contigs {', '.join(found[:3])}")
    start, end, value = (table[column].to_numpy() for column in names[1:])
    return start, end, value
