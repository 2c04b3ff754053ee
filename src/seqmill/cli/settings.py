"""What every verb is given: configuration files, single settings, and how its findings are said."""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seqmill.runtime.errors import InputError

DEFAULT_CONFIG = Path("config/config.yaml")
RESULTS = Path("results")


def overrides(pairs: list[str]) -> dict[str, Any]:
    """Nested mapping of ``a.b=value`` settings; values are read as YAML.

    >>> overrides(["models.basset.training.max_epochs=3", "report.title=A title"])
    {'models': {'basset': {'training': {'max_epochs': 3}}}, 'report': {'title': 'A title'}}
    """
    import yaml

    from seqmill.config.root import merge

    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not all(key.split(".")):
            raise InputError("--config", f"expected KEY=VALUE, found {pair!r}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError("--config", f"value of {key} is not YAML: {text!r}") from None
        for part in reversed(key.split(".")):
            value = {part: value}
        found = merge(found, value)
    return found


def config_files(arguments: argparse.Namespace) -> list[Path]:
    """Configuration files of a command. Raises InputError for one that is not there."""
    files = arguments.configfile or [DEFAULT_CONFIG]
    for path in files:
        if not path.is_file():
            raise InputError(path, "configuration does not exist; name one with --configfile")
    return files


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Settings of the command line, to be laid on the configuration files."""
    pairs = [*(arguments.config or []), *(["sources.locked=true"] if arguments.locked else [])]
    return overrides(pairs)


def project_of(arguments: argparse.Namespace) -> Any:
    """The project that a command works on."""
    from seqmill.config.project import Project

    return Project.load(list(config_files(arguments)), settings_of(arguments))


def written_of(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The configuration of a command as it was written, and what to call it; for verbs that work before the lock."""
    from seqmill.config.root import written

    return written(list(config_files(arguments)), settings_of(arguments))


def say(arguments: argparse.Namespace, found: Any, lines: Iterable[Any]) -> None:
    """Print what was found: with ``--json`` one object, else lines."""
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        for line in lines:
            print(line)


def remark(arguments: argparse.Namespace, text: str) -> None:
    """A closing word on standard error, unless silence was asked for."""
    if not arguments.quiet:
        print(text, file=sys.stderr)


def follow(arguments: argparse.Namespace, project: Any, choose: Any) -> int:
    """Take part in the trainings that process 0 of several (`seqmill.runtime.cluster`) builds with the same command.

    It holds the lock of the working folder and builds what they need; this process only trains.
    """
    from seqmill.stages.steps import Steps

    steps = Steps(project, RESULTS)
    wanted = [step for step in choose(steps) if not steps.is_current(step)]
    for step in wanted:
        step.build()
    remark(arguments, f"took part in {len(wanted)} trainings")
    return 0


def build(arguments: argparse.Namespace, project: Any, choose: Any, then: Any = None) -> int:
    """Build the steps that ``choose`` names while holding the lock of the working folder; print what they wrote.

    ``then`` is called afterwards under the same lock; the paths that it returns are printed instead.
    """
    from seqmill.runtime.locks import acquire
    from seqmill.stages.steps import Steps

    steps = Steps(project, RESULTS)
    wanted = choose(steps)
    configuration = None
    if not arguments.config:  # --locked decides where bytes come from, not what they are
        sheets = [project.config.tracks.sheet] if project.config.tracks else []
        sheets += [project.config.reads.sheet] if project.config.reads.sheet else []
        configuration = [path for path in [*config_files(arguments), *sheets] if path.is_file()]
    lock = acquire(RESULTS / ".run.lock", f"the working folder {Path.cwd()}")
    try:
        built = steps.run(wanted, configuration=configuration)
        written = [step.folder for step in wanted] if then is None else then()
    finally:
        lock.release()
    current = len(steps.in_order(wanted)) - built
    found = {"verb": arguments.verb, "written": [str(path) for path in written], "built": built, "up_to_date": current}
    say(arguments, found, written)
    remark(arguments, f"{built} built, {current} up to date")
    return 0
