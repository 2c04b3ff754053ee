"""Steps that write predictions: of networks, their means over seeds, and those that others published."""

import logging
from pathlib import Path

from seqmill.config.lineage import given_datasets, lineage
from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.config.scope import prediction_scope, run_scope
from seqmill.runtime.child import in_child
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import MARKER
from seqmill.stages.datasets import of_dataset
from seqmill.stages.models import of_model
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps
from seqmill.stages.tracks import makers
from seqmill.stores.versions import FORMATS

SETTINGS = {"format": FORMATS["predictions"]}


def of_network(steps: Steps, name: str, fold: str, seed: int) -> Step:
    """Predictions of one run of a network on its test part."""
    model = of_model(steps, name, fold, seed)
    section = steps.project.config.models[name]
    dataset, prediction = of_dataset(steps, section.dataset), prediction_scope(section)
    place = f"predictions/{slug(name)}/{fold}.{seed}.zarr"

    def build() -> None:
        settings = prediction.model_dump_json()
        what = f"prediction of {name} {fold}.{seed}"
        in_child(predict_run, steps.results / place, model.folder, dataset.folder, settings, what=what)

    settings = {"prediction": prediction.model_dump(mode="json"), **SETTINGS}
    what = f"predictions of {name}, fold {fold}, seed {seed}"
    return steps.step(place, what, settings, build, needs=[model, dataset])


def of_ensemble(steps: Steps, name: str, fold: str) -> Step:
    """The mean over the seeds of a network's predictions on one fold."""
    members = [of_network(steps, name, fold, seed) for seed in steps.project.seeds(name)]
    place = f"predictions/{slug(name)}/{fold}.mean.zarr"

    def build() -> None:
        from seqmill.stores.ensemble import average_seeds

        average_seeds(steps.results / place, members=[member.folder for member in members])

    return steps.step(place, f"mean predictions of {name}, fold {fold}", SETTINGS, build, needs=members)


def of_published(steps: Steps, name: str, fold: str) -> Step:
    """Published predictions on the test part of one fold."""
    published = run_scope(steps.project.config.published[name])
    dataset, place = of_dataset(steps, published.dataset), f"predictions/{slug(name)}/{fold}.0.zarr"

    def build() -> None:
        from seqmill.baselines.published import run_published

        out = steps.results / place
        run_published(out, name=name, published=published, dataset=dataset.folder, fold=fold)

    settings = {"published": published.model_dump(mode="json"), **SETTINGS}
    what = f"published predictions {name}, fold {fold}"
    sources = [published.file]
    return steps.step(place, what, settings, build, sources=sources, needs=[*makers(steps, sources), dataset])


def of_run(steps: Steps, name: str, folds: list[str], seeds: list[int] | None = None) -> list[Step]:
    """Standard predictions of a model, or of a publication, on some folds.

    Parameters
    ----------
    seeds : of the model. All if None, and then the mean over them too where the configuration asks for it.
    """
    project = steps.project
    if name in project.config.published:
        return [of_published(steps, name, fold) for fold in folds]
    wanted = project.seeds(name) if seeds is None else seeds
    found = [of_network(steps, name, fold, seed) for fold in folds for seed in wanted]
    if seeds is None and project.has_ensemble(name):
        found += [of_ensemble(steps, name, fold) for fold in folds]
    return found


def trained_runs(project: Project, results: Path, name: str, folds: list[str], seeds: list[int] | None) -> list[Path]:
    """Folders of the trained runs of a model; those that are configured and not there are told.

    Raises InputError if there are none.
    """
    wanted = project.seeds(name) if seeds is None else seeds
    places = [results / f"models/{slug(name)}/{fold}.{seed}" for fold in folds for seed in wanted]
    found = [place for place in places if (place / MARKER).is_file()]
    missing = ", ".join(place.name for place in places if place not in found)
    if not found:
        raise InputError(results, f"no trained run of model {name} ({missing}); train it first: seqmill train {name}")
    if missing:
        logging.getLogger("seqmill").warning("model %s: not trained, left out: %s", name, missing)
    return found


def across(
    project: Project,
    results: Path,
    name: str,
    models: list[Path],
    out: Path,
    *,
    dataset: str,
    part: str,
    runs: list[str] | None,
) -> None:
    """Mean predictions of trained runs of a model on any dataset, see `seqmill.training.across.predict_across`."""
    config = project.config
    models_before = lineage(config.models, name, project.where)
    names = dict.fromkeys(config.models[other].dataset for other in [name, *models_before])
    places = [results / f"datasets/{slug(other)}.zarr" for other in names]
    places += given_datasets(config.models, [name, *models_before])
    places = [place for place in places if (place / MARKER).is_file()]
    settings = prediction_scope(config.models[name]).model_dump_json()
    rows = results / f"datasets/{slug(dataset)}.zarr"
    what = f"prediction of {name} on {dataset}"
    in_child(_across, out, models, rows, places, part, runs, settings, what=what)


def choose_device_of(model: Path) -> None:
    """Device and threads of a trained run, before jax is imported."""
    from seqmill.runtime.device import choose_device
    from seqmill.stores.model import ModelReader

    training = ModelReader(model).info["training"]
    choose_device(training["device"], training["xla_threads"])


def start_process(model: Path) -> None:
    """Logging, watch and device of a process that applies a network."""
    from seqmill.runtime.job import start_logging, watch_driver

    start_logging()
    watch_driver()
    choose_device_of(model)


def predict_run(out: Path, model: Path, dataset: Path, settings: str, part: str = "test") -> None:
    """Body of the process that predicts one part of a run; ``settings`` are JSON."""
    start_process(model)

    from seqmill.config.models import Prediction
    from seqmill.training.predict import predict

    prediction = Prediction.model_validate_json(settings)
    predict(out, model_folder=model, dataset=dataset, part=part, prediction=prediction)


def _across(
    out: Path,
    models: list[Path],
    dataset: Path,
    trained_on: list[Path],
    part: str,
    runs: list[str] | None,
    settings: str,
) -> None:
    start_process(models[0])

    from seqmill.config.models import Prediction
    from seqmill.training.across import predict_across

    prediction = Prediction.model_validate_json(settings)
    predict_across(
        out, models=models, dataset=dataset, trained_on=trained_on, part=part, runs=runs, prediction=prediction
    )
