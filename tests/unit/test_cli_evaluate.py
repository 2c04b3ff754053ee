"""`seqmill evaluate`: the same tables as the workflow's, with all that they need."""

import json

import pandas as pd
import pytest
from tests.unit.cli_world import config, write_world

from seqmill.cli import main
from seqmill.config.project import Project
from seqmill.runtime.marker import read_marker
from seqmill.stages.evaluation import of_evaluation
from seqmill.stages.steps import Steps

BASELINES = {"words": {"kind": "kmer", "dataset": "peaks", "k": 2}, "content": {"kind": "gc", "dataset": "peaks"}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_world(tmp_path, baselines=BASELINES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_everything_that_is_judged_is_needed(folder):
    steps = Steps(Project.load([folder / "config/config.yaml"]))
    wanted = of_evaluation(steps, "peaks")
    assert [need.folder.relative_to("results/predictions").as_posix() for need in wanted.needs] == [
        "small/0.0.zarr",
        "small/0.1.zarr",
        "small/0.mean.zarr",
        "words/0.0.zarr",
        "content/0.0.zarr",
    ]


def test_evaluate_makes_what_it_needs_and_then_nothing(folder, capsys):
    (folder / "config/config.yaml").write_text(json.dumps(config(models={}, baselines=BASELINES)))
    assert main(["evaluate", "peaks"]) == 0
    assert capsys.readouterr().out == "results/evaluation/peaks\n"
    found = pd.read_csv(folder / "results/evaluation/peaks/metrics.tsv", sep="\t", dtype={"fold": str})
    assert set(found["model"]) == {"words", "content"}
    assert list(read_marker(folder / "results/evaluation/peaks").attrs["inputs"]) == [
        "predictions/content/0.0.zarr",
        "predictions/words/0.0.zarr",
    ]
    assert main(["evaluate", "peaks"]) == 0
    assert capsys.readouterr().err.endswith("0 built, 9 up to date\n")


@pytest.mark.parametrize(
    ("name", "baselines", "message"),
    [
        ("nope", BASELINES, "dataset 'nope' is not configured; known: peaks"),
        ("peaks", {}, "no model, baseline or published prediction is of dataset 'peaks'"),
    ],
)
def test_what_cannot_be_judged_is_told(folder, capsys, name, baselines, message):
    (folder / "config/config.yaml").write_text(json.dumps(config(models={}, baselines=baselines)))
    assert main(["evaluate", name]) == 2
    assert message in capsys.readouterr().err
