"""Models that start from trained ones: which run of which model, and what all of them were trained on."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from seqmill.config.models import Model
from seqmill.config.names import slug
from seqmill.runtime.errors import DamageError, InputError
from seqmill.runtime.marker import read_marker


def lineage(models: Mapping[str, Model], name: str, where: str) -> list[str]:
    """Models that ``name`` starts from, the nearest first. Raises InputError for an unknown one and for a circle."""
    found: list[str] = []
    section = models[name]
    while section.initial is not None and section.initial.model is not None:
        before = section.initial.model
        if before not in models:
            raise InputError(where, f"initial: model {before!r} is not configured; known: {', '.join(models)}")
        if before in (name, *found):
            raise InputError(where, f"initial: a circle, {' starts from '.join([name, *found, before])}")
        found.append(before)
        section = models[before]
    return found


def initial_seed(models: Mapping[str, Model], name: str, seed: int, where: str) -> int:
    """Seed of the initial model's run: the same, or its only one. Raises InputError if neither is there."""
    before = lineage(models, name, where)[0]
    seeds = models[before].training.seeds
    if seed in seeds:
        return seed
    if len(seeds) > 1:
        listed = ", ".join(map(str, seeds))
        raise InputError(where, f"initial: model {before} has no seed {seed} to start from; it has {listed}")
    return seeds[0]


def given_datasets(models: Mapping[str, Model], names: Iterable[str]) -> list[Path]:
    """Folders of datasets outside of this configuration that models from folders were trained on."""
    starts = [models[name].initial for name in names]
    return list(dict.fromkeys(path for start in starts if start is not None for path in start.datasets))


def given_folder(models: Mapping[str, Model], name: str, fold: str, seed: int, where: str) -> Path | None:
    """Folder of a trained model that one run of ``name`` starts from; None for a model of the configuration or none.

    Raises InputError if no trained model is there, if it is one of this configuration, or a dataset is not there.
    """
    start = models[name].initial
    folder = start.folder_of(fold, seed) if start is not None else None
    if start is None or folder is None:
        return None
    where = f"{where}: models.{name}.initial"
    for other in models:
        if folder.resolve().parent == Path(f"results/models/{slug(other)}").resolve():
            raise InputError(where, f"{folder} is a run of model {other} of this configuration; name it by 'model'")
    for key, noun, paths in (("folder", "model", [folder]), ("datasets", "dataset", start.datasets)):
        for path in paths:
            if not path.is_dir():
                raise InputError(where, f"{key}: {path} is not a folder (looked in {Path.cwd()})")
            try:
                read_marker(path, noun=noun)
            except DamageError as error:
                raise InputError(where, f"{key}: {path} is no whole {noun} of seqmill: {error}") from None
    return folder
