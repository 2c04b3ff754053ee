"""The kinds of datasets, by ``windows.kind``: which inputs each has and which module builds it."""

import importlib
from collections.abc import Callable
from types import ModuleType

from seqmill.config.datasets import Dataset

CONTROL = "control"


def _genomic_inputs(dataset: Dataset) -> list[str]:
    return ["sequence", CONTROL] if dataset.control else ["sequence"]


def _table_inputs(dataset: Dataset) -> list[str]:
    return ["sequence"] if getattr(dataset.windows, "length_bp", None) else ["sequence", "length"]


# kind -> module, names of the inputs. A module has `choose_rows`, `input_array` and `target_array`;
# that of genome windows has `control_array` too.
KINDS: dict[str, tuple[str, Callable[[Dataset], list[str]]]] = {
    "tiles": ("seqmill.examples.genomic", _genomic_inputs),
    "peaks": ("seqmill.examples.genomic", _genomic_inputs),
    "table": ("seqmill.examples.table", _table_inputs),
    "genotype": ("seqmill.examples.genotype", lambda dataset: ["genotype"]),
    "methylation": (
        "seqmill.examples.methylation",
        lambda dataset: ["sequence", "neighbour_states", "neighbour_distances"],
    ),
}


def input_names(dataset: Dataset) -> list[str]:
    """Names of the inputs of a dataset, in order; known from the configuration alone."""
    return KINDS[dataset.windows.kind][1](dataset)


def builder(dataset: Dataset) -> ModuleType:
    """Module that builds datasets of this kind."""
    return importlib.import_module(KINDS[dataset.windows.kind][0])
