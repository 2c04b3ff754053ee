"""Any array comes back as it was written; any change of any file of a store is an error or changes nothing read."""

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.store_examples import read_everything, write_toy_results

from seqmill.runtime.errors import DamageError
from seqmill.runtime.marker import read_marker, write_marker
from seqmill.stores import arrays
from seqmill.stores.arrays import ArrayWriter, StoredArray


@given(
    rows=st.integers(0, 40),
    shape=st.lists(st.integers(1, 5), max_size=2),
    dtype=st.sampled_from(["uint8", "bool", "int32", "uint32", "float32", "float16"]),
    chunk=st.integers(1, 16),
    shard_bytes=st.integers(1, 3000),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    reads=st.lists(st.tuples(st.integers(-3, 45), st.integers(-3, 45)), min_size=1, max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path_factory, rows, shape, dtype, chunk, shard_bytes, cuts, reads, seed):
    folder = tmp_path_factory.mktemp("array")
    values = np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 200, (rows, *shape)).astype(dtype)
    if dtype.startswith("float") and values.size:
        values.flat[seed % values.size] = np.nan
    saved, arrays.SHARD_BYTES = arrays.SHARD_BYTES, shard_bytes
    try:
        axes = ["example", *(f"axis{i}" for i in range(len(shape)))]
        writer = ArrayWriter(folder, shape, dtype, chunk, axes=axes)
        edges = sorted({0, rows, *(min(cut, rows) for cut in cuts)})
        for start, stop in pairwise(edges):
            writer.append(values[start:stop])
        writer.close()
    finally:
        arrays.SHARD_BYTES = saved
    assert (writer.n, writer.missing) == (rows, np.isnan(values).sum() if values.dtype.kind == "f" else 0)
    stored = StoredArray(folder, write_marker(folder, noun="toy", name=folder.name, format=1))
    assert (stored.shape, stored.dtype) == (values.shape, values.dtype)
    for start, stop in reads:
        np.testing.assert_array_equal(stored.read(start, stop), values[max(0, start) : max(0, stop)])
    np.testing.assert_array_equal(zarr.open_array(folder, mode="r")[:], values)
    for file in read_marker(folder).files:  # no row is lost with its file, though all of it were zeros
        assert file == "zarr.json" or (folder / file).stat().st_size > 0


class Results:
    """A tree with nouns of each kind, its files, and what reading it gives."""

    def __init__(self, folder: Path):
        self.tree = write_toy_results(folder / "results")
        self.files = [p for p in sorted(self.tree.rglob("*")) if p.is_file() and p.parent != self.tree]
        self.whole = read_everything(self.tree)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return Results(tmp_path_factory.mktemp("flips"))


def same(one: dict, other: dict) -> bool:
    def equal(a, b):
        if isinstance(a, np.ndarray) and a.dtype.kind == "f":
            return np.array_equal(a, b, equal_nan=True)
        return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b

    return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)


@pytest.mark.slow
@given(data=st.data(), kind=st.sampled_from(["flip", "cut", "delete", "zero"]))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_readers_refuse_what_was_damaged(results, data, kind):
    path: Path = data.draw(st.sampled_from(results.files), label="file")
    raw = path.read_bytes()
    place = data.draw(st.integers(0, len(raw) - 1), label="byte")
    if kind == "delete":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(raw[:place])
    elif kind == "zero":
        path.write_bytes(raw[:place] + bytes(len(raw) - place))
    else:
        bit = data.draw(st.integers(0, 7), label="bit")
        path.write_bytes(raw[:place] + bytes([raw[place] ^ (1 << bit)]) + raw[place + 1 :])
    changed = not path.exists() or path.read_bytes() != raw
    message = None
    try:
        found = read_everything(results.tree)
    except DamageError as error:
        message = str(error)
    finally:
        path.write_bytes(raw)
    if message is not None:
        assert str(path) in message
        return
    assert same(found, results.whole)
    if changed:  # what holds no value of any reader may go unseen by readers: records, reasons, names of groups
        assert path.name in ("run.json", "dropped.tsv") or (path.name == "zarr.json" and is_group(raw))


def is_group(raw: bytes) -> bool:
    return b'"node_type": "group"' in raw


def test_every_shard_damage_is_refused(results):
    """All shards of all stores, one flip in the middle of each."""
    shards = [path for path in results.files if "c" in path.relative_to(results.tree).parts]
    assert len(shards) > 20
    for path in shards:
        raw = path.read_bytes()
        middle = len(raw) // 2
        path.write_bytes(raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :])
        with pytest.raises(DamageError, match="content changed") as error:
            read_everything(results.tree)
        assert str(path) in str(error.value)
        path.write_bytes(raw)


def test_nouns_may_be_moved_as_a_whole(results, tmp_path):
    shutil.copytree(results.tree, tmp_path / "elsewhere")
    assert same(read_everything(tmp_path / "elsewhere"), results.whole)
