"""The completion marker: the one small file of a noun that says it is whole, written last.

``marker.json`` lists every file of the folder with size and SHA-256. Its own bytes are canonical JSON that carries
their own digest, so a change of any byte of it is found too. A noun may hold *parts*, sub-folders with markers of
their own (the parts of a dataset are written by different jobs); then the outer marker lists the markers of the parts.

A file that differs between two equal runs (``run.json``: seconds, memory) is a *record*: not in the marker, but it
holds the marker's digest and one of itself (`seal`), both of which `verify_folder` checks.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqmill.runtime.errors import DamageError
from seqmill.runtime.files import atomic_write

MARKER = "marker.json"
RECORD = "run.json"
_IGNORED = {MARKER, RECORD, ".snakemake_timestamp"}
# What writers of parts leave or keep beside them: locks, and unfinished folders that the next writer sweeps.
_WORK = re.compile(r"\..+\.(lock|(part|trash)-[0-9a-f]{8})")


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, one-space indent and a last newline: the only accepted spelling of a sealed file."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def seal(value: dict[str, Any]) -> bytes:
    """Bytes of ``value`` with a ``seal`` key: the SHA-256 of its canonical form without that key."""
    body = {key: item for key, item in value.items() if key != "seal"}
    return canonical({**body, "seal": hashlib.sha256(canonical(body)).hexdigest()})


def unseal(path: Path) -> dict[str, Any]:
    """Read a sealed file. Raises DamageError if any byte of it is not as it was written."""
    try:
        raw = path.read_bytes()
        value = json.loads(raw)
        intact = isinstance(value, dict) and seal(value) == raw
    except FileNotFoundError:
        raise DamageError(f"{path}: missing; the folder was not finished or the file was deleted") from None
    except (ValueError, OSError, RecursionError) as error:
        raise DamageError(f"{path}: not readable as sealed JSON ({error})") from None
    if not intact:
        raise DamageError(f"{path}: its content does not match its own seal; it was changed after it was written")
    return value


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@dataclass(frozen=True)
class Marker:
    """What ``marker.json`` says. ``files`` maps a path relative to the folder to (bytes, SHA-256)."""

    noun: str
    name: str
    format: int
    files: dict[str, tuple[int, str]]
    parts: dict[str, str] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    digest: str = ""


def _walk(folder: Path, parts: Iterable[str]) -> Iterable[str]:
    """Relative paths of all files that the marker of ``folder`` must list, sorted."""
    skip = set(parts)
    found = []
    for root, folders, names in os.walk(folder):
        relative = os.path.relpath(root, folder)
        prefix = "" if relative == "." else relative + "/"
        folders[:] = [name for name in folders if prefix + name not in skip and not _WORK.fullmatch(name)]
        found += [prefix + name for name in names if not _WORK.fullmatch(name) and (prefix or name not in _IGNORED)]
    return sorted(found)


def named(path: str | Path, name: str) -> bool:
    """True if ``path`` ends with the components of ``name``.

    >>> named("results/datasets/demo.zarr/rows", "demo.zarr/rows")
    True
    """
    parts = Path(name).parts
    return Path(os.path.abspath(path)).parts[-len(parts) :] == parts if parts else False


def write_marker(
    folder: str | Path,
    *,
    noun: str,
    name: str,
    format: int,
    attrs: dict[str, Any] | None = None,
    parts: Iterable[str] = (),
) -> Marker:
    """Digest every file of ``folder`` and write its marker, last of all.

    Parameters
    ----------
    noun, name : kind of the artefact and the last components of its path ("K562.zarr", "demo.zarr/rows");
        `verify_folder` compares ``name`` with where the folder lies.
    format : version of the noun's layout; a reader refuses others.
    attrs : what a reader needs before it opens an array, and the digests of the inputs.
    parts : relative paths of sub-folders that already have markers of their own.
    """
    folder = Path(folder)
    parts = sorted(parts)
    files = {path: ((folder / path).stat().st_size, file_digest(folder / path)) for path in _walk(folder, parts)}
    for path in files:
        with open(folder / path, "rb") as handle:
            os.fsync(handle.fileno())
    body = {
        "noun": noun,
        "name": name,
        "format": format,
        "attrs": attrs or {},
        "files": {path: list(entry) for path, entry in files.items()},
        "parts": {part: read_marker(folder / part).digest for part in parts},
    }
    sealed = seal(body)
    if (folder / RECORD).exists():  # tie the record to this noun: one from another folder would pass its own seal
        atomic_write(folder / RECORD, seal({**unseal(folder / RECORD), "marker": json.loads(sealed)["seal"]}))
    atomic_write(folder / MARKER, sealed)
    return read_marker(folder)


def read_marker(folder: str | Path, *, noun: str | None = None, format: int | None = None) -> Marker:
    """Read and check the marker of ``folder``. Raises DamageError when missing, changed or of another kind."""
    path = Path(folder) / MARKER
    value = unseal(path)
    try:
        marker = Marker(
            noun=value["noun"],
            name=value["name"],
            format=value["format"],
            files={key: (entry[0], entry[1]) for key, entry in value["files"].items()},
            parts=value["parts"],
            attrs=value["attrs"],
            digest=value["seal"],
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise DamageError(f"{path}: not a seqmill marker ({error!r})") from None
    if noun is not None and marker.noun != noun:
        raise DamageError(f"{path}: is the marker of a {marker.noun}, expected a {noun}")
    if format is not None and marker.format != format:
        raise DamageError(f"{path}: format {marker.format} of {marker.noun}, this version reads {format}: rebuild it")
    return marker


def check_sizes(folder: str | Path, marker: Marker) -> None:
    """Compare names and sizes of files with the marker, without reading them.

    Readers of Zarr return fill values for a lost shard without a word; this is the check each opener makes.
    """
    folder = Path(folder)
    for path, (size, _) in marker.files.items():
        try:
            found = os.stat(folder / path).st_size
        except FileNotFoundError:
            raise DamageError(f"{folder / path}: missing, {size} bytes expected by {MARKER}") from None
        if found != size:
            raise DamageError(f"{folder / path}: {found} bytes, {size} expected by {MARKER}")


def verify_folder(folder: str | Path) -> list[str]:
    """Re-read every byte of a noun and its parts; return one message for each damaged place (empty: whole)."""
    folder = Path(folder)
    try:
        marker = read_marker(folder)
    except DamageError as error:
        return [str(error)]
    problems = []
    if not named(folder, marker.name):
        problems.append(f"{folder / MARKER}: is that of '{marker.name}': files or folders were swapped or renamed")
    expected = set(marker.files)
    found = set(_walk(folder, marker.parts))
    problems += [f"{folder / path}: missing, listed in {MARKER}" for path in sorted(expected - found)]
    problems += [f"{folder / path}: not listed in {MARKER}" for path in sorted(found - expected)]
    for path in sorted(expected & found):
        size, digest = marker.files[path]
        actual = (folder / path).stat().st_size
        if actual != size:
            problems.append(f"{folder / path}: {actual} bytes, {size} expected")
        elif file_digest(folder / path) != digest:
            problems.append(f"{folder / path}: content changed (SHA-256 differs from {MARKER})")
    record = folder / RECORD
    if record.exists():
        try:
            if unseal(record).get("marker") != marker.digest:
                problems.append(f"{record}: is the record of another {MARKER}")
        except DamageError as error:
            problems.append(str(error))
    elif marker.attrs.get("recorded"):
        problems.append(f"{record}: missing")
    for part, digest in marker.parts.items():
        problems += verify_folder(folder / part)
        try:
            if read_marker(folder / part).digest != digest:
                problems.append(f"{folder / part}: is not the part that {folder / MARKER} was written for")
        except DamageError:
            pass  # already reported by verify_folder above
    return problems
