"""Measured sequences without a place: pairs of alleles, and tables of sequences with activities."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd

from seqmill.config.measured import Measured
from seqmill.effects.measured.scorer import Scorer, Windows, frame_of
from seqmill.formats.measured import read_pairs
from seqmill.formats.measured_sequences import NOT_CHANGED, Activity, read_activities
from seqmill.genome.sequence import decode
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.measured import MEASURED


def _pairs(section: Measured, dropped: Counter[str]) -> list[Activity]:
    assert section.strong is not None and section.weak is not None
    found = []
    for number, (high, low) in enumerate(read_pairs(section.strong, section.weak), 1):
        if np.array_equal(high.codes, low.codes):
            dropped[NOT_CHANGED] += 1
        else:
            found.append(Activity(high.name, "", low.codes, high.codes, 1.0, np.nan, number))
    if not found:
        raise InputError(section.weak, f"none of {dropped[NOT_CHANGED]:,} pairs differs between the files")
    return found


def score_sequences(
    scorer: Scorer, section: Measured, name: str, dropped: Counter[str]
) -> tuple[pd.DataFrame, list[tuple[np.ndarray | None, np.ndarray]]]:
    """Rows of a `measured` store for pairs of alleles or a table of sequences.

    Returns
    -------
    The table without other baselines, and for each row the sequence compared with (None: none) and the measured one.

    Raises
    ------
    InputError
        The files cannot be used, or a sequence is longer than the window.
    """
    if section.kind == "pairs":
        rows, file = _pairs(section, dropped), section.strong
    else:
        assert section.file is not None
        rows, file = read_activities(section.file, section.columns, dropped), section.file
    extent = scorer.ensemble.extent_bp
    for row in rows:
        longest = max(len(row.alt), 0 if row.ref is None else len(row.ref))
        if longest > extent:
            raise InputError(str(file), f"{longest:,} bp, the network is shown {extent:,}", record=row.line)
    parts, step = [], 2 * scorer.ensemble.batch_size
    with Progress(f"measured {name}", len(rows), "sequences") as progress:
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            parts.append(_scores(scorer, section, part))
            progress.add(len(part))
    table = pd.DataFrame([_row(row, str(file), section) for row in rows])
    table["runs"] = len(scorer.ensemble)
    values = pd.DataFrame(frame_of(np.concatenate(parts), scorer.columns))
    return pd.concat([table, values], axis=1), [(row.ref, row.alt) for row in rows]


def _scores(scorer: Scorer, section: Measured, rows: Sequence[Activity]) -> np.ndarray:
    """Scores of some rows, float64 (rows, columns): the mean over their backgrounds."""
    made = []
    for row in rows:
        rng = np.random.default_rng([section.seed, row.line, crc32(row.name.encode())])
        bp = max(len(row.alt), 0 if row.ref is None else len(row.ref))
        made.append(Windows(scorer.ensemble, bp, rng, section.backgrounds))
    total = np.zeros((len(rows), len(scorer.columns)))
    width = scorer.width
    fits = 0 if scorer.kmer is None else len(scorer.kmer.folds)
    fitted = np.zeros(len(rows))
    seen: list[set[str]] = [set() for _ in rows]
    for number in range(max(windows.count for windows in made)):
        now = [i for i, windows in enumerate(made) if number < windows.count]
        views = [made[i].view(number, [x for x in (rows[i].ref, rows[i].alt) if x is not None]) for i in now]
        alt = np.stack([codes[-1] for codes, _ in views])
        ref = np.stack([codes[0] for codes, _ in views]) if rows[0].ref is not None else None
        allowed = np.stack([runs for _, runs in views], axis=1)
        # the counts of words hardly depend on the background: one for each fold is enough
        folds = [{scorer.folds[run] for run in np.flatnonzero(runs)} for _, runs in views]
        fresh = [j for j, i in enumerate(now) if fits and not folds[j] <= seen[i]]
        total[now] += scorer.differences(ref, alt, allowed, kmer=False)
        if fresh:
            part = scorer.by_fold(allowed[:, fresh])
            mine = [now[j] for j in fresh]
            total[mine, width:] += scorer.baseline(None if ref is None else ref[fresh], alt[fresh], part)
            fitted[mine] += 1
            for j in fresh:
                seen[now[j]] |= folds[j]
    total[:, :width] /= np.array([windows.count for windows in made])[:, None]
    total[:, width:] /= np.maximum(fitted, 1)[:, None]
    return total


def _row(row: Activity, file: str, section: Measured) -> dict[str, object]:
    block = f"g {row.group}" if row.group else f"r {row.line}"
    return {
        "element": Path(file).name.partition(".")[0] if section.kind != "pairs" else "pairs", "contig": "",
        "position_1based": 0, "ref": "" if row.ref is None else decode(row.ref), "alt": decode(row.alt),
        "role": MEASURED, "measured": row.value, "error": row.error, "block": block,
    }  # fmt: skip
