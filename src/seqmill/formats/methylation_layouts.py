"""Layouts of methylation calls, and how that of a file is told.

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
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from seqmill.formats.text import line_blocks
from seqmill.runtime.errors import InputError

KINDS = ("bedmethyl", "bismark", "cytosine_report", "allc", "gembs", "call_table", "call_states")
SKIPPED = (b"#", b"track\t", b"track ", b"browser\t", b"browser ")
WHOLE = re.compile(r"-?[0-9]+")
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
            found = [layout for layout in found if (layout.kind == "allc") != bool(WHOLE.fullmatch(fields[3]))]
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
            if line.strip() and not line.startswith(SKIPPED):
                try:
                    return number + offset, _fields(line.decode("utf-8-sig"))
                except UnicodeDecodeError:
                    raise InputError(path, "is not UTF-8 text", record=number + offset) from None
    raise InputError(path, "0 records; expected one call a line")


def _fields(text: str) -> list[str]:
    fields = text.rstrip("\r").split("\t")
    # modkit wrote spaces between the columns from the tenth on, and still does with --mixed-delim
    return fields if len(fields) != 10 else [*fields[:9], *fields[9].split(" ")]
