"""`verify` finds and names damage; a small run of what benchmarks/bench_verify.py does 1,000 times."""

import shutil
import sys
from pathlib import Path

import pytest
from tests.unit.store_examples import N, toy_arrays, write_toy_dataset, write_toy_results

from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader, write_array
from seqmill.stores.layout import upstream
from seqmill.stores.verify import verify

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import bench_verify

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return write_toy_results(tmp_path_factory.mktemp("verify") / "results")


@pytest.fixture
def tree(pristine, tmp_path):
    shutil.copytree(pristine, tmp_path / "results")
    return tmp_path / "results"


def test_whole_trees_and_single_nouns_are_whole(pristine):
    assert verify(pristine) == []
    assert verify(pristine / "datasets/toy.zarr/inputs/sequence") == []


def test_random_mutations_are_found_and_named(tree):
    rows = bench_verify.run(tree, 60, seed=7)
    assert sum(row["n"] for row in rows) == 60
    assert [row for row in rows if row["named"] < row["n"]] == []


def test_a_store_without_marker_is_a_finding(tree):
    (tree / "datasets/toy.zarr/marker.json").unlink()
    shard = tree / "datasets/toy.zarr/inputs/sequence/c/0/0"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert [problem.split(": ")[0] for problem in verify(tree)] == [
        str(tree / "datasets/toy.zarr/marker.json"),
        str(shard),
    ]
    (tree / "models/net/0.0/marker.json").unlink()
    assert any(problem.startswith(str(tree / "models/net/0.0/marker.json")) for problem in verify(tree))


def test_a_noun_that_others_were_made_from_is_missed(tree):
    """Only where the tree holds its kind: a copied noun, or results without tracks, are whole."""
    shutil.rmtree(tree / "genome/toy.zarr")
    made = [tree / "tracks/peaks.zarr", tree / "tracks/signal.zarr"]
    found = verify(tree)
    assert sorted(found) == [f"{tree}/genome/toy.zarr: missing; {folder} was made from it" for folder in made]
    assert verify(tree / "tracks") == []
    (tree / "genome").rmdir()
    assert verify(tree) == []


def test_an_added_file_is_a_finding(tree):
    (tree / "genome/toy.zarr/codes/chr1/c/9").write_bytes(b"x")
    assert verify(tree) == [f"{tree}/genome/toy.zarr/codes/chr1/c/9: not listed in marker.json"]


def test_records_belong_to_their_noun(tree):
    one, two = tree / "tracks/signal.zarr/run.json", tree / "tracks/peaks.zarr/run.json"
    bench_verify.swap(one, two)
    assert sorted(verify(tree)) == [f"{path}: is the record of another marker.json" for path in (two, one)]
    one.unlink()
    assert f"{one}: missing" in verify(tree)


def test_a_noun_made_from_another_version_is_a_finding(tree):
    other = write_toy_dataset(tree.parent / "other/toy.zarr", seed=9)
    shutil.rmtree(tree / "datasets/toy.zarr")
    shutil.copytree(other, tree / "datasets/toy.zarr")
    problems = verify(tree)
    made = f"was built from another version of {tree}/datasets/toy.zarr; build it again"
    assert [p for p in problems if "0.0" in p] == [
        f"{tree}/models/net/0.0: {made}",
        f"{tree}/predictions/net/0.0.zarr: {made}",
    ]


def test_a_replaced_part_is_a_finding(tree):
    folder = tree / "datasets/toy.zarr"
    spec, values = toy_arrays(seed=3)["inputs/sequence"]
    write_array(
        folder / "inputs/sequence", name="toy", spec=spec, n=N, blocks=[values], inputs=upstream(folder / "rows")
    )
    assert f"{folder}/inputs/sequence: is not the part that {folder}/marker.json was written for" in verify(tree)


def test_leftovers_of_killed_writers_are_no_damage(tree):
    (tree / "datasets/toy.zarr/inputs/.sequence.part-0123abcd").mkdir()
    (tree / "datasets/toy.zarr/inputs/.sequence.part-0123abcd/zarr.json").write_text("{}")
    (tree / "datasets/toy.zarr/inputs/.sequence.lock").write_text("")
    assert verify(tree) == []
    assert DatasetReader(tree / "datasets/toy.zarr").n == N


def test_nothing_to_verify(tmp_path):
    with pytest.raises(InputError, match=r"none: does not exist"):
        verify(tmp_path / "none")
    with pytest.raises(InputError, match="holds nothing to verify"):
        verify(tmp_path)
