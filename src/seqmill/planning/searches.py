"""How much work searches and curves will be: trainings, passes and rows to predict, from the configuration alone."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.config.search import Search
from seqmill.planning.rerun import many
from seqmill.stages.curves import places_of


class Amount(NamedTuple):
    """Work of one noun of a search or a curve; at most so much.

    ``noun``, ``name``, ``place`` (below the results); ``model`` that is searched or trained on less.
    ``passes`` : over all training rows of the model, of all trainings together. ``predicted`` : share of the dataset
    that is predicted. ``trials`` : trainings that are no jobs of their own. ``more`` : for a search its name, trials,
    trainings and jobs of the workflow.
    """

    noun: str
    name: str
    place: str
    model: str
    passes: float = 0.0
    predicted: float = 0.0
    trials: int = 0
    more: Mapping[str, Any] = {}


def search_amounts(project: Project, test_share: float) -> Iterator[Amount]:
    """Work of every search and curve of a configuration.

    Parameters
    ----------
    test_share : of a dataset's rows, those of the test part of a run.
    """
    for name, search in project.config.searches.items():
        yield from _search(project, name, search, test_share)
    for name, curve in project.config.curves.items():
        epochs = project.config.models[curve.model].training.max_epochs
        for place, (fraction, fold, seed) in places_of(project, name).items():
            label = f"{name}@{place.partition('@')[2].partition('/')[0]} {fold}.{seed}"
            yield Amount("model", label, f"models/{place}", curve.model, passes=fraction * epochs)
            shifts = len(project.config.models[curve.model].prediction.shifts_bp)
            predicted = shifts * test_share
            yield Amount("predictions", label, f"predictions/{place}.zarr", curve.model, predicted=predicted)
        yield Amount("curve", name, f"curves/{slug(name)}", curve.model)


def _search(project: Project, name: str, search: Search, test_share: float) -> Iterator[Amount]:
    """A search in each of its folds, a network for each, and the scores of these."""
    model, folds = project.config.models[search.model], project.search_folds(name)
    split, seed = project.config.datasets[model.dataset].split, project.seeds(search.model)[0]
    epochs = model.training.max_epochs
    if (choice := search.space.get("training.max_epochs")) is not None:
        epochs = max(choice.ends())
    inner = split.k - 1 if search.inner == "folds" and split.kind == "folds" else 1
    share = (inner - 1) / inner if inner > 1 else 1.0  # of the training rows, one fold of which is left out
    trainings = search.trials * inner
    for fold in folds:
        place = f"searches/{slug(name)}/{fold}"
        more = {"search": name, "trials": search.trials, "trainings": trainings, "jobs": search.workers + 1}
        yield Amount("search", f"{name} {fold}", place, search.model, trainings * share * epochs, 0.0, trainings, more)
    for fold in folds:
        place = f"models/{slug(name)}@best/{fold}.{seed}"
        yield Amount("model", f"{name}@best {fold}.{seed}", place, search.model, passes=epochs)
    # the test part, and the rows that the trials were compared on: all that are trained on, or the validation part
    judged = 1.0 if inner > 1 else 2 * test_share
    yield Amount("scores", name, f"search_scores/{slug(name)}", search.model, predicted=len(folds) * judged)


def search_lines(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Searches of a plan for people: those of its entries that are not there yet."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        if entry["noun"] == "search" and not entry["built"]:
            found.setdefault(entry["search"], []).append(entry)
    return [
        f"search {name}: {many(len(folds), 'fold')} of {many(folds[0]['trials'], 'trial')} each, at most "
        f"{many(sum(fold['trainings'] for fold in folds), 'training')} in {many(sum(f['jobs'] for f in folds), 'job')}"
        for name, folds in found.items()
    ]
