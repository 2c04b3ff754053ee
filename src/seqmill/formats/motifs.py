"""Motifs in the minimal MEME format and in JASPAR's."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqmill.formats.lines import text_lines
from seqmill.runtime.errors import InputError

BASES = "ACGT"
_MATRIX = re.compile(r"letter-probability matrix:(.*)")
_SETTING = re.compile(r"(\w+)=\s*(\S+)")
TOLERANCE = 0.01  # rows are printed with few digits


@dataclass(frozen=True)
class Motif:
    """A motif as probabilities.

    Attributes
    ----------
    name : first word behind MOTIF.
    alias : the rest of that line.
    pwm : float64 (length, 4), order ACGT, rows sum to 1.
    """

    name: str
    alias: str
    pwm: np.ndarray


def information(pwm: np.ndarray) -> np.ndarray:
    """Information of each column against a uniform background, float64 (columns,), 0 to 2 bits.

    Schneider & Stephens (1990) Nucleic Acids Research 18:6097, without their small-sample correction.
    """
    safe = np.where(pwm > 0, pwm, 1)
    return 2 + np.sum(pwm * np.log2(safe), axis=1)


def consensus(pwm: np.ndarray) -> str:
    """The likeliest base of each column; a small letter where its probability is below one half."""
    letters = (BASES[column.argmax()] for column in pwm)
    return "".join(x if column.max() >= 0.5 else x.lower() for x, column in zip(letters, pwm))


def meme_text(motifs: Sequence[Motif], sites: Mapping[str, int] | None = None) -> str:
    """Motifs in minimal MEME format, version 4; ``sites``: name to the number of sites that a motif was made of."""
    parts = [
        "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\n"
        "Background letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n"
    ]
    for motif in motifs:
        count = (sites or {}).get(motif.name, 20)  # 20 is what programs take where nothing is said
        parts.append(f"\nMOTIF {motif.name} {motif.alias}".rstrip())
        parts.append(f"\nletter-probability matrix: alength= 4 w= {len(motif.pwm)} nsites= {count} E= 0\n")
        parts += [" ".join(f"{value:.6f}" for value in column) + "\n" for column in motif.pwm]
    return "".join(parts)


def read_meme(path: str | Path) -> list[Motif]:
    """Motifs of a MEME file (version 4 or 5, minimal format, DNA), in file order.

    Raises
    ------
    InputError : with the line.
    """
    motifs: list[Motif] = []
    title: tuple[str, str] | None = None
    rows: list[list[float]] = []
    wanted = 0
    seen_version = False
    for number, line in text_lines(path):
        text = line.strip()
        if wanted:
            if not text:
                continue
            rows.append(_probabilities(path, number, text))
            wanted -= 1
            if not wanted:
                pwm = np.array(rows)
                assert title is not None  # set before wanted is
                motifs.append(Motif(*title, pwm / pwm.sum(axis=1, keepdims=True)))
                title = None
        elif text.startswith("MEME version"):
            seen_version = True
        elif text.startswith("ALPHABET=") and text[9:].strip() != "ACGT":
            raise InputError(path, f"alphabet {text[9:].strip()!r}, expected ACGT", record=number)
        elif text.startswith("MOTIF"):
            name, _, alias = text[5:].strip().partition(" ")
            if not name:
                raise InputError(path, "motif without a name", record=number)
            if any(name == motif.name for motif in motifs):
                raise InputError(path, f"motif '{name}' comes twice", record=number)
            title = name, alias.strip()
        elif match := _MATRIX.match(text):
            if title is None:
                raise InputError(path, "matrix without a MOTIF line", record=number)
            wanted, rows = _width(path, number, match.group(1)), []
    if wanted:
        raise InputError(path, f"truncated: {wanted} rows of the last matrix are missing")
    if not seen_version:
        raise InputError(path, "not a MEME motif file: no line 'MEME version'")
    if not motifs:
        raise InputError(path, "no motifs")
    return motifs


def _width(path: str | Path, number: int, text: str) -> int:
    settings = dict(_SETTING.findall(text))
    if settings.get("alength", "4") != "4":
        raise InputError(path, f"matrix of {settings['alength']} letters, expected 4", record=number)
    width = settings.get("w", "")
    if not (width.isascii() and width.isdigit()) or not 0 < int(width) < 10_000:
        raise InputError(path, f"width w= {width or 'missing'} of the matrix is not a number of rows", record=number)
    return int(width)


def _probabilities(path: str | Path, number: int, text: str) -> list[float]:
    try:
        row = [float(word) for word in text.split()]
    except ValueError:
        row = []
    if len(row) != 4 or not all(0 <= value <= 1 for value in row) or abs(sum(row) - 1) > TOLERANCE:
        raise InputError(path, f"expected four probabilities that sum to 1, found {text[:60]!r}", record=number)
    return row


_LETTER_ROW = re.compile(r"(?:([ACGTacgt])\s*\[?)?([^\[\]]*)\]?")


def read_jaspar(path: str | Path) -> list[Motif]:
    """Motifs of a JASPAR file, in file order: ``>ID NAME``, then counts of A, C, G and T, a line each.

    The lines may be ``A [ 4 19 0 ]`` or bare numbers; the columns of a matrix are scaled to sum to 1.

    Raises
    ------
    InputError : with the line.
    """
    motifs: list[Motif] = []
    title: tuple[str, str] | None = None
    rows: list[list[float]] = []
    for number, line in text_lines(path):
        text = line.strip()
        if not text:
            continue
        if text.startswith(">"):
            if title is not None:
                raise InputError(path, f"motif '{title[0]}' has {len(rows)} of 4 rows", record=number)
            name, _, alias = text[1:].strip().partition("\t" if "\t" in text else " ")
            if not name or any(name == motif.name for motif in motifs):
                raise InputError(path, f"motif '{name}' comes twice" if name else "motif without a name", record=number)
            title, rows = (name, alias.strip()), []
            continue
        if title is None:
            raise InputError(path, f"expected '>ID NAME', found {text[:60]!r}", record=number)
        rows.append(_counts(path, number, text, "ACGT"[len(rows)], len(rows[0]) if rows else None))
        if len(rows) == 4:
            counts = np.array(rows).T
            if not (counts.sum(axis=1) > 0).all():
                raise InputError(path, f"motif '{title[0]}' has a column without counts", record=number)
            motifs.append(Motif(*title, counts / counts.sum(axis=1, keepdims=True)))
            title = None
    if title is not None:
        raise InputError(path, f"truncated: motif '{title[0]}' has {len(rows)} of 4 rows")
    if not motifs:
        raise InputError(path, "no motifs")
    return motifs


def _counts(path: str | Path, number: int, text: str, letter: str, width: int | None) -> list[float]:
    match = _LETTER_ROW.fullmatch(text)
    if match is None or (match.group(1) or letter).upper() != letter:
        raise InputError(path, f"expected the counts of {letter}, found {text[:60]!r}", record=number)
    try:
        row = [float(word) for word in match.group(2).split()]
    except ValueError:
        row = []
    if not row or not all(0 <= value < np.inf for value in row) or len(row) != (width or len(row)):
        expected = f"{width} counts" if width else "counts"
        raise InputError(path, f"expected {expected} of {letter}, found {text[:60]!r}", record=number)
    return row


def read_motifs(path: str | Path) -> list[Motif]:
    """Motifs of a MEME or a JASPAR file, told by the first line. Raises InputError, with the line."""
    first = next((line.strip() for _, line in text_lines(path) if line.strip()), "")
    return read_jaspar(path) if first.startswith(">") else read_meme(path)
