"""Tables that hold a measured activity and its sequence, or two sequences and what sets their activities apart."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqmill.formats.measured import NO_VALUE, number, table_rows
from seqmill.genome.sequence import encode
from seqmill.runtime.errors import InputError

NOT_CHANGED = "both sequences are the same"


@dataclass(frozen=True)
class Activity:
    """One measured row.

    Attributes
    ----------
    name, group : as in the table, or empty. ref : uint8 (bp,), the sequence compared with; None for a single sequence.
    alt : uint8 (bp,). value : activity of ``alt``, less that of ``ref`` if there is one. error : its standard error.
    """

    name: str
    group: str
    ref: np.ndarray | None
    alt: np.ndarray
    value: float
    error: float
    line: int


def read_activities(path: str | Path, columns: Mapping[str, str], dropped: Counter[str]) -> list[Activity]:
    """Rows of a table with the columns 'sequence' and 'value', or 'ref_sequence', 'alt_sequence' and 'value' (the
    difference) or 'ref_value' and 'alt_value'.

    Parameters
    ----------
    columns : role -> name. dropped : counts what is left out, by reason.

    Raises
    ------
    InputError : with the line.
    """
    two = "alt_sequence" in columns or "ref_sequence" in columns
    if two and "sequence" in columns:
        raise InputError(path, "columns: either 'sequence', or 'ref_sequence' and 'alt_sequence'")
    values = ("ref_value", "alt_value") if two and {"ref_value", "alt_value"} & set(columns) else ("value",)
    needed = (("ref_sequence", "alt_sequence") if two else ("sequence",)) + values
    found = []
    for line, row in table_rows(path, columns, needed, ("error", "name", "group")):
        numbers = [number(path, line, role, row[role]) for role in values]
        codes = [_codes(path, line, role, row[role]) for role in needed[: 2 if two else 1]]
        value = numbers[-1] - numbers[0] if len(numbers) == 2 else numbers[0]
        if math.isnan(value):
            dropped[NO_VALUE] += 1
        elif two and np.array_equal(codes[0], codes[1]):
            dropped[NOT_CHANGED] += 1
        else:
            error = number(path, line, "error", row.get("error", ""))
            ref = codes[0] if two else None
            found.append(Activity(row.get("name", ""), row.get("group", ""), ref, codes[-1], value, error, line))
    if not found:
        reasons = "; ".join(f"{reason}: {count:,}" for reason, count in dropped.items()) or "the table is empty"
        raise InputError(path, f"no measured row is left ({reasons})")
    return found


def _codes(path: str | Path, line: int, role: str, text: str) -> np.ndarray:
    try:
        codes = encode(text)
    except ValueError as error:
        raise InputError(path, f"{role}: {error}", record=line) from None
    if not len(codes):
        raise InputError(path, f"{role} is empty", record=line)
    return codes
