"""Which rows of a dataset a model, or one that it started from, has seen in training."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqmill.examples.table import sequence_key
from seqmill.runtime.errors import InputError
from seqmill.stores.parts import folds_of, part_ranges

Link = Mapping[str, Any]


def run_name(info: Mapping[str, Any]) -> str:
    """Name of a trained run for people and tables, from its ``model.json``: "model/fold.seed"."""
    return f"{info['name']}/{info['fold']}.{info['seed']}"


def training_of(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a model was trained on, from its ``model.json``: model, dataset, dataset_digest, fold and pools of its own
    run and of those that it started from."""
    own = {"model": run_name(info), **{key: info[key] for key in ("dataset", "dataset_digest", "fold", "pools")}}
    return [own, *(info.get("initial") or {}).get("seen", [])]


def first_place(rows: pd.DataFrame) -> str:
    """Where the first row is: contig:start-end (0-based, half-open), or its name."""
    row = rows.iloc[0]
    return f"{row['contig']}:{row['start']}-{row['end']}" if row["start"] >= 0 else row["name"]


def not_at_hand(link: Link) -> str:
    """In words, that the rows of a run are not there to be compared with."""
    if not link["dataset_digest"]:
        return f"what model {link['model']} was trained on is not known"
    return f"dataset {link['dataset']}, which model {link['model']} was trained on, was rebuilt; train it again"


def rows_seen(reader: Any, rows: pd.DataFrame, link: Link, readers: Mapping[str, Any], where: str) -> np.ndarray:
    """Which of ``rows`` of ``reader`` were in the training or validation part of one run, bool (n,).

    Windows are compared by their extents (margins included) on genomes of the same name, table rows by their
    sequences (both strands); rows of the very dataset also by their number.

    Parameters
    ----------
    link : one entry of `training_of`. readers : digest of a dataset to its reader. where : for messages.

    Raises
    ------
    InputError
        The dataset of the run is not at hand as it was.
    """
    other = reader if link["dataset_digest"] == reader.digest else readers.get(link["dataset_digest"])
    if other is None and link.get("unchecked"):
        return np.zeros(len(rows), bool)  # accepted when the model was trained; its note says so
    if other is None:
        raise InputError(where, not_at_hand(link))
    folds = [*folds_of(other, link["fold"], "train"), *folds_of(other, link["fold"], "valid")]
    earlier = rows_of(other, folds, [pool for pool, _ in link["pools"]] if link["pools"] else None)
    places = [set(table.loc[table["start"] >= 0, "genome"]) for table in (rows, earlier)]
    if all(places) and not places[0] & places[1]:
        logging.getLogger("seqmill").warning(
            "%s: rows on %s cannot be compared by their places with those on %s that model %s was trained on",
            where, ", ".join(sorted(places[0])), ", ".join(sorted(places[1])), link["model"],
        )  # fmt: skip
    shared = overlapping(rows, earlier, reader.margin_bp, other.margin_bp) | _copies(reader, rows, other, earlier)
    return shared | rows.index.isin(earlier.index) if other.digest == reader.digest else shared


def rows_of(reader: Any, folds: Sequence[str], pools: Sequence[str] | None = None) -> pd.DataFrame:
    """Rows of some folds and pools; the index is their number in the dataset."""
    rows = reader.rows()
    keep = rows["fold"].isin(folds)
    return rows[keep if pools is None else keep & rows["pool"].isin(pools)]


def overlapping(rows: pd.DataFrame, others: pd.DataFrame, margin_bp: int, other_margin_bp: int) -> np.ndarray:
    """Which windows of ``rows`` share a base with one of ``others`` on the same genome and contig, bool (n,)."""
    shared = pd.Series(False, index=rows.index)
    placed = others[others["start"] >= 0]
    earlier = dict(iter(placed.groupby(["genome", "contig"], observed=True)))
    for place, part in rows[rows["start"] >= 0].groupby(["genome", "contig"], observed=True):
        if place in earlier:
            low = earlier[place]["start"].to_numpy() - other_margin_bp
            high = earlier[place]["end"].to_numpy() + other_margin_bp
            order = np.argsort(low, kind="stable")
            before = np.searchsorted(low[order], part["end"].to_numpy() + margin_bp)  # begin before this one's end
            furthest = np.concatenate([[np.iinfo(np.int64).min], np.maximum.accumulate(high[order])])
            shared[part.index] = furthest[before] > part["start"].to_numpy() - margin_bp
    return shared.to_numpy()


def _copies(reader: Any, rows: pd.DataFrame, other: Any, others: pd.DataFrame) -> np.ndarray:
    """Which table rows have the sequence of an earlier one, bool (n,); none where a dataset has no sequence."""
    name, other_name = _sequence(reader), _sequence(other)
    placed = rows["start"].to_numpy() >= 0
    if name is None or other_name is None or placed.all() or not len(others):
        return np.zeros(len(rows), bool)
    known = set(_keys(other, other_name, others))
    return np.fromiter((key in known for key in _keys(reader, name, rows)), bool, len(rows)) & ~placed


def _sequence(reader: Any) -> str | None:
    return next((name for name, spec in reader.inputs.items() if spec.kind == "sequence"), None)


def _keys(reader: Any, name: str, rows: pd.DataFrame) -> Iterator[bytes]:
    """A key for each row's sequence without its padding, equal for both strands."""
    folds, pools = rows["fold"].unique().tolist(), rows["pool"].unique().tolist()
    wanted = set(rows.index)
    for start, stop in part_ranges(reader.parts, folds, pools):
        for at in range(start, stop, reader.chunk_examples):
            end = min(stop, at + reader.chunk_examples)
            codes = reader.read(f"inputs/{name}", at, end)
            for row, sequence in zip(range(at, end), codes):
                if row in wanted:
                    known = np.flatnonzero(sequence < 4)
                    cut = sequence[known[0] : known[-1] + 1] if len(known) else sequence[:0]
                    yield sequence_key(np.ascontiguousarray(cut), True)
