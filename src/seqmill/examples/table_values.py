"""Values of the targets of sequence tables, one record at a time: numbers, classes, shares, successes and trials."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqmill.config.datasets import TableWindows, Target
from seqmill.examples.table_files import MISSING, Record, number_of
from seqmill.runtime.errors import InputError

MOST_CLASSES = 1000
SUM_TOLERANCE = 1e-3  # shares are printed with few digits
_EXPECTED = {
    "binary": "0 or 1",
    "fraction": "0 to 1",
    "distribution": "0 to 1",
    "count": "0 or more",
    "beta_binomial": "0 or more",
}


def target_columns(target: Target) -> list[str]:
    """Value columns of a target, none where the value is the label of file or header."""
    return [target.column] if isinstance(target.column, str) else list(target.column or [])


@dataclass(frozen=True)
class TableTarget:
    """One target of a table.

    ``classes`` of a class target are those of the configuration, or None until they are known (`with_classes`).
    """

    name: str
    target: Target
    windows: TableWindows
    classes: tuple[str, ...] | None = None

    @staticmethod
    def of(name: str, target: Target, windows: TableWindows) -> "TableTarget":
        return TableTarget(name, target, windows, tuple(map(class_name, target.classes)) if target.classes else None)

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names along the last axis: columns, those of the successes, or classes."""
        columns = target_columns(self.target)
        if self.target.kind == "class":
            return self.classes or ()
        if self.target.kind == "beta_binomial":
            columns = columns[::2]
        return tuple(columns) or (self.name,)

    @property
    def axes(self) -> tuple[str, ...]:
        return ("example", "count", "tracks") if self.target.kind == "beta_binomial" else ("example", "tracks")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return (2, len(self.tracks)) if self.target.kind == "beta_binomial" else (len(self.tracks),)

    def values(self, record: Record) -> np.ndarray:
        """Values of one record, float64 of `shape`, NaN where missing.

        A class without known classes is a single 0 (or NaN). Raises InputError for what the kind cannot have.
        """
        cells = self._cells(record)
        if self.target.kind == "class":
            return self._one_hot(cells[0], record)
        path = self.windows.files[record.source].path
        columns = target_columns(self.target)
        numbers = [number_of(text, path, record.line, f"column '{c}'") for c, text in zip(columns, cells)]
        values = np.array(numbers if columns else [record.label], np.float64)
        self._check_range(values, path, record)
        if self.target.kind == "distribution":
            self._check_shares(values, path, record)
        if self.target.kind == "beta_binomial":
            return self._pairs(values, path, record)
        return values

    def with_classes(self, records: Iterable[Record]) -> "TableTarget":
        """The target with its classes known: given ones, or all that the records have, sorted."""
        if self.target.kind != "class" or self.classes:
            return self
        found: set[str] = set()
        for record in records:
            found.add(class_name(self._cells(record)[0]))
            if len(found) > MOST_CLASSES:
                raise InputError(
                    self.windows.files[record.source].path,
                    f"target {self.name}: more than {MOST_CLASSES} different values; is it a class?",
                    record=record.line,
                )
        names = sorted(found - {""}, key=_numbers_first)
        if len(names) < 2:
            raise InputError(
                self.windows.files[0].path,
                f"target {self.name}: {len(names)} class(es) ({', '.join(names) or 'no value'}), expected at least 2",
            )
        return TableTarget(self.name, self.target, self.windows, tuple(names))

    def _cells(self, record: Record) -> list[str]:
        """Texts of the target's columns; of the label of file or header where it has none."""
        columns = target_columns(self.target)
        for column in columns:
            if column not in record.cells:
                found = ", ".join(record.cells)[:120] or "none"
                path = self.windows.files[record.source].path
                raise InputError(
                    path, f"target {self.name}: column '{column}' missing, found: {found}", record=record.line
                )
        return [record.cells[column] for column in columns] or [
            "" if np.isnan(record.label) else f"{record.label:.12g}"
        ]

    def _one_hot(self, text: str, record: Record) -> np.ndarray:
        name, size = class_name(text), len(self.classes or ("",))
        if not name:
            return np.full(size, np.nan)
        if self.classes is None:
            return np.zeros(size)
        if name not in self.classes:
            known = ", ".join(self.classes)[:120]
            path = self.windows.files[record.source].path
            raise InputError(path, f"target {self.name}: class '{name[:40]}' is none of: {known}", record=record.line)
        return np.array([name == other for other in self.classes], np.float64)

    def _check_range(self, values: np.ndarray, path: Path, record: Record) -> None:
        kind, known = self.target.kind, values[~np.isnan(values)]
        bad = {
            "binary": ~np.isin(known, (0, 1)),
            "fraction": (known < 0) | (known > 1),
            "distribution": (known < 0) | (known > 1),
            "count": known < 0,
            "beta_binomial": known < 0,
        }.get(kind)
        if bad is not None and bad.any():
            raise InputError(
                path,
                f"target {self.name} has the value {known[bad][0]:g}; kind '{kind}' takes {_EXPECTED[kind]}",
                record=record.line,
            )

    def _check_shares(self, values: np.ndarray, path: Path, record: Record) -> None:
        missing = np.isnan(values)
        if missing.any() and not missing.all():
            empty = target_columns(self.target)[int(np.argmax(missing))]
            raise InputError(
                path, f"target {self.name}: column '{empty}' is empty; give all shares or none", record=record.line
            )
        if not missing.any() and abs(values.sum() - 1) > SUM_TOLERANCE:
            raise InputError(
                path, f"target {self.name}: shares sum to {values.sum():.6g}, expected 1", record=record.line
            )

    def _pairs(self, values: np.ndarray, path: Path, record: Record) -> np.ndarray:
        """From successes and trials of one column after the other to (2, tracks); both missing where one is."""
        pairs = values.reshape(-1, 2)
        for track, (successes, trials) in zip(self.tracks, pairs):
            if successes > trials:
                raise InputError(
                    path,
                    f"target {self.name}: {successes:g} successes ('{track}') of {trials:g} trials",
                    record=record.line,
                )
        return np.where(np.isnan(pairs).any(axis=1, keepdims=True), np.nan, pairs).T


def class_name(value: str | float) -> str:
    """A class as it is named: stripped text, numbers without needless digits; "" where it is missing."""
    text = str(value).strip()
    if text.lower() in MISSING:
        return ""
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def _numbers_first(name: str) -> tuple[bool, float, str]:
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name
