"""Curves over the size of the data, without Snakemake: networks on growing parts of the rows, and their table."""

from pathlib import Path

from seqmill.config.models import Model
from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.config.scope import prediction_scope, run_scope
from seqmill.config.search import name_of_fraction, one_fraction
from seqmill.runtime.child import in_child
from seqmill.runtime.errors import InputError
from seqmill.stages.datasets import of_dataset
from seqmill.stages.predictions import predict_run
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps
from seqmill.stores.versions import FORMATS

Place = tuple[float, str, int]


def places_of(project: Project, name: str) -> dict[str, Place]:
    """Place of each network below ``models/`` to its fraction, fold and seed, smallest fraction first."""
    curve = project.config.curves[name]
    return {
        f"{slug(name)}@{name_of_fraction(fraction)}/{fold}.{seed}": (fraction, fold, seed)
        for fraction in sorted(curve.fractions)
        for fold in project.search_folds(name)
        for seed in curve.seeds or project.seeds(curve.model)
    }


def fraction_scope(project: Project, name: str, fraction: float) -> Model:
    """Section of one network of a curve."""
    return one_fraction(run_scope(project.config.models[project.config.curves[name].model]), fraction)


def write_points(out: Path, *, name: str, dataset: Path, model: Model, points: list[tuple[float, Path]]) -> None:
    """Write a curve from the fractions and predictions of its networks (`seqmill.evaluation.learning_curves`)."""
    from seqmill.evaluation.learning_curves import Point, write_curve
    from seqmill.stores.dataset import DatasetReader
    from seqmill.stores.parts import folds_of, part_ranges

    reader = DatasetReader(dataset)
    pools = [share.pool for share in model.pools] if model.pools else None
    found = []
    for fraction, predictions in points:
        fold = predictions.name.partition(".")[0]
        share = fraction * model.training.train_fraction
        ranges = part_ranges(reader.parts, folds_of(reader, fold, "train"), pools, share)
        found.append(Point(fraction, sum(stop - start for start, stop in ranges), predictions))
    parameters = {"model": model.model_dump(mode="json"), "fractions": sorted({fraction for fraction, _ in points})}
    write_curve(out, name=name, points=found, parameters=parameters)


def of_curve(steps: Steps, name: str) -> Step:
    """The table of a curve. Raises InputError for an unknown one."""
    project = steps.project
    if name not in project.config.curves:
        known = ", ".join(project.config.curves) or "none"
        raise InputError(project.where, f"curve {name!r} is not configured; known: {known}")
    model = project.config.models[project.config.curves[name].model]
    dataset = of_dataset(steps, model.dataset)
    predicted = {
        _predictions(steps, name, place, point).folder: (point[0], _predictions(steps, name, place, point))
        for place, point in places_of(project, name).items()
    }

    def build() -> None:
        points = [(fraction, folder) for folder, (fraction, _) in predicted.items()]
        write_points(
            steps.results / f"curves/{slug(name)}", name=name, dataset=dataset.folder, model=model, points=points
        )

    settings = {"name": name, "points": [str(place) for place in places_of(project, name)], "format": FORMATS["curve"]}
    needs = [dataset, *(step for _, step in predicted.values())]
    return steps.step(f"curves/{slug(name)}", f"curve {name}", settings, build, needs=needs)


def _network(steps: Steps, name: str, place: str, point: Place) -> Step:
    from seqmill.stages.searches import of_search, with_best
    from seqmill.stages.training import train_run

    fraction, fold, seed = point
    model = fraction_scope(steps.project, name, fraction)
    dataset = of_dataset(steps, model.dataset)
    chosen = of_search(steps, model.search, fold) if model.search else None

    def build() -> None:
        section = with_best(model, chosen.folder, f"curves.{name}") if chosen else model
        out, what = steps.results / f"models/{place}", f"training of curve {name}, {place}"
        in_child(
            train_run,
            out,
            f"{name}@{model.training.train_fraction:g}",
            section.model_dump_json(),
            dataset.folder,
            fold,
            seed,
            None,
            what=what,
        )

    settings = {"model": model.model_dump(mode="json"), "fold": fold, "seed": seed, "format": FORMATS["model"]}
    needs = [dataset, *([chosen] if chosen else [])]
    return steps.step(f"models/{place}", f"network {place} of curve {name}", settings, build, needs=needs)


def _predictions(steps: Steps, name: str, place: str, point: Place) -> Step:
    network = _network(steps, name, place, point)
    section = steps.project.config.models[steps.project.config.curves[name].model]
    dataset, prediction = of_dataset(steps, section.dataset), prediction_scope(section)
    target = f"predictions/{place}.zarr"

    def build() -> None:
        settings, what = prediction.model_dump_json(), f"prediction of curve {name}, {place}"
        in_child(predict_run, steps.results / target, network.folder, dataset.folder, settings, what=what)

    settings = {"prediction": prediction.model_dump(mode="json"), "format": FORMATS["predictions"]}
    what = f"predictions of {place} of curve {name}"
    return steps.step(target, what, settings, build, needs=[network, dataset])
