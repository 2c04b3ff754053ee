"""What a dataset is built from, and arrays that are built before they are written."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from seqmill.config.datasets import Dataset, PeakWindows, TileWindows
from seqmill.examples.tally import Tally
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import file_digest
from seqmill.stores.specs import ArraySpec

W = TypeVar("W")


def section(dataset: Dataset, kind: type[W]) -> W:
    """The ``windows`` section of a dataset that is known to be of this kind."""
    if not isinstance(dataset.windows, kind):
        raise TypeError(f"windows of kind {dataset.windows.kind}, expected {kind.__name__}")
    return dataset.windows


def genomic_section(dataset: Dataset) -> TileWindows | PeakWindows:
    """The ``windows`` section of a dataset of genome windows."""
    if not isinstance(dataset.windows, TileWindows | PeakWindows):
        raise TypeError(f"windows of kind {dataset.windows.kind}, expected tiles or peaks")
    return dataset.windows


def file_digests(dataset: Dataset) -> dict[str, str]:
    """SHA-256 of every file that the section names, by number and file name; InputError for one that is not there."""
    digests = {}
    for number, path in enumerate(dataset.source_files()):
        try:
            digests[f"{number}:{path.name}"] = file_digest(path)
        except OSError as error:
            raise InputError(path, f"cannot be read ({error.strerror})") from None
    return digests


def check_files(dataset: Dataset, rows_attrs: dict[str, Any]) -> None:
    """Refuse files that are not those the rows were chosen from."""
    known = rows_attrs.get("files", {})
    for path, (key, digest) in zip(dataset.source_files(), file_digests(dataset).items()):
        if known.get(key) != digest:
            raise InputError(path, "changed since the rows of the dataset were chosen; choose rows anew")


@dataclass(frozen=True)
class Sources:
    """Stores and files of a dataset.

    Attributes
    ----------
    genomes : assembly -> genome store. blacklists : assembly -> BED file.
    tracks : name -> track store, of the peak tracks that choose windows. assemblies : name -> assembly of each.
    roles : what each of them is for: "windows", "avoid" or "targets/{name}" -> track names. Without "avoid" the
        tracks of the windows are avoided; another role that is not given has all tracks.
    grid_bp : bins of the signal tracks; windows start on them.
    """

    genomes: dict[str, Path]
    blacklists: dict[str, Path] = field(default_factory=dict)
    tracks: dict[str, Path] = field(default_factory=dict)
    assemblies: dict[str, str] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    grid_bp: int = 1

    def of_role(self, role: str, assembly: str) -> dict[str, Path]:
        """Track stores of one role on one genome."""
        fallback = self.roles.get("windows") if role == "avoid" else None
        names = self.roles.get(role, list(self.tracks) if fallback is None else fallback)
        return {name: self.tracks[name] for name in names if self.assemblies.get(name, assembly) == assembly}


@dataclass
class Rows:
    """Chosen rows on their way to disk.

    Attributes
    ----------
    table : rows in final order. tally : what was found, dropped and kept.
    runs : for each run the parts it trains on, stops early by, and is judged on.
    window_bp : declared length of the input. bootstrap_unit : "contig", "group" or "row".
    made_from : folders of the nouns they were chosen from. attrs : more for the marker.
    """

    table: pd.DataFrame
    tally: Tally
    runs: dict[str, dict[str, list[str]]]
    window_bp: int
    bootstrap_unit: str
    margin_bp: int = 0
    reverse_complement: bool = False
    made_from: list[Path] = field(default_factory=list)
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Array:
    """One array on its way to disk.

    Attributes
    ----------
    blocks, mask : arrays (examples, ...) in row order; ``mask`` (True = present) only where values are missing in
        integers.
    made_from : folders of the nouns it was made from, the rows excepted.
    """

    spec: ArraySpec
    blocks: Iterable[np.ndarray]
    mask: Iterable[np.ndarray] | None = None
    made_from: list[Path] = field(default_factory=list)
