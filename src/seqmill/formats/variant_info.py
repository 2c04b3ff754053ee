"""What stands beside the alleles of a record: frequencies of its ALT alleles."""

import math
from collections.abc import Iterator

import numpy as np

from seqmill.formats.variant_records import Records
from seqmill.formats.variants import VariantFile
from seqmill.runtime.errors import InputError


def frequencies(file: VariantFile, records: Records) -> np.ndarray:
    """Frequency of each ALT allele, float64, in the order in which records are split into alleles; NaN if not known.

    Parameters
    ----------
    file : opened with ``more`` set to the INFO field, or the column of a table, that holds a value for each ALT.

    Raises
    ------
    InputError : a frequency beyond 0 and 1, or that is no number.
    """
    plain = file.format not in ("vcf", "bcf")
    found: list[float] = []
    for text, alt, number in zip(records.more, records.alt, records.number):
        values = list(_values(file, text if plain else _info(text, file.more), number))
        alleles = alt.count(",") + 1
        found += values if len(values) == alleles else [math.nan] * alleles
    return np.array(found, np.float64)


def _info(rest: str, key: str) -> str:
    """Value of an INFO field, from what follows ALT: QUAL, FILTER, INFO, ..."""
    fields = rest.split("\t", 3)
    start = f"{key}="
    for item in fields[2].split(";") if len(fields) > 2 else ():
        if item.startswith(start):
            return item[len(start) :]
    return ""


def _values(file: VariantFile, text: str, number: int) -> Iterator[float]:
    for part in text.split(",") if text else ():
        if part in ("", ".", "NA", "nan", "NaN"):
            yield math.nan
            continue
        try:
            value = float(part)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise InputError(
                file.path, f"{file.more} is {part[:20]!r}, expected a frequency from 0 to 1", record=number
            )
        yield value
