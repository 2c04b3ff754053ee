"""The field's own sheets: Calico's ``targets.txt`` and Basset's two-column lists."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seqmill.config.textfile import numbered_lines
from seqmill.runtime.errors import InputError
from seqmill.runtime.files import atomic_write

NUMBERS = ("clip", "clip_soft", "scale")
WHOLE = ("genome", "strand_pair")
COLUMNS = (
    "index",
    "genome",
    "identifier",
    "file",
    "clip",
    "clip_soft",
    "scale",
    "sum_stat",
    "strand_pair",
    "description",
)


def is_targets(path: str | Path) -> bool:
    """Whether a sheet is a ``targets.txt``, told by its ``identifier`` column, or a headerless Basset list."""
    first = next((line for _, line in numbered_lines(path, "track sheet") if line.strip()), "")
    fields = [field.strip() for field in first.split("\t")]
    return "identifier" in fields or (len(fields) in (2, 3) and _is_file_name(fields[1]))


def _is_file_name(text: str) -> bool:
    """Whether a cell is the name of a data file rather than a column's name."""
    return "." in text and " " not in text


def read_targets(path: str | Path) -> list[dict[str, Any]]:
    """Rows of a ``targets.txt`` (Basenji, Enformer, Borzoi, Akita) or of a Basset list (name, tab, file; no header).

    Parameters
    ----------
    path : tab-separated, plain or gzip. The first column may be headed ``index`` or nothing. Columns that are not
        known are kept as text.

    Returns
    -------
    One dict a row, in file order, with ``index`` (int; the number of the row where the file has none),
    ``identifier``, ``file``, and of ``genome`` (int), ``clip``, ``clip_soft``, ``scale`` (float), ``sum_stat``,
    ``strand_pair`` (int), ``description`` those that the file has; an empty field is None. ``strand_pair`` names the
    partner by its *index*, which need not be its row; a track without strand names itself.

    Raises
    ------
    InputError : with the line.
    """
    header: list[str] | None = None
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        fields = line.split("\t")
        if header is None:
            header = _header(path, fields, number)
            if header[0] != "identifier" or "identifier" in fields:
                continue
        if len(fields) != len(header):
            raise InputError(path, f"{len(fields)} columns, but the header has {len(header)}", record=number)
        rows.append(_row(path, header, fields, number, len(rows)))
        lines.append(number)
    if not rows:
        raise InputError(path, "no targets")
    _check_pairs(path, rows, lines)
    return rows


def _header(path: str | Path, fields: list[str], number: int) -> list[str]:
    names = [field.strip() for field in fields]
    if "identifier" in names and "file" in names:
        if not names[0]:
            names[0] = "index"
        double = {name for name in names if names.count(name) > 1}
        if double:
            raise InputError(path, f"column '{sorted(double)[0]}' comes twice", record=number)
        return names
    if len(fields) in (2, 3) and "identifier" not in names and "file" not in names:
        return ["identifier", "file", "description"][: len(fields)]
    raise InputError(
        path,
        f"expected the columns identifier and file, or a list of name, tab, file; found {', '.join(names[:8])}",
        record=number,
    )


def _row(path: str | Path, header: list[str], fields: list[str], number: int, count: int) -> dict[str, Any]:
    row: dict[str, Any] = {"index": count}
    for name, text in zip(header, fields):
        value: Any = text
        if name in NUMBERS or name in WHOLE or name == "index":
            value = None if text.strip() == "" else _number(path, name, text, number)
        elif not text:
            value = None
        row[name] = value
    for name in ("index", "identifier", "file"):
        if row[name] is None:
            raise InputError(path, f"{name} is empty", record=number)
    return row


def _number(path: str | Path, name: str, text: str, number: int) -> float | int:
    try:
        value = float(text.replace("_", "x"))
    except ValueError:
        raise InputError(path, f"{name} {text[:20]!r} is not a number", record=number) from None
    if name in NUMBERS:
        if not math.isfinite(value):
            raise InputError(path, f"{name} {text[:20]!r} is not finite", record=number)
        return value
    if not math.isfinite(value) or value != int(value) or value < 0:
        raise InputError(path, f"{name} {text[:20]!r} is not a whole number from 0 on", record=number)
    return int(value)


def _check_pairs(path: str | Path, rows: list[dict[str, Any]], lines: list[int]) -> None:
    by_index: dict[int, dict[str, Any]] = {}
    for row, line in zip(rows, lines):
        if row["index"] in by_index:
            raise InputError(path, f"index {row['index']} comes twice", record=line)
        by_index[row["index"]] = row
    for row, line in zip(rows, lines):
        partner = row.get("strand_pair")
        if partner is None:
            continue
        if partner not in by_index:
            raise InputError(path, f"strand_pair {partner} is not the index of any row", record=line)
        back = by_index[partner].get("strand_pair")
        if back != row["index"]:
            raise InputError(
                path,
                f"strand_pair {partner} is not mutual: row {partner} names {back}, not {row['index']}",
                record=line,
            )


def write_targets(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as `read_targets` returns them; columns that no row has are left out."""
    rows = [dict(row) for row in rows]
    known = [name for name in COLUMNS if any(name in row for row in rows)]
    others = list(dict.fromkeys(name for row in rows for name in row if name not in COLUMNS))
    columns = known + others
    lines = ["\t".join(columns)]
    for row in rows:
        fields = [_text(row.get(name)) for name in columns]
        bad = next((field for field in fields if any(mark in field for mark in "\t\n\r")), None)
        if bad is not None:
            raise InputError(path, f"{bad!r} holds a tab or a line end", record=row.get("identifier"))
        lines.append("\t".join(fields))
    atomic_write(path, "\n".join(lines) + "\n")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
