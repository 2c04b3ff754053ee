"""Re-read everything: what is flipped, cut, lost, swapped or made from something else is named."""

import os
from collections.abc import Iterator
from pathlib import Path

from seqmill.runtime.errors import DamageError, InputError
from seqmill.runtime.marker import MARKER, Marker, named, read_marker, verify_folder
from seqmill.stores.remote import LINK, verify_link

# Folders of a tree of results, by kind of noun.
KINDS = ("sources", "genome", "tracks", "datasets", "models", "predictions", "maps", "motifs", "variants", "measured")


def verify(path: str | Path) -> list[str]:
    """Check one noun, or every noun of a tree of results, byte for byte.

    Returns
    -------
    One message for each damaged place; empty if all is whole. Findings are: a file whose size or content is not what
    its marker says, a missing or additional file, a changed marker or run record, a folder under another name, a store
    without marker (not finished), a noun whose inputs in the same tree have another digest, and a noun that is
    missing from the tree although another was made from it (only where the tree holds the folder of its kind).

    Raises
    ------
    InputError if ``path`` is not a folder or holds nothing to verify.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(path, "is not a folder of results" if path.exists() else "does not exist")
    problems: list[str] = []
    nouns: dict[Path, Marker] = {}
    seen = 0
    for folder, is_noun in _folders(path):
        seen += 1
        if not is_noun:
            problems.append(f"{folder / MARKER}: missing: {folder.name} was not finished, or its marker was deleted")
            continue
        problems += verify_link(folder) if (folder / LINK).exists() else verify_folder(folder)
        nouns |= _with_parts(folder)
    if not seen:
        raise InputError(path, f"holds nothing to verify: no {MARKER} in it or below")
    return list(dict.fromkeys(problems + _stale(nouns) + _missing(path, nouns)))


def _looks_like_noun(folder: Path, names: list[str]) -> bool:
    return folder.suffix == ".zarr" or "zarr.json" in names or "model.json" in names


def _folders(path: Path) -> Iterator[tuple[Path, bool]]:
    """Outermost folders that hold a marker (True), or look as if they should (False); hidden folders are work files."""
    for root, folders, names in os.walk(path):
        folder = Path(root)
        if MARKER in names:
            folders.clear()  # its parts are listed in its marker
            yield folder, True
        elif _looks_like_noun(folder, names):
            yield folder, False
            # below an unfinished dataset only its finished parts can be judged
            inner = [part.relative_to(folder) for part in sorted(folder.rglob(MARKER))]
            folders.clear()
            yield from (
                (folder / part.parent, True)
                for part in inner
                if not str(part).startswith(".") and "/." not in str(part)
            )
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def _with_parts(folder: Path) -> dict[Path, Marker]:
    try:
        marker = read_marker(folder)
    except DamageError:
        return {}  # verify_folder has reported it
    found = {folder: marker}
    for part in marker.parts:
        found |= _with_parts(folder / part)
    return found


def _stale(nouns: dict[Path, Marker]) -> list[str]:
    """Nouns that were made from another version of a noun of the same tree."""
    problems = []
    for folder, marker in nouns.items():
        inputs = marker.attrs.get("inputs")
        for label, digest in sorted(inputs.items()) if isinstance(inputs, dict) else ():
            found = [other for other in nouns if named(other, label)]
            if len(found) == 1 and nouns[found[0]].digest != digest:
                problems.append(f"{folder}: was built from another version of {found[0]}; build it again")
    return problems


def _missing(path: Path, nouns: dict[Path, Marker]) -> list[str]:
    """Nouns that others were made from and that are gone from the tree below ``path``."""
    problems = []
    for folder, marker in nouns.items():
        outer = next(other for other in reversed([folder, *folder.parents]) if other in nouns)
        above = [parent for parent in outer.parents if parent == path or path in parent.parents]
        inputs = marker.attrs.get("inputs")
        for label in sorted(inputs) if isinstance(inputs, dict) else ():
            kind = label.partition("/")[0]
            root = next((parent for parent in above if kind in KINDS and (parent / kind).is_dir()), None)
            if root is not None and not (root / label).exists():
                problems.append(f"{root / label}: missing; {outer} was made from it")
    return problems
