"""Methylation calls of one file: checked against the genome, strands of a CpG merged, contig by contig.

The file is read once, front to back; its calls wait in the system's temporary folder (``TMPDIR``), one file a contig:
any order of lines will do, and memory holds the calls of one contig at a time.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from seqmill.formats.bedtext import BedBlock
from seqmill.formats.methylation_layouts import sniff
from seqmill.formats.methylation_text import CallBlock, read_calls
from seqmill.formats.placing import Placer
from seqmill.runtime.errors import InputError, SeqmillError

# (contig, first bases int64 (n,), width) -> codes uint8 (n, width), as `GenomeReader.many`.
Windows = Callable[[str, np.ndarray, int], np.ndarray]
Context = Literal["CG", "CHG", "CHH"]
CONTEXTS = ("", "CG", "CHG", "CHH")
# A larger share of calls off their context is another assembly or coordinates off by one. Sites that only the sample
# has (gemBS calls its genotype) are far fewer.
LARGEST_OFF_SHARE = 0.1
_REACH = 3  # bases on each side that say the context of a call, and of its neighbours
_RECORD = np.dtype(
    [("position", "<i4"), ("strand", "i1"), ("methylated", "<u4"), ("total", "<u4"), ("fraction", "<f4")]
)


class Calls(NamedTuple):
    """Calls of one contig, sorted by position.

    int32 position (n,), 0-based: of the C on the + strand where strands are merged, else of the cytosine itself; int8
    strand (n,): 1, -1, or 0 for both and for not known; uint32 methylated and total (n,), reads, 0 and 0 where the file
    has no counts; float32 fraction (n,), methylated of total.
    """

    position: np.ndarray
    strand: np.ndarray
    methylated: np.ndarray
    total: np.ndarray
    fraction: np.ndarray


class CallFile:
    """The calls of one file, in one context. Use it as a context manager.

    Parameters
    ----------
    path : plain or gzip; see `seqmill.formats.methylation_layouts`.
    genome_sizes : contig -> length in bp. partial : the genome is a piece: calls past its end are dropped and counted.
    layout : of `methylation_layouts.KINDS` if known, '' to tell it from the file.
    windows : codes of the genome around many positions. Without it, positions are not checked, calls of unknown strand
        are not merged, and what the file does not say of a context is taken as ``context``.
    context : calls of other contexts are counted and left out.
    strand : '.' merges the two calls of a CpG into one at the C of the + strand (reads added; fractions without
        counts averaged); '+' and '-' take the calls of that strand alone, at their own base. Strands of CHG and CHH are
        never merged.
    min_coverage : calls with fewer reads, after merging, are counted and left out.
    code : see `read_calls`.

    Attributes
    ----------
    contigs : contig of the genome -> its name in the file. layout : name of the layout. counted : there are reads.
    counts : what was left out or odd, and how often.
    sums : (contig of the file, context or '') -> int64 methylated reads, reads, calls; contigs that the genome does not
        have are among them (spike-ins). A context that neither file nor genome says is ''.

    Raises
    ------
    InputError : see `read_calls`; no contig of the genome; calls past the end; too many calls off their context.
    """

    def __init__(
        self,
        path: str | Path,
        genome_sizes: Mapping[str, int],
        *,
        partial: bool = False,
        layout: str = "",
        windows: Windows | None = None,
        context: Context = "CG",
        strand: Literal["+", "-", "."] = ".",
        min_coverage: int = 1,
        code: str = "m",
    ):
        self.path, self.sizes = Path(path), dict(genome_sizes)
        self._windows, self._context = windows, CONTEXTS.index(context)
        self._strand, self._least = {"+": 1, "-": -1, ".": 0}[strand], min_coverage
        self._merge = strand == "." and context == "CG"
        self.counts: Counter[str] = Counter()
        self.sums: dict[tuple[str, str], np.ndarray] = {}
        self._hits = np.zeros(3, np.int64)  # calls in context as they are, one base before, one behind
        self._placed = self._off = 0
        found = sniff(path, layout)
        self.layout, self.counted = found.name, found.counted
        if min_coverage > 1 and not self.counted:
            raise InputError(path, f"has no counts ({found.name}), so min_coverage {min_coverage} cannot be applied")
        self._folder = Path(tempfile.mkdtemp(prefix="seqmill-"))
        try:
            placer = Placer(path, genome_sizes, partial, self.counts, keep_straddling=False)
            for block in read_calls(path, found, self.counts, code=code):
                self._take(block, placer)
            self.contigs = {name: found for name, found in placer.finish().items() if name in self.sizes}
            self._check_off()
        except BaseException:
            self.close()
            raise

    def _take(self, block: CallBlock, placer: Placer) -> None:
        bed = BedBlock(block.names, block.contig, block.start, block.end, None, None, None, block.lines)
        rows, contig = placer.place(bed)
        names = list(self.sizes)
        context, position = block.context.copy(), block.start.copy()
        strand, keep = block.strand.copy(), np.zeros(len(position), bool)
        order = np.argsort(contig, kind="stable")
        numbers, first = np.unique(contig[order], return_index=True)
        for number, some in zip(numbers.tolist(), np.split(rows[order], first[1:])):
            keep[some] = self._in_context(block, names[number], some, context, position, strand)
            some = some[keep[some]]
            self._spill(number, block, some, position[some], strand[some])
        self._add_sums(block, context)

    def _in_context(
        self,
        block: CallBlock,
        contig: str,
        rows: np.ndarray,
        context: np.ndarray,
        position: np.ndarray,
        strand: np.ndarray,
    ) -> np.ndarray:
        """Which rows are calls in the wanted context, bool (rows,); sets their context, position and strand."""
        stated = context[rows]
        other = (stated != 0) & (stated != self._context)
        if other.any():
            self.counts["calls in another context"] += int(np.count_nonzero(other))
        both = block.end[rows] - block.start[rows] == 2
        if self._windows is None:
            context[rows] = np.where(stated == 0, self._context, stated)
            keep = ~other
        else:
            codes = self._windows(contig, position[rows] - _REACH, 2 * _REACH + 1)
            known = np.where(both, np.int8(1), strand[rows])
            at_c = (known == -1) & (context_at(codes, 0, np.ones(len(rows), np.int8)) == 1) & (stated < 2)
            if at_c.any():  # some files list both strands of a CpG at its C
                self.counts["calls of the - strand listed at the C"] += int(np.count_nonzero(at_c))
                position[rows[at_c]] += 1
                codes[at_c] = self._windows(contig, position[rows[at_c]] - _REACH, 2 * _REACH + 1)
            found = context_at(codes, 0, known)
            here = found == self._context
            self._placed += int(np.count_nonzero(~other))
            self._off += int(np.count_nonzero(~here & ~other))
            for place, shift in enumerate((0, -1, 1)):
                moved = here if not shift else context_at(codes, shift, known) == self._context
                self._hits[place] += int(np.count_nonzero(moved & ~other))
            context[rows] = np.where(stated == 0, found, stated)
            strand[rows] = np.where(strand[rows] == 0, np.where(codes[:, _REACH] == 1, 1, -1), strand[rows])
            keep = here & ~other
        strand[rows[both]] = 0
        if self._strand:
            wrong = keep & (strand[rows] != self._strand)
            self.counts["calls of the other strand, or of both"] += int(np.count_nonzero(wrong))
            keep &= ~wrong
        return keep

    def _spill(self, number: int, block: CallBlock, rows: np.ndarray, position: np.ndarray, strand: np.ndarray) -> None:
        records = np.empty(len(rows), _RECORD)
        records["position"], records["strand"] = position, strand
        records["total"] = block.total[rows] if self.counted else 0
        records["methylated"], records["fraction"] = block.methylated[rows], block.fraction[rows]
        try:
            with open(self._folder / str(number), "ab") as handle:
                handle.write(records.tobytes())
        except OSError as error:
            raise SeqmillError(
                f"{self._folder}: cannot write temporary file ({error}); set TMPDIR to a disk with more space"
            ) from None

    def _add_sums(self, block: CallBlock, context: np.ndarray) -> None:
        if not self.counted:
            return
        group = block.contig * len(CONTEXTS) + context
        size = len(block.names) * len(CONTEXTS)
        columns = [np.bincount(group, weight, size) for weight in (block.methylated, block.total, None)]
        for place in np.flatnonzero(columns[2]).tolist():
            key = (block.names[place // len(CONTEXTS)], CONTEXTS[place % len(CONTEXTS)])
            self.sums[key] = self.sums.get(key, 0) + np.array([column[place] for column in columns]).astype(np.int64)

    def _check_off(self) -> None:
        if self._off:
            self.counts[f"calls off {self._what()}"] += self._off
        if self._off > LARGEST_OFF_SHARE * self._placed:
            as_is, before, behind = (int(hits) for hits in self._hits)
            best, where = max((before, "before"), (behind, "behind"))
            raise InputError(
                self.path,
                f"wrong assembly or off by one? ({as_is:,} of {self._placed:,} calls are on {self._what()}; shifted by "
                f"1 bp, to the base {where}, it would be {best:,}); or does the file hold calls of other contexts?",
            )

    def _what(self) -> str:
        return f"a {'CpG' if self._context == 1 else CONTEXTS[self._context]}"

    def contig(self, name: str) -> Calls:
        """The calls of a contig of the genome, none if the file has none there.

        Raises InputError for a cytosine that comes twice.
        """
        path = self._folder / str(list(self.sizes).index(name))
        records = np.fromfile(path, _RECORD) if path.exists() else np.zeros(0, _RECORD)
        records = records[np.lexsort((records["strand"], records["position"]))]
        same = records[["position", "strand"]][1:] == records[["position", "strand"]][:-1]
        if same.any():
            first = records[int(np.argmax(same))]
            sign = {1: " (+)", -1: " (-)", 0: ""}[int(first["strand"])]
            raise InputError(
                self.path,
                f"{self.contigs.get(name, name)}:{first['position']}{sign}, 0-based, comes twice ({same.sum():,} such "
                "calls); one call a cytosine is expected: several samples or modifications in one file?",
            )
        return self._pick(*self._merged(records))

    def _merged(self, records: np.ndarray) -> tuple[np.ndarray, ...]:
        """Position, strand, methylated, total, fraction, with the strands of a CpG merged if they are to be."""
        position, strand = records["position"], records["strand"]
        methylated, total = records["methylated"].astype(np.int64), records["total"].astype(np.int64)
        fraction = records["fraction"].astype(np.float64)
        if not self._merge or not len(position):
            return position, strand, methylated, total, fraction
        position = position - (strand == -1)
        order = np.argsort(position, kind="stable")
        position, first = np.unique(position[order], return_index=True)
        number = np.diff(np.append(first, len(order)))
        methylated, total = (np.add.reduceat(column[order], first) for column in (methylated, total))
        if self.counted:
            fraction = methylated / np.maximum(total, 1)
        else:
            fraction = np.add.reduceat(fraction[order], first) / number
        return position, np.zeros(len(position), np.int8), methylated, total, fraction

    def _pick(self, position, strand, methylated, total, fraction) -> Calls:
        keep = total >= self._least if self.counted else np.ones(len(position), bool)
        columns = zip((position, strand, methylated, total, fraction), ("i4", "i1", "u4", "u4", "f4"))
        return Calls(*(column[keep].astype(kind) for column, kind in columns))

    def close(self) -> None:
        """Delete the temporary files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "CallFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def context_at(codes: np.ndarray, shift: int, strand: np.ndarray) -> np.ndarray:
    """Context of the bases in the middle of windows of codes, or ``shift`` bases beside it.

    Parameters
    ----------
    codes : uint8 (n, 7). shift : -1, 0 or 1. strand : int8 (n,): 1, -1, or 0 to tell it from the base (C or G).

    Returns
    -------
    uint8 (n,): 1 CG, 2 CHG, 3 CHH; 0 where there is no C on that strand, or an N decides.
    """
    middle = _REACH + shift
    base = codes[:, middle]
    plus = (base == 1) & (strand >= 0)
    minus = (base == 2) & (strand <= 0)
    # the two bases behind the C, read along its strand
    one = np.where(plus, codes[:, middle + 1], 3 - codes[:, middle - 1].astype(np.int16))
    two = np.where(plus, codes[:, middle + 2], 3 - codes[:, middle - 2].astype(np.int16))
    unknown = (one < 0) | (one > 3) | ((one != 2) & ((two < 0) | (two > 3)))
    found = np.where(one == 2, 1, np.where(two == 2, 2, 3))
    return np.where((plus | minus) & ~unknown, found, 0).astype(np.uint8)
