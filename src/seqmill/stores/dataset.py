"""The dataset: named inputs and named targets over one example axis, its parts written by different jobs.

::

    datasets/{name}.zarr/     marker.json run.json zarr.json        noun "dataset", parts: all below
       rows/                  rows.parquet dropped.tsv              noun "dataset-rows"
       inputs/{input}/        a Zarr array                          noun "dataset-array"
       targets/{t}/{group}/   a Zarr array for each group of tracks
       mask/{t}/{group}/      bool, True where present; only where an integer target has gaps (floats use NaN)

The order of the rows table is the order of every array. Rows are partitioned by (pool, fold).
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.runtime.errors import DamageError, InputError
from seqmill.runtime.locks import artefact_lock
from seqmill.runtime.marker import MARKER, Marker, read_marker, write_marker
from seqmill.runtime.record import recorded
from seqmill.stores.arrays import ArrayWriter, Done, Result, StoredArray, write_groups
from seqmill.stores.layout import check_file, marker_name, noun_folder, open_noun, version
from seqmill.stores.remote import LINK, check_unchanged, link_of, open_copy
from seqmill.stores.specs import ArraySpec, TargetSpec, join_groups
from seqmill.stores.tables import read_table, write_table

ROW_COLUMNS = {
    "genome": "str",
    "contig": "str",
    "start": "int64",
    "end": "int64",
    "strand": "int8",
    "pool": "str",
    "fold": "str",
    "group": "str",
    "name": "str",
    "source_row": "int64",
}
BOOTSTRAP_UNITS = ("contig", "group", "row")
CHUNK_BYTES = 4_000_000
MAX_CHUNK_EXAMPLES = 2048


def choose_chunk(bytes_per_example: int) -> int:
    """Examples of a chunk, a power of two: about `CHUNK_BYTES` of the widest array, at most 2,048.

    All arrays of a dataset use the same number, so that a chunk of one is read with the same chunk of the others.
    """
    chunk = 1
    while chunk < MAX_CHUNK_EXAMPLES and 2 * chunk * bytes_per_example <= CHUNK_BYTES:
        chunk *= 2
    return chunk


def find_parts(rows: pd.DataFrame, where: str) -> list[dict[str, Any]]:
    """Runs of equal (pool, fold) as ``{pool, fold, start, stop}``; raises ValueError if one is in two pieces."""
    if rows.empty:
        return []
    change = (rows["pool"] != rows["pool"].shift()) | (rows["fold"] != rows["fold"].shift())
    starts = np.flatnonzero(change.to_numpy())
    stops = [*starts[1:].tolist(), len(rows)]
    pools, folds = rows["pool"].iloc[starts], rows["fold"].iloc[starts]
    if len(set(zip(pools, folds))) != len(starts):
        raise ValueError(f"{where}: rows are not partitioned by (pool, fold)")
    return [
        {"pool": pool, "fold": fold, "start": int(start), "stop": int(stop)}
        for pool, fold, start, stop in zip(pools, folds, starts, stops)
    ]


def write_rows(
    folder: str | Path,
    *,
    name: str,
    rows: pd.DataFrame,
    dropped: pd.DataFrame,
    runs: dict[str, dict[str, list[str]]],
    window_bp: int,
    margin_bp: int,
    reverse_complement: bool,
    bootstrap_unit: str,
    inputs: dict[str, str] | None = None,
    parameters: dict[str, Any] | None = None,
    attrs: dict[str, Any] | None = None,
    since: float | None = None,
) -> Marker:
    """Write the rows of a dataset.

    Parameters
    ----------
    folder : ``…/{dataset}.zarr/rows``.
    name : of the dataset.
    rows : columns of `ROW_COLUMNS` in final order, partitioned by (pool, fold). ``start`` and ``end`` are the
        declared input window (0-based, half-open, margin excluded), -1 for rows of tables.
    dropped : what was kept and dropped and why; written as ``dropped.tsv``.
    runs : for each run, e.g. "0", the folds of its "train", "valid" and "test" part.
    bootstrap_unit : "contig", "group" or "row": what intervals are drawn over.
    attrs : more for the marker.
    since : ``time.monotonic()`` when the work began, for the run record.
    """
    missing = [column for column in ROW_COLUMNS if column not in rows]
    if missing or bootstrap_unit not in BOOTSTRAP_UNITS:
        raise ValueError(f"{name}: columns {missing} missing, or bootstrap unit {bootstrap_unit!r} not known")
    rows = rows[list(ROW_COLUMNS)].astype(ROW_COLUMNS).reset_index(drop=True)
    parts = find_parts(rows, name)
    with noun_folder(folder, noun="dataset-rows", label=name, inputs=inputs, parameters=parameters, since=since) as (
        part,
        out,
        _,
    ):
        write_table(part / "rows.parquet", rows)
        dropped.to_csv(part / "dropped.tsv", sep="\t", index=False, lineterminator="\n")
        out |= attrs or {}
        out |= {
            "n": len(rows),
            "pools": list(dict.fromkeys(item["pool"] for item in parts)),
            "folds": list(dict.fromkeys(item["fold"] for item in parts)),
            "parts": parts,
            "runs": runs,
            "window_bp": int(window_bp),
            "margin_bp": int(margin_bp),
            "reverse_complement": bool(reverse_complement),
            "bootstrap_unit": bootstrap_unit,
        }
    return read_marker(folder)


def open_rows(folder: str | Path) -> Marker:
    """Checked marker of a rows folder; its ``attrs`` are those of `write_rows`."""
    return open_noun(folder, "dataset-rows")


def read_rows(folder: str | Path) -> pd.DataFrame:
    """The rows table (`ROW_COLUMNS`) of a rows folder. Raises DamageError if it is not as written."""
    return read_table(check_file(folder, open_rows(folder), "rows.parquet"))


def write_array(
    folder: str | Path,
    *,
    name: str,
    spec: ArraySpec,
    n: int,
    blocks: Iterable[np.ndarray],
    inputs: dict[str, str],
    chunk_examples: int | None = None,
    parameters: dict[str, Any] | None = None,
) -> Marker:
    """Write one input, target group or mask.

    Parameters
    ----------
    folder : e.g. ``…/demo.zarr/targets/peaks/main``.
    name : of the dataset.
    n : number of examples.
    blocks : arrays (examples, *spec.shape_per_example) in row order, of any lengths that add up to ``n``; memory
        holds one shard of them. Values must fit ``spec.dtype``.
    inputs : `seqmill.stores.layout.upstream` of the nouns it was made from, the rows folder among them.
    chunk_examples : examples of a chunk, the same for all arrays of the dataset; by default `choose_chunk`.
    """
    if rows_digest(inputs) is None:
        raise ValueError(f"{name}: the digest of the rows is not among the inputs {sorted(inputs)}")
    chunk = chunk_examples or choose_chunk(spec.bytes_per_example)
    with noun_folder(folder, noun="dataset-array", label=name, inputs=inputs, parameters=parameters) as (part, out, _):
        array = ArrayWriter(
            part,
            spec.shape_per_example,
            spec.dtype,
            chunk,
            axes=spec.axes,
            attributes={"spec": spec.to_json()},
        )
        for block in blocks:
            array.append(block)
        array.close()
        if array.n != n:
            raise ValueError(f"{folder}: {array.n} examples came, {n} were declared")
        out |= {"spec": spec.to_json(), "n": n, "chunk_examples": chunk, "missing_values": array.missing}
    return read_marker(folder)


def rows_digest(inputs: dict[str, str]) -> str | None:
    """Digest of the rows among the inputs of an array (the label that ends with "rows"), None if not there."""
    return next((digest for label, digest in inputs.items() if label.split("/")[-1] == "rows"), None)


def _targets(arrays: dict[str, Marker], where: str) -> dict[str, TargetSpec]:
    specs = {path: ArraySpec.from_json(marker.attrs["spec"]) for path, marker in arrays.items()}
    groups: dict[str, list[str]] = {}
    for path, spec in specs.items():
        if spec.role == "target":
            groups.setdefault(spec.name, []).append(path)
    targets = {}
    for name, paths in groups.items():
        masked = any(spec.role == "mask" and spec.name == name for spec in specs.values())
        masked |= any(arrays[path].attrs["missing_values"] for path in paths)
        targets[name] = join_groups([specs[path] for path in paths], masked=masked, where=where)
    return targets


def _masks(folder: Path, parts: dict[str, Marker]) -> dict[str, Marker]:
    """Masks of the target groups; one made from other nouns belongs to a target that has since been rebuilt."""
    found = {}
    for path, target in parts.items():
        mask = path.replace("targets/", "mask/", 1)
        if mask != path and (folder / mask / MARKER).exists():
            marker = open_noun(folder / mask, "dataset-array")
            if marker.attrs["inputs"].items() <= target.attrs["inputs"].items():
                found[mask] = marker
    return found


def _delete_others(folder: Path, parts: dict[str, Marker]) -> None:
    for marker in sorted(folder.glob("*/**/" + MARKER)):
        path = marker.parent
        if str(path.relative_to(folder)) not in parts and read_marker(path).noun == "dataset-array":
            shutil.rmtree(path)


def finish_dataset(
    folder: str | Path, *, name: str, arrays: Sequence[str], parameters: dict[str, Any] | None = None
) -> Marker:
    """Check that the parts fit together and write the dataset's own files, marker last.

    Parameters
    ----------
    folder : ``…/{dataset}.zarr``.
    name : of the dataset.
    arrays : paths of inputs and target groups inside the folder, e.g. "inputs/sequence", "targets/peaks/main", in the
        order of the configuration; groups of a target are joined in this order. Masks made from the same nouns as
        their target group are taken along. Other arrays, left from an older configuration, are deleted.

    Raises
    ------
    DamageError if a part is missing or was made from other rows; InputError if groups of a target do not fit.
    """
    folder = Path(folder)
    if (folder / LINK).exists():
        raise InputError(folder, "is a dataset that lies elsewhere, by the key 'stored'; delete it to build one here")
    with artefact_lock(folder):
        rows = open_rows(folder / "rows")
        parts = {path: open_noun(folder / path, "dataset-array") for path in arrays}
        parts |= _masks(folder, parts)
        for path, marker in parts.items():
            if marker.attrs["n"] != rows.attrs["n"]:
                raise DamageError(f"{folder / path}: {marker.attrs['n']} examples, the rows are {rows.attrs['n']}")
            if rows_digest(marker.attrs["inputs"]) != rows.digest:
                raise DamageError(f"{folder / path}: was built from other rows than {folder / 'rows'}; build it again")
        targets = _targets(parts, str(folder))
        inputs = [marker for marker in parts.values() if marker.attrs["spec"]["role"] == "input"]
        if not inputs:
            raise InputError(folder, "a dataset needs at least one input")
        geometry = {
            "n": rows.attrs["n"],
            "arrays": {path: marker.attrs["spec"] for path, marker in parts.items()},
            "targets": {key: target.to_json() for key, target in targets.items()},
        }
        (folder / MARKER).unlink(missing_ok=True)  # what it says ends here
        _delete_others(folder, parts)
        made_from = {f"{folder.name}/{path}": marker.digest for path, marker in [("rows", rows), *parts.items()]}
        with recorded(folder, inputs=made_from, parameters=parameters or {}, packages=("numpy", "zarr")):
            write_groups(folder, parts, geometry)
        chunk = min(marker.attrs["chunk_examples"] for marker in parts.values())
        return write_marker(
            folder,
            noun="dataset",
            name=marker_name(folder, "dataset"),
            format=version("dataset"),
            attrs={
                "name": name,
                "n": rows.attrs["n"],
                "arrays": list(parts),
                "chunk_examples": chunk,
                "inputs": {},
                "recorded": True,
            },
            parts=["rows", *parts],
        )


class _Joined:
    """Groups of a target, joined on the last axis when all are there."""

    def __init__(self, reads: list[Result]):
        self.reads = reads

    def result(self) -> np.ndarray:
        pieces = [read.result() for read in self.reads]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-1)


class _Present:
    """Mask of a float target: where it is not NaN."""

    def __init__(self, read: Result):
        self.read = read

    def result(self) -> np.ndarray:
        return ~np.isnan(self.read.result())


class DatasetReader:
    """A dataset, opened for reading: markers, sizes and headers are checked here, chunks at every read.

    Attributes
    ----------
    name, n, digest : of the dataset.
    chunk_examples : examples of a chunk; reads aligned to it touch no chunk twice.
    inputs : `ArraySpec` of each input. targets : `TargetSpec` of each target, groups joined.
    parts : ``{pool, fold, start, stop}`` of each part. runs : folds of train, valid and test of each run.
    window_bp, margin_bp, reverse_complement, bootstrap_unit, pools, folds : as in `write_rows`.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        marker = open_noun(self.folder, "dataset")
        for path in marker.files:
            check_file(self.folder, marker, path)
        self._place = link_of(self.folder)
        self.marker, self.name, self.digest = marker, marker.attrs["name"], marker.digest
        self.n: int = marker.attrs["n"]
        self.chunk_examples: int = marker.attrs["chunk_examples"]
        self._rows = self._part("rows", "dataset-rows")
        attrs = self._rows.attrs
        self.parts: list[dict[str, Any]] = attrs["parts"]
        self.runs: dict[str, dict[str, list[str]]] = attrs["runs"]
        self.pools: list[str] = attrs["pools"]
        self.folds: list[str] = attrs["folds"]
        self.window_bp: int = attrs["window_bp"]
        self.margin_bp: int = attrs["margin_bp"]
        self.reverse_complement: bool = attrs["reverse_complement"]
        self.bootstrap_unit: str = attrs["bootstrap_unit"]
        self._arrays = {path: self._part(path, "dataset-array") for path in marker.attrs["arrays"]}
        if self._place is not None:
            check_unchanged(self.folder, self._place, marker, self._arrays)
        self._stored = {path: self._open(path) for path in self._arrays}
        self._paths: dict[str, list[str]] = {}
        self._masks: dict[tuple[str, str], str] = {}
        self.inputs: dict[str, ArraySpec] = {}
        for path, part in self._arrays.items():
            spec = ArraySpec.from_json(part.attrs["spec"])
            if spec.role == "mask":
                self._masks[spec.name, spec.group] = path
                continue
            if spec.role == "input":
                self.inputs[spec.name] = spec
            self._paths.setdefault(f"{spec.role}s/{spec.name}", []).append(path)
        self.targets = _targets(self._arrays, str(self.folder))

    def _open(self, path: str) -> StoredArray:
        place = None if self._place is None else self._place / path
        return StoredArray(self.folder / path, self._arrays[path], place=place)

    def _part(self, path: str, noun: str) -> Marker:
        part = (open_noun if self._place is None else open_copy)(self.folder / path, noun)
        if self.marker.parts.get(path) != part.digest:
            raise DamageError(f"{self.folder / path}: is not the part that {self.folder / MARKER} was written for")
        return part

    def rows(self) -> pd.DataFrame:
        """The rows table, columns `ROW_COLUMNS`."""
        return read_table(check_file(self.folder / "rows", self._rows, "rows.parquet"))

    def read_async(self, key: str, start: int, stop: int) -> Result:
        """Start to read examples ``start`` to ``stop`` of ``key``; ``.result()`` gives the array of `read`."""
        kind, _, name = key.partition("/")
        if kind != "mask":
            if key not in self._paths:
                raise KeyError(f"{self.folder} has no {key}; it has {', '.join(self._paths)}")
            return _Joined([self._stored[path].read_async(start, stop) for path in self._paths[key]])
        if name not in self.targets:
            raise KeyError(f"{self.folder} has no target {name}; it has {', '.join(self.targets)}")
        return _Joined([self._mask(path, start, stop) for path in self._paths[f"targets/{name}"]])

    def _mask(self, path: str, start: int, stop: int) -> Result:
        stored, spec = self._stored[path], self._arrays[path].attrs["spec"]
        mask = self._masks.get((spec["name"], spec["group"]))
        if mask:
            return self._stored[mask].read_async(start, stop)
        if self._arrays[path].attrs["missing_values"]:
            return _Present(stored.read_async(start, stop))
        count = max(0, min(stop, self.n) - max(0, start))
        return Done(np.ones((count, *stored.shape[1:]), bool))

    def read(self, key: str, start: int, stop: int) -> np.ndarray:
        """Examples ``start`` to ``stop`` (clipped to ``n``) of "inputs/X", "targets/X" or "mask/X".

        Returns
        -------
        Array (examples, *shape_per_example); tracks of all groups on the last axis; masks are bool, True = present.
        Raises DamageError that names a damaged file, KeyError for an unknown key.
        """
        return self.read_async(key, start, stop).result()
