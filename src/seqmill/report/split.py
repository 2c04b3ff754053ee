"""How a dataset was divided, for people: where each part lies, how long it is, and which negatives were not found."""

from typing import Any

import numpy as np
import pandas as pd

from seqmill.report.words import human_bp, percent, plural

SPLITS = {
    "chromosomes": "by contigs that the configuration names",
    "blocks": "by blocks along the contigs",
    "regions": "by labelled regions of a file",
    "fold_file": "by contigs that a fold file names",
    "given": "as the source files say",
}
FOLDS_BY = {"contig": "whole contigs", "blocks": "blocks along the contigs", "group": "groups of rows", "row": "rows"}
MAX_CONTIGS = 8


def split_in_words(settings: dict[str, Any]) -> str:
    """Kind of a split in words, from its section of the configuration; empty if that is not known."""
    kind = settings.get("kind", "")
    if kind == "folds":
        return f"into {settings.get('k')} folds of {FOLDS_BY.get(settings.get('by', ''), 'rows')}"
    return SPLITS.get(kind, "")


def parts_of(rows: pd.DataFrame, folds: list[str]) -> list[dict[str, Any]]:
    """Where the rows of each fold lie.

    Parameters
    ----------
    rows : columns genome, contig, start, end (0-based, half-open; start -1 for rows of tables), fold.

    Returns
    -------
    For each fold: name; where (its contigs in words; with the number of stretches where contigs are shared by folds);
    bp that its windows cover, None for tables; examples.
    """
    placed = rows[rows["start"] >= 0]
    place = placed["contig"].astype(str)
    if placed["genome"].nunique() > 1:
        place = placed["genome"].astype(str) + ":" + place
    placed = placed[["start", "end", "fold"]].assign(place=place).sort_values(["place", "start"], kind="stable")
    change = (placed["place"] != placed["place"].shift()) | (placed["fold"] != placed["fold"].shift())
    stretches = placed[change]
    shared = stretches.groupby("place")["fold"].nunique().gt(1).any() if len(placed) else False
    found = []
    for fold in folds:
        inside = placed[placed["fold"] == fold]
        count = stretches.loc[stretches["fold"] == fold, "place"].value_counts(sort=False)
        names = sorted(count.index, key=_natural)
        said = [f"{name} ({plural(count[name], 'stretch')})" if shared else name for name in names[:MAX_CONTIGS]]
        more = f" and {plural(len(names) - MAX_CONTIGS, 'more contig')}" if len(names) > MAX_CONTIGS else ""
        found.append(
            {
                "name": fold,
                "where": (", ".join(said) + more) or "rows of tables",
                "length": human_bp(_covered_bp(inside)) if len(inside) else "–",
                "examples": int((rows["fold"] == fold).sum()),
            }
        )
    return found


def _natural(name: str) -> tuple[str, int, str]:
    """chr2 before chr10."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0), name


def _covered_bp(rows: pd.DataFrame) -> int:
    """Bases that at least one window covers; ``rows`` sorted by place and start."""
    total = 0
    for _, part in rows.groupby("place", sort=False):
        start, end = part["start"].to_numpy(), np.maximum.accumulate(part["end"].to_numpy())
        before = np.append(start[0], end[:-1])
        total += int(np.maximum(end - np.maximum(start, before), 0).sum())
    return total


def missing_negatives(tally: list[dict[str, Any]]) -> str:
    """A sentence on the folds whose negatives are fewer than asked for; empty if there are none.

    Parameters
    ----------
    tally : lines of ``dropped.tsv``: stage, reason, pool, fold, count.
    """
    kept = {(line["pool"], line["fold"]): line["count"] for line in tally if line["stage"] == "kept"}
    found, reason = [], ""
    for line in tally:
        if line["stage"] == "negatives" and line["reason"].startswith("no free window") and line["count"]:
            asked = line["count"] + kept.get((line["pool"], line["fold"]), 0)
            reason = line["reason"]
            found.append(f"{line['fold'] or 'all'} {line['count']:,} of {asked:,} ({percent(line['count'] / asked)})")
    if not found:
        return ""
    return f"Not found, because there is {reason}: {', '.join(found)}. Positives are more frequent than was asked for."
