"""Measured changes along elements: every background, every place, by the mutagenesis that maps are made with."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd

from seqmill.config.measured import Measured
from seqmill.effects.measured.scorer import Scorer, frame_of
from seqmill.effects.mutagenesis import Mutagenesis, Stretch, edited, embedded
from seqmill.effects.unseen import Unseen
from seqmill.formats.measured import Change, Element, place_changes, read_changes, read_elements
from seqmill.formats.variants import SEEN
from seqmill.genome.names import match_names
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.genome import N_CODE, GenomeReader
from seqmill.stores.maps import EDITS
from seqmill.stores.measured import MEASURED

_LOG = logging.getLogger("seqmill")


@dataclass
class _Open:
    """An element, its measured changes, and the windows that show it: (first edited base of the element, stretch)."""

    element: Element
    changes: list[tuple[int, Change]]
    views: list[tuple[int, Stretch]] = field(default_factory=list)


def score_elements(
    scorer: Scorer,
    section: Measured,
    name: str,
    genome: GenomeReader | None,
    unseen: Unseen | None,
    dropped: Counter[str],
) -> tuple[pd.DataFrame, list[tuple[np.ndarray, np.ndarray]]]:
    """Rows of a `measured` store for a table of changes of single bases.

    Parameters
    ----------
    genome : where elements without a FASTA file lie. unseen : which runs may score a place; all if None.
    dropped : counts what is left out, by reason.

    Returns
    -------
    The table without other baselines, and for each row the element's bases and those after the change.

    Raises
    ------
    InputError
        The table or FASTA cannot be used, or every run has seen every element.
    """
    assert section.file is not None
    changes = read_changes(
        section.file, section.columns, base=section.position_base, min_tags=section.min_tags, edits=section.edits,
        dropped=dropped,
    )  # fmt: skip
    if section.elements is not None:
        elements = read_elements(section.elements)
    else:
        assert genome is not None
        elements = _on_genome(changes, genome, section)
    opened = [
        _Open(elements[key], found)
        for key, found in place_changes(changes, elements, section.file, section.position_base).items()
    ]
    ready = []
    for one in opened:
        one.views = list(_views(one.element, scorer, section, genome if section.elements is None else None, unseen))
        if one.views:
            ready.append(one)
        else:
            dropped[SEEN] += len(one.changes)
            _LOG.warning("measured %s: every run has seen element %s; it is left out", name, one.element.name)
    if not ready:
        raise InputError(
            section.file, "every run of the model has seen all elements in training; set runs: all and say so"
        )
    values = _effects(scorer, section, name, ready)
    rows = [_row(one, at, change, section) for one in ready for at, change in one.changes]
    table = pd.DataFrame(rows)
    both = [_both(one.element.codes, at, change) for one in ready for at, change in one.changes]
    return pd.concat([table, pd.DataFrame(frame_of(values, scorer.columns))], axis=1), both


def _on_genome(changes: Sequence[Change], genome: GenomeReader, section: Measured) -> dict[str, Element]:
    """Elements as the stretch of the genome from their first to their last measured base."""
    names = match_names({change.contig for change in changes}, genome.sizes, str(section.file))
    found: dict[str, Element] = {}
    groups: dict[str, list[Change]] = {}
    for change in changes:
        if change.contig not in names:
            raise InputError(
                str(section.file), f"contig {change.contig!r} is not in genome {genome.name}; without 'elements' each "
                "row needs its contig", record=change.line,
            )  # fmt: skip
        groups.setdefault(change.element, []).append(change)
    for element, rows in groups.items():
        contig = names[rows[0].contig]
        other = next((change for change in rows if names[change.contig] != contig), None)
        if other is not None:
            raise InputError(
                str(section.file), f"element {element!r} lies on {rows[0].contig} and on {other.contig}",
                record=other.line,
            )  # fmt: skip
        first, last = min(row.start for row in rows), max(row.start for row in rows) + 1
        if last > genome.sizes[contig]:
            at = max(rows, key=lambda row: row.start)
            raise InputError(
                str(section.file), f"position {at.start + section.position_base} lies beyond the end of {contig} "
                f"({genome.sizes[contig]:,} bp)", record=at.line,
            )  # fmt: skip
        found[element] = Element(element, contig, first, genome.codes(contig, first, last))
    return found


def _views(
    element: Element, scorer: Scorer, section: Measured, genome: GenomeReader | None, unseen: Unseen | None
) -> Iterator[tuple[int, Stretch]]:
    """Windows that show an element: on the genome by the runs that never saw it, else in backgrounds."""
    extent, runs, bp = scorer.ensemble.extent_bp, len(scorer.ensemble), len(element.codes)
    rng = np.random.default_rng([section.seed, crc32(element.name.encode())])
    if genome is None and bp <= extent:
        count = 1 if bp == extent else section.backgrounds
        for number in range(count):
            mine = tuple(range(runs)) if bp == extent else (number % runs,)
            yield 0, embedded(element.codes, extent, 1, rng, mine)[0]
        return
    step = bp if bp <= scorer.ensemble.window_bp // 2 else max(1, scorer.ensemble.window_bp // 2)
    for first in range(0, bp, step):
        last = min(first + step, bp)
        start = (first + last) // 2 - extent // 2
        allowed = tuple(range(runs))
        if genome is None:
            start = min(max(start, 0), bp - extent)
            padded = np.full(bp + 2, N_CODE, np.uint8)
            padded[1:-1] = element.codes
            codes = padded[start : start + extent + 2]
        else:
            codes = genome.codes(element.contig, element.start + start - 1, element.start + start + extent + 1)
            if unseen is not None:
                place = {
                    "genome": [genome.name], "contig": [element.contig], "start": [element.start + start],
                    "end": [element.start + start + extent],
                }  # fmt: skip
                allowed = tuple(np.flatnonzero(unseen.of(pd.DataFrame(place))[:, 0]).tolist())
        if allowed:
            yield first, Stretch(codes, first - start, last - start, allowed)


def _effects(scorer: Scorer, section: Measured, name: str, ready: Sequence[_Open]) -> np.ndarray:
    """Scores of all measured changes, float64 (changes, columns)."""
    machine = Mutagenesis(scorer.ensemble, scorer.targets, section.edits, f"measured.{name}")
    total = sum(len(stretch.codes[1 + stretch.first : 1 + stretch.last]) for one in ready for _, stretch in one.views)
    found = []
    with Progress(f"measured {name}", total, "bp") as progress:
        answers = machine.effects((stretch for one in ready for _, stretch in one.views), progress)
        for one in ready:
            values, counts = np.zeros((len(one.changes), len(scorer.columns))), np.zeros(len(one.changes))
            fitted: set[tuple[int, str]] = set()
            for first, stretch in one.views:
                answer, rows = next(answers), _inside(one, first, stretch)
                for row in rows:
                    values[row, : scorer.width] += _of(answer, *one.changes[row], first, scorer.targets)
                counts[rows] += 1
                if scorer.kmer is not None:
                    _add_baseline(scorer, one, first, stretch, rows, values, fitted)
            values[:, : scorer.width] /= np.maximum(counts, 1)[:, None]
            values[counts == 0] = np.nan  # the piece around it was seen
            if scorer.kmer is not None:
                folds = {start: sum(at == start for at, _ in fitted) for start, _ in one.views}
                for first, stretch in dict(one.views).items():
                    values[_inside(one, first, stretch), scorer.width :] /= max(folds[first], 1)
            found.append(values)
    return np.concatenate(found)


def _inside(one: _Open, first: int, stretch: Stretch) -> list[int]:
    """Changes that a stretch edits; ``first`` is its first edited base in the element."""
    last = first + stretch.last - stretch.first
    return [row for row, (at, _) in enumerate(one.changes) if first <= at < last]


def _of(answer: Any, at: int, change: Change, first: int, targets: Sequence[str]) -> np.ndarray:
    """Mean over the runs of one change's effect on all tracks."""
    if change.alt == "-":
        return np.concatenate([answer.mean(f"deletions/{target}")[at - first] for target in targets])
    base = "ACGT".index(change.alt)
    return np.concatenate([answer.mean(f"substitutions/{target}")[at - first, base] for target in targets])


def _add_baseline(
    scorer: Scorer,
    one: _Open,
    first: int,
    stretch: Stretch,
    rows: Sequence[int],
    values: np.ndarray,
    fitted: set[tuple[int, str]],
) -> None:
    """Add the scores of the baseline's fits that have not seen this stretch of the element yet: one background each,
    because a count of words hardly depends on it."""
    assert scorer.kmer is not None
    for fold in dict.fromkeys(scorer.folds[run] for run in stretch.runs):
        if (first, fold) in fitted:
            continue
        fitted.add((first, fold))
        edits = [(len(EDITS), 0, 0)]
        for row in rows:
            at, change = one.changes[row]
            place = stretch.first + at - first
            deleted = change.alt == "-"
            edits.append((EDITS.index("deletions"), place, 0) if deleted
                         else (EDITS.index("substitutions"), place, "ACGT".index(change.alt)))  # fmt: skip
        codes = edited(stretch.codes, np.array(edits, np.int32))
        by_fold = np.array([[own == fold] * len(codes) for own in scorer.kmer.folds])
        found = scorer.baseline(None, codes, by_fold)
        values[list(rows), scorer.width :] += found[1:] - found[0]


def _row(one: _Open, at: int, change: Change, section: Measured) -> dict[str, Any]:
    return {
        "element": one.element.name, "contig": one.element.contig or change.contig,
        "position_1based": change.start + 1, "ref": change.ref, "alt": change.alt, "role": MEASURED,
        "measured": change.value, "error": change.error, "block": str(at // section.block_bp),
        "runs": len({run for _, stretch in one.views for run in stretch.runs}),
    }  # fmt: skip


def _both(codes: np.ndarray, at: int, change: Change) -> tuple[np.ndarray, np.ndarray]:
    """The element's bases, and those after the change."""
    if change.alt == "-":
        return codes, np.delete(codes, at)
    after = codes.copy()
    after[at] = "ACGT".index(change.alt)
    return codes, after
