"""Measured values of variants, by the line of a VCF or table that `seqmill.formats.variants` reads the alleles from."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from seqmill.formats.lines import text_lines
from seqmill.formats.measured import number, table_rows
from seqmill.formats.variants import VariantFile
from seqmill.runtime.errors import InputError


class Values(NamedTuple):
    """What a record says of each of its ALT alleles: effect, p and allele frequency, NaN where it says none."""

    value: tuple[float, ...]
    p: tuple[float, ...]
    maf: tuple[float, ...]

    def of(self, role: str, allele: int, alleles: int) -> float:
        """Number of one allele; the only number of a record with several alleles belongs to none of them."""
        found = getattr(self, role)
        return found[allele] if len(found) == alleles else math.nan


def read_values(file: VariantFile, columns: Mapping[str, str], needed: tuple[str, ...]) -> dict[int, Values]:
    """Numbers of all records of a file, by line.

    Parameters
    ----------
    file : VCF text or a table. columns : role -> key of INFO, or column. needed : roles that must be there ("value").

    Raises
    ------
    InputError : another format, a key or column that no record has, or what is not a number (with the line).
    """
    if file.format not in ("vcf", "tsv", "csv"):
        raise InputError(
            file.path, f"is {file.format}; measured values are read from VCF text and tables: convert it first"
        )
    return _vcf(file.path, columns, needed) if file.format == "vcf" else _table(file.path, columns, needed)


ROLES = ("value", "p", "maf")


def _table(path: Path, columns: Mapping[str, str], needed: tuple[str, ...]) -> dict[int, Values]:
    optional = [role for role in ROLES if role not in needed]
    return {
        line: Values(*((number(path, line, role, row.get(role, "")),) for role in ROLES))
        for line, row in table_rows(path, columns, needed, optional)
    }


def _vcf(path: Path, columns: Mapping[str, str], needed: tuple[str, ...]) -> dict[int, Values]:
    for role in needed:
        if role not in columns:
            raise InputError(path, f"which key of INFO is the {role}? Set 'columns.{role}'")
    found: dict[int, Values] = {}
    there: set[str] = set()
    for line, text in text_lines(path):
        if not text or text.startswith("#"):
            continue
        fields = text.split("\t")
        info = dict(entry.partition("=")[::2] for entry in fields[7].split(";")) if len(fields) > 7 else {}
        each = []
        for role in ROLES:
            key = columns.get(role)
            if key is not None and key in info:
                there.add(role)
                each.append(tuple(number(path, line, f"INFO {key}", cell) for cell in info[key].split(",")))
            else:
                each.append(())
        found[line] = Values(*each)
    for role in ROLES:
        if role in columns and role not in there:
            raise InputError(path, f"no record has {columns[role]!r} in INFO, expected as the {role}")
    return found
