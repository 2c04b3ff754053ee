"""The whole configuration file: its sections, read and checked one by one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from seqmill.config.base import Section
from seqmill.config.baselines import Baseline
from seqmill.config.datasets import Dataset
from seqmill.config.effects import Map, VariantSet
from seqmill.config.measured import Measured
from seqmill.config.models import Model, Report
from seqmill.config.motifs import Motifs
from seqmill.config.portals import Sources
from seqmill.config.problems import problems_in_words
from seqmill.config.published import Published
from seqmill.config.reads import Reads
from seqmill.config.search import Curve, Search
from seqmill.config.simulation import SimulationSettings
from seqmill.config.sources import Genome, Tracks
from seqmill.config.yamlfile import read_yaml
from seqmill.runtime.errors import InputError


class Config(Section):
    """The whole configuration file."""

    simulation: SimulationSettings | None = Field(None, description="Simulate the demo's world before anything else.")
    genomes: dict[str, Genome] = Field(default_factory=dict)
    tracks: Tracks | None = None
    reads: Reads = Reads()
    sources: Sources = Sources()
    datasets: dict[str, Dataset] = Field(default_factory=dict)
    models: dict[str, Model] = Field(default_factory=dict)
    searches: dict[str, Search] = Field(default_factory=dict)
    curves: dict[str, Curve] = Field(default_factory=dict)
    baselines: dict[str, Baseline] = Field(default_factory=dict)
    published: dict[str, Published] = Field(default_factory=dict)
    maps: dict[str, Map] = Field(default_factory=dict)
    motifs: dict[str, Motifs] = Field(default_factory=dict)
    variants: dict[str, VariantSet] = Field(default_factory=dict)
    measured: dict[str, Measured] = Field(default_factory=dict)
    report: Report = Report()


def parse(values: dict[str, Any], where: str, file: Callable[[str], Path] | None = None) -> Config:
    """Check a configuration mapping. Raises InputError that names the key, what was found and what was expected.

    ``file`` gives the path of a location that is to be fetched (``ucsc:hg38``) where a file may stand.
    """
    try:
        return Config.model_validate(values, context={"file": file})
    except ValidationError as error:
        raise InputError(where, "; ".join(problems_in_words(error, values)[:5])) from None


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``, section by section."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def written(paths: list[str | Path], overrides: dict[str, Any] | None = None) -> tuple[dict[str, Any], str]:
    """Configuration files, each laid on the one before, then ``overrides``; and what to call them in messages."""
    values: dict[str, Any] = {}
    for path in paths:
        values = merge(values, read_yaml(path))
    return merge(values, overrides or {}), ", ".join(str(path) for path in paths) or "configuration"
