"""Verbs of searches and of curves over the size of the data."""

import argparse

from seqmill.cli.settings import RESULTS, build, project_of, remark, say
from seqmill.runtime.errors import InputError


def search(arguments: argparse.Namespace) -> int:
    from seqmill.stages import searches as search_steps

    project = project_of(arguments)
    if arguments.name not in project.config.searches:
        known = ", ".join(project.config.searches) or "none"
        raise InputError(project.where, f"search {arguments.name!r} is not configured; known: {known}")
    folds = _folds(arguments, project)
    if arguments.worker:
        ended = [search_steps.take_part(project, RESULTS, arguments.name, fold) for fold in folds]
        say(arguments, {"verb": arguments.verb, "trials": ended}, [])
        remark(arguments, f"{sum(ended)} trials have ended")
        return 0
    if arguments.fold is None:
        return build(arguments, project, lambda steps: [search_steps.of_scores(steps, arguments.name)])
    return build(arguments, project, lambda steps: [search_steps.of_search(steps, arguments.name, arguments.fold)])


def curve(arguments: argparse.Namespace) -> int:
    from seqmill.stages import curves as curve_steps

    return build(arguments, project_of(arguments), lambda steps: [curve_steps.of_curve(steps, arguments.name)])


def _folds(arguments: argparse.Namespace, project) -> list[str]:
    folds = project.search_folds(arguments.name)
    if arguments.fold is None:
        return folds
    if arguments.fold not in folds:
        raise InputError(project.where, f"{arguments.name}: fold {arguments.fold!r} is none of {', '.join(folds)}")
    return [arguments.fold]
