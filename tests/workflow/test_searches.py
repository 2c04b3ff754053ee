"""A network that takes its settings from a search waits for it; scores and curves wait for their networks."""

import json
from collections import Counter
from pathlib import Path

import pytest
from tests.unit.cli_world import config, write_world
from tests.workflow.runs import planned

from seqmill.config.project import Project
from seqmill.planning.plan import make_plan

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    small = config()["models"]["small"]
    values = config(
        models={"small": small, "tuned": {**small, "search": "wide"}},
        searches={"wide": {"model": "small", "workers": 2, "space": {"training.batch_size": {"choices": [8, 16]}}}},
        curves={"size": {"model": "tuned", "fractions": [0.5, 1], "seeds": [3]}},
    )
    made = write_world(tmp_path_factory.mktemp("searches") / "work")
    (made / "config.yaml").write_text(json.dumps(values))
    return made


SEARCH = [
    "search search=wide, fold=0",
    "search_worker search=wide, fold=0, worker=0",
    "search_worker search=wide, fold=0, worker=1",
]


def test_all_workers_come_before_the_choice_and_that_before_the_training(folder):
    jobs = planned(folder, "results/models/tuned/0.1/marker.json")
    mine = [job for job in jobs if job.startswith(("search", "train"))]
    assert sorted(mine) == [*SEARCH, "train model=tuned, fold=0, seed=1"]


def test_scores_are_of_networks_trained_with_what_was_chosen(folder):
    jobs = planned(folder, "results/search_scores/wide/marker.json")
    mine = [job for job in jobs if job.startswith(("search", "train"))]
    assert sorted(mine) == [
        *SEARCH[:1],
        "search_model search=wide, fold=0, seed=0",
        "search_scores search=wide",
        *SEARCH[1:],
    ]


def test_a_curve_has_a_network_for_each_size(folder):
    jobs = planned(folder, "results/curves/size/marker.json")
    mine = [job for job in jobs if job.startswith(("curve", "search"))]
    assert sorted(mine) == [
        "curve curve=size",
        *(
            f"curve_{what} curve=size, fraction={x}, fold=0, seed=3"
            for what in ("predict", "train")
            for x in ("0p5", "1")
        ),
        *SEARCH,
    ]


def test_the_report_comes_after_searches_scores_and_curves(folder):
    jobs = planned(folder, "results/report/index.html")
    assert {"search search=wide, fold=0", "search_scores search=wide", "curve curve=size", "report"} <= set(jobs)


# What the plan calls the work of rules.
NOUNS = {
    "model": ("train", "search_model", "curve_train"),
    "predictions": ("predict", "ensemble", "curve_predict"),
    "search": ("search",),
    "scores": ("search_scores",),
    "curve": ("curve",),
}


def test_the_plan_counts_what_snakemake_would_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    jobs = Counter(job.partition(" ")[0] for job in planned(folder))
    plan = make_plan(Project.load(["config.yaml"]), Path("results"))
    found = Counter(entry["noun"] for entry in plan["nouns"])
    assert {noun: found[noun] for noun in NOUNS} == {noun: sum(jobs[r] for r in rules) for noun, rules in NOUNS.items()}
    assert sum(entry.get("jobs", 0) for entry in plan["nouns"]) == jobs["search"] + jobs["search_worker"] == 3
    assert {jobs["curve_train"], jobs["search_model"], jobs["curve"]} == {2, 1}
