"""One noun to build, and the notes that tell whether it must be built again.

A noun is left as it is when a note beside the results says that it was made from the same settings, source files and
nouns. A noun without note (built by Snakemake) is left as it is when it was made from the nouns now there and is newer
than its source files, the configuration and the sheets.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqmill.runtime.errors import DamageError
from seqmill.runtime.files import atomic_write
from seqmill.runtime.marker import MARKER, check_sizes, read_marker

NOTES = ".notes"


@dataclass
class Step:
    """One noun.

    Attributes
    ----------
    folder : of the noun. what : the noun in words.
    settings : everything of the configuration that decides its content.
    sources : files of the user that it reads. needs : steps whose nouns it reads.
    build : writes it.
    """

    folder: Path
    what: str
    settings: dict[str, Any]
    build: Callable[[], Any]
    sources: list[Path] = field(default_factory=list)
    needs: list["Step"] = field(default_factory=list)


class Notes:
    """Notes of a folder of results."""

    def __init__(self, results: Path):
        self.results = results

    def _note(self, step: Step) -> Path:
        return self.results / NOTES / f"{step.folder.relative_to(self.results)}.json"

    def _key(self, step: Step) -> str:
        """Digest of all that decides the content of a noun."""
        stats = [path.stat() for path in step.sources if self.results not in path.parents]
        parts = {
            "settings": step.settings,
            "sources": [f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats],
            "needs": [read_marker(need.folder).digest for need in step.needs],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    def write(self, step: Step) -> None:
        """Note what the noun, which is there now, was made from."""
        note = {"key": self._key(step), "digest": read_marker(step.folder).digest}
        atomic_write(self._note(step), json.dumps(note) + "\n")

    def current(self, step: Step, configuration: list[Path] | None) -> bool:
        """Whether a noun is there as settings, files and what it needs say.

        Parameters
        ----------
        configuration : files that decide the settings, to judge a noun without note; None: such a noun is built again.
        """
        try:
            marker = read_marker(step.folder)
            check_sizes(step.folder, marker)
        except DamageError:
            return False
        try:
            note = json.loads(self._note(step).read_text())
            if note["digest"] == marker.digest:
                return note["key"] == self._key(step)
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no note, or a torn one
        return configuration is not None and self._newer(step, marker.attrs.get("inputs", {}), configuration)

    def _newer(self, step: Step, inputs: dict[str, str], configuration: list[Path]) -> bool:
        """Whether a noun without note was made from the nouns now there, after its files were last changed."""
        for label, digest in inputs.items():
            if (self.results / label / MARKER).exists() and read_marker(self.results / label).digest != digest:
                return False
        needs = [need.folder / MARKER for need in step.needs]
        made = (step.folder / MARKER).stat().st_mtime_ns
        return all(path.stat().st_mtime_ns <= made for path in [*step.sources, *configuration, *needs])
