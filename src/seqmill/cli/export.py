"""The verb that writes files for browsers and for other programs."""

import argparse
from pathlib import Path
from typing import Any

from seqmill.cli.settings import RESULTS, build, project_of, say
from seqmill.cli.stages import model_of
from seqmill.runtime.errors import InputError


def export(arguments: argparse.Namespace) -> int:
    kinds = {"targets": _targets, "folds": _folds, "bigwig": _bigwig, "hub": _browser, "igv": _browser}
    return (kinds | {"tensorboard": _tensorboard})[arguments.what](arguments)


def _written(arguments: argparse.Namespace, paths: list[Path]) -> int:
    say(arguments, {"verb": "export", "written": [str(path) for path in paths]}, paths)
    return 0


def _targets(arguments: argparse.Namespace) -> int:
    from seqmill.exports.conventions import export_targets

    return _written(arguments, export_targets(project_of(arguments), arguments.out))


def _folds(arguments: argparse.Namespace) -> int:
    from seqmill.config.names import slug
    from seqmill.exports.conventions import export_folds

    project = project_of(arguments)
    names = [arguments.dataset] if arguments.dataset else list(project.config.datasets)
    if len(names) != 1 or names[0] not in project.config.datasets:
        raise InputError("--dataset", f"name one of: {', '.join(project.config.datasets) or 'none configured'}")
    return _written(arguments, export_folds(RESULTS / "datasets" / f"{slug(names[0])}.zarr" / "rows", arguments.out))


def _bigwig(arguments: argparse.Namespace) -> int:
    from seqmill.exports import browser as browser_exports
    from seqmill.stages import browser as browser_steps

    project = project_of(arguments)
    name = model_of(arguments, project)

    def then() -> list[Path]:
        signals = browser_steps.predicted(project, RESULTS, [name])
        return browser_exports.write_bigwigs(arguments.out, signals)

    return build(arguments, project, lambda steps: browser_steps.predictions_of(steps, [name]), then)


def _tensorboard(arguments: argparse.Namespace) -> int:
    from seqmill.cli.watch import find_runs
    from seqmill.exports.tensorboard import write_tensorboard

    runs: dict[str, Any] = {}
    for run in find_runs(arguments.runs or [RESULTS], {}):
        if run.label in runs:
            raise InputError(run.out, f"another run is called {run.label} too; export them apart")
        runs[run.label] = run.found
    return _written(arguments, write_tensorboard(arguments.out, runs))


def _browser(arguments: argparse.Namespace) -> int:
    from seqmill.exports import browser as browser_exports
    from seqmill.stages import browser as browser_steps

    project = project_of(arguments)
    genome = getattr(arguments, "genome", None)
    if getattr(arguments, "map", None):
        return _map_session(arguments, project)

    def choose(steps: Any) -> list[Any]:
        return browser_steps.needs_of(steps)

    def then() -> list[Path]:
        signals = browser_steps.signals_of(project, RESULTS)
        if arguments.what == "hub":
            browser_exports.write_hub(arguments.out, signals, title=project.config.report.title, email=arguments.email)
            return [arguments.out / "hub.txt"]
        return [browser_exports.write_igv(arguments.out, signals, genome=genome)]

    return build(arguments, project, choose, then)


def _map_session(arguments: argparse.Namespace, project: Any) -> int:
    """An IGV session of one map with the tracks, genes and variants of its page."""
    from seqmill.exports.browser import write_igv
    from seqmill.stages.map_browser import needs_of_map, shown_of_map

    if arguments.map not in project.config.maps:
        known = ", ".join(project.config.maps) or "none"
        raise InputError("--map", f"{arguments.map!r} is not configured; known: {known}")

    def then() -> list[Path]:
        signals, features, reference = shown_of_map(project, RESULTS, arguments.map)
        return [write_igv(arguments.out, signals, genome=arguments.genome, features=features, reference=reference)]

    return build(arguments, project, lambda steps: needs_of_map(steps, arguments.map), then)
