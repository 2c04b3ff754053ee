"""Models that start from trained ones: which run of which model, and what all of them were trained on."""

from collections.abc import Mapping

from seqmill.config.models import Model
from seqmill.runtime.errors import InputError


def lineage(models: Mapping[str, Model], name: str, where: str) -> list[str]:
    """Models that ``name`` starts from, the nearest first. Raises InputError for an unknown one and for a circle."""
    found: list[str] = []
    section = models[name]
    while section.initial is not None:
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
