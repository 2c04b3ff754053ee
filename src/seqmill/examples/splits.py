"""Splits of genomes: each contig is cut into territories, and a window belongs to one only as a whole.

A window's extent (input and margins) must lie inside one territory; windows on a border are dropped. So extents of
different parts never share a base, however the borders were chosen.
"""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from seqmill.config.datasets import Split
from seqmill.examples.inner import carve_inner
from seqmill.examples.territory import NOWHERE, Place, Plan, Territory, Windows
from seqmill.formats.lines import text_lines
from seqmill.genome.names import harmonise
from seqmill.runtime.errors import InputError

PARTS = ("train", "valid", "test")
MIN_BLOCK_BP = 100_000


def make_plan(split: Split, sizes: Mapping[Place, int], windows: Windows, where: str) -> Plan:
    """The territories of a split.

    Parameters
    ----------
    sizes : length of every contig in bp.
    windows : the windows to split; their numbers balance folds and choose inner parts.
    where : name of the dataset's section, for messages.
    """
    if split.kind == "given":
        raise InputError(where, "split.kind 'given' is for sequence tables; windows of a genome need another kind")
    if split.kind == "folds":
        return _nested(
            split, Plan([str(n) for n in range(split.k)], _folds(split, sizes, windows, where), {}), windows, where
        )
    makers = {"chromosomes": _chromosomes, "blocks": _blocks, "regions": _regions, "fold_file": _fold_file}
    plan = Plan(list(PARTS), makers[split.kind](split, sizes, windows, where), {})
    plan.runs["0"] = {part: [part] for part in PARTS}
    train, valid, test = plan.counts(windows)
    for part, count, asked in (("train", train, True), ("valid", valid, split.valid), ("test", test, True)):
        if asked and not count:
            raise InputError(where, f"the split leaves no window in part '{part}'")
    if not valid:
        carve_inner(plan, 0, split, windows, where, name="valid")
    return plan


def _nested(split: Split, plan: Plan, windows: Windows, where: str) -> Plan:
    """Runs over k folds, each fold with an inner part for the early stopping of the runs that train on it."""
    inner = [carve_inner(plan, number, split, windows, where) for number in range(split.k)]
    for number in range(split.k):
        others = [n for n in range(split.k) if n != number]
        plan.runs[str(number)] = {
            "train": [str(n) for n in others],
            "valid": [inner[n] for n in others if inner[n]],
            "test": [name for name in (str(number), inner[number]) if name],
        }
    return plan


def match_contigs(names: list[str], sizes: Mapping[Place, int], where: str) -> list[Place]:
    """Contigs that a list of the configuration names, as ``contig`` (in every genome) or ``assembly:contig``."""
    found = []
    for name in names:
        places = [place for place in sizes if name in (place[1], f"{place[0]}:{place[1]}")]
        if not places:
            known = ", ".join(dict.fromkeys(place[1] for place in sizes))
            raise InputError(where, f"contig {name!r} of the split is in no genome; the genome has {known[:200]}")
        found += places
    return found


def _chromosomes(split: Split, sizes, windows: Windows, where: str) -> dict[Place, Territory]:
    lists = {}
    for part, given in (("test", split.test), ("valid", split.valid)):
        if isinstance(given, float) or (part == "test" and not given):
            raise InputError(
                where, f"split.{part} must be a list of contigs where kind is 'chromosomes', found {given!r}"
            )
        lists[part] = match_contigs(given or [], sizes, f"{where}.split.{part}")
    both = set(lists["test"]) & set(lists["valid"])
    if both:
        raise InputError(where, f"contig {min(both)[1]} is in split.test and in split.valid")
    number = {place: PARTS.index(part) for part, places in lists.items() for place in places}
    return {place: Territory.of([(0, size, number.get(place, 0))], size) for place, size in sizes.items()}


def _cut_blocks(split: Split, sizes, extent_bp: int, where: str) -> list[tuple[Place, int, int]]:
    """Blocks of equal length along the contigs; a rest of less than half a block joins the one before."""
    block_bp = split.block_bp or max(MIN_BLOCK_BP, 10 * extent_bp)
    if block_bp < 2 * extent_bp:
        raise InputError(where, f"split.block_bp {block_bp} is shorter than two window extents ({2 * extent_bp} bp)")
    blocks = []
    for place, size in sizes.items():
        count = max(1, int(size / block_bp + 0.5))
        edges = [*(i * block_bp for i in range(count)), size]
        blocks += [(place, a, b) for a, b in pairwise(edges)]
    return blocks


def _fill(units: list[list[tuple[Place, int, int]]], windows: Windows) -> list[int]:
    """Windows that start in each unit (a list of stretches)."""
    none = np.zeros(0, np.int64)

    def count(place: Place, low: int, high: int) -> int:
        first, last = np.searchsorted(windows.starts.get(place, none), [low, high])
        return int(last - first)

    return [sum(count(*stretch) for stretch in unit) for unit in units]


def _from_units(units, numbers: list[int], sizes) -> dict[Place, Territory]:
    pieces: dict[Place, list[tuple[int, int, int]]] = {place: [] for place in sizes}
    for unit, number in zip(units, numbers):
        for place, a, b in unit:
            pieces[place].append((a, b, number))
    return {place: Territory.of(found, sizes[place]) for place, found in pieces.items()}


def _blocks(split: Split, sizes, windows: Windows, where: str) -> dict[Place, Territory]:
    shares = {}
    for part in ("test", "valid"):
        given = getattr(split, part)
        if isinstance(given, list) or (given is not None and not 0 < given < 1):
            raise InputError(
                where, f"split.{part} must be a fraction between 0 and 1 where kind is 'blocks', found {given!r}"
            )
        shares[part] = given or 0.0
    if not shares["test"] or sum(shares.values()) >= 1:
        raise InputError(where, "split.test (and split.valid) must be fractions that leave something for training")
    units = [[block] for block in _cut_blocks(split, sizes, windows.extent_bp, where)]
    counts = _fill(units, windows)
    return _from_units(units, draw_shares(counts, [shares["test"], shares["valid"]], split.seed), sizes)


def draw_shares(counts: list[int], shares: list[float], seed: int) -> list[int]:
    """Put units, drawn at random, into test (2) and valid (1) until each holds its share of all rows; 0 is train."""
    total = sum(counts)
    numbers = [0] * len(counts)
    order = np.random.default_rng([seed, 1]).permutation(len(counts)).tolist()
    have = {2: 0, 1: 0}
    for unit in order:
        for part, share in ((2, shares[0]), (1, shares[1])):
            wanted = share * total
            if counts[unit] and have[part] < wanted and have[part] + counts[unit] / 2 <= wanted + 0.5:
                numbers[unit] = part
                have[part] += counts[unit]
                break
    return numbers


def balance(counts: list[int], k: int, seed: int) -> list[int]:
    """Spread units over k folds of about equal size: the largest first, each into the emptiest fold."""
    noise = np.random.default_rng([seed, 2]).permutation(len(counts)).tolist()
    order = sorted(range(len(counts)), key=lambda unit: (-counts[unit], noise[unit]))
    have, numbers = [0] * k, [0] * len(counts)
    for unit in order:
        fold = have.index(min(have))
        numbers[unit] = fold
        have[fold] += counts[unit]
    return numbers


def _folds(split: Split, sizes, windows: Windows, where: str) -> dict[Place, Territory]:
    if split.by not in ("contig", "blocks"):
        raise InputError(
            where, f"split.by '{split.by}' is for tables; windows of a genome are split by contig or blocks"
        )
    if split.by == "contig":
        units = [[(place, 0, size)] for place, size in sizes.items()]
    else:
        units = [[block] for block in _cut_blocks(split, sizes, windows.extent_bp, where)]
    counts = _fill(units, windows)
    used = sum(count > 0 for count in counts)
    if used < split.k:
        hint = "use split.by: blocks" if split.by == "contig" else "use a smaller split.block_bp"
        raise InputError(where, f"{used} {split.by} unit(s) hold windows, too few for split.k {split.k}; {hint}")
    return _from_units(units, balance(counts, split.k, split.seed), sizes)


def _part(label: str, split: Split, where: str | Path, record: str | int | None = None) -> int:
    part = split.rename.get(label, label)
    if part not in PARTS:
        raise InputError(
            where, f"part {label!r} is none of {', '.join(PARTS)}; map it with split.rename", record=record
        )
    return PARTS.index(part)


def _regions(split: Split, sizes, windows: Windows, where: str) -> dict[Place, Territory]:
    path = _need_file(split, where)
    rows = _read_regions(path)
    pieces: dict[Place, list[tuple[int, int, int]]] = {place: [] for place in sizes}
    for assembly in dict.fromkeys(place[0] for place in sizes):
        genome = {contig: size for (owner, contig), size in sizes.items() if owner == assembly}
        names = harmonise([row[1] for row in rows], genome, str(path))
        for line, contig, start, end, label in rows:
            if contig not in names:
                continue
            size = genome[names[contig]]
            if end > size:
                raise InputError(path, f"region {contig}:{start}-{end} ends past the contig ({size:,} bp)", record=line)
            whole = split.territory == "contig"
            piece = (
                (0, size, _part(label, split, path, line)) if whole else (start, end, _part(label, split, path, line))
            )
            mine = pieces[(assembly, names[contig])]
            if any(a < piece[1] and piece[0] < b and number != piece[2] for a, b, number in mine):
                raise InputError(path, f"region {contig}:{start}-{end} overlaps one of another part", record=line)
            mine.append(piece)
    return {place: Territory.of(found, sizes[place]) for place, found in pieces.items()}


def _read_regions(path: Path) -> list[tuple[int, str, int, int, str]]:
    """Rows (line, contig, start, end, label) of a BED file with a fourth column."""
    rows = []
    for line, text in text_lines(path):
        if not text.strip() or text.startswith(("#", "track", "browser")):
            continue
        cells = text.split("\t")
        try:
            start, end, label = int(cells[1]), int(cells[2]), cells[3].strip()
        except (IndexError, ValueError):
            raise InputError(
                path, f"expected contig, start, end and part, separated by tabs, found {text[:60]!r}", record=line
            ) from None
        if not 0 <= start < end:
            raise InputError(path, f"start {start} and end {end} are not a region", record=line)
        rows.append((line, cells[0], start, end, label))
    if not rows:
        raise InputError(path, "0 records; expected regions with a part in the fourth column")
    return rows


def _need_file(split: Split, where: str) -> Path:
    if split.file is None:
        raise InputError(where, f"split.kind '{split.kind}' needs split.file")
    return Path(split.file)


def _fold_file(split: Split, sizes, windows: Windows, where: str) -> dict[Place, Territory]:
    """ChromBPNet's ``fold_N.json``: lists of contigs for train, valid and test."""
    path = _need_file(split, where)
    try:
        lists = json.loads(Path(path).read_text())
        names = {part: [str(name) for name in lists[part]] for part in lists}
    except (OSError, ValueError, TypeError) as error:
        raise InputError(path, f"not a fold file, a JSON object of contig lists ({error})") from None
    every = [name for contigs in names.values() for name in contigs]
    for name in every:
        if every.count(name) > 1:
            raise InputError(path, f"contig {name} is in more than one part")
    territories = {}
    for assembly in dict.fromkeys(place[0] for place in sizes):
        genome = {contig: size for (owner, contig), size in sizes.items() if owner == assembly}
        found = harmonise(every, genome, str(path))
        number = {
            found[name]: _part(part, split, path)
            for part, contigs in names.items()
            for name in contigs
            if name in found
        }
        for contig, size in genome.items():
            territories[(assembly, contig)] = Territory.of([(0, size, number.get(contig, NOWHERE))], size)
    return territories
