"""What a dataset is built from, and arrays that are built before they are written."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqmill.stores.specs import ArraySpec


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
