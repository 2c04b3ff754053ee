"""The BED family as text: BED, narrowPeak, broadPeak, bedGraph, BEDPE and fragment files, in blocks of records.

Blocks are parsed by column. When a block does not parse or breaks a rule, it is gone through again line by line, in
plain Python, to name the first bad line and what is wrong with it.
"""

import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np

from seqmill.formats.text import line_blocks
from seqmill.runtime.errors import InputError

LARGEST = 2**31 - 1
STRANDS = {"+": 1, "-": -1, ".": 0}
# Single bases of a 1-based file have start = end; a few records of length zero may be insertions.
ONE_BASED_SHARE, ONE_BASED_RECORDS = 0.5, 10
_CONTIG = re.compile(r"[A-Za-z0-9_.:*+|=-]{1,255}")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_SKIPPED = (b"#", b"track\t", b"track ", b"browser\t", b"browser ", b"track\n", b"browser\n")


@dataclass(frozen=True)
class Layout:
    """Which column (0-based) holds what, how many columns there may be, and whether a score of -1 means none."""

    least: int
    most: int
    columns: dict[str, int] = field(default_factory=dict)
    minus_one_is_none: bool = False


LAYOUTS = {
    "bed": Layout(3, 255, {"score": 4, "strand": 5}),
    "bed3": Layout(3, 255),
    "narrowPeak": Layout(10, 10, {"strand": 5, "score": 6, "peak": 9}, True),
    "broadPeak": Layout(9, 9, {"strand": 5, "score": 6}, True),
    "bedgraph": Layout(4, 4, {"score": 3}),
    "fragments": Layout(3, 5),
    "cell_fragments": Layout(3, 5, {"barcode": 3, "copies": 4}),
    "bedpe": Layout(6, 255, {"contig2": 3, "start2": 4, "end2": 5}),
}


@dataclass
class BedBlock:
    """Records of a run of lines, zero-length ones included.

    Attributes
    ----------
    names : contig names of this block.
    contig : int64 (n,), index into ``names``.
    start, end : int64 (n,), 0-based half-open.
    score : float64 (n,) or None; NaN where the column says ``.``.
    strand : int8 (n,) or None; 1, -1 or 0.
    peak : int64 (n,) or None; offset of the summit from the start, -1 for none.
    lines : number of the first line where lines and records correspond, else the line number of each record.
    barcodes, barcode : words, and int64 (n,), index into them; None without that column.
    copies : int64 (n,) or None; read pairs that gave the fragment, 1 at least.
    """

    names: list[str]
    contig: np.ndarray
    start: np.ndarray
    end: np.ndarray
    score: np.ndarray | None
    strand: np.ndarray | None
    peak: np.ndarray | None
    lines: int | np.ndarray
    barcodes: list[str] = field(default_factory=list)
    barcode: np.ndarray | None = None
    copies: np.ndarray | None = None

    def line(self, row: int) -> int:
        """1-based line number of a record."""
        return self.lines + row if isinstance(self.lines, int) else int(self.lines[row])


def read_bed(path: str | Path, kind: str, counts: Counter[str]) -> Iterator[BedBlock]:
    """Yield the records of a file of the BED family, some megabytes of text at a time.

    Comment, ``track`` and ``browser`` lines are skipped and counted in ``counts``.

    Parameters
    ----------
    path : plain or gzip, tab-separated.
    kind : a key of `LAYOUTS`. ``fragments`` means three to five columns, or BEDPE where there are six or more
        (there a record is the span of both mates; mates on two contigs are dropped and counted); ``cell_fragments``
        is the same, with the barcode and the count that the fourth and fifth column hold. narrowPeak and
        broadPeak take ``signalValue`` as the score, because their fifth column is only for display; -1 there
        means "not available" and becomes NaN.

    Raises
    ------
    InputError : with the line number; also for a file without records, and one that looks 1-based.
    """
    layout, n_columns, records, empty, first_start = LAYOUTS[kind], 0, 0, 0, LARGEST
    for number, raw in line_blocks(path):
        raw, lines, skipped = _without_comments(raw, number)
        if skipped:
            counts["comment lines"] += skipped
        if not raw:
            continue
        if not n_columns:
            n_columns = raw.split(b"\n", 1)[0].count(b"\t") + 1
            if kind.endswith("fragments") and n_columns > 5:
                layout = LAYOUTS["bedpe"]
        block = _parse(path, raw, lines, layout, n_columns, counts)
        records += len(block.start)
        empty += int(np.count_nonzero(block.start == block.end))
        if len(block.start):
            first_start = min(first_start, int(block.start.min()))
        yield block
    if not records:
        raise InputError(path, "0 records")
    if records >= ONE_BASED_RECORDS and empty >= ONE_BASED_SHARE * records and first_start > 0:
        raise InputError(
            path,
            f"looks 1-based: {empty:,} of {records:,} records have start = end and none starts at 0; BED is 0-based",
        )
    if empty == records:
        raise InputError(path, f"0 records left: all {records:,} have start = end")


def _without_comments(raw: bytes, number: int) -> tuple[bytes, int | np.ndarray, int]:
    """Text without comments and blank lines, the line numbers of what is left, and how many comments there were."""
    blank = raw[:1] in b"\r\n" or b"\n\n" in raw or b"\n\r\n" in raw
    if not blank and not any(raw.startswith(mark) or b"\n" + mark in raw for mark in _SKIPPED):
        return raw, number, 0
    kept, lines, comments = [], [], 0
    for offset, line in enumerate(raw.split(b"\n")):
        if (line + b"\n").startswith(_SKIPPED):
            comments += 1
        elif line.strip():
            kept.append(line)
            lines.append(number + offset)
    return b"\n".join(kept), np.array(lines, dtype=np.int64), comments


def _parse(
    path: str | Path, raw: bytes, lines: int | np.ndarray, layout: Layout, n_columns: int, counts: Counter[str]
) -> BedBlock:
    quick = _columns(raw, layout, n_columns) if layout.least <= n_columns <= layout.most else None
    if quick is not None:
        names, barcodes, found, apart = quick
        if _rules_hold(names, found, apart):
            return _block(names, found, apart, lines, counts, layout, barcodes)
    return _line_by_line(path, raw, lines, layout, n_columns, counts)


def _columns(
    raw: bytes, layout: Layout, n_columns: int
) -> tuple[list[str], list[str], dict[str, np.ndarray], np.ndarray] | None:
    """Contig names, barcodes, columns by role, and which BEDPE mates lie apart; None if the text does not parse."""
    import pyarrow as pa
    from pyarrow import csv

    if b"0x" in raw or b"0X" in raw:  # Arrow reads 0x1F as a whole number
        return None
    roles = {"contig": 0, "start": 1, "end": 2, **layout.columns}
    roles = {role: place for role, place in roles.items() if place < n_columns}
    text = pa.dictionary(pa.int32(), pa.string())
    kinds = {"contig": text, "contig2": text, "strand": text, "barcode": text, "score": pa.float64()}
    types = {f"f{place}": kinds.get(role, pa.int64()) for role, place in roles.items()}
    headings = [f"f{place}" for place in range(n_columns)]
    try:
        table = csv.read_csv(
            io.BytesIO(raw),
            csv.ReadOptions(use_threads=False, block_size=len(raw) + 1, column_names=headings),
            csv.ParseOptions(delimiter="\t", quote_char=False),
            csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=["."], strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    names: list[str] = []
    barcodes: list[str] = []
    found: dict[str, np.ndarray] = {}
    apart = np.zeros(table.num_rows, dtype=bool)
    for role, place in roles.items():
        column = table[f"f{place}"]
        if role == "score":
            found[role] = column.to_numpy()
            if not np.isfinite(found[role][column.is_valid().to_numpy()]).all():
                return None
        elif column.null_count:
            return None
        elif role not in kinds:
            found[role] = column.to_numpy()
        else:
            words, codes = _dictionary(column)
            if role == "contig":
                names, found[role] = words, codes
            elif role == "barcode":
                barcodes, found[role] = words, codes
            elif role == "contig2":
                apart |= np.array([name == "." for name in names])[found["contig"]]
                apart |= np.array(names, dtype=object)[found["contig"]] != np.array(words, dtype=object)[codes]
                names = list(dict.fromkeys(names + words))  # their form is checked too
            elif set(words) <= set(STRANDS):
                found[role] = np.array([STRANDS[word] for word in words], dtype=np.int8)[codes]
            else:
                return None
    return names, barcodes, found, apart


def _dictionary(column) -> tuple[list[str], np.ndarray]:
    """Words of a dictionary column, and the index of each row's word."""
    merged = column.unify_dictionaries().combine_chunks()
    if hasattr(merged, "chunks"):  # older Arrow keeps the chunked form
        merged = merged.chunk(0)
    return merged.dictionary.to_pylist(), merged.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _rules_hold(names: list[str], found: dict[str, np.ndarray], apart: np.ndarray) -> bool:
    """The rules of `_check_fields`, for all records at once."""
    start, end = found["start"], found["end"]
    good = all(_CONTIG.fullmatch(name) for name in names)
    good &= bool(np.all(apart | ((start >= 0) & (start <= end) & (end <= LARGEST))))
    if "start2" in found:
        start2, end2 = found["start2"], found["end2"]
        good &= bool(np.all(apart | ((start2 >= 0) & (start2 <= end2) & (end2 <= LARGEST))))
    if "copies" in found:
        good &= bool(np.all(found["copies"] > 0))
    if "peak" in found:
        good &= bool(np.all((found["peak"] >= -1) & (found["peak"] < np.maximum(end - start, 1))))
    return good


def _block(
    names: list[str],
    found: dict[str, np.ndarray],
    apart: np.ndarray,
    lines: int | np.ndarray,
    counts: Counter[str],
    layout: Layout,
    barcodes: list[str],
) -> BedBlock:
    if apart.any():
        counts["mates on two contigs or unmapped"] += int(np.count_nonzero(apart))
        rows = np.flatnonzero(~apart)
        lines = lines + rows if isinstance(lines, int) else lines[rows]
        found = {role: column[rows] for role, column in found.items()}
    start, end, score = found["start"], found["end"], found.get("score")
    if "start2" in found:
        start, end = np.minimum(start, found["start2"]), np.maximum(end, found["end2"])
    if layout.minus_one_is_none and score is not None and (score == -1).any():
        counts["score -1 (not available)"] += int(np.count_nonzero(score == -1))
        score = np.where(score == -1, np.nan, score)
    optional = found.get("strand"), found.get("peak")
    barcode, copies = found.get("barcode"), found.get("copies")
    return BedBlock(names, found["contig"], start, end, score, *optional, lines, barcodes, barcode, copies)


def _line_by_line(
    path: str | Path,
    raw: bytes,
    lines: int | np.ndarray,
    layout: Layout,
    n_columns: int,
    counts: Counter[str],
) -> BedBlock:
    """Read a block slowly: find its first bad line, or accept what the quick way could not read."""
    rows = []
    for row, line in enumerate(raw.removesuffix(b"\n").split(b"\n")):
        number = lines + row if isinstance(lines, int) else int(lines[row])
        rows.append(_check_fields(path, number, line.rstrip(b"\r"), layout, n_columns))
    words: dict[str, dict[str, int]] = {"contig": {}, "barcode": {}}
    found = {
        role: np.array([row[role] for row in rows], dtype=np.float64 if role == "score" else np.int64)
        for role in rows[0]
        if role != "contig2" and role not in words
    }
    for role, seen in words.items():
        if role in rows[0]:
            found[role] = np.array([seen.setdefault(row[role], len(seen)) for row in rows], dtype=np.int64)
    if "strand" in found:
        found["strand"] = found["strand"].astype(np.int8)
    apart = np.array(["contig2" in row and (row["contig"] == "." or row["contig2"] != row["contig"]) for row in rows])
    return _block(list(words["contig"]), found, apart, lines, counts, layout, list(words["barcode"]))


def _check_fields(path: str | Path, number: int, line: bytes, layout: Layout, n_columns: int) -> dict:
    """The values of one line, or an InputError that says what is wrong with it."""

    def refuse(message: str) -> NoReturn:
        raise InputError(path, message, record=number)

    try:
        fields = line.decode("utf-8").split("\t")
    except UnicodeDecodeError:
        refuse("is not UTF-8 text")
    if len(fields) == 1 and " " in line.decode():
        refuse("fields are separated by spaces; use tabs")
    if len(fields) >= 8 and not _WHOLE.fullmatch(fields[1]) and all(map(_WHOLE.fullmatch, fields[3:5])):
        refuse("looks like GFF (1-based, start and end in columns 4 and 5); expected BED")
    if not layout.least <= len(fields) <= layout.most:
        wanted = f"{layout.least}" if layout.least == layout.most else f"at least {layout.least}"
        wanted = f"{layout.least} to {layout.most}" if layout.least < layout.most < 255 else wanted
        hint = " (comma-separated?)" if len(fields) == 1 and b"," in line else ""
        if len(fields) >= 3 and layout in (LAYOUTS["narrowPeak"], LAYOUTS["broadPeak"]):
            hint = " (or set format = bed in the sheet)"
        refuse(f"{len(fields)} tab-separated column{'' if len(fields) == 1 else 's'}, expected {wanted}{hint}")
    if len(fields) != n_columns:
        refuse(f"{len(fields)} columns, but the lines before have {n_columns}")
    values: dict = {"contig": fields[0]}
    places = {"contig": 0, "start": 1, "end": 2, **layout.columns}
    apart = "contig2" in places and (fields[0] == "." or fields[0] != fields[3])
    for role, place in places.items():
        if place >= n_columns:
            continue
        text = fields[place]
        if role.startswith("contig"):
            if not _CONTIG.fullmatch(text):
                refuse(f"contig name {text[:40]!r} holds characters that are not allowed or is empty")
            values[role] = text
        elif role == "strand":
            if text not in STRANDS:
                refuse(f"strand {text[:20]!r} is none of + - . (if column 6 is something else, read it as bed3)")
            values[role] = STRANDS[text]
        elif role == "barcode":
            values[role] = text
        elif role == "copies":
            if not _WHOLE.fullmatch(text) or int(text) < 1:
                refuse(
                    f"count {text[:20]!r} is no whole number above 0 (column 5 is how many read pairs gave the "
                    "fragment; leave it out if it is something else)"
                )
            values[role] = int(text)
        elif role == "score":
            values[role] = _number(text, refuse, " (if column 5 is no score, read it as bed3)" if place == 4 else "")
        else:
            if not _WHOLE.fullmatch(text.strip()):
                hint = " (six or more columns are read as BEDPE)" if role in ("start2", "end2") else ""
                refuse(f"{role} {text[:20]!r} is not a whole number{hint}")
            values[role] = int(text)
    for first, last in (("start", "end"), ("start2", "end2")):
        if first in values and not apart:
            start, end = values[first], values[last]
            if start < 0:
                refuse(f"{first} {start} is below 0")
            if end > LARGEST:
                refuse(f"{last} {end} is beyond {LARGEST:,}")
            if start > end:
                refuse(f"{first} {start:,} is behind {last} {end:,}")
    if "peak" in values and not -1 <= values["peak"] < max(values["end"] - values["start"], 1):
        refuse(f"summit offset {values['peak']} lies outside the {values['end'] - values['start']} bp of the peak")
    if any(abs(value) > 2**62 for value in values.values() if isinstance(value, int)):
        refuse("number too large")
    return values


def _number(text: str, refuse: Callable[[str], NoReturn], hint: str) -> float:
    if text == ".":
        return math.nan
    try:
        value = float(text.replace("_", "x"))  # Python takes 1_000, no other reader does
    except ValueError:
        refuse(f"value {text[:20]!r} is not a number{hint}")
    if not math.isfinite(value):
        refuse(f"value {text[:20]!r} is not finite; leave records without a value out")
    return value
