"""A network that starts from another one waits for it."""

import json

import pytest
from tests.unit.cli_world import config, write_world
from tests.workflow.runs import planned

pytestmark = pytest.mark.workflow


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
