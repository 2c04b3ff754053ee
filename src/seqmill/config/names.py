"""Names from sheets are kept as labels; on disk a label becomes a safe slug that can be read back."""

import re

from seqmill.runtime.errors import InputError

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+()\-]{0,127}")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_MANGLED = re.compile(r"\d{1,2}-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)|\d(\.\d+)?E\+\d+", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9._+\-]")


def check_label(label: str, where: str, record: str | int | None = None) -> str:
    """Return ``label`` if it may name a track, dataset or model, else raise InputError."""
    if not _ALLOWED.fullmatch(label) or label.strip().lower().split(".")[0] in _RESERVED:
        raise InputError(
            where,
            f"id {label[:60]!r} must start with a letter or digit and have at most 128 letters, digits, spaces "
            "or . _ + ( ) - (and not be a reserved device name)",
            record=record,
        )
    if _MANGLED.fullmatch(label):
        raise InputError(
            where, f"id {label!r} looks mangled by a spreadsheet; format the column as text", record=record
        )
    return label


def slug(label: str) -> str:
    """Name of ``label`` on disk: bytes outside ``A-Z a-z 0-9 . _ + -`` become ``=XX`` (as in quoted-printable).

    >>> slug("LNG.IMR90 "), slug("CNhs10608+")
    ('LNG.IMR90=20', 'CNhs10608+')
    """
    return "".join(c if _PLAIN.fullmatch(c) else "".join(f"={b:02X}" for b in c.encode()) for c in label)


def label_of(slug_: str) -> str:
    """The label that `slug` was made from.

    >>> label_of("LNG.IMR90=20")
    'LNG.IMR90 '
    """
    return re.sub(rb"=([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), slug_.encode()).decode()


def check_collisions(labels: list[str], where: str, lines: list[int] | None = None) -> None:
    """Raise InputError if two labels are equal, or would be one file on a disk that ignores case.

    ``lines`` are the line numbers (1-based) of the labels, where they come from a file.
    """
    seen: dict[str, int] = {}
    for number, label in enumerate(labels):
        key = slug(label).casefold()
        if key in seen:
            other = labels[seen[key]]
            how = "is given twice" if other == label else f"and {other!r} collide on case-insensitive disks"
            at = f" (lines {lines[seen[key]]} and {lines[number]})" if lines else ""
            raise InputError(where, f"id {label!r} {how}{at}")
        seen[key] = number
