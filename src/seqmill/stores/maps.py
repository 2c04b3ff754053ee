"""Mutagenesis maps: what every edit of some regions does to the predictions of one network.

::

    maps/{map}.zarr/              marker.json run.json zarr.json regions.parquet
       sequence/                  uint8 (region, position): codes of the bases, + strand; 4 beyond a shorter region
       reference/{target}/        float32 (region, track): score of the unedited sequence
       substitutions/{target}/    float32 (region, position, base, track): score edited minus score unedited
       deletions/{target}/        float32 (region, position, track)
       insertions/{target}/       float32 (region, position, base, track)
       spread/{edit}/{target}/    of the same shape: standard deviation over the runs; only where there are several
       completeness/{target}/     float32 (region, track), of integrated gradients and DeepLIFT: see below

All numbers are means over the runs that scored the region. Effects are NaN beyond a shorter region and at N, a
substitution by the base that is there is 0.

A map of a method of attribution (``method`` of its attributes, which mutagenesis does not have) holds hypothetical
contributions in substitutions/: what each of the four bases would add to the score by the multipliers of the base that
is there; that one's is its contribution (`seqmill.stores.map_values`). completeness/ is how far contributions of the
whole window are from adding up to the difference between the score and that of a reference, relative to it
(`seqmill.effects.attribution.contributions.Contributions`), the largest over runs and references.

Regions that are sequences of a table lie on no genome: genome and contig are empty, start and window_start -1, end is
the length - 1.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.config.names import slug
from seqmill.stores.arrays import ArrayWriter, StoredArray, write_groups
from seqmill.stores.dataset import choose_chunk
from seqmill.stores.layout import StagedWriter, check_file, open_noun
from seqmill.stores.specs import TargetSpec, track_names
from seqmill.stores.tables import read_table, write_table

EDITS = ("substitutions", "deletions", "insertions")
REGION_COLUMNS = {
    "name": "str",
    "genome": "str",
    "contig": "str",
    "start": "int64",
    "end": "int64",
    "strand": "int8",
    "runs": "int32",
    "window_start": "int64",
}
N_CODE = 4
COMPLETE = ("integrated_gradients", "deeplift")
PART = "map-part"


def shapes(length: int, edits: Sequence[str], targets: Mapping[str, TargetSpec]) -> dict[str, tuple[int, ...]]:
    """Shape of one region of each array of effects, by its path ``{edit}/{target}``."""
    bases = {"substitutions": (4,), "deletions": (), "insertions": (4,)}
    return {
        f"{edit}/{name}": (length, *bases[edit], len(track_names(spec)))
        for edit in edits
        for name, spec in targets.items()
    }


def _on_disk(path: str) -> str:
    """``spread/deletions/my target`` as a path of safe names."""
    return "/".join(slug(part) for part in _parts(path))


def _parts(path: str) -> list[str]:
    """Parts of a path; the last is a target's name, whatever it holds."""
    return path.split("/", 2 if path.startswith("spread/") else 1)


class MapWriter(StagedWriter):
    """Write a map region by region; use it as a context manager, nothing is left if the block raises.

    Parameters
    ----------
    folder : ``…/maps/{map}.zarr``.
    name : of the map.
    attrs : ``model``, ``genome``, ``spaces``, ``models``, ``both_strands``, ``shifts_bp``, ``runs``, and more.
    length : of the longest region in bp.
    edits : some of `EDITS`. targets : `TargetSpec` of each scored target.
    spread : whether each array of effects has its standard deviation beside it.
    inputs : `seqmill.stores.layout.upstream` of genome and models. parameters : for ``run.json``.
    noun : `PART` for some of the regions of a map, from which the whole is gathered.
    """

    def __init__(
        self,
        folder: str | Path,
        name: str,
        attrs: Mapping[str, Any],
        *,
        length: int,
        edits: Sequence[str],
        targets: Mapping[str, TargetSpec],
        spread: bool,
        inputs: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
        noun: str = "map",
    ):
        self.folder, self.name, self.attrs, self.noun = Path(folder), name, dict(attrs), noun
        self.length, self.edits, self.targets, self.spread = length, list(edits), dict(targets), spread
        self.inputs, self.parameters = inputs, parameters
        self._rows: list[Mapping[str, Any]] = []
        self._arrays: dict[str, ArrayWriter] = {}
        self._largest_error = 0.0

    def __enter__(self) -> "MapWriter":
        self._stage(self.folder, noun=self.noun, label=self.name, inputs=self.inputs, parameters=self.parameters)
        effects = shapes(self.length, self.edits, self.targets)
        wanted: dict[str, tuple[tuple[int, ...], str]] = {"sequence": ((self.length,), "uint8")}
        for name, spec in self.targets.items():
            wanted[f"reference/{name}"] = ((len(track_names(spec)),), "float32")
            if self.attrs.get("method") in COMPLETE:
                wanted[f"completeness/{name}"] = ((len(track_names(spec)),), "float32")
        wanted |= {path: (shape, "float32") for path, shape in effects.items()}
        if self.spread:
            wanted |= {f"spread/{path}": (shape, "float32") for path, shape in effects.items()}
        for path, (shape, dtype) in wanted.items():
            chunk = choose_chunk(int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
            axes = ["region", *_axes(path, len(shape))]
            self._arrays[path] = ArrayWriter(self._part / _on_disk(path), shape, dtype, chunk, axes=axes)
        return self

    @property
    def paths(self) -> list[str]:
        """Of the arrays that `append` expects."""
        return list(self._arrays)

    def append(self, row: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Add a region.

        Parameters
        ----------
        row : its `REGION_COLUMNS`.
        arrays : for every path of the store (see the module) the region's array; those along positions may be as
            short as the region.
        """
        if set(arrays) != set(self._arrays):
            raise ValueError(f"{self.name}: arrays {sorted(arrays)}, expected {sorted(self._arrays)}")
        for path, values in arrays.items():
            writer = self._arrays[path]
            if path.startswith("completeness/"):
                self._largest_error = max(self._largest_error, float(np.max(values)))
            full = np.full(writer.shape, N_CODE if path == "sequence" else np.nan, writer.dtype)
            full[: len(values)] = values
            writer.append(full[None])
        self._rows.append({column: row[column] for column in REGION_COLUMNS})

    def _finish(self) -> None:
        for array in self._arrays.values():
            array.close()
        rows = pd.DataFrame(self._rows, columns=list(REGION_COLUMNS)).astype(REGION_COLUMNS)
        write_table(self._part / "regions.parquet", rows)
        targets = {name: spec.to_json() for name, spec in self.targets.items()}
        self._out |= {
            **self.attrs,
            "n": len(rows),
            "length_bp": self.length,
            "edits": self.edits,
            "targets": targets,
            "target_order": list(targets),
            "spread": self.spread,
        }
        if self.attrs.get("method") in COMPLETE:
            self._out["completeness"] = {"n": len(rows), "largest": float(f"{self._largest_error:.3g}")}
        write_groups(self._part, [_on_disk(path) for path in self._arrays], {"targets": targets})


def _axes(path: str, count: int) -> list[str]:
    if path == "sequence":
        return ["position"]
    return {1: ["tracks"], 2: ["position", "tracks"], 3: ["position", "base", "tracks"]}[count]


class MapReader:
    """A map, or a part of one, opened for reading; arrays are read when asked for, some regions at a time.

    Parameters
    ----------
    folder : of the map. noun : `PART` for a part.

    Attributes
    ----------
    attrs : of the marker: ``name``, ``model``, ``genome``, ``models`` (run -> regions it scored), ``spaces`` (target ->
        what a score is), ``both_strands``, ``shifts_bp``, ``runs``, …
    method : "mutagenesis", or one of `seqmill.effects.attribution.contributions.METHODS`.
    n : regions. length : bp of the longest one. edits : which of `EDITS` were made. has_spread : whether `spread` is
        there. targets : `TargetSpec` of each target, in order. digest : of the marker.
    """

    def __init__(self, folder: str | Path, noun: str = "map"):
        self.folder = Path(folder)
        self.marker = open_noun(self.folder, noun)
        self.digest, self.attrs = self.marker.digest, self.marker.attrs
        self.n: int = self.attrs["n"]
        self.length: int = self.attrs["length_bp"]
        self.edits: list[str] = self.attrs["edits"]
        self.has_spread: bool = self.attrs["spread"]
        self.method: str = self.attrs.get("method", "mutagenesis")
        specs = self.attrs["targets"]
        self.targets = {name: TargetSpec.from_json(specs[name]) for name in self.attrs["target_order"]}

    @cached_property
    def regions(self) -> pd.DataFrame:
        """Columns name, genome, contig, start and end (0-based, half-open), strand, runs (how many scored it),
        window_start (first base that the network was shown, without margin); in the order of the arrays."""
        return read_table(check_file(self.folder, self.marker, "regions.parquet"))

    def read(self, path: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Regions ``start`` to ``stop`` of one array.

        Parameters
        ----------
        path : "sequence", "reference/{target}", "completeness/{target}", "{edit}/{target}" or
            "spread/{edit}/{target}", see the module; the target by its name.

        Raises
        ------
        KeyError for an array that the map does not have, DamageError for a damaged one.
        """
        parts = _parts(path)
        edits = {
            "reference": ["reference"],
            "completeness": ["completeness"] if self.method in COMPLETE else [],
            "spread": ["spread", *self.edits] if self.has_spread else [],
        }
        known = path == "sequence" or (
            parts[-1] in self.targets
            and len(parts) == (3 if parts[0] == "spread" else 2)
            and all(part in edits.get(parts[0], self.edits) for part in parts[:-1])
        )
        if not known:
            raise KeyError(
                f"{self.folder} has no {path}; edits: {', '.join(self.edits)}; targets: {', '.join(self.targets)}"
            )
        stored = StoredArray(self.folder, self.marker, _on_disk(path))
        return stored.read(start, self.n if stop is None else stop)
