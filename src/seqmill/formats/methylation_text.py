"""Methylation calls as columns, in blocks of lines.

Blocks are parsed by column. One that does not parse, or breaks a rule, is gone through line by line to name the first
bad line.
"""

import io
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from seqmill.formats.methylation_layouts import SKIPPED, WHOLE, Layout
from seqmill.formats.text import line_blocks
from seqmill.runtime.errors import InputError

NO_PERCENT = ("", ".", "nan", "NaN", "NA", "-nan")
_CONTIG = re.compile(r"[A-Za-z0-9_.:*+|=-]{1,255}")
_LARGEST = {"start": 2**31 - 1, "end": 2**31, "total": 2**32 - 1, "methylated": 2**32 - 1, "unmethylated": 2**32 - 1}
_WORDS = ("contig", "strand", "code", "context", "reference")
# By role; words are (distinct words, index of each row's word).
Columns = dict[str, Any]


@dataclass
class CallBlock:
    """Calls of a run of lines.

    Attributes
    ----------
    names : contig names of this block. contig : int64 (n,), index into them.
    start, end : int64 (n,), 0-based half-open.
    strand : int8 (n,): 1, -1, or 0 where it is not said.
    context : uint8 (n,): 1 CG, 2 CHG, 3 CHH, or 0 where it is not said.
    total, methylated : int64 (n,), reads; 1 and 0 where the file has no counts.
    fraction : float64 (n,), methylated of total; NaN where the total is 0.
    percent : float64 (n,) as written, or None. lines : int64 (n,), 1-based.
    """

    names: list[str]
    contig: np.ndarray
    start: np.ndarray
    end: np.ndarray
    strand: np.ndarray
    context: np.ndarray
    total: np.ndarray
    methylated: np.ndarray
    fraction: np.ndarray
    percent: np.ndarray | None
    lines: np.ndarray

    def line(self, row: int) -> int:
        """1-based line number of a call."""
        return int(self.lines[row])


def read_calls(path: str | Path, layout: Layout, counts: Counter[str], *, code: str = "m") -> Iterator[CallBlock]:
    """Yield the calls of a file, some megabytes of text at a time. Calls without reads are counted and left out.

    Parameters
    ----------
    layout : of `sniff`. counts : where what is left out is counted.
    code : modification taken of files with several (modkit: m is 5mC, h 5hmC). A file that has C (any) alone is taken.

    Raises
    ------
    InputError : with the line: a field that cannot be read, a percent or fraction out of range, counts that contradict
        one another; for the file: fractions instead of percents, no calls, none of the code.
    """
    records, largest, odd, codes = 0, 0.0, 0, Counter[str]()
    for number, raw in line_blocks(path):
        raw, lines = _without_comments(raw, number, layout.header if number == 1 else 0)
        if not raw:
            continue
        if layout.columns == 18 and raw.split(b"\n", 1)[0].count(b"\t") == 9:
            raw = raw.replace(b" ", b"\t")
        columns = _columns(raw, layout)
        if columns is None or not _rules_hold(columns, layout):
            _name_bad_line(path, raw, lines, layout)
        if "code" in columns:
            codes.update(dict(zip(*_word_counts(columns["code"]))))
            columns, lines = _of_code(columns, lines, code, codes)
        block = _block(columns, lines, layout)
        if "methylated" in columns and block.percent is not None:
            _check_percent(path, block)
        if block.percent is not None and len(block.start):
            low = block.percent * block.total < 50  # less than half a read: no percent of so few reads
            odd += int(np.count_nonzero((block.percent > 0) & low))
            largest = max(largest, float(np.fmax.reduce(block.percent, initial=0.0)))
        records += len(lines)
        without = block.total == 0
        if without.any():
            counts["calls without reads"] += int(np.count_nonzero(without))
            block = _rows(block, np.flatnonzero(~without))
        yield block
    if codes and not records:
        raise InputError(path, f"no call has modification code {code}; the file has {', '.join(sorted(codes))}")
    if not records:
        raise InputError(path, "0 records; expected one call a line")
    if odd and 0 < largest <= 1:
        raise InputError(path, _fraction(largest))


def _fraction(largest: float) -> str:
    return f"max value {float(f'{largest:.3g}')}: fraction? The column is percent, 0 to 100"


def _check_percent(path: str | Path, block: CallBlock) -> None:
    """Percents that are written beside both counts must be those of the counts, within one percent point."""
    assert block.percent is not None  # the caller looks
    percent = np.where(block.total > 0, block.percent, np.nan)
    wrong = np.abs(percent - 100 * block.fraction) > 1
    if not wrong.any():
        return
    if not np.any(np.abs(percent - block.fraction) > 0.01):
        raise InputError(path, _fraction(float(np.fmax.reduce(percent))))
    row = int(np.argmax(wrong))
    raise InputError(
        path,
        f"percent {percent[row]:g}, but {block.methylated[row]} of {block.total[row]} reads are methylated: columns "
        "exchanged?",
        record=block.line(row),
    )


def _without_comments(raw: bytes, number: int, header: int) -> tuple[bytes, np.ndarray]:
    """Text without comments, blank lines and the header, and the line number of each line that is left."""
    raw = raw.removesuffix(b"\n")
    odd = (
        header or number == 1 or b"\n\n" in raw or b"\n\r\n" in raw or b"\n#" in raw or raw[:1] in (b"#", b"\r", b"\n")
    )
    if not odd and b"\ntrack" not in raw and b"\nbrowser" not in raw:
        return raw, np.arange(number, number + raw.count(b"\n") + 1)
    kept, lines = [], []
    for offset, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")):
        if line.strip() and not line.startswith(SKIPPED):
            if header:
                header -= 1
                continue
            kept.append(line)
            lines.append(number + offset)
    return b"\n".join(kept), np.array(lines, np.int64)


def _columns(raw: bytes, layout: Layout) -> Columns | None:
    """Columns by role; None if the text does not parse."""
    import pyarrow as pa
    from pyarrow import csv

    if b"0x" in raw or b"0X" in raw:  # Arrow reads 0x1F as a whole number
        return None
    text = pa.dictionary(pa.int32(), pa.string())
    kinds = {"percent": pa.float64(), "fraction": pa.float64(), **dict.fromkeys(_WORDS, text)}
    types = {f"f{place}": kinds.get(role, pa.int64()) for role, place in layout.roles.items()}
    try:
        table = csv.read_csv(
            io.BytesIO(raw),
            csv.ReadOptions(
                use_threads=False, block_size=len(raw) + 1, column_names=[f"f{i}" for i in range(layout.columns)]
            ),
            csv.ParseOptions(delimiter="\t", quote_char=False),
            csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=list(NO_PERCENT), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    found: Columns = {}
    for role, place in layout.roles.items():
        column = table[f"f{place}"]
        if role in _WORDS:
            merged = column.unify_dictionaries().combine_chunks()
            merged = merged.chunk(0) if hasattr(merged, "chunks") else merged  # older Arrow keeps the chunked form
            index = merged.indices.to_numpy(zero_copy_only=False).astype(np.int64)
            found[role] = (merged.dictionary.to_pylist(), index)
        elif column.null_count and role != "percent":
            return None
        else:
            found[role] = column.to_numpy()
    return found


def _rules_hold(columns: Columns, layout: Layout) -> bool:
    """The rules of `_check_line`, for all lines at once."""
    good = all(_CONTIG.fullmatch(name) for name in columns["contig"][0])
    for role, largest in _LARGEST.items():
        if role in columns:
            good &= bool(
                np.all((columns[role] >= (layout.base if role == "start" else 0)) & (columns[role] <= largest))
            )
    if "end" in columns:
        width = columns["end"] - columns["start"] + layout.base
        good &= bool(np.all((width == 1) | (width == 2)))
    if "strand" in columns:
        good &= set(columns["strand"][0]) <= {"+", "-", "."}
    if "reference" in columns:
        good &= set(columns["reference"][0]) <= {"C", "G", "CG"}
    if "total" in columns and "methylated" in columns:
        good &= bool(np.all(columns["methylated"] <= columns["total"]))
    if "percent" in columns:
        percent, total = columns["percent"], _total(columns)
        good &= bool(np.all(((percent >= 0) & (percent <= 100)) | (np.isnan(percent) & (total == 0))))
    if "fraction" in columns:
        good &= bool(np.all((columns["fraction"] >= 0) & (columns["fraction"] <= 1)))
    return good


def _total(columns: Columns) -> np.ndarray:
    return columns["total"] if "total" in columns else columns["methylated"] + columns["unmethylated"]


def _word_counts(column: tuple[list[str], np.ndarray]) -> tuple[list[str], list[int]]:
    words, index = column
    return [word.split(",")[0] for word in words], np.bincount(index, minlength=len(words)).tolist()


def _of_code(columns: Columns, lines: np.ndarray, code: str, codes: Counter[str]) -> tuple[Columns, np.ndarray]:
    """Rows of one modification; modkit writes the motif behind the code, as ``m,CG,0``."""
    words, index = columns["code"]
    wanted = "C" if code == "m" and set(codes) == {"C"} else code
    rows = np.flatnonzero(np.array([word.split(",")[0] == wanted for word in words])[index])
    picked = {
        role: (column[0], column[1][rows]) if isinstance(column, tuple) else column[rows]
        for role, column in columns.items()
    }
    return picked, lines[rows]


def _block(columns: Columns, lines: np.ndarray, layout: Layout) -> CallBlock:
    n = len(lines)
    names, contig = columns["contig"]
    start = columns["start"] - layout.base
    strand, end = np.zeros(n, np.int8), start + 1
    if "strand" in columns:
        words, index = columns["strand"]
        strand = np.array([{"+": 1, "-": -1, ".": 0}[word] for word in words], np.int8)[index]
    elif "reference" in columns:
        words, index = columns["reference"]
        strand = np.array([-1 if word == "G" else 1 for word in words], np.int8)[index]
    if "end" in columns:
        end = columns["end"]  # a 1-based end that is included is the same number
    context = np.zeros(n, np.uint8)
    if "context" in columns:
        words, index = columns["context"]
        context = np.array([context_of(word) for word in words], np.uint8)[index]
    percent: Any = columns.get("percent")
    if not layout.counted:
        total, methylated, fraction = np.ones(n, np.int64), np.zeros(n, np.int64), columns["fraction"]
    else:
        total = _total(columns)
        methylated = columns["methylated"] if "methylated" in columns else _reads(percent, total, layout.cut)
        fraction = np.where(total > 0, methylated / np.maximum(total, 1), np.nan)
    return CallBlock(names, contig, start, end, strand, context, total, methylated, fraction, percent, lines)


def _reads(percent: np.ndarray, total: np.ndarray, cut: bool) -> np.ndarray:
    """Methylated reads from their percent: exact below 100 reads if it was rounded, within one if it was cut."""
    reads = np.nan_to_num(percent) * total / 100
    return np.minimum(np.ceil(reads - 1e-9) if cut else np.floor(reads + 0.5), total).astype(np.int64)


def _rows(block: CallBlock, rows: np.ndarray) -> CallBlock:
    return replace(block, **{name: value[rows] for name, value in vars(block).items() if isinstance(value, np.ndarray)})


def context_of(word: str) -> int:
    """1 for CG, 2 for CHG, 3 for CHH, 0 if the word does not say; three bases will do as well as the name.

    >>> [context_of(word) for word in ("CG", "CpG", "CAG", "CHH", "CNN", "CGN")]
    [1, 1, 2, 3, 0, 1]
    """
    word = word.upper().replace("CPG", "CG")
    if re.fullmatch(r"CG[ACGTNH]*", word):
        return 1
    if re.match(r"C[ACTH]G", word):
        return 2
    return 3 if re.match(r"C[ACTH][ACTH]", word) else 0


def _name_bad_line(path: str | Path, raw: bytes, lines: np.ndarray, layout: Layout) -> NoReturn:
    for number, line in zip(lines.tolist(), raw.split(b"\n")):
        try:
            problem = _check_line(line.decode("utf-8").rstrip("\r").split("\t"), layout)
        except UnicodeDecodeError:
            problem = "is not UTF-8 text"
        if problem:
            raise InputError(path, problem, record=number)
    raise InputError(path, f"cannot be read as {layout.name}", record=f"lines {lines[0]}-{lines[-1]}")


def _check_line(fields: list[str], layout: Layout) -> str:
    """What is wrong with a line, '' if nothing."""
    if len(fields) != layout.columns:
        return f"{len(fields)} tab-separated columns, but {layout.name} has {layout.columns}"
    value: dict[str, float] = {}
    for role, place in layout.roles.items():
        text = fields[place]
        if role == "contig" and not _CONTIG.fullmatch(text):
            return f"contig name {text[:40]!r} holds characters that are not allowed or is empty"
        if role == "strand" and text not in ("+", "-", "."):
            return f"strand {text[:20]!r} is none of + - ."
        if role == "reference" and text not in ("C", "G", "CG"):
            return f"reference base {text[:20]!r} is none of C, G, CG"
        if role in ("percent", "fraction"):
            try:
                value[role] = math.nan if role == "percent" and text in NO_PERCENT else float(text.replace("_", "x"))
            except ValueError:
                return f"{role} {text[:20]!r} is not a number"
            if abs(value[role]) == math.inf:
                return f"{role} {text[:20]!r} is not a number"
        elif role not in _WORDS:
            if not WHOLE.fullmatch(text):
                return f"{role} {text[:20]!r} is not a whole number"
            value[role] = int(text)
    return _check_values(value, layout)


def _check_values(value: dict[str, float], layout: Layout) -> str:
    for role, largest in _LARGEST.items():
        least = layout.base if role == "start" else 0
        if role in value and not least <= value[role] <= largest:
            hint = " (positions are 1-based)" if role == "start" and layout.base else ""
            return f"{role} {value[role]:.0f} is not within {least} to {largest:,}{hint}"
    if "end" in value and value["end"] - value["start"] + layout.base not in (1, 2):
        return f"a call of {value['end'] - value['start'] + layout.base:.0f} bp; expected one base, or the two of a CpG"
    if "total" in value and value.get("methylated", 0) > value["total"]:
        return f"{value['methylated']:.0f} methylated of {value['total']:.0f} reads"
    if "percent" in value:
        total = value["total"] if "total" in value else value["methylated"] + value["unmethylated"]
        if math.isnan(value["percent"]):
            return "" if total == 0 else f"no percent for {total:.0f} reads"
        if not 0 <= value["percent"] <= 100:
            return f"percent {value['percent']:g} is not within 0 to 100"
    if "fraction" in value and not 0 <= value["fraction"] <= 1:
        hint = ": percent?" if value["fraction"] > 1 else ""
        return f"state {value['fraction']:g} is not within 0 to 1{hint}"
    return ""
