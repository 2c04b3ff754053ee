"""Variants with a measured effect: each by the runs that never saw its place, beside matched variants without one."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.config.measured import Measured
from seqmill.effects.measured.scorer import Scorer, frame_of
from seqmill.effects.unseen import Unseen
from seqmill.effects.variants.alleles import Alleles, Examiner, sequences
from seqmill.effects.variants.survey import contig_names, survey
from seqmill.formats.measured_values import Values, read_values
from seqmill.formats.place_values import nearest_bp
from seqmill.formats.variants import OK, open_variants
from seqmill.genome.sequence import encode, gc_fraction
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.genome import GenomeReader
from seqmill.stores.measured import MEASURED, NEGATIVE

BLOCK = 2048
NO_EFFECT, BETWEEN = "no measured effect", "p between positive_p and negative_p"
TWICE, CONTRARY, UNMATCHED = "comes twice", "comes twice with opposite effects", "negative that matches no variant"
_LOG = logging.getLogger("seqmill")


@dataclass
class _Found:
    """Alleles that can be scored, with their numbers; rows of one list of `Alleles`."""

    alleles: Alleles
    rows: list[int]
    value: list[float]
    maf: list[float]


def score_variant_effects(
    scorer: Scorer, section: Measured, name: str, genome: GenomeReader, unseen: Unseen | None, dropped: Counter[str]
) -> tuple[pd.DataFrame, list[tuple[np.ndarray, np.ndarray]], list[str]]:
    """Rows of a `measured` store for variants, and their matched negatives.

    Returns
    -------
    The table without other baselines; for each row the bases around REF and around ALT; and notes for the report: how
    alike negatives are.

    Raises
    ------
    InputError
        The files cannot be used, or nothing is left.
    """
    assert section.file is not None
    ensemble = scorer.ensemble
    positives, negatives = _read(section.file, section, genome, scorer, unseen, dropped, effects=True)
    if section.negatives is not None:
        _, negatives = _read(section.negatives, section, genome, scorer, unseen, Counter(), effects=False)
    if not positives.rows:
        reasons = "; ".join(f"{reason}: {count:,}" for reason, count in dropped.items())
        raise InputError(section.file, f"no variant with a measured effect can be scored ({reasons})")
    notes = []
    chosen: list[int] = []
    if section.negatives is not None or section.negative_p is not None:
        if not negatives.rows:
            raise InputError(section.negatives or section.file, "no negative can be scored")
        chosen, note = _matched(positives, negatives, section, genome, ensemble.extent_bp)
        notes.append(note)
        dropped[UNMATCHED] += len(negatives.rows) - len(chosen)
    tables, both = [], []
    for part, rows, role in (
        (positives, list(range(len(positives.rows))), MEASURED),
        (negatives, chosen, NEGATIVE),
    ):
        if rows:
            kept = [part.rows[i] for i in rows]
            values = [part.value[i] if role == MEASURED else np.nan for i in rows]
            tables.append(_scored(scorer, genome, part.alleles, kept, values, role, name))
            both += [_around(genome, part.alleles, row) for row in kept]
    return pd.concat(tables, ignore_index=True), both, notes


def _read(
    path: Path,
    section: Measured,
    genome: GenomeReader,
    scorer: Scorer,
    unseen: Unseen | None,
    dropped: Counter[str],
    *,
    effects: bool,
) -> tuple[_Found, _Found]:
    """Variants with an effect, and negatives, of one file."""
    table = path.name.lower().removesuffix(".gz").endswith((".tsv", ".csv", ".txt"))
    places = {role: key for role, key in section.columns.items() if role not in ("value", "p", "maf")}
    file = open_variants(path, columns=places if table else None, position_base=section.position_base)
    needed = ("value",) * effects + ("p",) * (section.negative_p is not None)
    given = {role: key for role, key in section.columns.items() if effects or role == "maf"}
    values = read_values(file, given, needed) if effects or "maf" in given else {}
    names, _ = contig_names(file, genome, BLOCK)
    ensemble = scorer.ensemble
    examiner = Examiner(
        genome, names, window_bp=ensemble.window_bp, margin_bp=ensemble.margin_bp, runs=len(ensemble), unseen=unseen
    )
    survey(file, examiner, section.min_ref_match, BLOCK)
    records = next(iter(file.blocks(1 << 62)))
    alleles = examiner.alleles(records)
    positives, negatives = _Found(alleles, [], [], []), _Found(alleles, [], [], [])
    nothing = Values((), (), ())
    several = Counter(alleles.number)
    place: Counter[int] = Counter()
    for row, (number, status) in enumerate(zip(alleles.number, alleles.status)):
        which, every = place[number], several[number]
        place[number] += 1
        found = values.get(number, nothing)
        value, p, maf = (found.of(role, which, every) for role in ("value", "p", "maf"))
        if status != OK:
            dropped[status] += 1
            continue
        negative = not effects or (section.negative_p is not None and p >= section.negative_p)
        if negative:
            into = negatives
        elif section.positive_p is not None and not p <= section.positive_p:
            dropped[BETWEEN] += 1
            continue
        elif not value:
            dropped[NO_EFFECT] += 1
            continue
        elif np.isnan(value):
            dropped["no measured value"] += 1
            continue
        else:
            into = positives
        into.rows.append(row)
        into.value.append(value)
        into.maf.append(min(maf, 1 - maf))
    return _once(positives, dropped), _once(negatives, Counter())


def _once(found: _Found, dropped: Counter[str]) -> _Found:
    """Each allele once: the first where effects agree in sign, none where they do not."""
    groups: dict[tuple[str, int, str, str], list[int]] = {}
    alleles = found.alleles
    for i, row in enumerate(found.rows):
        key = alleles.contig[row], int(alleles.start[row]), alleles.ref[row], alleles.alt[row]
        groups.setdefault(key, []).append(i)
    kept = []
    for members in groups.values():
        if len({np.sign(found.value[i]) for i in members if not np.isnan(found.value[i])}) > 1:
            dropped[CONTRARY] += len(members)
        else:
            kept.append(members[0])
            if len(members) > 1:
                dropped[TWICE] += len(members) - 1
    value, maf = ([column[i] for i in kept] for column in (found.value, found.maf))
    return _Found(alleles, [found.rows[i] for i in kept], value, maf)


def _features(found: _Found, section: Measured, genome: GenomeReader, extent_bp: int) -> dict[str, np.ndarray]:
    """What negatives are matched on: GC of the window, distance to the nearest place, minor allele frequency."""
    contigs = [found.alleles.contig[row] for row in found.rows]
    starts = found.alleles.start[found.rows].tolist()
    gc = [
        gc_fraction(genome.codes(c, int(s) - extent_bp // 2, int(s) + extent_bp // 2)) for c, s in zip(contigs, starts)
    ]
    features = {"GC": np.array(gc, np.float64)}
    if section.distance is not None:
        features["log10 distance"] = np.log10(1 + nearest_bp(section.distance, contigs, starts))
    features["allele frequency"] = np.array(found.maf)
    return features


def _matched(
    positives: _Found, negatives: _Found, section: Measured, genome: GenomeReader, extent_bp: int
) -> tuple[list[int], str]:
    """Negatives for each positive: the nearest in standardised features, none twice; and how alike both are."""
    taken = {(positives.alleles.contig[row], int(positives.alleles.start[row])) for row in positives.rows}
    free = np.array([
        (negatives.alleles.contig[row], int(negatives.alleles.start[row])) not in taken for row in negatives.rows
    ])  # fmt: skip
    ours, theirs = (_features(found, section, genome, extent_bp) for found in (positives, negatives))
    used = [key for key in ours if np.isfinite(ours[key]).all() and np.isfinite(theirs[key]).all()]
    scale = {key: float(np.std(np.concatenate([ours[key], theirs[key]]))) or 1.0 for key in used}
    x, y = (np.stack([side[key] / scale[key] for key in used], axis=1) for side in (ours, theirs))
    chosen: list[int] = []
    for row in np.random.default_rng(section.seed).permutation(len(x)):
        far = np.where(free, ((y - x[row]) ** 2).sum(axis=1), np.inf)
        for best in np.argsort(far, kind="stable")[: section.matched]:
            if free[best]:
                chosen.append(int(best))
                free[best] = False
    chosen.sort()
    told = ", ".join(f"{key} {ours[key].mean():.3g} and {theirs[key][chosen].mean():.3g}" for key in used)
    note = f"{len(chosen):,} negatives matched to {len(x):,} variants; means of variants and negatives: {told}"
    if len(chosen) < section.matched * len(x):
        note += f" (fewer than {section.matched} for each: there are no more)"
    left = [key for key in ours if key not in used]
    return chosen, note + (f"; not matched on {', '.join(left)}: not known of all" if left else "")


def _scored(
    scorer: Scorer, genome: GenomeReader, alleles: Alleles, rows: list[int], values: list[float], role: str, name: str
) -> pd.DataFrame:
    """Table of some alleles with their scores."""
    allowed = alleles.allowed[:, rows]
    out = np.zeros((len(rows), len(scorer.columns)))
    with Progress(f"measured {name}", len(rows), "variants") as progress:
        for first in range(0, len(rows), BLOCK):
            part = rows[first : first + BLOCK]
            windows = sequences(genome, _part(alleles, part), scorer.ensemble.extent_bp)
            ref, alt = windows.codes[windows.ref], windows.codes[windows.alt]
            out[first : first + len(part)] = scorer.differences(ref, alt, allowed[:, first : first + len(part)])
            progress.add(len(part))
    place = {
        "element": "variants", "contig": [alleles.contig[row] for row in rows],
        "position_1based": alleles.start[rows] + 1, "ref": [alleles.ref[row] for row in rows],
        "alt": [alleles.alt[row] for row in rows], "role": role, "measured": values, "error": np.nan,
        "block": [f"{alleles.contig[row]}:{alleles.start[row]}" for row in rows], "runs": allowed.sum(axis=0),
    }  # fmt: skip
    return pd.concat([pd.DataFrame(place), pd.DataFrame(frame_of(out, scorer.columns))], axis=1)


def _part(alleles: Alleles, rows: list[int]) -> Alleles:
    """Some alleles, in this order."""
    found = Alleles([], alleles.start[rows], [], [], [], [], [], alleles.allowed[:, rows], [])
    for key in ("contig", "id", "ref", "alt", "number", "status"):
        setattr(found, key, [getattr(alleles, key)[row] for row in rows])
    return found


AROUND_BP = 60


def _around(genome: GenomeReader, alleles: Alleles, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Bases around an allele, with REF and with ALT, for matches of motifs."""
    contig, start, ref = alleles.contig[row], int(alleles.start[row]), alleles.ref[row]
    before = genome.codes(contig, start - AROUND_BP, start)
    behind = genome.codes(contig, start + len(ref), start + len(ref) + AROUND_BP)
    first, second = (np.concatenate([before, encode(text), behind]) for text in (ref, alleles.alt[row]))
    return first, second
