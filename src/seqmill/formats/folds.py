"""ChromBPNet's ``fold_N.json``: which contigs train, validate and test."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from seqmill.formats.lines import text_lines
from seqmill.runtime.errors import InputError
from seqmill.runtime.files import atomic_write

SPLITS = ("train", "valid", "test")


def read_fold(path: str | Path) -> dict[str, list[str]]:
    """Contigs of the parts ``train``, ``valid`` and ``test`` of a ChromBPNet ``fold_N.json``.

    Raises
    ------
    InputError : not such a file, or a contig is in two parts.
    """
    try:
        value = json.loads("\n".join(line for _, line in text_lines(path)))
    except ValueError as error:
        raise InputError(path, f"not JSON ({error})") from None
    if not isinstance(value, dict) or set(value) != set(SPLITS):
        found = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
        raise InputError(path, f"expected the keys train, valid and test, found {found}")
    seen: dict[str, str] = {}
    for part in SPLITS:
        contigs = value[part]
        if not isinstance(contigs, list) or not all(isinstance(name, str) and name for name in contigs):
            raise InputError(path, "expected a list of contig names", record=part)
        for name in contigs:
            if name in seen:
                raise InputError(path, f"contig '{name}' is in {seen[name]} and in {part}")
            seen[name] = part
    return {part: list(value[part]) for part in SPLITS}


def write_fold(path: str | Path, parts: Mapping[str, Iterable[str]]) -> None:
    """Write the contigs of ``train``, ``valid`` and ``test`` as a ChromBPNet ``fold_N.json``."""
    if set(parts) != set(SPLITS):
        raise ValueError(f"parts must be train, valid and test, not {', '.join(parts)}")
    body = {part: list(parts[part]) for part in SPLITS}
    double = {name for names in body.values() for name in names if sum(name in other for other in body.values()) > 1}
    if double:
        raise InputError(path, f"contig '{sorted(double)[0]}' is in two parts")
    atomic_write(path, json.dumps(body, indent=1) + "\n")
