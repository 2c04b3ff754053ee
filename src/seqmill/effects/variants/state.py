"""Finished chunks of scores, kept beside the output until it is whole, so that a killed run goes on."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqmill.runtime.errors import DamageError
from seqmill.runtime.files import atomic_path, atomic_write, sweep
from seqmill.runtime.marker import canonical, file_digest, seal, unseal

PLAN = "plan.json"


class ChunkStore:
    """Chunks in a folder, each a file with its digest: Parquet here, of another `ENDING` where a class says so.

    Parameters
    ----------
    folder : of the state. plan : all that the scores depend on; chunks of another plan are deleted.

    Attributes
    ----------
    resumed : whether a plan like this one was there.
    """

    ENDING = "parquet"

    def __init__(self, folder: str | Path, plan: Mapping[str, Any]):
        self.folder = Path(folder)
        self.plan = hashlib.sha256(canonical(dict(plan))).hexdigest()
        path = self.folder / PLAN
        try:
            self.resumed = unseal(path)["plan"] == self.plan
        except (DamageError, KeyError):
            self.resumed = False
        if not self.resumed:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            atomic_write(path, seal({"plan": self.plan, **json.loads(canonical(dict(plan)))}))

    def _paths(self, number: int) -> tuple[Path, Path]:
        return self.folder / f"{number:06d}.{self.ENDING}", self.folder / f"{number:06d}.json"

    def has(self, number: int) -> bool:
        """Whether a chunk is there as it was written."""
        data, note = self._paths(number)
        try:
            return unseal(note) == unseal(note) | {"plan": self.plan, "sha256": file_digest(data)}
        except (DamageError, OSError):
            return False

    def write(self, number: int, table: Any) -> None:
        data, note = self._paths(number)
        for path in (data, note):
            sweep(path)
        with atomic_path(data) as part:
            self._save(part, table)
        atomic_write(note, seal({"plan": self.plan, "sha256": file_digest(data)}))

    def read(self, number: int) -> Any:
        return self._load(self._paths(number)[0])

    def _save(self, path: Path, table: Any) -> None:
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, path, compression="zstd")

    def _load(self, path: Path) -> Any:
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path, partitioning=None)

    def delete(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
