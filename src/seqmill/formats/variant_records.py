"""Records of variants, whatever file they are from, and what is checked in each text."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqmill.runtime.errors import InputError

LARGEST = 2**31 - 1


class Records(NamedTuple):
    """Consecutive records of a file, one list a column.

    Attributes
    ----------
    contig : name as in the file. start : first base of REF, 0-based; -1 for the position 0 of a VCF (a telomere).
    id : "." if none. ref, alt : as written, alleles of ``alt`` with commas between. number : line (text) or record.
    more : where asked for, what follows ALT in a VCF (QUAL, FILTER, INFO, ...), or one column of a table; else empty.
    """

    contig: list[str]
    start: list[int]
    id: list[str]
    ref: list[str]
    alt: list[str]
    number: list[int]
    more: Sequence[str] = ()

    def part(self, start: int, stop: int) -> "Records":
        return records_of(column[start:stop] for column in self)

    def joined(self, other: "Records") -> "Records":
        pairs: Iterable[Any] = zip(self, other)
        return records_of(mine + more for mine, more in pairs) if self.start else other


def records_of(columns: Iterable[Any]) -> Records:
    """Records from the columns in their order."""
    return Records(*columns)


def no_records() -> Records:
    return Records([], [], [], [], [], [], [])


def decoded(path: Path, number: int, block: bytes) -> str:
    """Text of a block of lines that begins at line ``number``, with plain line ends."""
    try:
        return block.decode("utf-8-sig" if number == 1 else "utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(path, "is not UTF-8 text", record=number + block.count(b"\n", 0, error.start)) from None


def position(text: str, path: Path, number: int | str, base: int, hint: str = "") -> int:
    """0-based start of a position that counts from ``base``."""
    if not (text.isascii() and text.isdigit()):
        raise InputError(path, f"position {text[:20]!r} is not a whole number{hint}", record=number)
    value = int(text) - base
    if value > LARGEST:
        raise InputError(path, f"position {text[:20]} is beyond {LARGEST:,}", record=number)
    return value
