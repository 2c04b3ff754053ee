"""Searches without Snakemake's help: bodies of its jobs, and their steps for the command.

The rules of ``rules/searches.smk`` and the steps below call the same functions. Those that use jax run in a process of
their own, or are the job of a script that has chosen the device before.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqmill.config.models import Model
from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.config.scope import run_scope
from seqmill.config.search import Search, lay, search_scope
from seqmill.runtime.child import in_child
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import MARKER
from seqmill.stages.datasets import of_dataset
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps
from seqmill.stores.versions import FORMATS

WORK = ".search"  # hidden: what searches work with is no result


def search_settings(model: Model, search: Search) -> dict[str, Any]:
    """All of the configuration that decides what a search finds in a fold."""
    section = run_scope(model).model_copy(update={"search": None})
    scope = search_scope(search).model_copy(update={"trials": search.trials})
    return {"model": section.model_dump(mode="json"), "search": scope.model_dump(mode="json")}


def choose_settings(
    out: Path, work: Path, *, name: str, model: Model, search: Search, dataset: Path, fold: str, seed: int
) -> None:
    """Make the trials of one fold that are left to make, and write what was chosen; see `seqmill.stores.search`.

    Raises InputError if no trial has a value.
    """
    from seqmill.evaluation.searches import draw_trials
    from seqmill.stores.search import write_search
    from seqmill.training.search import forget_others, work_on
    from seqmill.training.study import settings_of

    study = work_on(work, name=name, model=model, search=search, dataset=dataset, fold=fold, seed=seed)
    best = study.best()
    if best is None:
        reasons = [trial.user_attrs["reason"] for trial in study.ended() if "reason" in trial.user_attrs]
        first = f"; the first: {reasons[0]}" if reasons else ""
        raise InputError(f"searches.{name}", f"none of {len(study.ended())} trials in fold {fold} has a value{first}")
    trials = [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "value": trial.value,
            "passes": len(trial.intermediate_values),
            "settings": settings_of(trial.params, search) if trial.params else {},
            "reason": trial.user_attrs.get("reason", ""),
        }
        for trial in study.trials()
    ]
    chosen = {
        "settings": settings_of(best.params, search),
        "trial": best.number,
        "value": best.value,
        "seed": seed,
        "inner": search.inner,
    }
    write_search(
        out,
        name=name,
        fold=fold,
        trials=trials,
        keys=list(search.space),
        best=chosen,
        importance=study.importance(),
        dataset=dataset,
        parameters={**search_settings(model, search), "fold": fold, "seed": seed},
        seconds=sum(trial.duration.total_seconds() for trial in study.ended() if trial.duration is not None),
        draw=draw_trials,
    )
    forget_others(study)


def with_best(model: Model, chosen: Path, where: str) -> Model:
    """A model's section with the settings that a search chose in a fold."""
    from seqmill.stores.search import read_best

    return lay(model, read_best(chosen)["settings"], where)


def score_search(
    out: Path, *, name: str, model: Model, search: Search, dataset: Path, chosen: list[Path], trained: list[Path]
) -> None:
    """Write nested scores beside the optimistic ones; reads the test parts, after all settings are chosen.

    Parameters
    ----------
    chosen : folders of the search, one a fold. trained : networks that were trained with these settings, alike.
    """
    from seqmill.evaluation.searches import write_scores
    from seqmill.runtime.marker import read_marker
    from seqmill.stores.dataset import DatasetReader
    from seqmill.stores.layout import upstream
    from seqmill.stores.part_reader import inner_parts
    from seqmill.stores.parts import folds_of
    from seqmill.stores.search import read_best
    from seqmill.training.search import part_loss

    reader, rows = DatasetReader(dataset), []
    inputs = upstream(dataset, *chosen, *trained)
    for best_folder, network in zip(chosen, trained, strict=True):
        best, fold = read_best(best_folder), best_folder.name
        inner = list(dict.fromkeys(key for part in inner_parts(reader, fold, search.inner) for key in part["valid"]))
        _, inner_mean = part_loss(network, dataset, inner, model.objective)
        nested, nested_mean = part_loss(network, dataset, folds_of(reader, fold, "test"), model.objective)
        rows.append(
            {
                "fold": fold,
                "trials": read_marker(best_folder).attrs["trials"],
                "best_trial": best["trial"],
                "optimistic_loss": best["value"],
                "optimistic_mean_loss": inner_mean,
                "nested_loss": nested,
                "nested_mean_loss": nested_mean,
                "settings": "; ".join(f"{key} {value}" for key, value in best["settings"].items()),
            }
        )
    write_scores(out, name=name, rows=rows, inputs=inputs, parameters=search_settings(model, search))


def of_search(steps: Steps, name: str, fold: str) -> Step:
    """The settings that a search chooses in one fold."""
    project = steps.project
    search = _search(steps, name)
    model, seed = project.config.models[search.model], project.seeds(search.model)[0]
    dataset = of_dataset(steps, model.dataset)
    place = f"searches/{slug(name)}/{fold}"

    def build() -> None:
        work, what = steps.results / WORK / slug(name) / fold, f"search {name}, fold {fold}"
        asked = {"work": work, "dataset": dataset.folder, "fold": fold, "seed": seed}
        _in_child(choose_settings, steps.results / place, name, model, search, asked, what=what)

    settings = {**search_settings(model, search), "fold": fold, "seed": seed, "format": FORMATS["search"]}
    return steps.step(place, f"search {name}, fold {fold}", settings, build, needs=[dataset])


def of_scores(steps: Steps, name: str) -> Step:
    """The nested scores of a search, with the networks that they are of."""
    project = steps.project
    search = _search(steps, name)
    model, seed = project.config.models[search.model], project.seeds(search.model)[0]
    dataset, folds = of_dataset(steps, model.dataset), project.search_folds(name)
    chosen = [of_search(steps, name, fold) for fold in folds]
    trained = [_of_network(steps, name, fold, seed, best) for fold, best in zip(folds, chosen)]
    place = f"search_scores/{slug(name)}"

    def build() -> None:
        folders = {"chosen": [step.folder for step in chosen], "trained": [step.folder for step in trained]}
        asked, what = {"dataset": dataset.folder, **folders}, f"scores of search {name}"
        _in_child(score_search, steps.results / place, name, model, search, asked, what=what)

    settings = {**search_settings(model, search), "folds": folds, "format": FORMATS["search"]}
    return steps.step(place, f"scores of search {name}", settings, build, needs=[dataset, *chosen, *trained])


def _of_network(steps: Steps, name: str, fold: str, seed: int, chosen: Step) -> Step:
    from seqmill.stages.training import train_run

    project = steps.project
    model = run_scope(project.config.models[steps.project.config.searches[name].model])
    dataset = of_dataset(steps, model.dataset)
    place = f"models/{slug(name)}@best/{fold}.{seed}"

    def build() -> None:
        text = with_best(model, chosen.folder, f"searches.{name}").model_dump_json()
        what = f"training with the settings of search {name}, fold {fold}"
        in_child(train_run, steps.results / place, name, text, dataset.folder, fold, seed, None, what=what)

    settings = {"model": model.model_dump(mode="json"), "fold": fold, "seed": seed, "format": FORMATS["model"]}
    return steps.step(place, f"network of search {name}, fold {fold}", settings, build, needs=[dataset, chosen])


def take_part(project: Project, results: Path, name: str, fold: str) -> int:
    """Make trials of a search that others work on too, without the lock of the working folder.

    Returns how many trials have ended. Raises InputError if the dataset is not built.
    """
    search = project.config.searches[name]
    model, seed = project.config.models[search.model], project.seeds(search.model)[0]
    dataset = results / f"datasets/{slug(model.dataset)}.zarr"
    if not (dataset / MARKER).is_file():
        raise InputError(dataset, f"is not built; build it first: seqmill dataset {model.dataset}")
    work, what = results / WORK / slug(name) / fold, f"search {name}, fold {fold}"
    asked = {"dataset": dataset, "fold": fold, "seed": seed}
    return _in_child(_ended_trials, work, name, model, search, asked, what=what)


def _search(steps: Steps, name: str) -> Search:
    searches = steps.project.config.searches
    if name not in searches:
        known = ", ".join(searches) or "none"
        raise InputError(steps.project.where, f"search {name!r} is not configured; known: {known}")
    return searches[name]


def _ended_trials(work: Path, **asked: Any) -> int:
    """Trials of a fold that have ended, after this process has taken part in them."""
    from seqmill.training.search import work_on

    return len(work_on(work, **asked).ended())


def _in_child(
    body: Callable[..., Any], place: Path, name: str, model: Model, search: Search, asked: dict[str, Any], *, what: str
) -> Any:
    """What ``body(place, name=, model=, search=, **asked)`` returns, from a process of its own."""
    texts = model.model_dump_json(), search.model_dump_json()
    return in_child(_with_jax, body, place, name, *texts, asked, what=what)


def _with_jax(body: Callable[..., Any], place: Path, name: str, model: str, search: str, asked: dict[str, Any]) -> Any:
    """In the new process: logging, watch and device, then the work; sections are JSON."""
    from seqmill.runtime.device import choose_device
    from seqmill.runtime.job import start_logging, watch_driver

    section = Model.model_validate_json(model)
    training = section.training
    start_logging()
    watch_driver()
    choose_device(training.device, training.xla_threads, training.devices)
    return body(place, name=name, model=section, search=Search.model_validate_json(search), **asked)
