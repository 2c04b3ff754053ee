"""Files and folders that are either whole or not there."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part-"
TRASH = ".trash-"


def fsync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` survive a power loss."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place when the block ends well, delete it otherwise."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}{PART}{uuid.uuid4().hex[:8]}")
    try:
        yield part
        with open(part, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(part, path)
        fsync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def atomic_write(path: str | Path, content: str | bytes) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, never a mixture."""
    data = content.encode() if isinstance(content, str) else content
    with atomic_path(path) as part:
        part.write_bytes(data)


def sweep(folder: str | Path) -> None:
    """Delete what killed writers of ``folder`` left beside it. Call it only while holding the lock of ``folder``."""
    folder = Path(folder)
    if folder.parent.is_dir():
        prefixes = tuple(f".{folder.name}{kind}" for kind in (PART, TRASH))
        for leftover in list(folder.parent.iterdir()):
            if leftover.name.startswith(prefixes):
                shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def staged_folder(folder: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside ``folder``; put it in the place of ``folder`` when the block ends well.

    A reader sees the old folder, for an instant none, then the new one. The writer must hold the artefact lock
    (`seqmill.runtime.locks.artefact_lock`), because leftovers of killed writers are swept first.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    tag = uuid.uuid4().hex[:8]
    part = folder.with_name(f".{folder.name}{PART}{tag}")
    part.mkdir()
    try:
        yield part
        if folder.exists():
            trash = folder.with_name(f".{folder.name}{TRASH}{tag}")
            os.rename(folder, trash)
            os.rename(part, folder)
            shutil.rmtree(trash, ignore_errors=True)
        else:
            os.rename(part, folder)
        fsync_folder(folder.parent)
    finally:
        if part.exists():
            shutil.rmtree(part, ignore_errors=True)
