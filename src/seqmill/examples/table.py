"""Datasets of sequence tables: the sequences themselves are the examples.

Files are read again for every array, one record at a time; ``source_row`` of a row is the number of its record. A
shuffled negative has the ``source_row`` of the sequence it was made from and a name ``shuffle-{copy}``.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.config.datasets import Dataset, Negatives, TableWindows
from seqmill.config.sheet import Track
from seqmill.examples.audit import foreign_copies
from seqmill.examples.order import ordered_rows
from seqmill.examples.scatter import RecordFile
from seqmill.examples.sources import Array, Rows, Sources, check_files, section
from seqmill.examples.table_files import Record, read_records
from seqmill.examples.table_split import split_table
from seqmill.examples.table_values import TableTarget
from seqmill.examples.tally import Tally
from seqmill.genome.sequence import dinucleotide_shuffle, reverse_complement
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import ArraySpec

log = logging.getLogger("seqmill")
POOL, NEGATIVES = "rows", "negatives"
PAD = 4
SHUFFLE = "shuffle-"


def may_reverse(dataset: Dataset) -> bool:
    """Whether the other strand is the same example: not for RNA, and not where the dataset forbids it."""
    return dataset.reverse_complement and not section(dataset, TableWindows).rna


def sequence_key(codes: np.ndarray, both_strands: bool) -> bytes:
    """16 bytes that are equal for equal sequences, and for reverse complements with ``both_strands``."""
    text = codes.tobytes()
    if both_strands:
        text = min(text, reverse_complement(codes).tobytes())
    return hashlib.blake2b(text, digest_size=16).digest()


def choose_rows(*, name: str, dataset: Dataset, sources: Sources) -> Rows:
    """Read, filter and split a table, add shuffled negatives."""
    where, windows, tally = f"datasets.{name}", section(dataset, TableWindows), Tally()
    table = _read(dataset, where, tally)
    if table.empty:
        raise InputError(where, "no row is left; " + tally.reasons())
    units = _units(table, dataset, where)
    folds, number, runs = split_table(dataset.split, table["fold"].tolist(), units, where)
    keep = ~_copies(table, folds, number, dataset, tally)
    table = table.assign(fold=[folds[i] for i in number])[keep]
    longest = int(table["length"].max())
    if dataset.negatives:
        table = pd.concat([table, _shuffled(table, dataset, dataset.negatives, folds, where)], ignore_index=True)
    rows = ordered_rows(
        table.assign(genome="", contig="", start=-1, end=-1, strand=1), _pools(table), folds, dataset.seed
    )
    tally.add_kept(rows)
    return Rows(
        rows,
        tally,
        runs,
        window_bp=windows.length_bp or longest,
        bootstrap_unit="group" if windows.group_column else "row",
        reverse_complement=may_reverse(dataset),
    )


def _pools(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["pool"]))


def _read(dataset: Dataset, where: str, tally: Tally) -> pd.DataFrame:
    """One line a record: its pool, part, group, name, length, key, and whether a binary label is positive."""
    windows = section(dataset, TableWindows)
    columns: dict[str, list] = {}
    if dataset.margin_bp:
        raise InputError(where, "margin_bp must be 0: sequences of a table cannot be shifted")
    for key, target in dataset.targets.items():
        if target.kind == "profile":
            raise InputError(
                f"{where}.targets.{key}", "a table has no profiles; use quantity, count, fraction or binary"
            )
    targets = [TableTarget.of(key, target, windows) for key, target in dataset.targets.items()]
    for index, record in enumerate(read_records(windows)):
        file = windows.files[record.source]
        pool = file.pool or POOL
        tally.add("found", "records", pool, 1)
        values = [target.values(record) for target in targets]
        if np.count_nonzero(record.codes == PAD) > dataset.max_n_fraction * len(record.codes):
            tally.add("filters", "too many N", pool, 1)
        elif values and all(np.isnan(found).all() for found in values):
            tally.add("filters", "no value", pool, 1)
        else:
            for column, value in (
                ("pool", pool),
                ("fold", record.cells.get(windows.fold_column or "") or file.fold or ""),
                ("group", record.cells.get(windows.group_column or "", "")),
                ("name", record.name),
                ("source_row", index),
                ("length", len(record.codes)),
                ("key", sequence_key(record.codes, may_reverse(dataset))),
                ("positive", any((found == 1).any() for found in values)),
            ):
                columns.setdefault(column, []).append(value)
    return pd.DataFrame(columns)


def _units(table: pd.DataFrame, dataset: Dataset, where: str) -> np.ndarray:
    """Number of the unit of each row: its group where groups are given, else its sequence."""
    split, grouped = dataset.split, section(dataset, TableWindows).group_column is not None
    if split.by == "group" and not grouped:
        raise InputError(where, "split.by 'group' needs windows.group_column")
    by_group = grouped and split.by != "row"
    return pd.factorize(table["group"] if by_group else table["key"])[0].astype(np.int64)


def _copies(table: pd.DataFrame, folds: list[str], number: np.ndarray, dataset: Dataset, tally: Tally) -> np.ndarray:
    """Rows to drop because their sequence is in a part that must not be seen: of test before valid before train."""
    order = ["test", "valid", "train"] if "test" in folds else folds
    ranks = np.array([order.index(fold) for fold in folds])[number]
    copies = foreign_copies(table["key"], ranks)
    drop = section(dataset, TableWindows).duplicates == "drop"
    for pool in _pools(table):
        count = int(np.count_nonzero(copies & (table["pool"] == pool).to_numpy()))
        tally.add("split", "sequence also in another part" + ("" if drop else " (kept)"), pool, count)
    if copies.any() and not drop:
        log.warning("%d rows have a sequence that is also in another part; duplicates: drop removes them", copies.sum())
    return copies if drop else np.zeros(len(copies), bool)


def _shuffled(table: pd.DataFrame, dataset: Dataset, settings: Negatives, folds: list[str], where: str) -> pd.DataFrame:
    """Rows of the pool of shuffled sequences, ``ratio`` for each positive of a part."""
    if settings.kind != "shuffled":
        raise InputError(f"{where}.negatives", "a table takes kind 'shuffled', found 'gc_matched'")
    for key, target in dataset.targets.items():
        if target.kind != "binary":
            raise InputError(f"{where}.negatives", f"shuffled sequences have label 0; target {key} is a {target.kind}")
    for fold in settings.folds or []:
        if fold not in folds:
            raise InputError(f"{where}.negatives.folds", f"part {fold!r} is none of {', '.join(folds)}")
    wanted = table["positive"] & table["fold"].isin(settings.folds or folds)
    frames = []
    for fold, part in table[wanted].groupby("fold", sort=False):
        rng = np.random.default_rng([dataset.seed, 6, *str(fold).encode()])
        left, copy = round(settings.ratio * len(part)), 0
        while left > 0:
            chosen = part if left >= len(part) else part.iloc[np.sort(rng.permutation(len(part))[:left])]
            frames.append(chosen.assign(pool=NEGATIVES, name=[f"{SHUFFLE}{copy}"] * len(chosen), positive=False))
            left, copy = left - len(chosen), copy + 1
    if not frames:
        raise InputError(f"{where}.negatives", "no positive sequence to shuffle")
    return pd.concat(frames, ignore_index=True)


def visit_rows(rows: pd.DataFrame, windows: TableWindows) -> Iterator[tuple[int, Record, int]]:
    """Row number, record and number of the shuffled copy (-1 for the sequence itself), in file order."""
    copies = [int(n.removeprefix(SHUFFLE)) if p == NEGATIVES and n.startswith(SHUFFLE) else -1
              for p, n in zip(rows["pool"], rows["name"])]  # fmt: skip
    source = rows["source_row"].to_numpy()
    order = np.argsort(source, kind="stable")
    at = 0
    for index, record in enumerate(read_records(windows)):
        while at < len(order) and source[order[at]] == index:
            yield int(order[at]), record, copies[order[at]]
            at += 1
    if at < len(order):
        raise InputError(windows.files[-1].path, "has fewer records than when the rows were chosen; choose rows anew")


def _scattered(
    rows: pd.DataFrame, windows: TableWindows, shape: tuple[int, ...], dtype: str, value: Callable[[Record, int], Any]
) -> Iterator[np.ndarray]:
    with RecordFile(len(rows), shape, dtype) as records:
        for row, record, copy in visit_rows(rows, windows):
            records.put(np.array([row]), np.asarray(value(record, copy), dtype=dtype).reshape(1, *shape))
        yield from records.blocks()


def shuffled_codes(codes: np.ndarray, seed: int, source_row: int, copy: int) -> np.ndarray:
    """The shuffle of one sequence; the same for the same seed, record and copy."""
    return dinucleotide_shuffle(codes, np.random.default_rng([seed, 7, source_row, copy]))


def input_array(
    *,
    name: str,
    dataset: Dataset,
    input_name: str,
    rows: pd.DataFrame,
    rows_attrs: dict[str, Any],
    genomes: dict[str, Path],
) -> Array:
    """``sequence``: uint8 (example, bp), padded with N at the end; ``length``: int32 (example), bp before padding."""
    check_files(dataset, rows_attrs)
    windows, width = section(dataset, TableWindows), rows_attrs["window_bp"]
    if input_name == "length":
        spec = ArraySpec("input", input_name, ("example",), "int32", (), "length", units="bp")
        return Array(spec, _scattered(rows, windows, (), "int32", lambda record, copy: min(len(record.codes), width)))
    rc = "sequence" if may_reverse(dataset) else "forbidden"
    spec = ArraySpec(
        "input", input_name, ("example", "bp"), "uint8", (width,), "sequence", bp_per_bin=1, rc=rc, shift="forbidden"
    )
    return Array(spec, _sequences(rows, dataset, width))


def _sequences(rows: pd.DataFrame, dataset: Dataset, width: int) -> Iterator[np.ndarray]:
    with RecordFile(len(rows), (width,), "uint8") as records:
        source = rows["source_row"].to_numpy()
        for row, record, copy in visit_rows(rows, section(dataset, TableWindows)):
            codes = record.codes if copy < 0 else shuffled_codes(record.codes, dataset.seed, int(source[row]), copy)
            padded = np.full((1, width), PAD, np.uint8)
            padded[0, : min(len(codes), width)] = codes[:width]
            records.put(np.array([row]), padded)
        yield from records.blocks()


def target_array(
    *,
    name: str,
    dataset: Dataset,
    target_name: str,
    group: str,
    tracks: list[Track],
    rows: pd.DataFrame,
    rows_attrs: dict[str, Any],
    track_stores: dict[str, Path],
    genomes: dict[str, Path],
) -> Array:
    """Values of the target's columns, or of the label; shuffled negatives are 0. Missing ones are NaN or masked.

    Classes are one-hot, a column for each; successes and trials are (2, track).
    """
    check_files(dataset, rows_attrs)
    target, windows, where = (
        dataset.targets[target_name],
        section(dataset, TableWindows),
        f"datasets.{name}.targets.{target_name}",
    )
    if target.tracks is not None:
        raise InputError(where, "a target of a table takes 'column' or the label of its files, not 'tracks'")
    column = TableTarget.of(target_name, target, windows)
    column = column.with_classes(record for _, record, _ in visit_rows(rows, windows))
    whole = target.kind in ("binary", "class")
    spec = ArraySpec(
        role="target",
        name=target_name,
        group=group,
        axes=column.axes,
        dtype="uint8" if whole else "float32",
        shape_per_example=column.shape,
        kind=target.kind,
        tracks=column.tracks,
        missing="nan",
    )

    def values(record: Record, copy: int) -> np.ndarray:
        found = column.values(record)
        return np.where(np.isnan(found), np.nan, 0.0) if copy >= 0 else found

    def labels(record: Record, copy: int) -> np.ndarray:
        return np.nan_to_num(values(record, copy))

    def present(record: Record, copy: int) -> np.ndarray:
        return ~np.isnan(values(record, copy))

    shape = column.shape
    if not whole:
        return Array(spec, _scattered(rows, windows, shape, "float32", values))
    gaps = any(not present(record, copy).all() for _, record, copy in visit_rows(rows, windows))
    mask = _scattered(rows, windows, shape, "bool", present) if gaps else None
    return Array(spec, _scattered(rows, windows, shape, "uint8", labels), mask)
