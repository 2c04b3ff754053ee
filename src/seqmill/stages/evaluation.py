"""Steps that judge: predictions of baselines, and the tables of a dataset with all that they need."""

from seqmill.config.names import slug
from seqmill.config.scope import run_scope
from seqmill.runtime.errors import InputError
from seqmill.stages.datasets import of_dataset, section_of
from seqmill.stages.predictions import of_run
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps
from seqmill.stages.tracks import makers
from seqmill.stores.versions import FORMATS


def of_baseline(steps: Steps, name: str, fold: str) -> Step:
    """Predictions of a baseline on the test part of one fold."""
    baseline = run_scope(steps.project.config.baselines[name])
    dataset, place = of_dataset(steps, baseline.dataset), f"predictions/{slug(name)}/{fold}.0.zarr"

    def build() -> None:
        from seqmill.baselines.run import run_baseline

        run_baseline(steps.results / place, name=name, baseline=baseline, dataset=dataset.folder, fold=fold)

    settings = {"baseline": baseline.model_dump(mode="json"), "format": FORMATS["predictions"]}
    what, files = f"predictions of baseline {name}, fold {fold}", baseline.source_files()
    return steps.step(place, what, settings, build, sources=files, needs=[*makers(steps, files), dataset])


def of_evaluation(steps: Steps, name: str) -> Step:
    """The tables and figures of a dataset; needs the predictions of all that is judged on it.

    Raises InputError for an unknown dataset, and for one that nothing is judged on.
    """
    section_of(steps, name)
    project = steps.project
    config = project.config
    needs = []
    for run in (*config.models, *config.published):
        if project.run(run).dataset == name:
            needs += of_run(steps, run, project.folds(run))
    for run in config.baselines:
        if project.run(run).dataset == name:
            needs += [of_baseline(steps, run, fold) for fold in project.folds(run)]
    if not needs:
        raise InputError(project.where, f"no model, baseline or published prediction is of dataset {name!r}")
    place = f"evaluation/{slug(name)}"

    def build() -> None:
        from seqmill.evaluation.tables import evaluate

        evaluate(steps.results / place, name=name, predictions=[need.folder for need in needs])

    settings = {"name": name, "format": FORMATS["evaluation"]}
    return steps.step(place, f"evaluation of dataset {name}", settings, build, needs=needs)
