"""Verbs of the stages, from tracks to the report."""

import argparse
import os
from pathlib import Path
from typing import Any

from seqmill.cli.settings import RESULTS, build, follow, project_of
from seqmill.config.names import label_of
from seqmill.runtime.cluster import find_place
from seqmill.runtime.errors import InputError
from seqmill.stages.datasets import of_dataset
from seqmill.stages.models import of_model
from seqmill.stages.tracks import of_track


def tracks(arguments: argparse.Namespace) -> int:
    project = project_of(arguments)
    names = arguments.names or list(project.tracks)
    if not names:
        raise InputError(project.where, "has no track sheet: set tracks.sheet")
    return build(arguments, project, lambda steps: [of_track(steps, name) for name in names])


def quality(arguments: argparse.Namespace) -> int:
    from seqmill.stages import reads as reads_steps

    project = project_of(arguments)
    for name in arguments.names:
        if name not in [*project.experiments, *project.call_samples]:
            known = ", ".join([*project.experiments, *project.call_samples]) or "none"
            raise InputError(project.where, f"{name!r} is neither an experiment nor methylation calls; known: {known}")
    if not project.experiments and not project.call_samples:
        raise InputError(project.where, "has no reads: set reads.sheet, or give FASTQ or calls in the track sheet")

    def choose(steps: Any) -> list[Any]:
        if arguments.names:
            return [step for step in reads_steps.qualities(steps) if label_of(step.folder.name) in arguments.names]
        return [reads_steps.of_table(steps)]

    return build(arguments, project, choose)


def dataset(arguments: argparse.Namespace) -> int:
    return build(arguments, project_of(arguments), lambda steps: [of_dataset(steps, arguments.name)])


def folds_of(arguments: argparse.Namespace, project: Any, name: str) -> list[str]:
    """Folds of a run that are asked for."""
    folds = project.folds(name)
    if arguments.fold is None:
        return folds
    if arguments.fold not in folds:
        raise InputError(project.where, f"{name}: fold {arguments.fold!r} is none of {', '.join(folds)}")
    return [arguments.fold]


def model_of(arguments: argparse.Namespace, project: Any) -> str:
    """The network that is asked for. Raises InputError for an unknown one."""
    if arguments.model not in project.config.models:
        known = ", ".join(project.config.models) or "none"
        raise InputError(project.where, f"model {arguments.model!r} is not configured; known: {known}")
    return arguments.model


def train(arguments: argparse.Namespace) -> int:
    project = project_of(arguments)
    name = model_of(arguments, project)
    folds = folds_of(arguments, project, name)
    seeds = project.seeds(name) if arguments.seed is None else [arguments.seed]
    place = find_place(os.environ) if project.config.models[name].training.processes > 1 else None
    work = follow if place is not None and place.process else build
    return work(
        arguments, project, lambda steps: [of_model(steps, name, fold, seed) for fold in folds for seed in seeds]
    )


def predict(arguments: argparse.Namespace) -> int:
    from seqmill.stages import predictions as prediction_steps

    project = project_of(arguments)
    seeds = None if arguments.seed is None else [arguments.seed]
    if arguments.out is None:
        if arguments.dataset or arguments.part:
            raise InputError("--out", "name the folder to write; without it the test parts of the model are predicted")
        name = arguments.model if arguments.model in project.config.published else model_of(arguments, project)
        folds = folds_of(arguments, project, name)
        return build(arguments, project, lambda steps: prediction_steps.of_run(steps, name, folds, seeds))
    name = model_of(arguments, project)
    dataset = arguments.dataset or project.config.models[name].dataset
    trained = prediction_steps.trained_runs(project, RESULTS, name, folds_of(arguments, project, name), seeds)
    runs = [arguments.fold] if arguments.fold is not None and dataset == project.config.models[name].dataset else None

    def then() -> list[Path]:
        part = arguments.part or "test"
        prediction_steps.across(project, RESULTS, name, trained, arguments.out, dataset=dataset, part=part, runs=runs)
        return [arguments.out]

    return build(arguments, project, lambda steps: [of_dataset(steps, dataset)], then)


def evaluate(arguments: argparse.Namespace) -> int:
    from seqmill.stages.evaluation import of_evaluation

    return build(arguments, project_of(arguments), lambda steps: [of_evaluation(steps, arguments.name)])


def report(arguments: argparse.Namespace) -> int:
    from seqmill.stages import report as report_steps

    project = project_of(arguments)
    made: list[report_steps.Page] = []

    def choose(steps: Any) -> list[Any]:
        made.append(report_steps.page_of(steps))
        return made[0].needs

    def then() -> list[Path]:
        return [made[0].write(arguments.out or RESULTS / "report/index.html")]

    return build(arguments, project, choose, then)
