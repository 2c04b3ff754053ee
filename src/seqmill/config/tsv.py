"""What the sheets have in common: tab-separated rows below a header, read strictly."""

from pathlib import Path
from typing import Any

from pydantic import BeforeValidator

from seqmill.config.textfile import numbered_lines
from seqmill.runtime.errors import InputError


def _blank_is_default(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


# For columns where an empty cell means that nothing is said.
Optional = BeforeValidator(_blank_is_default)


def read_tsv(path: Path, what: str) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Header, and each row with its line number; lines that begin with ``# `` are comments.

    Parameters
    ----------
    what : the file in words, for messages.

    Raises
    ------
    InputError : the file is empty, a column is given twice, or a row has more or fewer cells than the header.
    """
    lines = [(number, line.split("\t")) for number, line in numbered_lines(path, what)]
    lines = [(number, cells) for number, cells in lines if any(cells) and not cells[0].startswith("# ")]
    if not lines:
        raise InputError(path, f"is empty; expected a header line and the rows of a {what}")
    header = lines[0][1]
    for column in header:
        if header.count(column) > 1:
            raise InputError(path, f"column '{column}' given twice", record=1)
    rows = []
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise InputError(path, f"{len(cells)} columns, the header has {len(header)}; use tabs", record=number)
        rows.append((number, dict(zip(header, cells))))
    return header, rows
