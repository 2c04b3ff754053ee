"""`seqmill predict`: standard predictions with their mean, published ones, and rows of another dataset."""

import json
from concurrent.futures import Future

import pytest
from tests.unit.cli_world import config, write_world

from seqmill.cli import main
from seqmill.stores.predictions import PredictionsReader
from seqmill.stores.verify import verify


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A world with a second dataset (longer step) on the same genome, and predictions that others made for a table."""
    values = config()
    values["datasets"]["sparse"] = {
        **values["datasets"]["peaks"],
        "windows": {"kind": "tiles", "window_bp": 100, "stride_bp": 350},
    }
    values["datasets"]["table"] = {
        "windows": {"kind": "table", "files": [{"path": "data/t.tsv", "format": "tsv"}], "name_column": "id"},
        "targets": {"v": {"kind": "quantity", "column": "v"}},
        "split": {"kind": "folds", "k": 2, "by": "row"},
    }
    values["published"] = {
        "them": {"dataset": "table", "file": "data/t.tsv", "key_column": "id", "columns": {"v": "guess"}}
    }
    folder = write_world(tmp_path_factory.mktemp("predict") / "work", **values)
    lines = [f"r{i}\t{'ACGT'[i % 4] * 20}{'ACGT'[i // 4 % 4] * 20}\t{i}\t{i / 2}" for i in range(16)]
    (folder / "data/t.tsv").write_text("\n".join(["id\tsequence\tv\tguess", *lines]) + "\n")
    return folder


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)


class Inline:
    """In place of an executor: the work is done here and now, without the start of a process."""

    def __init__(self, *arguments, **more):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, body, *arguments):
        done = Future()
        done.set_result(body(*arguments))
        return done


def last(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.slow
def test_all_runs_their_mean_and_another_dataset(folder, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("seqmill.runtime.child.ProcessPoolExecutor", Inline)
        assert main(["predict", "small"]) == 0
    printed = capsys.readouterr()
    seeds = [f"results/predictions/small/0.{seed}.zarr" for seed in (0, 1, "mean")]
    assert printed.out.split() == seeds
    assert printed.err.strip().splitlines()[-1] == "11 built, 0 up to date"
    readers = [PredictionsReader(path) for path in seeds]
    mean = (readers[0].predicted("bound") + readers[1].predicted("bound")) / 2
    assert abs(readers[2].predicted("bound") - mean).max() < 1e-6
    assert set(readers[2].rows()["contig"]) == {"chr3"}
    assert main(["predict", "small", "--dataset", "sparse", "--out", "mine/sparse.zarr"]) == 0
    assert capsys.readouterr().out.split() == ["mine/sparse.zarr"]
    found = PredictionsReader("mine/sparse.zarr")
    assert found.attrs["models"] == {"small/0.0": found.n, "small/0.1": found.n}
    assert (found.attrs["dataset"], found.attrs["part"], found.attrs["seed"]) == ("sparse", "test", "mean")
    assert verify("results") == []


def test_published_predictions_of_every_fold(folder, capsys):
    assert main(["predict", "them"]) == 0
    assert capsys.readouterr().out.split() == [f"results/predictions/them/{fold}.0.zarr" for fold in "01"]
    found = [PredictionsReader(f"results/predictions/them/{fold}.0.zarr") for fold in "01"]
    assert sum(reader.n for reader in found) == 16
    for reader in found:
        assert (reader.predicted("v") * 2 == reader.truth("v")).all()
    assert main(["predict", "them", "--fold", "2"]) == 2
    assert last(capsys).endswith("them: fold '2' is none of 0, 1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "model 'nobody' is not configured; known: small"),
        (["small", "--part", "all"], "--out: name the folder to write; without it the test parts of the model are"),
        (["small", "--seed", "7", "--out", "x"], "no trained run of model small (0.7); train it first: seqmill train"),
        (["them", "--out", "x"], "model 'them' is not configured; known: small"),
        (["small", "--out", "x", "--dataset", "no", "--seed", "0"], "dataset 'no' is not configured"),
    ],
)
def test_what_cannot_be_asked_for(folder, capsys, arguments, message):
    (folder / "results/models/small/0.0").mkdir(parents=True, exist_ok=True)
    marker = folder / "results/models/small/0.0/marker.json"
    if not marker.exists():
        marker.write_text(json.dumps({}))
    assert main(["predict", *arguments]) == 2
    assert message in last(capsys)
