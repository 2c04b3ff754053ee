"""Step of the motifs of a map or of a network."""

from pathlib import Path

from seqmill.config.motifs import Motifs, model_of
from seqmill.config.names import slug
from seqmill.config.scope import prediction_scope
from seqmill.runtime.child import in_child
from seqmill.stages.datasets import of_dataset
from seqmill.stages.effects import of_map, resume_of
from seqmill.stages.models import of_model
from seqmill.stages.predictions import start_process
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps
from seqmill.stages.tracks import makers
from seqmill.stores.versions import FORMATS


def of_motifs(steps: Steps, name: str) -> Step:
    """Motifs of the configuration."""
    project = steps.project
    section, place = project.config.motifs[name], f"motifs/{slug(name)}"
    model = model_of(project.config, section)
    network = project.config.models[model]
    runs = [of_model(steps, model, fold, seed) for fold in project.folds(model) for seed in project.seeds(model)]
    dataset, prediction = of_dataset(steps, network.dataset), prediction_scope(network)
    maps = of_map(steps, section.map)[:2] if section.searches and section.map is not None else []
    folders = [run.folder for run in runs], dataset.folder, [step.folder for step in maps]

    def build() -> None:
        texts = section.model_dump_json(), prediction.model_dump_json()
        in_child(_motifs, steps.results / place, name, *texts, *folders, what=f"motifs {name}")

    scopes = {"section": section, "prediction": prediction}
    settings = {key: value.model_dump(mode="json") for key, value in scopes.items()} | {"format": FORMATS["motifs"]}
    sources = section.source_files()
    needs = [*makers(steps, sources), *runs, dataset, *maps]
    return steps.step(place, f"motifs {name}", settings, build, sources=sources, needs=needs)


def _motifs(
    out: Path, name: str, section: str, prediction: str, models: list[Path], dataset: Path, maps: list[Path]
) -> None:
    """Body of the process that finds motifs."""
    start_process(models[0])

    write_motifs(out, name, section, prediction, models, dataset, maps)


def write_motifs(
    out: Path, name: str, section: str, prediction: str, models: list[Path], dataset: Path, maps: list[Path]
) -> None:
    """Find motifs, in a process whose device is chosen; ``maps``: the map and its files, where one is searched."""
    from seqmill.config.models import Prediction
    from seqmill.effects.motifs.build import build_motifs
    from seqmill.stores.model import ModelReader

    build_motifs(
        out,
        name=name,
        section=Motifs.model_validate_json(section),
        models=models,
        prediction=Prediction.model_validate_json(prediction),
        dataset=dataset,
        state=resume_of(out),
        map_folder=maps[0] if maps else None,
        map_files=maps[1] if maps else None,
        threads=ModelReader(models[0]).info["training"]["xla_threads"],
    )
