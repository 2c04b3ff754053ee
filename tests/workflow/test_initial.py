"""A network that starts from another one waits for it, or is made again when the folder holds another."""

import json
import shutil

import pytest
from tests.unit.cli_world import config, write_world
from tests.workflow.runs import planned, snakemake, succeed

from seqmill.cli import main

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def test_the_initial_model_of_the_same_fold_and_seed_is_trained_first(tmp_path):
    values = config()
    small = values["models"]["small"]
    values["models"] = {
        "wide": small | {"training": {"seeds": [3]}},
        "middle": small | {"initial": {"model": "wide"}},
        "last": small | {"initial": {"model": "middle"}},
    }
    folder = write_world(tmp_path / "work", models=values["models"])
    (folder / "config.yaml").write_text(json.dumps(values))
    jobs = planned(folder, "results/models/last/0.1/marker.json")
    assert [job for job in jobs if job.startswith("train")] == [
        "train model=last, fold=0, seed=1",
        "train model=middle, fold=0, seed=1",
        "train model=wide, fold=0, seed=3",
    ]


def test_a_model_from_a_folder_is_an_input_of_the_training(tmp_path, monkeypatch):
    """Trained once; again only when another model lies there. A place without a model is told at once."""
    other = write_world(tmp_path / "other")
    monkeypatch.chdir(other)
    assert main(["train", "small"]) == 0
    given = tmp_path / "given"
    shutil.copytree(other / "results/models/small", given)
    values = config()
    start = {"folder": str(given / "{fold}.{seed}"), "datasets": [str(other / "results/datasets/peaks.zarr")]}
    values["models"] = {"next": values["models"]["small"] | {"initial": start | {"freeze": "trunk"}}}
    folder = write_world(tmp_path / "work", models=values["models"])
    (folder / "config.yaml").write_text(json.dumps(values))
    wanted = "results/models/next/0.0/marker.json"
    succeed(folder, wanted)
    info = json.loads((folder / "results/models/next/0.0/model.json").read_text())
    assert info["initial"]["model"] == "small/0.0"
    assert info["initial"]["fixed"]
    assert planned(folder, wanted) == []
    shutil.rmtree(given / "0.0")
    shutil.copytree(given / "0.1", given / "0.0")
    assert planned(folder, wanted) == ["train model=next, fold=0, seed=0"]
    shutil.rmtree(given / "0.0")
    refused = snakemake(folder, "--dry-run", wanted)
    assert refused.returncode == 1
    assert "models.next.initial: folder:" in refused.stdout + refused.stderr
