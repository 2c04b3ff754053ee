"""Tables of effects that were measured by experiment, and the sequences that they belong to.

Every number is checked as it is read; an error names the line, what stands there and what was expected.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.formats.fasta import FastaRecord, read_fasta
from seqmill.formats.lines import text_lines
from seqmill.genome.sequence import decode
from seqmill.runtime.errors import InputError

# Names of the columns, lower-case, where the configuration gives none.
KNOWN = {
    "element": ("element", "region"),
    "contig": ("contig", "chrom", "#chrom", "chr", "chromosome"),
    "position": ("position", "pos"),
    "ref": ("ref", "reference"),
    "alt": ("alt", "alternate"),
    "id": ("id", "rsid", "variant_id"),
    "value": ("value", "effect", "log2fc", "log2_fc", "activity", "expression"),
    "error": ("error", "se", "stderr", "standard_error"),
    "tags": ("tags", "barcodes"),
    "p": ("p", "pvalue", "p_value", "p-value"),
    "maf": ("maf",),
    "sequence": ("sequence",),
    "ref_sequence": ("ref_sequence",),
    "alt_sequence": ("alt_sequence",),
    "ref_value": ("ref_value",),
    "alt_value": ("alt_value",),
    "group": ("group",),
    "name": ("name",),
}
_MISSING = {"", "na", "nan", "none", ".", "null"}
_PLACE = re.compile(r"(\S+):([0-9,]+)-([0-9,]+)(?:\([+-]\))?")
DELETION = {"-", ".", "", "*"}
NO_VALUE, FEW_TAGS, OTHER_EDIT = "no measured value", "fewer tags than min_tags", "another kind of edit"


@dataclass(frozen=True)
class Element:
    """A sequence whose bases were changed one by one.

    Attributes
    ----------
    name : as in the file. contig, start : where it lies, 0-based; contig is empty and start 0 where that is not known.
    codes : uint8 (bp,), A0 C1 G2 T3 N4.
    """

    name: str
    contig: str
    start: int
    codes: np.ndarray


@dataclass(frozen=True)
class Change:
    """A measured change of one base.

    Attributes
    ----------
    element, contig, start : ``start`` is the position as the table counts, 0-based. ref : upper-case base.
    alt : upper-case base, or "-" for a deletion. value, error : measured effect and its standard error (NaN: none).
    line : of the table.
    """

    element: str
    contig: str
    start: int
    ref: str
    alt: str
    value: float
    error: float
    line: int


def table_rows(
    path: str | Path, columns: Mapping[str, str], needed: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a text table with a header line, as (line, role -> text).

    Parameters
    ----------
    path : tab-separated, or with commas where it is called .csv (also .gz); lines that begin with ## are skipped.
    columns : role -> name in the header, where it is none of `KNOWN`. needed, optional : roles to read.

    Raises
    ------
    InputError : a column is missing or could be several, or a line has another number of columns.
    """
    delimiter = "," if ".csv" in {ending.lower() for ending in Path(path).suffixes} else "\t"
    places: dict[str, int] | None = None
    width = 0
    for line, text in text_lines(path):
        if not text.strip() or text.startswith("##"):
            continue
        cells = next(csv.reader([text], delimiter=delimiter)) if '"' in text else text.split(delimiter)
        if places is None:
            places, width = _places(path, line, cells, columns, needed, optional), len(cells)
            continue
        if len(cells) != width:
            raise InputError(path, f"{len(cells)} columns, expected {width}", record=line)
        yield line, {role: cells[place].strip() for role, place in places.items()}
    if places is None:
        raise InputError(path, "0 lines; expected a header line")


def _places(
    path: Any, line: int, header: list[str], columns: Mapping[str, str], needed: Sequence[str], optional: Sequence[str]
) -> dict[str, int]:
    found = {}
    for role in (*needed, *optional):
        given = columns.get(role)
        names = (given,) if given else KNOWN[role]
        places = [i for i, name in enumerate(header) if (name if given else name.strip().lower()) in names]
        if len(places) > 1:
            several = ", ".join(repr(header[place]) for place in places)
            raise InputError(path, f"columns {several} could each be '{role}'; name one with 'columns'", record=line)
        if places:
            found[role] = places[0]
        elif given or role in needed:
            wanted = f"column {given!r}" if given else f"a column '{role}'"
            shown = ", ".join(header)[:120]
            raise InputError(path, f"{wanted} is missing, found: {shown}; set 'columns.{role}'", record=line)
    return found


def number(path: Any, line: int, role: str, text: str) -> float:
    """A measured number; NaN where the cell says that there is none. Raises InputError for anything else."""
    if text.lower() in _MISSING:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise InputError(path, f"{role} {text[:30]!r} is not a finite number", record=line)
    return value


def read_changes(
    path: str | Path,
    columns: Mapping[str, str],
    *,
    base: int = 1,
    min_tags: int = 0,
    edits: Sequence[str] = ("substitutions",),
    dropped: Counter[str],
) -> list[Change]:
    """Measured changes of single bases, in the order of the table.

    The table that Kircher et al. (2019) Nature Communications 10:3583 released (Chromosome, Position, Ref, Alt, Tags,
    Value, P-Value, Element; deletions have Alt ``-``) is read as it lies.

    Parameters
    ----------
    base : the first position is 0 or 1. min_tags : rows with fewer are left out. edits : which rows are read.
    dropped : counts what is left out, by reason.

    Raises
    ------
    InputError : with the line.
    """
    found: list[Change] = []
    seen: dict[tuple[str, str, int, str], int] = {}
    optional = ("element", "contig", "error", "tags")
    for line, row in table_rows(path, columns, ("position", "ref", "alt", "value"), optional):
        text = row["position"].replace(",", "")
        if not text.isdigit() or int(text) < base:
            raise InputError(path, f"position {row['position'][:20]!r} is no whole number from {base} on", record=line)
        ref, alt = row["ref"].upper(), "-" if row["alt"] in DELETION else row["alt"].upper()
        if len(ref) != 1 or ref not in "ACGT" or len(alt) != 1 or alt not in "ACGT-" or ref == alt:
            raise InputError(
                path, f"change {row['ref'][:20]!r} to {row['alt'][:20]!r}; expected one base to another, or to '-'",
                record=line,
            )  # fmt: skip
        value, error = (number(path, line, role, row.get(role, "")) for role in ("value", "error"))
        tags = number(path, line, "tags", row["tags"]) if "tags" in row else math.inf
        key = row.get("element", ""), row.get("contig", ""), int(text) - base, alt
        if key in seen:
            raise InputError(path, f"{_where(*key)} to {alt} comes twice, first in line {seen[key]}", record=line)
        seen[key] = line
        if ("deletions" if alt == "-" else "substitutions") not in edits:
            dropped[OTHER_EDIT] += 1
        elif math.isnan(value):
            dropped[NO_VALUE] += 1
        elif not tags >= min_tags:
            dropped[FEW_TAGS] += 1
        else:
            found.append(Change(*key[:3], ref, alt, value, error, line))
    if not found:
        reasons = "; ".join(f"{reason}: {count:,}" for reason, count in dropped.items()) or "the table is empty"
        raise InputError(path, f"no measured change is left ({reasons})")
    return found


def _where(element: str, contig: str, start: int, *_: Any) -> str:
    named = f"element {element}, " if element else ""
    return f"{named}position {contig + ':' if contig else ''}{start + 1}"


def read_elements(path: str | Path) -> dict[str, Element]:
    """Elements of a FASTA file by name.

    A place behind the name (``>F9 chrX:139530463-139530765``) is read with the first base 1 and the last inclusive
    where that is its length, else as 0-based and half-open.

    Raises
    ------
    InputError : a place whose length is not the sequence's, or what `read_fasta` refuses.
    """
    found = {}
    for record in read_fasta(path):
        contig, start = "", 0
        words = record.description.split()[1:2]
        match = _PLACE.fullmatch(words[0]) if words else None
        if match:
            contig, low, high = match[1], int(match[2].replace(",", "")), int(match[3].replace(",", ""))
            if high - low + 1 == len(record):
                start = low - 1
            elif high - low == len(record):
                start = low
            else:
                raise InputError(
                    path, f"'{record.name}' lies at {words[0]}, {high - low + 1:,} bp, and has {len(record):,} bases"
                )
        found[record.name] = Element(record.name, contig, start, record.codes)
    return found


def place_changes(
    changes: Sequence[Change], elements: Mapping[str, Element], path: Any, base: int = 1
) -> dict[str, list[tuple[int, Change]]]:
    """Changes of each element with their place in it, checked against its bases.

    Returns
    -------
    Element -> (0-based place from its first base, change), in the order of the table.

    Raises
    ------
    InputError : an element without a sequence, a place outside of it, or another base than REF; with line, found and
        expected.
    """
    found: dict[str, list[tuple[int, Change]]] = {}
    for change in changes:
        name = change.element or (next(iter(elements)) if len(elements) == 1 else "")
        if name not in elements:
            known = ", ".join(list(elements)[:8])
            raise InputError(path, f"element {change.element!r} has no sequence; there are {known}", record=change.line)
        element = elements[name]
        at, bp = change.start - element.start, len(element.codes)
        said = f"element {name}, position {change.start + base}"
        if not 0 <= at < bp:
            first = element.start + base
            raise InputError(path, f"{said} lies outside of it ({first} to {first + bp - 1})", record=change.line)
        there = decode(element.codes[at : at + 1])
        if there != change.ref:
            raise InputError(path, f"{said}: REF {change.ref}, the sequence has {there}", record=change.line)
        found.setdefault(name, []).append((at, change))
    return found


def read_pairs(strong: str | Path, weak: str | Path) -> list[tuple[FastaRecord, FastaRecord]]:
    """Records of two FASTA files, one of each; names, order and lengths must agree.

    Raises
    ------
    InputError : they do not; with the record, what was found and expected.
    """
    high, low = list(read_fasta(strong, unique=False)), list(read_fasta(weak, unique=False))
    for i, (a, b) in enumerate(zip(high, low), 1):
        if a.name != b.name:
            raise InputError(weak, f"'{b.name}' where {Path(strong).name} has '{a.name}'", record=i)
        if len(a) != len(b):
            raise InputError(weak, f"'{b.name}' has {len(b)} bp, in {Path(strong).name} {len(a)} bp", record=i)
    if len(high) != len(low):
        raise InputError(weak, f"{len(low)} sequences, {Path(strong).name} has {len(high)}")
    return list(zip(high, low))
