"""Means over seeds: against plain arithmetic, and refused where runs are not of the same rows."""

import numpy as np
import pytest
from tests.unit.store_examples import toy_rows

from seqmill.runtime.errors import InputError
from seqmill.stores.ensemble import RunningMean, average_seeds
from seqmill.stores.layout import upstream
from seqmill.stores.predictions import PredictionsReader, PredictionsWriter
from seqmill.stores.specs import TargetSpec
from seqmill.stores.verify import verify

SPECS = {
    "peaks": TargetSpec("peaks", "binary", "uint8", ("example", "tracks"), (2,), ("a", "b"), strand_pairs=(0, 1)),
    "cov": TargetSpec("cov", "profile", "float32", ("example", "bins", "tracks"), (3, 1), ("c",), bp_per_bin=4),
}
ATTRS = {
    "kind": "network", "model": "net", "dataset": "toy", "dataset_digest": "0", "fold": "0", "part": "test",
    "both_strands": True, "shifts_bp": [0], "bootstrap_unit": "contig",
}  # fmt: skip


def write_seed(folder, seed, specs=SPECS, rows=None, **attrs):
    rng = np.random.default_rng(seed)
    rows = toy_rows() if rows is None else rows
    values = {}
    for number, (name, spec) in enumerate(specs.items()):
        shape = (len(rows), *spec.shape_per_example)
        truth = np.random.default_rng(number).integers(0, 2, shape).astype(spec.dtype)
        values[name] = (rng.random(shape, dtype=np.float32), truth, truth == truth)
    out = folder / f"predictions/net/0.{seed}.zarr"
    with PredictionsWriter(out, f"net/0.{seed}", ATTRS | {"seed": seed} | attrs, specs) as writer:
        writer.append(rows, values)
    return out


def test_mean_and_spread_are_those_of_numpy(tmp_path, monkeypatch):
    members = [write_seed(tmp_path, seed) for seed in (7, 0, 3)]
    out = tmp_path / "predictions/net/0.mean.zarr"
    average_seeds(out, members=members)
    found, readers = PredictionsReader(out), [PredictionsReader(path) for path in members]
    for name in SPECS:
        stack = np.stack([reader.predicted(name) for reader in readers]).astype(np.float64)
        np.testing.assert_allclose(found.predicted(name), stack.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(found.spread(name), stack.std(axis=0), rtol=1e-5)
        assert np.array_equal(found.truth(name), readers[0].truth(name))
        assert np.array_equal(found.mask(name), readers[0].mask(name))
    assert found.rows().equals(readers[0].rows())
    assert {key: found.attrs[key] for key in ("model", "fold", "seed", "seeds", "kind")} == {
        "model": "net", "fold": "0", "seed": "mean", "seeds": [0, 3, 7], "kind": "network",
    }  # fmt: skip
    assert found.attrs["inputs"] == upstream(*members)
    assert found.has_spread
    assert not readers[0].has_spread
    assert verify(tmp_path) == []

    monkeypatch.setattr("seqmill.stores.ensemble.SLAB_BYTES", 2000)
    again = tmp_path / "again/net/0.mean.zarr"
    average_seeds(again, members=members[::-1])
    assert PredictionsReader(again).marker.files == found.marker.files


def test_one_value_has_no_spread_and_unused_rows_do_not_count():
    values = RunningMean((3, 2))
    values.add(np.array([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]), np.array([True, True, False]))
    values.add(np.array([[3.0, 2.0], [9.0, 9.0], [9.0, 9.0]]), np.array([True, False, False]))
    assert values.mean().tolist() == [[2, 2], [3, 4], [0, 0]]
    assert values.spread().tolist() == [[1, 0], [0, 0], [0, 0]]
    assert values.count.ravel().tolist() == [2, 1, 0]


def test_embeddings_are_left_out(tmp_path):
    plain = TargetSpec("peaks", "binary", "uint8", ("example", "tracks"), (2,), ("a", "b"), strand_pairs=(0, 1))
    monkey = {"peaks": plain, "embedding": TargetSpec("embedding", "none", "float32", ("example", "n"), (4,))}
    members = [write_seed(tmp_path, seed, monkey) for seed in (0, 1)]
    average_seeds(tmp_path / "predictions/net/0.mean.zarr", members=members)
    assert list(PredictionsReader(tmp_path / "predictions/net/0.mean.zarr").targets) == ["peaks"]
    only = [write_seed(tmp_path / "only", seed, {"embedding": monkey["embedding"]}) for seed in (0, 1)]
    with pytest.raises(InputError, match="mean something else in each model and cannot be averaged"):
        average_seeds(tmp_path / "x/net/0.mean.zarr", members=only)


def test_members_that_do_not_belong_together(tmp_path):
    first, out = write_seed(tmp_path, 0), tmp_path / "x/net/0.mean.zarr"
    with pytest.raises(InputError, match="needs predictions of at least one seed, found none"):
        average_seeds(out, members=[])
    with pytest.raises(InputError, match=r"seeds \[0, 0\] are not all different"):
        average_seeds(out, members=[first, first])
    for changed, value in (("dataset_digest", "1"), ("shifts_bp", [0, 4]), ("fold", "1")):
        other = write_seed(tmp_path / changed, 1, **{changed: value})
        with pytest.raises(InputError, match=rf"{changed} is .*, that of .*0\.0\.zarr is .*; predict both again"):
            average_seeds(out, members=[first, other])
    fewer = write_seed(tmp_path / "fewer", 1, rows=toy_rows().iloc[:40])
    with pytest.raises(InputError, match=r"targets or rows differ from those of .*0\.0\.zarr; predict both again"):
        average_seeds(out, members=[first, fewer])
    assert not out.exists()


def test_a_block_needs_a_spread_where_the_store_has_one(tmp_path):
    zeros, spec = np.zeros((50, 2), np.uint8), {"peaks": SPECS["peaks"]}
    writer = PredictionsWriter(tmp_path / "net/0.mean.zarr", "net", ATTRS | {"seed": "mean"}, spec, spread=True)
    with pytest.raises(ValueError, match="zip"), writer:
        writer.append(toy_rows(), {"peaks": (zeros, zeros, None)})
    assert not (tmp_path / "net/0.mean.zarr").exists()
