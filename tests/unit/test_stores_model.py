"""Model folders and predictions: round trips, and nothing damaged is read."""

import numpy as np
import pytest
from tests.unit.store_examples import toy_rows

from seqmill.runtime.errors import DamageError
from seqmill.runtime.marker import read_marker
from seqmill.stores.dataset import ROW_COLUMNS
from seqmill.stores.model import ModelReader, write_model
from seqmill.stores.predictions import PredictionsReader, PredictionsWriter
from seqmill.stores.specs import TargetSpec

TENSORS = {
    "b.kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "a.scale": np.float32(2.5),
    "a.count": np.array([1, 2], np.int32),
}
INFO = {"architecture": "dense", "fold": "0", "seed": 3, "valid_loss": 0.25}


def save(folder, **info):
    return write_model(
        folder, "net", TENSORS, {**INFO, **info}, [{"step": 1, "valid_loss": 0.5}], record={"device": "cpu"}
    )


def read_all(folder):
    reader = ModelReader(folder)
    return reader.info, reader.history, reader.tensors()


def test_model_round_trip(tmp_path):
    marker = save(tmp_path / "net/0.3")
    reader = ModelReader(tmp_path / "net/0.3")
    assert marker.name == "net/0.3"
    assert reader.digest == marker.digest
    assert reader.info["architecture"] == "dense"
    assert reader.info["tensors"]["b.kernel"] == ["float32", [3, 2]]
    assert reader.history == [{"step": 1, "valid_loss": 0.5}]
    found = reader.tensors()
    assert sorted(found) == sorted(TENSORS)
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype
        assert found[name].shape == np.shape(value)
    assert '"device": "cpu"' in (tmp_path / "net/0.3/run.json").read_text()


def test_who_may_read_one_file_may_read_all(tmp_path):
    save(tmp_path / "net/0.3")
    modes = {path.name: path.stat().st_mode for path in (tmp_path / "net/0.3").iterdir()}
    assert modes["model.safetensors"] == modes["model.json"], modes


def test_equal_models_have_equal_digests(tmp_path):
    digests = [save(tmp_path / str(i) / "net/0.3").digest for i in range(2)]
    assert digests[0] == digests[1]
    assert save(tmp_path / "2/net/0.3", seed=4).digest != digests[0]


@pytest.mark.parametrize("file", ["model.safetensors", "model.json", "history.jsonl"])
def test_changed_model_files_are_named(tmp_path, file):
    save(tmp_path / "net/0.3")
    path = tmp_path / "net/0.3" / file
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DamageError, match=f"{file}: content changed"):
        read_all(tmp_path / "net/0.3")


def test_a_model_with_nan_loss_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save(tmp_path / "net/0.3", valid_loss=float("nan"))
    assert not (tmp_path / "net/0.3").exists()


SPECS = {
    "peaks": TargetSpec(
        "peaks", "binary", "uint8", ("example", "tracks"), (2,), tracks=("a", "b"), strand_pairs=(0, 1)
    ),
    "cov": TargetSpec("cov", "profile", "float32", ("example", "bins", "tracks"), (3, 1), tracks=("c",), bp_per_bin=4),
}
ATTRS = {
    "kind": "network", "model": "net", "dataset": "toy", "dataset_digest": "0", "fold": "0", "seed": 0,
    "bootstrap_unit": "contig",
}  # fmt: skip


def blocks(start, stop):
    n = stop - start
    truth = np.arange(start, stop, dtype=np.uint8)[:, None] % 2 * np.ones((1, 2), np.uint8)
    profile = np.full((n, 3, 1), start, np.float32)
    profile[0, 1] = np.nan
    return {
        "peaks": (np.full((n, 2), 0.5), truth, None),
        "cov": (np.ones((n, 3, 1), np.float32), profile, ~np.isnan(profile)),
    }


def write(folder, sizes=(7, 13, 30)):
    rows, start = toy_rows(), 0
    with PredictionsWriter(folder, "net", ATTRS, SPECS, inputs={"models/net/0.0": "1" * 64}) as writer:
        for size in sizes:
            writer.append(rows.iloc[start : start + size], blocks(start, start + size))
            start += size
    return PredictionsReader(folder)


def test_predictions_round_trip(tmp_path):
    reader = write(tmp_path / "net/0.0.zarr")
    assert reader.n == 50
    assert reader.targets == SPECS
    assert list(reader.rows()) == list(ROW_COLUMNS)
    assert reader.rows()["name"].tolist() == toy_rows()["name"].tolist()
    assert reader.predicted("peaks").dtype == np.float32
    assert reader.truth("peaks")[:, 1].tolist() == [i % 2 for i in range(50)]
    assert reader.mask("peaks").all()
    assert np.argwhere(~reader.mask("cov")).tolist() == [[0, 1, 0], [7, 1, 0], [20, 1, 0]]
    np.testing.assert_array_equal(reader.truth("cov", 19, 22)[:, 0, 0], [7, 20, 20])
    assert reader.attrs["inputs"] == {"models/net/0.0": "1" * 64}
    assert reader.marker.name == "net/0.0.zarr"


def test_block_sizes_leave_no_trace(tmp_path):
    rows, whole, digests = toy_rows(), blocks(0, 50), set()
    for step in (50, 11):
        folder = tmp_path / str(step) / "net/0.0.zarr"
        with PredictionsWriter(folder, "net", ATTRS, SPECS) as writer:
            for i in range(0, 50, step):
                cut = {
                    key: tuple(None if x is None else x[i : i + step] for x in values) for key, values in whole.items()
                }
                writer.append(rows.iloc[i : i + step], cut)
        digests.add(read_marker(folder).digest)
    assert len(digests) == 1


def test_large_predictions_span_shards(tmp_path, monkeypatch):
    monkeypatch.setattr("seqmill.stores.arrays.SHARD_BYTES", 64)
    monkeypatch.setattr("seqmill.stores.dataset.CHUNK_BYTES", 64)
    reader = write(tmp_path / "net/0.0.zarr")
    assert len(list((tmp_path / "net/0.0.zarr/truth/cov/c").iterdir())) > 5
    np.testing.assert_array_equal(reader.truth("cov")[:, 0, 0], [0] * 7 + [7] * 13 + [20] * 30)


def test_an_error_leaves_nothing(tmp_path):
    def fail():
        with PredictionsWriter(tmp_path / "net/0.0.zarr", "net", ATTRS, SPECS) as writer:
            writer.append(toy_rows().iloc[:7], blocks(0, 7))
            writer.append(toy_rows().iloc[:6], blocks(0, 7))

    with pytest.raises(ValueError, match="7 predicted peaks for 6 rows"):
        fail()
    assert [path for path in (tmp_path / "net").iterdir() if path.is_dir()] == []


def test_no_rows_at_all(tmp_path):
    reader = write(tmp_path / "net/0.0.zarr", sizes=())
    assert reader.n == 0
    assert reader.predicted("cov").shape == (0, 3, 1)
    assert len(reader.rows()) == 0


def test_needed_attrs(tmp_path):
    with pytest.raises(ValueError, match=r"attrs lack \['seed'\]"):
        PredictionsWriter(tmp_path / "x.zarr", "x", {k: v for k, v in ATTRS.items() if k != "seed"}, SPECS)


def test_digest_depends_on_the_values(tmp_path):
    digest = write(tmp_path / "1/net/0.0.zarr").digest
    with PredictionsWriter(tmp_path / "2/net/0.0.zarr", "net", ATTRS, SPECS) as writer:
        writer.append(toy_rows(), blocks(0, 50))
    assert read_marker(tmp_path / "2/net/0.0.zarr").digest != digest
