"""Files of sequence tables (FASTA, TSV, CSV, one sequence a line), read one record at a time."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqmill.config.datasets import TableFile, TableWindows
from seqmill.formats.fasta import read_fasta
from seqmill.formats.lines import text_lines
from seqmill.genome.sequence import encode
from seqmill.runtime.errors import InputError

MISSING = ("", "na", "nan", "null", "none", ".")


class Record(NamedTuple):
    """One sequence of a table.

    Attributes
    ----------
    codes : uint8 (length,), A0 C1 G2 T3 N4. label : value of the file, header or label file, NaN if none.
    cells : column -> text, of TSV and CSV. source : number of the file. line : where it is in the file, for messages.
    """

    codes: np.ndarray
    name: str
    label: float
    cells: dict[str, str]
    source: int
    line: str | int


def read_records(windows: TableWindows) -> Iterator[Record]:
    """All records of all files, in order. Raises InputError with file and line for what cannot be read."""
    for number, file in enumerate(windows.files):
        reader = {"fasta": _fasta, "lines": _lines}.get(file.format, _cells)
        count = 0
        for record in reader(file, windows, number):
            if not len(record.codes):
                raise InputError(file.path, "empty sequence", record=record.line)
            count += 1
            yield record
        if not count:
            raise InputError(file.path, "0 records; expected at least one sequence")


def number_of(text: str, path: Path, line: str | int, what: str) -> float:
    """A value of a table; NaN where it is empty, NA or a dot."""
    if text.strip().lower() in MISSING:
        return np.nan
    try:
        value = float(text)
    except ValueError:
        raise InputError(path, f"{what} {text[:40]!r} is not a number", record=line) from None
    if not np.isfinite(value):
        raise InputError(path, f"{what} {text[:40]!r} is not finite", record=line)
    return value


def _fasta(file: TableFile, windows: TableWindows, number: int) -> Iterator[Record]:
    pattern = re.compile(file.label_pattern) if file.label_pattern else None
    for index, record in enumerate(read_fasta(file.path, allow_rna=windows.rna, unique=False), 1):
        place = f"record {index} ({record.name})"
        label = np.nan if file.label is None else file.label
        if pattern:
            match = pattern.search(record.description)
            if not match or not match.groups():
                raise InputError(
                    file.path, f"header {record.description[:60]!r} does not match {file.label_pattern!r}", record=place
                )
            label = number_of(match[1], file.path, place, "label")
        yield Record(record.codes, record.name, label, {}, number, place)


def _encode(text: str, windows: TableWindows, path: Path, line: int) -> np.ndarray:
    try:
        return encode(text.strip(), allow_rna=windows.rna)
    except ValueError as error:
        hint = "; for RNA set windows.rna: true" if "u" in text.lower() and not windows.rna else ""
        raise InputError(path, f"{error}{hint}", record=line) from None


def _lines(file: TableFile, windows: TableWindows, number: int) -> Iterator[Record]:
    labels = None
    if file.label_file:
        found = [(line, text) for line, text in text_lines(file.label_file) if text.strip()]
        labels = iter([number_of(text, file.label_file, line, "label") for line, text in found])
    count = 0
    for line, text in text_lines(file.path):
        if not text.strip():
            continue
        label = np.nan if file.label is None else file.label
        if labels is not None:
            try:
                label = next(labels)
            except StopIteration:
                raise InputError(str(file.label_file), f"{count} values, but {file.path} has more sequences") from None
        count += 1
        yield Record(_encode(text, windows, file.path, line), "", label, {}, number, line)
    if labels is not None and next(labels, None) is not None:
        raise InputError(str(file.label_file), f"more values than the {count} sequences of {file.path}")


def _cells(file: TableFile, windows: TableWindows, number: int) -> Iterator[Record]:
    lines = text_lines(file.path)
    delimiter = "\t" if file.format == "tsv" else ","
    header = file.columns
    for line, text in lines:
        if not text.strip():
            continue
        cells = next(csv.reader([text], delimiter=delimiter))
        if header is None:
            header = cells
            if windows.sequence_column not in header:
                found = ", ".join(header)[:120]
                raise InputError(
                    file.path,
                    f"column '{windows.sequence_column}' missing, found: {found}; set windows.sequence_column, or "
                    "'columns' for a file without header",
                    record=line,
                )
            continue
        if len(cells) != len(header):
            raise InputError(file.path, f"{len(cells)} columns, expected {len(header)} ({file.format})", record=line)
        row = dict(zip(header, cells))
        for column in (windows.sequence_column, windows.name_column, windows.group_column, windows.fold_column):
            if column is not None and column not in row:
                raise InputError(file.path, f"column '{column}' missing, found: {', '.join(header)[:120]}", record=line)
        name = row[windows.name_column] if windows.name_column else ""
        label = np.nan if file.label is None else file.label
        codes = _encode(row[windows.sequence_column], windows, file.path, line)
        yield Record(codes, name, label, row, number, line)
