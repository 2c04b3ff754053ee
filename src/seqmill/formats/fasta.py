"""FASTA, plain, gzip or BGZF, one record at a time."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from seqmill.formats.text import line_blocks, regular_file
from seqmill.genome.names import harmonise
from seqmill.genome.sequence import DNA_TABLE, INVALID, RNA_TABLE
from seqmill.runtime.errors import InputError

AMBIGUITY_WARNING = 0.05
_HEADER = re.compile(rb"^>[^\n]*\n?", re.MULTILINE)
_NEWLINES = b"\r\n"


@dataclass(frozen=True)
class FastaRecord:
    """One sequence.

    Attributes
    ----------
    name : first word of the header.
    codes : uint8 (length,), A0 C1 G2 T3 N4.
    softmask : bool (length,), True where the letter was lower case.
    iupac : letters other than ACGT (upper case, N included) -> how often.
    description : the header without ``>``.
    """

    name: str
    codes: np.ndarray
    softmask: np.ndarray
    iupac: dict[str, int]
    description: str = ""

    def __len__(self) -> int:
        return len(self.codes)


def read_fasta(
    path: str | Path,
    *,
    sizes: Mapping[str, int] | None = None,
    allow_rna: bool = False,
    unique: bool = True,
) -> Iterator[FastaRecord]:
    """Yield the records of a FASTA file in file order; one is in memory at a time.

    Windows line ends, blank lines and ragged line widths are accepted. An index (``.fai``) beside the file is not
    used, so a stale one does no harm.

    Parameters
    ----------
    path : plain, gzip or BGZF, told by content.
    sizes : expected contig lengths in bp: a difference or a missing contig is an error (a gzip file cut between two
        of its members shows in no other way).
    allow_rna : read U as T, for tables of RNA sequences.
    unique : refuse a name that comes twice.

    Raises
    ------
    InputError : with the line number and what was found.
    """
    seen: set[str] = set()
    lengths: dict[str, int] = {}
    current: _Building | None = None
    for number, block in line_blocks(path):
        place, counted, line = 0, 0, number
        for match in _HEADER.finditer(block):
            line += block.count(b"\n", counted, match.start())
            counted = match.start()
            current = _extend(current, path, block[place : match.start()], line, allow_rna)
            if current is not None:
                yield _finish(current, path, lengths)
            current = _Building(*_name(path, match.group(), line), line)
            if unique and current.name in seen:
                raise InputError(path, f"contig '{current.name}' comes twice", record=line)
            seen.add(current.name)
            place = match.end()
        end = number + block.count(b"\n")
        current = _extend(current, path, block[place:], end, allow_rna)
    if current is None:
        raise InputError(path, "no sequences: not one line starts with '>'")
    yield _finish(current, path, lengths)
    if sizes is not None:
        _check_all_there(path, lengths, sizes)


class _Building:
    """A record whose lines are still coming in."""

    def __init__(self, name: str, description: str, line: int):
        self.name, self.description, self.line = name, description, line
        self.codes: list[np.ndarray] = []
        self.softmask: list[np.ndarray] = []
        self.iupac: Counter[str] = Counter()


def _name(path: str | Path, header: bytes, line: int) -> tuple[str, str]:
    try:
        description = header[1:].decode("utf-8").strip()
    except UnicodeDecodeError:
        raise InputError(path, "header is not UTF-8 text", record=line) from None
    if not description:
        raise InputError(path, "header without a name", record=line)
    if not description.replace("\t", " ").isprintable():
        raise InputError(path, "header holds a control character", record=line)
    return description.split()[0], description


def _extend(
    current: _Building | None, path: str | Path, raw: bytes, end_line: int, allow_rna: bool
) -> _Building | None:
    """Add sequence lines to the record. ``end_line`` is the number of the line behind them."""
    codes = np.frombuffer(raw.translate(RNA_TABLE if allow_rna else DNA_TABLE, _NEWLINES), dtype=np.uint8)
    if not codes.size:
        return current
    if current is None or codes.max() == INVALID:
        _refuse(current, path, raw, end_line, allow_rna)
    letters = np.frombuffer(raw.translate(None, _NEWLINES), dtype=np.uint8)
    current.codes.append(codes)
    current.softmask.append(letters >= ord("a"))
    known = b"ACGTacgtUu" if allow_rna else b"ACGTacgt"
    current.iupac.update(raw.translate(None, known + b"Nn" + _NEWLINES).decode("ascii").upper())
    unknown = raw.count(b"N") + raw.count(b"n")
    if unknown:
        current.iupac["N"] += unknown
    return current


def _refuse(current: _Building | None, path: str | Path, raw: bytes, end_line: int, allow_rna: bool) -> NoReturn:
    """Raise for the first bad line of ``raw``."""
    line = end_line - raw.count(b"\n")
    table = RNA_TABLE if allow_rna else DNA_TABLE
    for offset, text in enumerate(raw.split(b"\n")):
        if current is None and text.strip():
            raise InputError(path, "sequence before the first header; expected '>'", record=line + offset)
        codes = text.rstrip(b"\r").translate(table)
        bad = codes.find(bytes([INVALID]))
        if bad >= 0:
            raise InputError(path, _reason(text[bad : bad + 1]), record=line + offset)
    raise InputError(path, "holds what is not DNA", record=line)


def _reason(byte: bytes) -> str:
    letter = byte.decode("latin-1")
    if letter in "Uu":
        return "'U' is not DNA; RNA FASTA? Allow it where RNA is meant"
    if letter in "-.":
        return f"gap '{letter}': an alignment, not a sequence"
    if letter.upper() in "EFILPQZOJX" or letter == "*":
        return f"'{letter}' is not DNA; protein FASTA?"
    return f"{letter!r} is not a letter of DNA (IUPAC)"


def _finish(current: _Building, path: str | Path, lengths: dict[str, int]) -> FastaRecord:
    if not current.codes:
        raise InputError(path, f"'{current.name}' has no sequence", record=current.line)
    codes, softmask = np.concatenate(current.codes), np.concatenate(current.softmask)
    ambiguous = sum(count for letter, count in current.iupac.items() if letter != "N")
    if ambiguous > AMBIGUITY_WARNING * len(codes):
        logging.getLogger("seqmill").warning(
            "%s: %.1f %% of %s are ambiguity letters other than N; they are read as N",
            path,
            100 * ambiguous / len(codes),
            current.name,
        )
    lengths[current.name] = len(codes)
    return FastaRecord(current.name, codes, softmask, dict(current.iupac), current.description)


def _check_all_there(path: str | Path, lengths: Mapping[str, int], sizes: Mapping[str, int]) -> None:
    mapping = harmonise(lengths, sizes, str(path), sizes=lengths)
    missing = sorted(set(sizes) - set(mapping.values()))
    if missing:
        raise InputError(
            path,
            f"{len(missing)} contig(s) of the sizes table are missing, first {', '.join(missing[:3])}: "
            "truncated file or another genome",
        )


def read_sizes(path: str | Path) -> dict[str, int]:
    """Contig lengths in bp from a ``chrom.sizes`` table or a ``.fai`` index, in file order."""
    path = regular_file(path)
    sizes: dict[str, int] = {}
    for number, block in line_blocks(path):
        for offset, raw in enumerate(block.splitlines()):
            text = raw.decode("utf-8", "replace").strip()
            if not text or text.startswith("#"):
                continue
            fields = text.split()
            if len(fields) < 2 or not (fields[1].isascii() and fields[1].isdigit()) or int(fields[1]) == 0:
                raise InputError(
                    path, f"expected a contig name and its length, found {text[:60]!r}", record=number + offset
                )
            if fields[0] in sizes:
                raise InputError(path, f"contig '{fields[0]}' comes twice", record=number + offset)
            sizes[fields[0]] = int(fields[1])
    if not sizes:
        raise InputError(path, "no contigs: expected lines of name and length")
    return sizes
