"""Splits of genomes: each contig is cut into territories, and a window belongs to one only as a whole.

A window's extent (input and margins) must lie inside one territory; windows on a border are dropped. So extents of
different parts never share a base, however the borders were chosen.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from seqmill.config.datasets import Split
from seqmill.formats.text import line_blocks
from seqmill.genome.names import harmonise
from seqmill.runtime.errors import InputError

Place = tuple[str, str]  # assembly, contig
NOWHERE, BORDER = -1, -2
PARTS = ("train", "valid", "test")
MIN_BLOCK_BP = 100_000
MIN_CONTIGS = 10  # from here on an inner part is made of whole contigs


@dataclass(frozen=True)
class Territory:
    """Pieces of one contig.

    Attributes
    ----------
    bounds : int64 (m + 1,), ascending; piece i is ``bounds[i]`` to ``bounds[i + 1]``.
    folds : int64 (m,), number of the fold of each piece; `NOWHERE` where no window may be. Neighbours differ.
    """

    bounds: np.ndarray
    folds: np.ndarray

    @staticmethod
    def of(pieces: list[tuple[int, int, int]], size: int) -> "Territory":
        """From disjoint (start, end, fold) pieces in any order; what they leave is `NOWHERE`."""
        bounds, folds = [0], []
        for start, end, fold in sorted(pieces):
            for until, value in ((start, NOWHERE), (end, fold)):
                if until > bounds[-1]:
                    if folds and folds[-1] == value:
                        bounds[-1] = until
                    else:
                        folds.append(value)
                        bounds.append(until)
        if bounds[-1] < size:
            folds.append(NOWHERE)
            bounds.append(size)
        return Territory(np.array(bounds, np.int64), np.array(folds, np.int64))

    def assign(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Fold of each extent, `NOWHERE`, or `BORDER` for one that lies in more than one piece; int64 (n,)."""
        if not len(self.folds):
            return np.full(len(starts), NOWHERE, np.int64)
        first = np.searchsorted(self.bounds, starts, side="right") - 1
        last = np.searchsorted(self.bounds, ends, side="left") - 1
        both = first == last
        fold = self.folds[np.clip(first, 0, len(self.folds) - 1)]
        return np.where(both, fold, BORDER)

    def carve(self, start: int, end: int, old: int, new: int) -> "Territory":
        """The same territory with what is ``old`` between ``start`` and ``end`` given to ``new``."""
        pieces = []
        for a, b, fold in zip(self.bounds[:-1].tolist(), self.bounds[1:].tolist(), self.folds.tolist()):
            low, high = max(a, start), min(b, end)
            if fold != old or low >= high:
                pieces.append((a, b, fold))
            else:
                pieces += [(a, low, old), (low, high, new), (high, b, old)]
        return Territory.of([piece for piece in pieces if piece[0] < piece[1]], int(self.bounds[-1]))


@dataclass
class Plan:
    """Folds by number, the territories, and which folds each run uses for what."""

    folds: list[str]
    territories: dict[Place, Territory]
    runs: dict[str, dict[str, list[str]]]

    def assign(self, place: Place, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        territory = self.territories.get(place)
        return territory.assign(starts, ends) if territory else np.full(len(starts), NOWHERE, np.int64)


def make_plan(
    split: Split,
    sizes: Mapping[Place, int],
    starts: Mapping[Place, np.ndarray],
    extent_bp: int,
    margin_bp: int,
    where: str,
) -> Plan:
    """The territories of a split.

    Parameters
    ----------
    sizes : length of every contig in bp.
    starts : int64 window starts of every contig with windows; they balance folds and choose inner parts.
    extent_bp : length of a window with both margins.
    where : name of the dataset's section, for messages.
    """
    if split.kind == "given":
        raise InputError(where, "split.kind 'given' is for sequence tables; windows of a genome need another kind")
    if split.kind == "folds":
        territories = _folds(split, sizes, starts, extent_bp, where)
        folds = [str(number) for number in range(split.k)]
    else:
        maker = {"chromosomes": _chromosomes, "blocks": _blocks, "regions": _regions, "fold_file": _fold_file}[
            split.kind
        ]
        territories = maker(split, sizes, starts, extent_bp, where)
        folds = list(PARTS)
    plan = Plan(folds, territories, {})
    counts = _counts(plan, starts, extent_bp, margin_bp)
    if split.kind == "folds":
        inner = [_carve_inner(plan, number, split, starts, extent_bp, margin_bp, where) for number in range(split.k)]
        for number in range(split.k):
            others = [n for n in range(split.k) if n != number]
            plan.runs[str(number)] = {
                "train": [str(n) for n in others],
                "valid": [inner[n] for n in others if inner[n]],
                "test": [name for name in (str(number), inner[number]) if name],
            }
        return plan
    if not counts[0]:
        raise InputError(where, "the split leaves no window for training")
    if not counts[1]:
        _carve_inner(plan, 0, split, starts, extent_bp, margin_bp, where, name="valid")
    plan.runs["0"] = {part: [part] for part in PARTS}
    return plan


def _counts(plan: Plan, starts: Mapping[Place, np.ndarray], extent_bp: int, margin_bp: int) -> list[int]:
    total = np.zeros(len(plan.folds), np.int64)
    for place, at in starts.items():
        fold = plan.assign(place, at - margin_bp, at - margin_bp + extent_bp)
        total += np.bincount(fold[fold >= 0], minlength=len(plan.folds))
    return total.tolist()


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


def _chromosomes(split: Split, sizes, starts, extent_bp: int, where: str) -> dict[Place, Territory]:
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


def _fill(split: Split, units: list[list[tuple[Place, int, int]]], starts) -> list[int]:
    """Windows that start in each unit (a list of stretches)."""
    empty = np.zeros(0, np.int64)
    return [
        sum(int(np.diff(np.searchsorted(starts.get(place, empty), [a, b]))[0]) for place, a, b in unit)
        for unit in units
    ]


def _from_units(units, numbers: list[int], sizes) -> dict[Place, Territory]:
    pieces: dict[Place, list[tuple[int, int, int]]] = {place: [] for place in sizes}
    for unit, number in zip(units, numbers):
        for place, a, b in unit:
            pieces[place].append((a, b, number))
    return {place: Territory.of(found, sizes[place]) for place, found in pieces.items()}


def _blocks(split: Split, sizes, starts, extent_bp: int, where: str) -> dict[Place, Territory]:
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
    units = [[block] for block in _cut_blocks(split, sizes, extent_bp, where)]
    counts = _fill(split, units, starts)
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


def _folds(split: Split, sizes, starts, extent_bp: int, where: str) -> dict[Place, Territory]:
    if split.by not in ("contig", "blocks"):
        raise InputError(
            where, f"split.by '{split.by}' is for tables; windows of a genome are split by contig or blocks"
        )
    if split.by == "contig":
        units = [[(place, 0, size)] for place, size in sizes.items()]
    else:
        units = [[block] for block in _cut_blocks(split, sizes, extent_bp, where)]
    counts = _fill(split, units, starts)
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


def _regions(split: Split, sizes, starts, extent_bp: int, where: str) -> dict[Place, Territory]:
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
    for number, block in line_blocks(path):
        for line, text in enumerate(block.decode("utf-8", "replace").splitlines(), number):
            if not text.strip() or text.startswith(("#", "track", "browser")):
                continue
            cells = text.split("\t")
            try:
                start, end = int(cells[1]), int(cells[2])
                label = cells[3].strip()
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


def _fold_file(split: Split, sizes, starts, extent_bp: int, where: str) -> dict[Place, Territory]:
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


def _carve_inner(
    plan: Plan, number: int, split: Split, starts, extent_bp: int, margin_bp: int, where: str, name: str = ""
) -> str:
    """Set a share of fold ``number`` aside as an inner validation part; return its name, '' if none is wanted.

    Whole contigs where at least ten hold windows of the fold and a set of them comes near the share; else one
    contiguous stretch of each contig. Never single windows: their neighbours would tell what they are.
    """
    if not split.inner_valid:
        return ""
    name = name or f"{plan.folds[number]}.valid"
    mine = {}
    for place, at in starts.items():
        chosen = at[plan.assign(place, at - margin_bp, at - margin_bp + extent_bp) == number]
        if len(chosen):
            mine[place] = chosen
    total = sum(len(at) for at in mine.values())
    if name not in plan.folds:
        plan.folds.append(name)
    new = plan.folds.index(name)
    rng = np.random.default_rng([split.seed, 3, number])
    stretches = _whole_contigs(mine, total, split.inner_valid, rng)
    if not stretches:
        for place, at in mine.items():
            count = round(split.inner_valid * len(at))
            if count:
                first = int(rng.integers(0, len(at) - count + 1))
                low = int(at[first]) - margin_bp
                stretches.append((place, low, int(at[first + count - 1]) - margin_bp + extent_bp))
    for place, low, high in stretches:
        plan.territories[place] = plan.territories[place].carve(low, high, number, new)
    left = _counts(plan, starts, extent_bp, margin_bp)
    if not left[number] or not left[new]:
        raise InputError(
            where,
            f"split.inner_valid {split.inner_valid} cannot set part of '{plan.folds[number]}' aside ({total} windows "
            f"of {extent_bp:,} bp on {len(mine)} contig(s)); name contigs in split.valid",
        )
    return name


def _whole_contigs(mine, total: int, share: float, rng: np.random.Generator) -> list[tuple[Place, int, int]]:
    """Contigs, drawn at random, that together hold 0.5 to 1.5 of the share; none if fewer than ten have windows."""
    if len(mine) < MIN_CONTIGS:
        return []
    places, have, chosen = list(mine), 0, []
    for index in rng.permutation(len(places)).tolist():
        count = len(mine[places[index]])
        if have < share * total and have + count <= 1.5 * share * total:
            chosen.append((places[index], 0, 1 << 62))
            have += count
    return chosen if have >= 0.5 * share * total else []
