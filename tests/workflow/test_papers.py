"""Each recipe of a paper plans, and Snakemake's dry run of it has a job for everything it asks for."""

import json

import pytest
from tests.unit.paper_files import RECIPES, prepare

from seqmill.cli import main

pytestmark = [pytest.mark.workflow, pytest.mark.usefixtures("test_data"), pytest.mark.slow]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_plans_and_dry_runs(recipe, tmp_path, monkeypatch, capsys):
    project = prepare(recipe, tmp_path, monkeypatch)
    assert main(["plan", "--json", "--configfile", f"config/papers/{recipe}.yaml"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["rerun"]["problem"] == ""
    assert {job["reason"] for job in plan["rerun"]["jobs"]} == {"is not there yet"}
    jobs = {job["rule"]: job["jobs"] for job in plan["rerun"]["jobs"]}
    config = project.config
    runs = {name: len(project.folds(name)) * len(project.seeds(name)) for name in [*config.models, *config.baselines]}
    assert jobs.get("track", 0) == len(project.tracks)
    assert jobs["dataset"] == len(config.datasets)
    assert jobs["dataset_target"] == sum(len(dataset.targets) for dataset in config.datasets.values())
    controls = sum(dataset.control is not None for dataset in config.datasets.values())
    lengths = sum(dataset.windows.kind == "table" for dataset in config.datasets.values())
    assert jobs["dataset_input"] == len(config.datasets) + controls + lengths
    assert jobs["train"] == sum(runs[name] for name in config.models)
    assert jobs["baseline"] == sum(runs[name] for name in config.baselines)
