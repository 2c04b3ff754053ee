"""The lock as the configuration uses it: which file a remote location became, and where that lies once fetched."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqmill.config.asked import Asked
from seqmill.config.base import expand
from seqmill.config.lock import LockRow, lock_beside, read_lock
from seqmill.config.remote import fetched_folder
from seqmill.runtime.errors import InputError

# Where the lock lies if there is neither a sheet nor `sources.lock`.
DEFAULT_LOCK = Path("config/sources.lock.tsv")
WRITE_IT = "run 'seqmill lock'"


def lock_path(values: Mapping[str, Any]) -> Path:
    """Path of the lock, from the configuration as it was written."""
    sources, tracks = values.get("sources") or {}, values.get("tracks") or {}
    if isinstance(sources, dict) and sources.get("lock"):
        return expand(sources["lock"])
    if isinstance(tracks, dict) and tracks.get("sheet"):
        return lock_beside(expand(tracks["sheet"]))
    return DEFAULT_LOCK


class Locked:
    """Rows of a lock by name.

    Parameters
    ----------
    path : of the lock; a lock that is not there holds nothing.
    """

    def __init__(self, path: Path):
        self.path = path
        self.rows: dict[str, list[LockRow]] = {}
        for row in read_lock(path) if path.exists() else []:
            self.rows.setdefault(row.name, []).append(row)

    def of(self, wish: Asked) -> list[LockRow]:
        """Rows of a wish. Raises InputError if the lock has none, or was written for another wish."""
        rows = self.rows.get(wish.name, [])
        if not rows:
            raise InputError(wish.where, f"{wish.name}: {wish.location} is not in the lock {self.path}; {WRITE_IT}")
        if rows[0].asked != wish.text:
            raise InputError(
                wish.where,
                f"{wish.name}: the lock {self.path} was written for {rows[0].asked!r}, not {wish.text!r}; {WRITE_IT}",
            )
        return rows

    def file(self, location: str) -> Path:
        """Path of the fetched file of a location of the configuration. Raises ValueError if it is not in the lock."""
        rows = self.rows.get(location, [])
        if len(rows) != 1:
            found = f"stands for {len(rows)} files in" if rows else "is not in"
            raise ValueError(f"{location} {found} the lock {self.path}; {WRITE_IT}")
        return fetched_folder(location) / rows[0].file
