"""Variants in tables (TSV, CSV, Parquet) and BCF."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seqmill.formats.text import line_blocks
from seqmill.formats.variant_records import Records, decoded, no_records, position
from seqmill.runtime.errors import InputError

# Names of the columns, lower-case, where the configuration gives none.
KNOWN = {
    "contig": ("contig", "chrom", "#chrom", "chr", "chromosome"),
    "position": ("position", "pos", "position_1based"),
    "ref": ("ref", "reference"),
    "alt": ("alt", "alternate"),
    "id": ("id", "rsid", "variant_id"),
}
_NEEDED = ("contig", "position", "ref", "alt")
_EFFECT_ALLELES = {"effect_allele", "other_allele", "non_effect_allele", "a1", "a2", "allele1", "allele2"}
ROWS = 1 << 14


def find_columns(header: list[str], columns: Mapping[str, str], path: Path) -> dict[str, int]:
    """Number of the column of each role; the id may be missing.

    Raises
    ------
    InputError : a column is missing or could be several, or ``columns`` names an unknown role.
    """
    unknown = [role for role in columns if role not in KNOWN]
    if unknown:
        raise InputError(path, f"'columns' names {unknown[0]!r}; known: {', '.join(KNOWN)}")
    shown = ", ".join(header)[:120]
    found = {}
    for role, names in KNOWN.items():
        if role in columns:
            places = [place for place, name in enumerate(header) if name == columns[role]]
            wanted = f"column {columns[role]!r}"
        else:
            places = [place for place, name in enumerate(header) if name.strip().lower() in names]
            wanted = f"a column '{role}'"
        if len(places) > 1:
            several = ", ".join(repr(header[place]) for place in places)
            raise InputError(path, f"columns {several} could each be '{role}'; name one with 'columns'", record=1)
        if places:
            found[role] = places[0]
        elif role in _NEEDED or role in columns:
            hint = "; set 'columns' where names are others"
            if role in ("ref", "alt") and _EFFECT_ALLELES & {name.strip().lower() for name in header}:
                hint = "; effect and other allele are not REF and ALT: which is the genome's? Then set 'columns'"
            raise InputError(path, f"{wanted} is missing, found: {shown}{hint}", record=1)
    return found


def column_called(header: list[str], name: str) -> int | None:
    """Number of the first column of that name, in whatever case; None if there is none."""
    known = [cell.strip().lower() for cell in header]
    return known.index(name.lower()) if name and name.lower() in known else None


def text_table(path: Path, delimiter: str, columns: Mapping[str, str], base: int, more: str = "") -> Iterator[Records]:
    """Records of a TSV or CSV file with a header line; comment lines (##) are skipped.

    Parameters
    ----------
    columns : role -> name of the column, where it is not a known one. base : of positions, 0 or 1.
    more : name of a column to keep; empty texts where there is none.
    """
    places: dict[str, int] | None = None
    width, kept = 0, None
    for first, block in line_blocks(path, 1 << 20):
        out, rest = no_records(), []
        for number, line in enumerate(decoded(path, first, block).split("\n"), first):
            if not line.strip() or line.startswith("##"):
                continue
            cells = next(csv.reader([line], delimiter=delimiter)) if '"' in line else line.split(delimiter)
            if places is None:
                places, width = find_columns(cells, columns, path), len(cells)
                kept = column_called(cells, more)
                continue
            if len(cells) != width:
                kind = "tsv" if delimiter == "\t" else "csv"
                raise InputError(path, f"{len(cells)} columns, expected {width} ({kind})", record=number)
            _append(out, [cells[place] for place in places.values()], list(places), number, path, base)
            if more:
                rest.append("" if kept is None else cells[kept].strip())
        yield out._replace(more=rest)
    if places is None:
        raise InputError(path, "0 lines; expected a header line")


def _append(out: Records, cells: list[str], roles: list[str], number: int, path: Path, base: int) -> None:
    row = dict(zip(roles, (cell.strip() for cell in cells)))
    for role in ("contig", "ref"):
        if not row[role]:
            raise InputError(path, f"{role} is empty", record=number)
    start = position(row["position"], path, number, base)
    out.contig.append(row["contig"])
    out.start.append(start)
    out.id.append(row.get("id") or ".")
    out.ref.append(row["ref"])
    out.alt.append(row["alt"] or ".")
    out.number.append(number)


class ParquetTable:
    """Rows of a Parquet file, in blocks; lives in an isolated worker."""

    def __init__(self, path: str, columns: Mapping[str, str], base: int, more: str = ""):
        import pyarrow
        import pyarrow.parquet

        self.path, self.base, self.count = Path(path), base, 0
        try:
            file = pyarrow.parquet.ParquetFile(path)
            names = file.schema_arrow.names
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(path, f"cannot be read as Parquet ({error})") from None
        places = find_columns(names, columns, self.path)
        self.roles = {role: names[place] for role, place in places.items()}
        kind = file.schema_arrow.field(self.roles["position"]).type
        if not pyarrow.types.is_integer(kind):
            raise InputError(path, f"column {self.roles['position']!r} is of type {kind}, expected integers")
        self.error = pyarrow.ArrowException
        self.more, place = more, column_called(names, more)
        self.kept = None if place is None else names[place]
        wanted = dict.fromkeys([*self.roles.values(), *([self.kept] if self.kept else [])])
        self.batches = file.iter_batches(batch_size=ROWS, columns=list(wanted), use_threads=False)

    def sizes(self) -> dict[str, int]:
        return {}

    def block(self) -> Records | None:
        """The next records, None at the end."""
        try:
            batch = next(self.batches, None)
        except (self.error, OSError) as error:
            raise InputError(self.path, f"damaged Parquet file ({error})") from None
        if batch is None:
            return None
        out = no_records()
        columns = [batch.column(name).to_pylist() for name in self.roles.values()]
        for cells in zip(*columns):
            self.count += 1
            texts = ["" if cell is None else str(cell) for cell in cells]
            _append(out, texts, list(self.roles), self.count, self.path, self.base)
        if not self.more:
            return out
        values = batch.column(self.kept).to_pylist() if self.kept else [None] * len(out.start)
        return out._replace(more=["" if value is None else str(value) for value in values])


class Bcf:
    """Records of a BCF file, in blocks; lives in an isolated worker."""

    def __init__(self, path: str, more: str = ""):
        import pysam

        pysam.set_verbosity(0)
        self.path, self.count, self.more = path, 0, more
        try:
            self.file: Any = pysam.VariantFile(path)
        except (OSError, ValueError) as error:
            raise InputError(path, f"cannot be read as BCF ({error})") from None

    def sizes(self) -> dict[str, int]:
        """Contig -> bp, of the header."""
        return {name: contig.length for name, contig in self.file.header.contigs.items() if contig.length}

    def samples(self) -> list[str]:
        """Of the header."""
        return list(self.file.header.samples)

    def block(self) -> Records | None:
        """The next records, None at the end."""
        out, rest = no_records(), []
        try:
            for record in self.file:
                self.count += 1
                out.contig.append(record.contig)
                out.start.append(record.start)
                out.id.append(record.id or ".")
                out.ref.append(record.ref)
                out.alt.append(",".join(record.alts or (".",)))
                out.number.append(self.count)
                if self.more:
                    rest.append(str(record).rstrip("\n").split("\t", 5)[5])
                if len(out.start) == ROWS:
                    break
        except (OSError, ValueError) as error:
            raise InputError(self.path, f"damaged BCF file ({error})", record=self.count + 1) from None
        return out._replace(more=rest) if out.start else None
