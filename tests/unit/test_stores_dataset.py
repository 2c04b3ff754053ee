"""Datasets: what is written is what is read, and nothing damaged is read."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import zarr
from tests.unit.store_examples import N, toy_arrays, toy_rows, write_toy_dataset, write_toy_parts

from seqmill.runtime.errors import DamageError, InputError
from seqmill.runtime.marker import read_marker, verify_folder
from seqmill.stores.arrays import as_dtype
from seqmill.stores.dataset import DatasetReader, choose_chunk, find_parts, finish_dataset, read_rows, write_array
from seqmill.stores.layout import upstream
from seqmill.stores.specs import ArraySpec, join_groups


@pytest.fixture
def dataset(tmp_path):
    return write_toy_dataset(tmp_path / "toy.zarr")


def test_reads_what_was_written(dataset):
    reader, arrays = DatasetReader(dataset), toy_arrays()
    assert (reader.n, reader.name, reader.chunk_examples) == (50, "toy", 4)
    assert reader.parts == [
        {"pool": "peaks", "fold": "train", "start": 0, "stop": 25},
        {"pool": "peaks", "fold": "test", "start": 25, "stop": 34},
        {"pool": "negatives", "fold": "train", "start": 34, "stop": 50},
    ]
    assert reader.runs["0"]["test"] == ["test"]
    np.testing.assert_array_equal(reader.read("inputs/sequence", 3, 21), arrays["inputs/sequence"][1][3:21])
    joined = np.concatenate([arrays["targets/peaks/main"][1], arrays["targets/peaks/new"][1]], axis=1)
    np.testing.assert_array_equal(reader.read("targets/peaks", 0, N), joined)
    mask = reader.read("mask/peaks", 0, N)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask[:, :3], True)
    np.testing.assert_array_equal(mask[:, 3:], arrays["mask/peaks/new"][1])
    np.testing.assert_array_equal(reader.read("targets/coverage", 2, 5), arrays["targets/coverage/main"][1][2:5])
    missing = np.argwhere(~reader.read_async("mask/coverage", 2, 5).result())
    assert missing.tolist() == [[1, 2, 1]]
    assert reader.read("inputs/sequence", 48, 60).shape == (2, 24)


def test_target_spec_joins_groups(dataset):
    peaks = DatasetReader(dataset).targets["peaks"]
    assert peaks.tracks == ("a", "b", "c", "d+", "d-")
    assert peaks.strand_pairs == (0, 1, 2, 4, 3)
    assert (peaks.rc, peaks.masked, peaks.shape_per_example, peaks.groups) == ("swap", True, (5,), ("main", "new"))
    coverage = DatasetReader(dataset).targets["coverage"]
    assert (coverage.masked, coverage.bp_per_bin, coverage.shape_per_example) == (True, 4, (5, 2))


def test_rows_keep_order_and_types(dataset):
    rows = DatasetReader(dataset).rows()
    pd.testing.assert_frame_equal(rows, toy_rows().astype({"strand": "int8"}), check_dtype=False)
    assert rows["start"].dtype == np.int64
    assert rows["strand"].dtype == np.int8
    assert (dataset / "rows/dropped.tsv").read_text() == "stage\treason\tpool\tcount\nn\tN\tpeaks\t2\n"


def test_same_content_gives_the_same_digest(tmp_path):
    digests = {read_marker(write_toy_dataset(tmp_path / str(i) / "toy.zarr")).digest for i in range(2)}
    other = read_marker(write_toy_dataset(tmp_path / "2" / "toy.zarr", seed=1)).digest
    assert len(digests) == 1
    assert other not in digests


def test_plain_zarr_reads_the_dataset_and_its_geometry(dataset):
    root = zarr.open_group(dataset, mode="r")
    np.testing.assert_array_equal(root["inputs/sequence"][:], toy_arrays()["inputs/sequence"][1])
    assert root["targets/coverage/main"].metadata.dimension_names == ("example", "bins", "tracks")
    assert root.attrs["seqmill"]["targets"]["peaks"]["strand_pairs"] == [0, 1, 2, 4, 3]
    assert sorted(root["targets/peaks"].array_keys()) == ["main", "new"]


def test_refuses_parts_of_other_rows(tmp_path):
    folder = tmp_path / "toy.zarr"
    arrays = write_toy_parts(folder)
    spec, values = toy_arrays()["inputs/sequence"]
    write_array(folder / "inputs/sequence", name="toy", spec=spec, n=N, blocks=[values],
                inputs={"toy.zarr/rows": "0" * 64})  # fmt: skip
    with pytest.raises(DamageError, match=r"inputs/sequence: was built from other rows than .*rows; build it again"):
        finish_dataset(folder, name="toy", arrays=arrays)
    assert not (folder / "marker.json").exists()


def test_refuses_a_replaced_part(dataset):
    spec, values = toy_arrays(seed=5)["inputs/sequence"]
    write_array(dataset / "inputs/sequence", name="toy", spec=spec, n=N, blocks=[values],
                inputs=upstream(dataset / "rows"))  # fmt: skip
    with pytest.raises(DamageError, match="inputs/sequence: is not the part that"):
        DatasetReader(dataset)


def test_finish_deletes_arrays_of_an_older_configuration(dataset):
    finish_dataset(dataset, name="toy", arrays=["inputs/sequence", "targets/peaks/main"])
    assert verify_folder(dataset) == []
    assert sorted(p.parent.name for p in dataset.glob("*/**/marker.json")) == ["main", "rows", "sequence"]
    assert set(DatasetReader(dataset).targets) == {"peaks"}
    assert not DatasetReader(dataset).targets["peaks"].masked


def test_a_mask_of_an_older_target_is_not_taken(tmp_path):
    folder = tmp_path / "toy.zarr"
    arrays = write_toy_parts(folder)
    spec, values = toy_arrays()["mask/peaks/new"]
    write_array(folder / "mask/peaks/new", name="toy", spec=spec, n=N, blocks=[values],
                inputs={**upstream(folder / "rows"), "tracks/old.zarr": "0" * 64})  # fmt: skip
    finish_dataset(folder, name="toy", arrays=arrays)
    assert not DatasetReader(folder).targets["peaks"].masked


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([np.zeros((N - 1, 24), np.uint8)], "49 examples came, 50 were declared"),
        ([np.zeros((N + 1, 24), np.uint8)], "51 examples came, 50 were declared"),
        ([np.zeros((N, 23), np.uint8)], "rows of shape"),
        ([np.full((N, 24), 256)], "values do not fit uint8"),
        ([np.full((N, 24), np.nan)], "values do not fit uint8"),
    ],
)
def test_wrong_blocks_leave_nothing(tmp_path, blocks, message):
    folder = tmp_path / "toy.zarr"
    write_toy_parts(folder)
    spec, _ = toy_arrays()["inputs/sequence"]
    with pytest.raises(ValueError, match=message):
        write_array(folder / "inputs/other", name="toy", spec=spec, n=N, blocks=blocks,
                    inputs=upstream(folder / "rows"))  # fmt: skip
    assert sorted(p.name for p in (folder / "inputs").iterdir() if p.is_dir()) == ["sequence"]


def test_float16_is_range_checked():
    assert as_dtype(np.array([65504.0, np.nan]), np.dtype("float16"), "x").dtype == np.float16
    with pytest.raises(ValueError, match="do not fit float16; set clip"):
        as_dtype(np.array([70000.0]), np.dtype("float16"), "x")


def test_damage_is_named_on_read(dataset):
    shard = dataset / "inputs/sequence/c/0/0"
    raw = bytearray(shard.read_bytes())
    raw[5] ^= 4
    shard.write_bytes(raw)
    reader = DatasetReader(dataset)
    with pytest.raises(DamageError, match=r"inputs/sequence/c/0/0: content changed"):
        reader.read("inputs/sequence", 0, N)
    shard.write_bytes(raw[:-1])
    with pytest.raises(DamageError, match=r"inputs/sequence/c/0/0: \d+ bytes, \d+ expected"):
        DatasetReader(dataset)
    shard.unlink()
    with pytest.raises(DamageError, match=r"inputs/sequence/c/0/0: missing"):
        DatasetReader(dataset)
    with pytest.raises(DamageError, match=r"inputs/sequence/c/0/0: missing"):
        reader.read("inputs/sequence", 0, N)


@pytest.mark.parametrize("path", ["zarr.json", "targets/zarr.json", "inputs/sequence/zarr.json", "marker.json"])
def test_changed_headers_are_refused(dataset, path):
    file = dataset / path
    file.write_text(file.read_text().replace("{", "{ ", 1).replace("\n", "", 1))
    with pytest.raises(DamageError, match=path):
        DatasetReader(dataset)


def test_changed_rows_are_refused(dataset):
    file = dataset / "rows/rows.parquet"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    with pytest.raises(DamageError, match=r"rows.parquet: content changed"):
        DatasetReader(dataset).rows()
    with pytest.raises(DamageError, match=r"rows.parquet: content changed"):
        read_rows(dataset / "rows")


def test_unknown_keys_name_what_is_there(dataset):
    with pytest.raises(KeyError, match="it has inputs/sequence, targets/peaks, targets/coverage"):
        DatasetReader(dataset).read("targets/none", 0, 1)


def test_parts_must_be_whole():
    rows = toy_rows().iloc[[0, 30, 1]]
    with pytest.raises(ValueError, match="not partitioned"):
        find_parts(rows, "toy")
    assert find_parts(rows.iloc[:0], "toy") == []


def test_choose_chunk():
    assert [choose_chunk(b) for b in (1, 764, 4000, 1_000_000, 10**9)] == [2048, 2048, 512, 4, 1]


def _target(group, tracks, **more):
    more = {"rc": "none", "kind": "binary", **more}
    return ArraySpec("target", "t", ("example", "tracks"), "uint8", (len(tracks),), group=group, tracks=tracks, **more)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([_target("x", ("a",)), _target("y", ("a",))], "track a is in it twice"),
        ([_target("x", ("a",), strand_pairs=("b",))], "b, strand pair of a, is not in the target"),
        ([_target("x", ("a",)), _target("y", ("b",), kind="count")], "kind of group y is count, of group x binary"),
        ([_target("x", ("a",)), _target("y", ("b",), rc="forbidden")], "different reverse-complement rules"),
    ],
)
def test_groups_that_do_not_fit(specs, message):
    with pytest.raises(InputError, match=message):
        join_groups(specs, masked=False, where="toy")


def test_spec_round_trip_and_checks():
    for spec, _ in toy_arrays().values():
        assert ArraySpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    with pytest.raises(InputError, match="rc 'backwards'; expected one of sequence"):
        _target("x", ("a",), rc="backwards")
    with pytest.raises(InputError, match="2 tracks for axes"):
        ArraySpec("target", "t", ("example", "tracks"), "uint8", (1,), "binary", tracks=("a", "b"))


def test_importing_stores_is_light():
    code = "import sys, seqmill.stores.dataset; print('zarr' in sys.modules, 'tensorstore' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
