"""Steps of a project in their order: what is there already, what must be built again.

What each noun is made of is said in the files beside this one; they call the functions that ``workflow/scripts`` calls.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqmill.config.project import Project
from seqmill.runtime.errors import InputError
from seqmill.stages.step import Notes, Step


class Steps:
    """Steps of a project, made when they are asked for.

    Parameters
    ----------
    project : the configuration. results : folder of all nouns.
    """

    def __init__(self, project: Project, results: str | Path = "results"):
        self.project, self.results = project, Path(results)
        self.notes = Notes(self.results)
        self._made: dict[Path, Step] = {}

    def step(self, place: str, what: str, settings: dict[str, Any], build: Callable[[], Any], **more: Any) -> Step:
        """The step whose noun lies at ``place`` below the results; made once."""
        folder = self.results / place
        return self._made.setdefault(folder, Step(folder, what, settings, build, **more))

    def in_order(self, wanted: list[Step]) -> list[Step]:
        """``wanted`` and all they need, each once, needs first."""
        found: dict[Path, Step] = {}

        def visit(step: Step) -> None:
            if step.folder not in found:
                for need in step.needs:
                    visit(need)
                found[step.folder] = step

        for step in wanted:
            visit(step)
        return list(found.values())

    def run(self, wanted: list[Step], *, configuration: list[Path] | None = None) -> int:
        """Build what is missing or out of date; returns how many nouns were built.

        Parameters
        ----------
        configuration : files that decide the settings (configuration, sheet), to judge nouns that have no note; None
            if settings came from elsewhere too, then such nouns are built again.
        """
        log, built = logging.getLogger("seqmill"), 0
        for step in self.in_order(wanted):
            for source in step.sources:
                if not source.is_file():
                    raise InputError(source, f"does not exist or is not a file; {step.what} needs it")
            if self.notes.current(step, configuration):
                log.info("%s: up to date", step.what)
                continue
            log.info("%s: building", step.what)
            step.build()
            self.notes.write(step)
            built += 1
        return built

    def is_current(self, step: Step) -> bool:
        """Whether a noun is there as the configuration and what it needs say."""
        return self.notes.current(step, None)


def some_of(names: Any) -> str:
    """Some of the names of a section, for messages."""
    listed = list(names)
    return ", ".join(listed[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "") or "none"
