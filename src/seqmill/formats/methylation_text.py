"""Layouts of methylation calls, and blocks of them as columns.

========================  =========================================================================================
bedmethyl, 11 columns     ENCODE's bed9+2: reads and percent methylated (data standards of its WGBS pipeline)
bedmethyl, 14 columns     the same from gemBS, with genotypes; the percent is cut, not rounded (``mextr``, its source)
bedmethyl, 18 columns     modkit: columns 10, 11, 12 are valid calls, percent and modified calls of the code in column 4
bismark                   ``.cov``: 1-based start and end, percent, methylated and unmethylated reads; a CpG that
                          ``--merge_CpG`` merged spans two bases
cytosine_report           Bismark: 1-based position, strand, methylated, unmethylated, context, trinucleotide
allc                      methylpy and ALLCools: 1-based position, strand, context, methylated, total, flag
gembs                     ``_cpg.txt``: header ``Contig Pos0 Pos1 Ref``, then call, flags, methylation, non-converted,
                          converted, supporting and all reads of one sample; ``Ref`` CG where strands are merged
call_table                header with contig (chrom), pos0 or pos_1based, and two of methylated, unmethylated, total
call_states               DeepCpG: contig, 1-based position, 0 or 1 (or a fraction); no counts
========================  =========================================================================================

Blocks are parsed by column. One that does not parse, or breaks a rule, is gone through line by line to name the first
bad line.
"""

import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seqmill.formats.text import line_blocks
from seqmill.runtime.errors import InputError

KINDS = ("bedmethyl", "bismark", "cytosine_report", "allc", "gembs", "call_table", "call_states")
NO_PERCENT = ("", ".", "nan", "NaN", "NA", "-nan")
_WHOLE = re.compile(r"-?[0-9]+")
_CONTIG = re.compile(r"[A-Za-z0-9_.:*+|=-]{1,255}")
_LARGEST = {"start": 2**31 - 1, "end": 2**31, "total": 2**32 - 1, "methylated": 2**32 - 1, "unmethylated": 2**32 - 1}
_SKIPPED = (b"#", b"track\t", b"track ", b"browser\t", b"browser ")
_WORDS = ("contig", "strand", "code", "context", "reference")
# Names of the columns of call tables, in lower case.
_HEADINGS = {
    "contig": ("contig", "chrom", "chr", "chromosome"),
    "pos0": ("pos0", "start"),
    "pos1": ("pos1", "pos_1based", "position_1based"),
    "strand": ("strand",),
    "context": ("context",),
    "methylated": ("meth", "methylated", "mc", "count_methylated", "n_mod"),
    "unmethylated": ("unmeth", "unmethylated", "count_unmethylated"),
    "total": ("total", "coverage", "cov"),
}


@dataclass(frozen=True)
class Layout:
    """Which column (0-based) holds what.

    Attributes
    ----------
    kind : one of `KINDS`. name : for messages and records. columns : how many there are.
    base : 0 or 1, of the first base of a contig. roles : role -> column. header : lines before the first call.
    counted : there are counts of reads. cut : percents are cut to whole numbers, not rounded.
    """

    kind: str
    name: str
    columns: int
    base: int
    roles: Mapping[str, int]
    header: int = 0
    counted: bool = True
    cut: bool = False


_BED = {"contig": 0, "start": 1, "end": 2, "strand": 5, "total": 9, "percent": 10}
_LAYOUTS = [
    Layout("bedmethyl", "bedMethyl of 11 columns", 11, 0, _BED),
    Layout("bedmethyl", "bedMethyl of gemBS (14 columns)", 14, 0, _BED, cut=True),
    Layout("bedmethyl", "bedMethyl of modkit (18 columns)", 18, 0, {**_BED, "code": 3, "methylated": 11}),
    Layout(
        "bismark", "Bismark coverage", 6, 1,
        {"contig": 0, "start": 1, "end": 2, "percent": 3, "methylated": 4, "unmethylated": 5},
    ),
    Layout(
        "cytosine_report", "Bismark cytosine report", 7, 1,
        {"contig": 0, "start": 1, "strand": 2, "methylated": 3, "unmethylated": 4, "context": 5},
    ),
    Layout("allc", "allc", 7, 1, {"contig": 0, "start": 1, "strand": 2, "context": 3, "methylated": 4, "total": 5}),
    Layout(
        "gembs", "gemBS", 11, 0,
        {"contig": 0, "start": 1, "end": 2, "reference": 3, "methylated": 7, "unmethylated": 8}, header=1,
    ),
    Layout("call_states", "states without counts", 3, 1, {"contig": 0, "start": 1, "fraction": 2}, counted=False),
]  # fmt: skip


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


def sniff(path: str | Path, kind: str = "") -> Layout:
    """Layout of a file by its first lines.

    Parameters
    ----------
    kind : of `KINDS` if it is known, '' to tell it.

    Raises
    ------
    InputError : no layout has that many columns, or the file is of another kind.
    """
    number, fields = _first_line(path)
    if fields[:2] == ["Contig", "Pos0"]:
        samples, rest = divmod(len(fields) - 4, 7)
        if samples != 1 or rest:
            raise InputError(path, f"gemBS file of {samples} samples, expected one", record=number)
        found = [layout for layout in _LAYOUTS if layout.kind == "gembs"]
    elif fields[0].lower() in _HEADINGS["contig"]:
        found = [_by_header(path, number, fields)]
    else:
        found = [layout for layout in _LAYOUTS if layout.columns == len(fields) and layout.kind != "gembs"]
        if len(fields) == 7:  # both Bismark's report and allc
            found = [layout for layout in found if (layout.kind == "allc") != bool(_WHOLE.fullmatch(fields[3]))]
    if not found or (kind and found[0].kind != kind):
        raise InputError(path, _unknown(kind, fields, found), record=number)
    layout = found[0]
    zero_based = layout.kind == "bismark" and re.search(r"\.zero\.cov(\.gz)?$", Path(path).name.lower())
    return replace(layout, base=0) if zero_based else layout


def _unknown(kind: str, fields: list[str], found: list[Layout]) -> str:
    count = f"{len(fields)} tab-separated column{'' if len(fields) == 1 else 's'}"
    if found:
        return f"looks like {found[0].name} (format {found[0].kind}), the sheet says {kind}"
    known = [layout for layout in _LAYOUTS if not kind or layout.kind == kind]
    words = ", ".join(f"{layout.columns} ({layout.name})" for layout in known) or "a header with contig and pos0"
    return f"unknown dialect: {count}; expected {words}"


def _by_header(path: str | Path, number: int, fields: list[str]) -> Layout:
    """Layout of a table with named columns."""
    lower = [field.strip().lower() for field in fields]
    roles: dict[str, int] = {}
    for role, names in _HEADINGS.items():
        places = [place for place, field in enumerate(lower) if field in names]
        if len(places) > 1:
            raise InputError(
                path, f"columns {fields[places[0]]} and {fields[places[1]]} are both {role}", record=number
            )
        if places:
            roles[role] = places[0]
    base = 1 if "pos1" in roles else 0
    place = roles.pop("pos1", None) if base else roles.pop("pos0", None)
    roles.pop("pos0", None)
    counts = {"methylated", "unmethylated", "total"} & set(roles)
    if place is None or "methylated" not in roles or len(counts) < 2:
        raise InputError(
            path,
            "expected columns contig, pos0 (or pos_1based), meth and unmeth (or total); found "
            + ", ".join(fields)[:120],
            record=number,
        )
    return Layout("call_table", "table of counts", len(fields), base, {**roles, "start": place}, header=1)


def _first_line(path: str | Path) -> tuple[int, list[str]]:
    for number, raw in line_blocks(path, 1 << 16):
        for offset, line in enumerate(raw.split(b"\n")):
            if line.strip() and not line.startswith(_SKIPPED):
                try:
                    return number + offset, _fields(line.decode("utf-8-sig"))
                except UnicodeDecodeError:
                    raise InputError(path, "is not UTF-8 text", record=number + offset) from None
    raise InputError(path, "0 records; expected one call a line")


def _fields(text: str) -> list[str]:
    fields = text.rstrip("\r").split("\t")
    # modkit wrote spaces between the columns from the tenth on, and still does with --mixed-delim
    return fields if len(fields) != 10 else [*fields[:9], *fields[9].split(" ")]


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
        raise InputError(path, f"max value {largest:.1f}: fraction? The column is percent, 0 to 100")


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
        if line.strip() and not line.startswith(_SKIPPED):
            if header:
                header -= 1
                continue
            kept.append(line)
            lines.append(number + offset)
    return b"\n".join(kept), np.array(lines, np.int64)


def _columns(raw: bytes, layout: Layout) -> dict[str, np.ndarray | tuple[list[str], np.ndarray]] | None:
    """Columns by role, words as (words, index of each row); None if the text does not parse."""
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
    found: dict = {}
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


def _rules_hold(columns: dict, layout: Layout) -> bool:
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


def _total(columns: dict) -> np.ndarray:
    return columns["total"] if "total" in columns else columns["methylated"] + columns["unmethylated"]


def _word_counts(column: tuple[list[str], np.ndarray]) -> tuple[list[str], list[int]]:
    words, index = column
    return [word.split(",")[0] for word in words], np.bincount(index, minlength=len(words)).tolist()


def _of_code(columns: dict, lines: np.ndarray, code: str, codes: Counter[str]) -> tuple[dict, np.ndarray]:
    """Rows of one modification; modkit writes the motif behind the code, as ``m,CG,0``."""
    words, index = columns["code"]
    wanted = "C" if code == "m" and set(codes) == {"C"} else code
    rows = np.flatnonzero(np.array([word.split(",")[0] == wanted for word in words])[index])
    picked = {
        role: (column[0], column[1][rows]) if isinstance(column, tuple) else column[rows]
        for role, column in columns.items()
    }
    return picked, lines[rows]


def _block(columns: dict, lines: np.ndarray, layout: Layout) -> CallBlock:
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
    percent = columns.get("percent")
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


def _name_bad_line(path: str | Path, raw: bytes, lines: np.ndarray, layout: Layout) -> None:
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
            if not _WHOLE.fullmatch(text):
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
