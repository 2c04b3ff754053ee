"""What of the configuration decides the content of each noun, and no more.

Snakemake's rules (as ``params``) and the command (as keys of its notes) compare these, so that a change re-runs what it
changes and leaves the rest: one more track leaves rows, inputs and other array groups as they are.
"""

from pathlib import Path
from typing import TypeVar

from seqmill.config.baselines import Baseline
from seqmill.config.datasets import Dataset
from seqmill.config.effects import Map
from seqmill.config.models import Model, Prediction
from seqmill.config.project import Project
from seqmill.config.published import Published
from seqmill.config.reads import Library, Reads
from seqmill.config.sheet import Track
from seqmill.config.sources import Genome

Run = TypeVar("Run", Model, Baseline, Published)

# Columns that are applied when a dataset is written, or that only describe: they leave a track store as it is.
_AFTER_THE_STORE = {
    *("transform", "clip", "clip_soft", "scale", "strand_pair", "group", "description", "licence"),
    *("source", "output_type", "replicates"),  # they chose the file, whose name the location then is
}

# Keys of the section of reads that decide each of its nouns.
LIBRARY_KEYS = {
    *("aligner", "mapq_min", "duplicates", "max_fragment_bp", "exclude_contigs", "plus_shift", "minus_shift"),
}
EXPERIMENT_KEYS = {
    *("plus_shift", "minus_shift", "fragment_bp", "mnase_fragment_bp", "peak_p", "max_peaks", "reproducibility"),
    *("idr_max", "genome_bp", "exclude_contigs", "seed"),
}
CALL_QUALITY_KEYS = {"conversion_contigs"}
QUALITY_KEYS = {"tss", "seed", "plus_shift", "minus_shift", "exclude_contigs", "reproducibility"}

# Keys of a map that leave its store as it is.
MAP_VIEW_KEYS = {"picture", "parts", "page", "exports"}


def genome_scope(section: Genome) -> Genome:
    """A genome's section without what only describes."""
    return section.model_copy(update={"licence": "", "assembly": ""})


def track_scope(track: Track) -> Track:
    """The columns that decide what a track store holds and says of itself."""
    return Track(**track.model_dump(exclude=_AFTER_THE_STORE))


def reads_scope(section: Reads, keys: set[str]) -> Reads:
    """The section of reads with the given keys only; all others as if they were not set."""
    return Reads(**section.model_dump(include=keys))


def library_row(row: Library) -> Library:
    """The columns of a row of the sheet of reads that decide what its library holds."""
    return Library(**row.model_dump(exclude={"target", "biosample", "control", "description", "licence"}))


def rows_scope(section: Dataset) -> Dataset:
    """A dataset's section for its rows: without control and tracks of targets, unless labels choose windows."""
    section = section.model_copy(update={"control": None})
    if getattr(section.windows, "by_label", False):
        return section
    targets = {name: target.model_copy(update={"tracks": None}) for name, target in section.targets.items()}
    return section.model_copy(update={"targets": targets})


def input_scope(section: Dataset, name: str) -> Dataset:
    """A dataset's section for one input: that of the rows, and for the control its own section."""
    return rows_scope(section).model_copy(update={"control": section.control if name == "control" else None})


def target_scope(section: Dataset, target: str) -> Dataset:
    """A dataset's section for one array group: that target alone; its tracks are given by name beside it."""
    spec = section.targets[target]
    if section.windows.kind in ("tiles", "peaks"):
        spec = spec.model_copy(update={"tracks": None})
    return section.model_copy(update={"targets": {target: spec}, "control": None})


def run_scope(section: Run) -> Run:
    """Section of a network or baseline for one run: one more fold or seed leaves the others as they are."""
    if isinstance(section, Model):
        one_seed = section.training.model_copy(update={"seeds": [0]})
        return section.model_copy(update={"folds": None, "training": one_seed, "prediction": Prediction()})
    return section.model_copy(update={"folds": None})


def prediction_scope(section: Model) -> Prediction:
    """What decides the predictions of one run, beside its model: not whether runs are averaged afterwards."""
    return section.prediction.model_copy(update={"ensemble": True})


def map_scope(section: Map) -> Map:
    """A map's section without what is made from the map afterwards, and without the number of jobs that make it."""
    fields = {key: Map.model_fields[key].get_default(call_default_factory=True) for key in MAP_VIEW_KEYS}
    return section.model_copy(update=fields)


def blacklists(project: Project, dataset: str) -> dict[str, Path]:
    """Assembly to blacklist file, for the genomes of a dataset that have one and use it."""
    section = project.config.datasets[dataset]
    found = {name: project.config.genomes[name].blacklist for name in section.genomes}
    return {name: path for name, path in found.items() if path and section.blacklist == "drop"}


def dataset_files(project: Project, dataset: str) -> list[Path]:
    """Source files that the parts of a dataset read: those its section names, and blacklists."""
    return [*project.config.datasets[dataset].source_files(), *blacklists(project, dataset).values()]
