"""Predictions of one run on its test part: predicted, truth and mask of each target, with the rows they belong to.

::

    predictions/{model}/{fold}.{seed}.zarr/   marker.json run.json zarr.json rows.parquet
       predicted/{target}/   float32: probability (binary, fraction), value (quantity), expected signal (others)
       truth/{target}/       as in the dataset
       mask/{target}/        bool, True where the truth is known
       spread/{target}/      float32, only of means over several models: their standard deviation
       fit.safetensors       only of baselines: what was fitted, see `seqmill.baselines.fitted`

Means over the seeds of a model have "mean" in place of the seed. Networks, baselines and published predictions have
the same form; evaluation reads nothing else.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save

from seqmill.config.names import slug
from seqmill.runtime.errors import InputError
from seqmill.runtime.files import atomic_write
from seqmill.stores.arrays import ArrayWriter, StoredArray, write_groups
from seqmill.stores.dataset import ROW_COLUMNS, choose_chunk
from seqmill.stores.layout import StagedWriter, check_file, open_noun
from seqmill.stores.specs import TargetSpec
from seqmill.stores.tables import read_table, write_table

KINDS = ("network", "baseline", "published")
FIT = "fit.safetensors"
_NEEDED = ("kind", "model", "dataset", "dataset_digest", "fold", "seed", "bootstrap_unit")
# predicted, truth, mask (None if all is known), and where a store has it, spread
Block = tuple[np.ndarray, np.ndarray, np.ndarray | None] | tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]


class PredictionsWriter(StagedWriter):
    """Write predictions block by block; use it as a context manager, nothing is left if the block raises.

    Parameters
    ----------
    folder : ``…/{model}/{fold}.{seed}.zarr``.
    name : of the run.
    attrs : ``kind`` (one of `KINDS`), ``model``, ``dataset``, ``dataset_digest``, ``fold``, ``seed``,
        ``bootstrap_unit``, and more.
    specs : `TargetSpec` of each predicted target, as the network sees it (margins cut off).
    inputs : `seqmill.stores.layout.upstream` of model and dataset.
    spread : every block has a fourth array, the standard deviation of what was averaged.
    fit : tensors of the baseline that predicts.
    """

    def __init__(
        self,
        folder: str | Path,
        name: str,
        attrs: Mapping[str, Any],
        specs: Mapping[str, TargetSpec],
        *,
        inputs: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
        spread: bool = False,
        fit: Mapping[str, np.ndarray] | None = None,
    ):
        missing = [key for key in _NEEDED if key not in attrs]
        if missing or attrs["kind"] not in KINDS:
            raise ValueError(f"{name}: attrs lack {missing}, or kind is not one of {', '.join(KINDS)}")
        self.folder, self.name, self.attrs, self.specs = Path(folder), name, dict(attrs), dict(specs)
        self.inputs, self.parameters, self.fit = inputs, parameters, fit
        self._roles = ["predicted", "truth", "mask", *(["spread"] if spread else [])]
        self._rows: list[pd.DataFrame] = []
        self._arrays: dict[tuple[str, str], ArrayWriter] = {}

    def __enter__(self) -> "PredictionsWriter":
        self._stage(self.folder, noun="predictions", label=self.name, inputs=self.inputs, parameters=self.parameters)
        for target, spec in self.specs.items():
            chunk = choose_chunk(4 * int(np.prod(spec.shape_per_example, dtype=np.int64)))
            for role in self._roles:
                dtype = {"truth": spec.dtype, "mask": "bool"}.get(role, "float32")
                self._arrays[role, target] = ArrayWriter(
                    self._part / role / slug(target), spec.shape_per_example, dtype, chunk, axes=spec.axes
                )
        return self

    def append(self, rows: pd.DataFrame, values: Mapping[str, Block]) -> None:
        """Add a block of examples.

        Parameters
        ----------
        rows : their rows of the dataset's rows table.
        values : target -> (predicted, truth, mask), arrays (examples, *shape_per_example); mask None if all is known;
            with the spread as a fourth where the store has it.
        """
        if set(values) != set(self.specs):
            raise ValueError(f"{self.name}: values of {sorted(values)}, expected {sorted(self.specs)}")
        for target, (predicted, truth, mask, *spread) in values.items():
            mask = np.ones(np.shape(truth), bool) if mask is None else mask
            blocks = np.asarray(predicted, np.float32), truth, mask, *(np.asarray(x, np.float32) for x in spread)
            for role, block in zip(self._roles, blocks, strict=True):
                if len(block) != len(rows):
                    raise ValueError(f"{self.name}: {len(block)} {role} {target} for {len(rows)} rows")
                self._arrays[role, target].append(block)
        self._rows.append(rows[list(ROW_COLUMNS)])

    def _finish(self) -> None:
        for array in self._arrays.values():
            array.close()
        if self.fit is not None:
            atomic_write(self._part / FIT, save(dict(sorted(self.fit.items()))))
        empty = pd.DataFrame({column: [] for column in ROW_COLUMNS})
        rows = pd.concat(self._rows, ignore_index=True) if self._rows else empty
        write_table(self._part / "rows.parquet", rows.astype(ROW_COLUMNS))
        targets = {target: spec.to_json() for target, spec in self.specs.items()}
        self._out |= {**self.attrs, "n": len(rows), "targets": targets, "target_order": list(targets)}
        self._out["spread"] = "spread" in self._roles
        paths = [f"{role}/{slug(target)}" for role, target in self._arrays]
        write_groups(self._part, paths, {"targets": targets})


class PredictionsReader:
    """Predictions, opened for reading.

    Attributes
    ----------
    attrs : of the marker, see `PredictionsWriter`; ``name`` is the run's.
    n : examples. targets : `TargetSpec` of each target. digest : of the marker.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.marker = open_noun(self.folder, "predictions")
        self.digest, self.attrs = self.marker.digest, self.marker.attrs
        self.n: int = self.attrs["n"]
        specs = self.attrs["targets"]
        self.targets = {name: TargetSpec.from_json(specs[name]) for name in self.attrs["target_order"]}

    def rows(self) -> pd.DataFrame:
        """Rows of the dataset, in the order of the arrays."""
        return read_table(check_file(self.folder, self.marker, "rows.parquet"))

    def fit(self) -> dict[str, np.ndarray]:
        """Tensors of the baseline that predicted. Raises InputError where none is kept."""
        if FIT not in self.marker.files:
            raise InputError(self.folder, f"holds no fit: it is of kind {self.attrs['kind']}, not of a baseline")
        return load_file(check_file(self.folder, self.marker, FIT))

    def _read(self, role: str, target: str, start: int, stop: int | None) -> np.ndarray:
        if target not in self.targets:
            raise KeyError(f"{self.folder} has no target {target}; it has {', '.join(self.targets)}")
        stored = StoredArray(self.folder, self.marker, f"{role}/{slug(target)}")
        return stored.read(start, self.n if stop is None else stop)

    def predicted(self, target: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """float32 (examples, *shape_per_example) of examples ``start`` to ``stop``, by default all."""
        return self._read("predicted", target, start, stop)

    def truth(self, target: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The measured values, of the same shape, in the dataset's dtype."""
        return self._read("truth", target, start, stop)

    def mask(self, target: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """bool of the same shape, True where the truth is known."""
        return self._read("mask", target, start, stop)

    @property
    def has_spread(self) -> bool:
        return self.attrs.get("spread", False)

    def spread(self, target: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Standard deviation of the models that were averaged, float32 of the same shape; see `has_spread`."""
        return self._read("spread", target, start, stop)
