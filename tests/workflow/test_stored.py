"""A dataset on S3 in the workflow: nothing of it is built, and its sources need not be here."""

import json
import shutil

import pytest
from tests.unit.cli_world import config, write_world
from tests.unit.s3_server import s3_server, upload
from tests.workflow.runs import planned, succeed

from seqmill.config.project import Project
from seqmill.planning.plan import make_plan
from seqmill.runtime.marker import read_marker
from seqmill.stages.datasets import of_dataset
from seqmill.stages.steps import Steps


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder with configuration and sheet alone; the dataset that they describe lies on S3."""
    monkeypatch.chdir(write_world(tmp_path / "built"))
    steps = Steps(Project.load(["config/config.yaml"]))
    steps.run([of_dataset(steps, "peaks")])
    folder = tmp_path / "elsewhere"
    (folder / "data").mkdir(parents=True)
    shutil.copy("data/tracks.tsv", folder / "data/tracks.tsv")
    values = config()
    values["datasets"]["peaks"]["stored"] = "s3://lab-data/sets/peaks.zarr/"
    (folder / "config.yaml").write_text(json.dumps(values))
    monkeypatch.chdir(folder)
    with s3_server() as client:
        upload(client, tmp_path / "built/results/datasets/peaks.zarr", "sets/peaks.zarr")
        yield tmp_path


def test_the_workflow_and_the_command_read_it(elsewhere):
    folder, marker = elsewhere / "elsewhere", "results/datasets/peaks.zarr/marker.json"
    project = Project.load(["config.yaml"])
    project.check_sources()
    nouns = {(noun["noun"], noun["name"]): noun for noun in make_plan(project, folder / "results")["nouns"]}
    assert not [kind for kind, _ in nouns if kind in ("genome", "track")]
    rules = {job.partition(" ")[0] for job in planned(folder)}
    assert rules == {"stored_dataset", "train", "predict", "ensemble", "evaluate", "report"}
    succeed(folder, marker)
    built = read_marker(elsewhere / "built/results/datasets/peaks.zarr")
    assert read_marker(folder / "results/datasets/peaks.zarr").digest == built.digest
    assert planned(folder, marker) == []
    steps = Steps(project)
    assert steps.run([of_dataset(steps, "peaks")], configuration=[folder / "config.yaml"]) == 0
