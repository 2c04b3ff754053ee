"""Scores over the size of the training data: values by hand, means over runs, the sections and their refusals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.unit import evaluation_toys as toys
from tests.unit.cli_world import config, write_world

from seqmill.cli.command import main
from seqmill.config.project import Project
from seqmill.config.search import Search, lay, name_of_fraction, one_fraction
from seqmill.evaluation.learning_curves import Point, summary_of, write_curve
from seqmill.metrics.ranking import auroc
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import verify_folder
from seqmill.stages.curves import fraction_scope, places_of


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world") / "work")


@pytest.fixture(autouse=True)
def in_world(world, monkeypatch):
    monkeypatch.chdir(world)


def test_every_network_has_its_scores_and_runs_are_averaged(tmp_path):
    points, expected = [], {}
    for fraction, rows, skill in ((0.1, 60, 0.5), (1.0, 600, 2.0)):
        for seed in (0, 1):
            values = toys.binary(np.random.default_rng([seed, rows]), skill)
            path = toys.write(tmp_path / f"{fraction}", {"peaks": values}, toys.PEAKS, seed=seed)
            points.append(Point(fraction, rows, path))
            predicted, truth, mask = values
            each = [auroc(truth[:, i], predicted[:, i], mask[:, i]).value for i in range(3)]
            expected[fraction, str(seed)] = np.mean(each)
    out = tmp_path / "curves" / "size"
    write_curve(out, name="size", points=points, parameters={})
    table = pd.read_csv(out / "points.tsv", sep="\t", dtype={"seed": str})
    found = table[table["metric"] == "auroc"].set_index(["fraction", "seed"])["value"]
    assert {key: pytest.approx(value, rel=1e-8) for key, value in expected.items()} == found.to_dict()
    summary = pd.read_csv(out / "summary.tsv", sep="\t").query("metric == 'auroc'")
    assert summary["rows"].tolist() == [60, 600] and summary["runs"].tolist() == [2, 2]
    for fraction, (_, line) in zip((0.1, 1.0), summary.iterrows()):
        both = [expected[fraction, seed] for seed in ("0", "1")]
        assert line["mean"] == pytest.approx(np.mean(both)) and line["std"] == pytest.approx(np.std(both, ddof=1))
        assert (line["min"], line["max"]) == pytest.approx((min(both), max(both)))
    assert summary["mean"].is_monotonic_increasing
    assert (out / "figures" / "peaks.svg").read_text().startswith("<?xml") and verify_folder(out) == []


def test_one_run_has_no_deviation():
    row = {"target": "t", "target_kind": "binary", "over": "target", "metric": "m", "fraction": 1.0}
    (line,) = summary_of(pd.DataFrame([{**row, "rows": 5, "value": 0.25}])).to_dict("records")
    assert line["mean"] == 0.25 and np.isnan(line["std"]) and line["runs"] == 1 and line["rows"] == 5


def project(**over) -> Project:
    return Project.of(config(**over), "c.yaml")


def test_places_and_sections_of_a_curve():
    made = project(curves={"size": {"model": "small", "fractions": [1.0, 0.05], "seeds": [3]}})
    assert places_of(made, "size") == {"size@0p05/0.3": (0.05, "0", 3), "size@1/0.3": (1.0, "0", 3)}
    assert fraction_scope(made, "size", 0.05).training.train_fraction == 0.05
    half = one_fraction(made.config.models["small"], 0.5)
    assert one_fraction(half, 0.5).training.train_fraction == 0.25
    assert [name_of_fraction(x) for x in (0.05, 0.333333, 1.0)] == ["0p05", "0p333333", "1"]


RATE = {"training.optimizer.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}
BAD = {
    "unknown model": ({"model": "big"}, "searches.wide: model 'big' is not configured; known: small"),
    "unknown fold": ({"folds": ["7"]}, "searches.wide: fold '7' is none of 0"),
    "unknown key": (
        {"space": {"training.optimizer.lerning_rate": {"low": 0.1, "high": 0.2}}},
        "searches.wide: space: training.optimizer: unknown key 'lerning_rate'; did you mean 'learning_rate'?",
    ),
    "value that is not taken": (
        {"space": {"training.batch_size": {"choices": [8, "many"]}}},
        "searches.wide: space: training.batch_size",
    ),
    "seeds": ({"space": {"training.seeds": {"choices": [[1]]}}}, "training.seeds cannot be searched"),
    "another root": (
        {"space": {"dataset": {"choices": ["a"]}}},
        "key 'dataset' must begin with settings, training, objective, targets, pools",
    ),
    "a part of a number": (
        {"space": {"training.batch_size.x": {"choices": [1]}}, "model": "sized"},
        "space: training.batch_size.x lies inside batch_size, which is 8",
    ),
    "ends the wrong way": (
        {"space": {"training.batch_size": {"low": 8, "high": 4}}},
        "low 8 must be below high 4",
    ),
    "neither": ({"space": {"training.batch_size": {"low": 8}}}, "give either 'choices', or 'low' and 'high'"),
    "both": (
        {"space": {"training.batch_size": {"choices": [8], "log": True}}},
        "'choices' stand alone, without low, high, log or step",
    ),
    "logarithm of 0": (
        {"space": {"training.batch_size": {"low": 0, "high": 4, "log": True}}},
        "'log' needs a low above 0, and no step",
    ),
    "jitter": (
        {"space": {"training.max_jitter_bp": {"choices": [0, 20]}}},
        "max_jitter_bp 20 needs margin_bp of dataset peaks to be at least as large, it is 0",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_searches_that_cannot_be_made(case):
    changes, message = BAD[case]
    models = config()["models"]
    models["sized"] = models["small"] | {"training": {"batch_size": 8}}
    with pytest.raises(InputError) as error:
        project(models=models, searches={"wide": {"model": "small", "space": RATE} | changes})
    assert message in str(error.value)


TAKERS = {
    "unknown": ({"search": "deep"}, "models.tuned: search 'deep' is not configured; known: wide"),
    "other network": (
        {"architecture": "basset"},
        "models.tuned: search wide is of architecture dense, the model of basset",
    ),
    "from another": (
        {"search": None, "initial": {"model": "small"}},
        "searches.wide: model tuned starts from a trained model; name one that starts from fresh parameters",
    ),
}


@pytest.mark.parametrize("case", TAKERS)
def test_models_that_cannot_take_settings(case):
    changes, message = TAKERS[case]
    models = config()["models"]
    models["tuned"] = {"architecture": "dense", "dataset": "peaks", "search": "wide"} | changes
    searched = "tuned" if case == "from another" else "small"
    with pytest.raises(InputError) as error:
        project(models=models, searches={"wide": {"model": searched, "space": RATE}})
    assert message in str(error.value)


CURVES = {
    "too much": ({"fractions": [0.5, 1.5]}, "fractions [0.5, 1.5] must be above 0 and at most 1"),
    "twice": ({"fractions": [0.1, 0.1]}, "fractions [0.1, 0.1]: two are alike to six digits"),
    "name of a search": ({}, "curves.wide: 'wide' is a search too; give them different names"),
}


@pytest.mark.parametrize("case", CURVES)
def test_curves_that_cannot_be_made(case):
    changes, message = CURVES[case]
    name = "wide" if case == "name of a search" else "size"
    searches = {"wide": {"model": "small", "space": RATE}}
    with pytest.raises(InputError) as error:
        project(curves={name: {"model": "small"} | changes}, searches=searches)
    assert message in str(error.value)


def test_settings_are_laid_into_a_section():
    model = project().config.models["small"]
    laid = lay(model, {"settings.hidden": [7], "training.optimizer.name": "sgd", "objective": "supervised"}, "s")
    assert laid.settings == {"hidden": [7]} and laid.training.optimizer.name == "sgd"
    assert laid.training.max_epochs == model.training.max_epochs == 1
    search = Search.model_validate(
        {"model": "small", "space": {"training.batch_size": {"low": 8, "high": 64, "step": 8}}}
    )
    assert search.space["training.batch_size"].whole and search.trials == 50


COMMANDS = {
    "search of another name": (["search", "deep"], "search 'deep' is not configured; known: wide"),
    "fold": (["search", "wide", "--fold", "3"], "wide: fold '3' is none of 0"),
    "worker without data": (
        ["search", "wide", "--worker"],
        "results/datasets/peaks.zarr: is not built; build it first: seqmill dataset peaks",
    ),
    "curve of another name": (["curve", "deep"], "curve 'deep' is not configured; known: none"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_what_the_verbs_refuse(case, tmp_path, capsys):
    arguments, message = COMMANDS[case]
    path = tmp_path / "searches.yaml"
    path.write_text(json.dumps({"searches": {"wide": {"model": "small", "space": RATE}}}))
    files = ["--configfile", "config/config.yaml", "--configfile", str(path)]
    assert main([arguments[0], *files, *arguments[1:]]) == 2
    assert message in capsys.readouterr().err
    assert not Path("results").exists()
