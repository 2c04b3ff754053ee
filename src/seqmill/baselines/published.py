"""Predictions that others have published, matched to the rows of a dataset by name, in the form that networks use."""

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.config.published import Published
from seqmill.formats.lines import text_lines
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import file_digest
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.geometry import cropped
from seqmill.stores.layout import upstream
from seqmill.stores.parts import chosen_targets, folds_of, part_ranges
from seqmill.stores.predictions import PredictionsWriter

SHOWN = 5
LARGEST = 3e38  # of float32


def _header(path: Path, cells: list[str], wanted: list[str], line: int) -> dict[str, int]:
    twice = [name for name in wanted if cells.count(name) > 1]
    if twice:
        raise InputError(path, f"column {twice[0]!r} comes twice", record=line)
    missing = [name for name in wanted if name not in cells]
    if missing:
        raise InputError(path, f"column {missing[0]!r} missing, found: {', '.join(cells)[:200]}", record=line)
    return {name: cells.index(name) for name in wanted}


def _number(path: Path, text: str, column: str, line: int) -> float:
    """A prediction; NaN for an empty cell."""
    if not text.strip():
        return np.nan
    try:
        value = float(text)
    except ValueError:
        raise InputError(path, f"{column} {text[:40]!r} is not a number", record=line) from None
    if not abs(value) < LARGEST:
        raise InputError(
            path,
            f"{column} {text[:40]!r} is not finite; leave the cell empty where there is no prediction",
            record=line,
        )
    return value


def read_published(path: Path, key_column: str, columns: list[str]) -> tuple[dict[str, int], np.ndarray]:
    """Read a table of predictions.

    Parameters
    ----------
    path : TSV, or CSV if the name ends in ``.csv`` or ``.csv.gz``; with a header; plain or gzip.
    key_column : column of the keys. columns : of the predictions.

    Returns
    -------
    Key to its place, and float64 (place, column), NaN where a cell is empty.

    Raises
    ------
    InputError
        With the line: a column is missing or there twice, a line has another number of cells, a key is empty or comes
        twice, a value is no finite number. Without: there are no lines but the header.
    """
    delimiter = "," if path.name.removesuffix(".gz").endswith(".csv") else "\t"
    place: dict[str, int] = {}
    lines: list[int] = []
    values: list[list[float]] = []
    at: dict[str, int] | None = None
    width = 0
    for line, text in text_lines(path):
        if not text.strip():
            continue
        cells = next(csv.reader([text], delimiter=delimiter))
        if at is None:
            at, width = _header(path, cells, list(dict.fromkeys([key_column, *columns])), line), len(cells)
            continue
        if len(cells) != width:
            raise InputError(path, f"{len(cells)} columns, but the header has {width}", record=line)
        key = cells[at[key_column]]
        if not key:
            raise InputError(path, f"{key_column} is empty", record=line)
        if key in place:
            raise InputError(path, f"{key_column} {key!r} comes twice, first in line {lines[place[key]]}", record=line)
        place[key] = len(place)
        lines.append(line)
        values.append([_number(path, cells[at[column]], column, line) for column in columns])
    if not place:
        raise InputError(path, "holds no predictions" if at else "is empty; expected a header")
    return place, np.array(values)


def _columns(published: Published, targets: dict[str, Any], where: str) -> dict[str, list[str | None]]:
    """For each target the column of each of its tracks, None for a track without predictions."""
    found: dict[str, list[str | None]] = {}
    for name, given in published.columns.items():
        spec = targets[name]
        tracks = list(spec.tracks) or [name]
        if spec.axes[1:] not in ((), ("tracks",)):
            raise InputError(
                where, f"target {name!r} has axes {', '.join(spec.axes)}; published predictions are one value a track"
            )
        if isinstance(given, str):
            if len(tracks) > 1:
                raise InputError(
                    where,
                    f"target {name!r} has {len(tracks)} tracks; name a column for each: {{{tracks[0]}: COLUMN, ...}}",
                )
            given = {tracks[0]: given}
        unknown = [track for track in given if track not in tracks]
        if unknown:
            known = ", ".join(tracks[:SHOWN]) + (", ..." if len(tracks) > SHOWN else "")
            raise InputError(where, f"target {name!r} has no track {unknown[0]!r}; it has {known}")
        found[name] = [given.get(track) for track in tracks]
    return found


def _match(
    published: Published, reader: DatasetReader, names: list[str], every: set[str], place: dict[str, int], name: str
) -> np.ndarray:
    """Place in the file of each test row, -1 for none. Says how many rows are without prediction."""
    seen: dict[str, None] = {}  # in the order of the rows
    for row in names:
        if row in seen:
            raise InputError(
                reader.name, f"name {row!r} is that of several test rows; published.{name} needs one a row"
            )
        if row:
            seen[row] = None
    if not seen:
        raise InputError(
            reader.name, f"its test rows have no names, which published.{name} needs; set windows.name_column"
        )
    strange = [key for key in place if key not in every]
    if strange and published.unknown_keys == "fail":
        raise InputError(
            published.file,
            f"{len(strange):,} of {len(place):,} keys are no row of dataset {reader.name}, e.g. {strange[0]!r} (its "
            f"rows are named like {next(iter(seen))!r}); unknown_keys: ignore leaves them out",
        )
    found = np.array([place.get(row, -1) for row in names], np.int64)
    if (found < 0).all():
        raise InputError(
            published.file,
            f"holds no prediction of a test row of dataset {reader.name}; keys are like {next(iter(place))!r}, "
            f"names like {next(iter(seen))!r}",
        )
    return found


def run_published(out: str | Path, *, name: str, published: Published, dataset: str | Path, fold: str) -> None:
    """Write published predictions of the test part of one run; rows and tracks without prediction are masked.

    Parameters
    ----------
    out : ``…/predictions/{name}/{fold}.0.zarr``. name : of the section. published : the section.
    dataset : folder of the dataset; rows are matched by their ``name``. fold : run, e.g. "0".

    Raises
    ------
    InputError
        The file cannot be used (`read_published`), names or keys do not fit, or targets and tracks do not.
    """
    reader = DatasetReader(dataset)
    where = f"published.{name}"
    targets = {key: cropped(reader.targets[key]) for key in chosen_targets(reader, published.columns)}
    columns = _columns(published, targets, where)
    ranges = part_ranges(reader.parts, folds_of(reader, fold, "test"))
    if not ranges:
        raise InputError(reader.name, f"the test part of run {fold} has no rows")
    wanted = list(dict.fromkeys(column for each in columns.values() for column in each if column))
    place, values = read_published(published.file, published.key_column, wanted)
    rows = reader.rows()
    number = np.concatenate([np.arange(*block) for block in ranges])
    found = _match(published, reader, rows["name"].iloc[number].tolist(), set(rows["name"]), place, name)
    without = int((found < 0).sum())
    if without:
        logging.getLogger("seqmill").warning(
            "%s, fold %s: %d of %d test rows have no prediction and are left out", where, fold, without, len(found)
        )
    attrs = {
        "kind": "published",
        "model": name,
        "dataset": reader.name,
        "dataset_digest": reader.digest,
        "fold": fold,
        "seed": 0,
        "part": "test",
        "bootstrap_unit": reader.bootstrap_unit,
        "rows_without_prediction": without,
        "source": published.source,
        "source_sha256": file_digest(published.file),
    }
    parameters = published.model_dump(mode="json")
    label = f"{name}/{fold}.0"
    with PredictionsWriter(out, label, attrs, targets, inputs=upstream(dataset), parameters=parameters) as writer:
        done = 0
        for start, stop in ranges:
            places = found[done : done + stop - start]
            done += stop - start
            block = {}
            for key, each in columns.items():
                picked = np.full((stop - start, len(each)), np.nan)
                for track, column in enumerate(each):
                    if column is not None:
                        picked[:, track] = np.where(places < 0, np.nan, values[places, wanted.index(column)])
                predicted = picked.reshape(stop - start, *targets[key].shape_per_example).astype(np.float32)
                mask = reader.read(f"mask/{key}", start, stop) & ~np.isnan(predicted)
                block[key] = predicted, reader.read(f"targets/{key}", start, stop), mask
            writer.append(rows.iloc[start:stop], block)
        _warn_of_odd_values(where, columns, targets, values, wanted)


def _warn_of_odd_values(
    where: str, columns: dict[str, list[str | None]], targets: dict[str, Any], values: np.ndarray, wanted: list[str]
) -> None:
    for key, each in columns.items():
        chosen = values[:, [wanted.index(column) for column in each if column]]
        low, high = np.fmin.reduce(chosen, axis=None), np.fmax.reduce(chosen, axis=None)
        if targets[key].kind in ("binary", "fraction", "class", "distribution") and (low < 0 or high > 1):
            logging.getLogger("seqmill").warning(
                "%s: predictions of target %s are %g to %g, no probabilities: metrics that need them mean little",
                where, key, low, high,
            )  # fmt: skip
