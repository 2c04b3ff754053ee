"""Fragment files (three columns, 10x Genomics, BEDPE) as the fragments of a library; pseudobulk by a cell table."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from seqmill.formats.bedtext import BedBlock, read_bed
from seqmill.formats.placing import Placer
from seqmill.reads.cells import group_barcodes
from seqmill.reads.fragments import Fragments
from seqmill.runtime.errors import InputError


def read_fragment_file(
    path: str | Path,
    sizes: Mapping[str, int],
    *,
    partial: bool = False,
    excluded: Collection[str] = (),
    cells: str | Path | None = None,
    group: str = "",
) -> tuple[dict[str, Fragments], Counter[str]]:
    """All fragments of a file, or those of the cells of one group.

    A line is one fragment, whatever its count says; lines may come in any order. Lines that are the same place are
    kept: in single-cell files they are of different cells, and other files are taken as they are.

    Parameters
    ----------
    path : tab-separated text, plain or gzip: contig, start, end (0-based half-open), barcode, count (10x: read pairs
        that are copies of the fragment); or a BEDPE of the two mates. Lines that start with ``#`` are skipped.
    sizes : contig -> bp of the genome; names are harmonised with it.
    partial : the genome is a piece of an assembly: fragments that end past a contig are dropped and counted.
    excluded : contigs of the genome whose fragments are returned but not counted (mitochondrion).
    cells, group : cell table (`seqmill.reads.cells`) and the group whose fragments are wanted; neither or both.

    Returns
    -------
    Contig -> fragments, sorted; strand 0, contigs without fragments left out. About 9 bytes a fragment, and 50 a
    fragment of the largest contig while it is sorted.
    Counts: ``fragments``; where the file tells (not with four columns, whose fourth may be a barcode or a name)
    ``fragments_before_duplicates``, ``distinct``, ``once`` and ``twice``: by the count column, else by lines that
    are the same place; with ``cells`` also ``cells_matched``, ``cells_missing`` (barcodes of the group that are not
    in the file) and ``fragments_of_other_cells``; and reasons for which lines were dropped.

    Raises
    ------
    InputError : with the line number for a bad line; no contig, or no barcode of the group, is in the file.
    """
    if bool(cells) != bool(group):
        raise ValueError("cells and group go together")
    wanted = group_barcodes(cells, group) if cells else None
    counts: Counter[str] = Counter()
    names = list(sizes)
    counted = np.array([name not in excluded for name in names])
    placer = Placer(path, sizes, partial, counts, keep_straddling=False)
    parts: dict[int, list[np.ndarray]] = defaultdict(list)
    seen: set[str] = set()
    example: list[str] = []
    repeats: Counter[str] | None = Counter()  # None where lines do not tell copies
    for block in read_bed(path, "cell_fragments", counts):
        if wanted is not None:
            block = _of_cells(path, block, wanted, seen, counts)
            example = example or block.barcodes[:3]
        rows, contig = placer.place(block)
        if block.barcode is not None:
            repeats = None
        if block.copies is not None:
            _count_copies(counts, block.copies[rows][counted[contig]])
        places = np.stack([block.start[rows], block.end[rows]]).astype(np.int32)
        order = np.argsort(contig, kind="stable")
        numbers, first = np.unique(contig[order], return_index=True)
        for number, piece in zip(numbers.tolist(), np.split(places[:, order], first[1:], axis=1)):
            parts[number].append(piece)
    placer.finish()
    if wanted is not None:
        _check_cells(path, str(cells), group, wanted, seen, example)
        counts["cells_matched"], counts["cells_missing"] = len(seen), len(wanted - seen)
    found = {}
    for number in sorted(parts):
        start, end = np.concatenate(parts.pop(number), axis=1)
        found[names[number]] = one = Fragments.of(start, end, np.zeros(len(start), np.int8))
        if repeats is not None and counted[number]:
            _count_copies(repeats, _repeats(one))
        counts["fragments"] += len(start) if counted[number] else 0
    counts.update(repeats or {})
    return found, counts


def _of_cells(path: str | Path, block: BedBlock, wanted: set[str], seen: set[str], counts: Counter[str]) -> BedBlock:
    """Records of the wanted barcodes; those that were met are added to ``seen``."""
    if block.barcode is None:
        raise InputError(path, "has no barcode column (the fourth of up to five), but a cell table is given")
    ours = np.array([barcode in wanted for barcode in block.barcodes], dtype=bool)
    rows = np.flatnonzero(ours[block.barcode])
    seen.update(block.barcodes[code] for code in np.unique(block.barcode[rows]).tolist())
    counts["fragments_of_other_cells"] += len(block.start) - len(rows)
    lines = block.lines + rows if isinstance(block.lines, int) else block.lines[rows]
    copies = None if block.copies is None else block.copies[rows]
    places = block.contig[rows], block.start[rows], block.end[rows]
    return BedBlock(block.names, *places, None, None, None, lines, block.barcodes, block.barcode[rows], copies)


def _check_cells(
    path: str | Path, cells: str, group: str, wanted: set[str], seen: set[str], example: list[str]
) -> None:
    if seen:
        return
    ours = sorted(wanted)[:3]
    suffixed = [all(re.search(r"-\d+$", barcode) for barcode in side) for side in (ours, example)]
    hint = " (one side has the suffix '-1' of 10x, the other has not)" if suffixed[0] != suffixed[1] else ""
    raise InputError(
        path,
        f"0 of {len(wanted):,} barcodes of group {group!r} in {cells} are in this file: it has {', '.join(example)}; "
        f"the group has {', '.join(ours)}{hint}",
    )


def _repeats(fragments: Fragments) -> np.ndarray:
    """How often each place comes, of sorted fragments."""
    new = np.ones(len(fragments.start), dtype=bool)
    new[1:] = (np.diff(fragments.start) != 0) | (np.diff(fragments.end) != 0)
    return np.diff(np.append(np.flatnonzero(new), len(new)))


def _count_copies(counts: Counter[str], copies: np.ndarray) -> None:
    counts["fragments_before_duplicates"] += int(copies.sum())
    counts["distinct"] += len(copies)
    counts["once"] += int(np.count_nonzero(copies == 1))
    counts["twice"] += int(np.count_nonzero(copies == 2))
