"""Fold change over control and -log10 p of enrichment: macs' pileup against its background, as bigWig.

With a control its tags, scaled to the treatment, are the background; without, the treatment's own local one is (macs'
lambda). Values are those of ``macs bdgcmp``; zeros are left out of the file.
"""

import mmap
from collections.abc import Collection, Iterator, Mapping
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
# bdgcmp writes contigs in the order of a Python set; with a fixed seed its file is the same each time.
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}


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
    path: Path, sizes: Mapping[str, int], work: Path, name: str, output: str, tags: int, excluded: Collection[str]
) -> list[str]:
    """Write one signal of a call of macs.

    Parameters
    ----------
    path : bigWig to write. work, name : folder and name of macs' bedGraph files. output : a key of `METHODS`.
    tags : of the treatment; its millions undo the scaling of the pileup (to reads per million) before p-values are
        taken, as in ENCODE's pipelines. excluded : contigs that were not looked at; they are not in the file.

    Returns
    -------
    The arguments of macs.
    """
    scratch = work / f"{name}_{output}.bdg"
    command = ["bdgcmp", "-t", f"{name}_treat_pileup.bdg", "-c", f"{name}_control_lambda.bdg", "-m", METHODS[output]]
    command += ["-o", scratch.name] + (["-S", f"{tags / 1e6:.6f}"] if output == "p_value" else [])
    pipeline([["macs", *command]], cwd=work, what=f"signal {path.name}", env=_ENVIRONMENT)
    write_bigwig(path, sizes, bedgraph_pieces(scratch, sizes, excluded))
    scratch.unlink()
    return command


def bedgraph_pieces(
    path: Path, sizes: Mapping[str, int], excluded: Collection[str] = (), block: int = BLOCK
) -> Iterator[Piece]:
    """Values of a bedGraph file of macs in the order of the genome, clipped to its contigs, zeros left out.

    Parameters
    ----------
    path : contigs by their codes, each in one run of lines, in any order. block : bytes of text held at once.
    excluded : contigs that were not looked at. Others without a value get one record of 0, so that readers know them.
    """
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as text:
        runs = contig_runs(text)
        unknown = set(runs) - {contig_code(number) for number in range(len(sizes))}
        if unknown:
            raise WorkerError(f"{path.name} of macs has a contig {sorted(unknown)[0]!r}")
        for number, (contig, size) in enumerate(sizes.items()):
            at, stop = runs.get(contig_code(number), (0, 0))
            blank = contig not in excluded
            while at < stop:
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
