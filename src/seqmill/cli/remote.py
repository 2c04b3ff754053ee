"""Verbs that pin remote files and fetch them."""

import argparse

from seqmill.cli.settings import build, project_of, remark, say, written_of
from seqmill.runtime.errors import InputError
from seqmill.stages.sources import of_fetch


def lock(arguments: argparse.Namespace) -> int:
    from seqmill.runtime.progress import human_bytes
    from seqmill.sources.locking import lock_project

    values, where = written_of(arguments)
    if arguments.check:
        return _check(arguments, values, where)
    made = lock_project(values, where, update=None if arguments.all else arguments.names)
    size = sum(row.bytes for row in made.rows)
    found = {"lock": str(made.path), "files": len(made.rows), "bytes": size}
    say(arguments, {**found, "changed": made.asked_for, "removed": made.removed}, [made.path])
    changed = f"{len(made.asked_for)} new or changed, {len(made.removed)} removed"
    remark(arguments, f"{len(made.rows)} files, {human_bytes(size)}; {changed}")
    return 0


def _check(arguments: argparse.Namespace, values: dict, where: str) -> int:
    """Whether the lock answers the sheet and the configuration as they are now."""
    from seqmill.config.locked import Locked, lock_path
    from seqmill.config.wishes import wishes

    locked, asked = Locked(lock_path(values)), wishes(values, where)
    for wish in asked:
        locked.of(wish)
    say(arguments, {"lock": str(locked.path), "names": len(asked)}, [locked.path])
    remark(arguments, f"the lock holds all {len(asked)} remote names")
    return 0


def fetch(arguments: argparse.Namespace) -> int:
    from seqmill.sources.locking import known

    project = project_of(arguments)
    remote = project.fetched()
    for name in arguments.names:
        if name not in remote:
            raise InputError(project.where, f"{name!r} is no remote file that is used here; {known(remote)}")
    return build(arguments, project, lambda steps: [of_fetch(steps, name) for name in arguments.names or remote])
