"""Starting from the folder of a model that the configuration does not know."""

import json
import shutil

import pytest
from tests.unit import training_toys as toys
from tests.unit.cli_world import config, write_world

from seqmill.cli import main
from seqmill.config.models import Model
from seqmill.config.project import Project
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import read_marker
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.model import ModelReader
from seqmill.training.initial import check_unseen
from seqmill.training.train import run_key

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """The results of another project: a dataset, two models on it."""
    folder = write_world(tmp_path_factory.mktemp("elsewhere") / "work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "small"]) == 0
    return folder / "results"


def project(tmp_path, monkeypatch, initial: dict, **changes):
    values = config()
    section = values["models"]["small"] | {"initial": {"parts": "all"} | initial} | changes
    folder = write_world(tmp_path / "work", models={"next": section})
    monkeypatch.chdir(folder)
    return folder


def test_a_run_starts_from_the_run_of_a_folder(tmp_path, elsewhere, monkeypatch, capsys):
    start = {
        "folder": str(elsewhere / "models/small/{fold}.{seed}"),
        "datasets": [str(elsewhere / "datasets/peaks.zarr")],
    }
    folder = project(tmp_path, monkeypatch, start | {"freeze": ["layers"]})
    assert main(["train", "next", "--seed", "1"]) == 0
    new, old = ModelReader(folder / "results/models/next/0.1"), ModelReader(elsewhere / "models/small/0.1")
    assert new.info["initial"]["model"] == "small/0.1"
    assert new.info["initial"]["digest"] == old.digest
    assert [link.get("unchecked") for link in new.info["initial"]["seen"]] == [None]
    assert new.marker.attrs["inputs"]["outside/models/small/0.1"] == old.digest
    fixed = [name for name in old.tensors() if name.startswith("params.layers.")]
    assert fixed == new.info["initial"]["fixed"]
    assert all(old.tensors()[name].tobytes() == new.tensors()[name].tobytes() for name in fixed)
    assert str(elsewhere) not in (new.folder / "model.json").read_text()
    capsys.readouterr()
    assert main(["train", "next", "--seed", "1"]) == 0
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("0 built")
    assert main(["verify", "results"]) == 0
    assert main(["predict", "next", "--seed", "1"]) == 0


def test_another_model_in_the_folder_trains_again(tmp_path, elsewhere, monkeypatch, capsys):
    shutil.copytree(elsewhere / "models/small", tmp_path / "given")
    folder = project(tmp_path, monkeypatch, {"folder": str(tmp_path / "given/0.0"), "unchecked": True})
    assert main(["train", "next", "--seed", "0"]) == 0
    first = read_marker(folder / "results/models/next/0.0").digest
    shutil.rmtree(tmp_path / "given/0.0")
    shutil.copytree(tmp_path / "given/0.1", tmp_path / "given/0.0")
    capsys.readouterr()
    assert main(["train", "next", "--seed", "0"]) == 0
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("1 built")
    info = ModelReader(folder / "results/models/next/0.0").info
    assert info["initial"]["model"] == "small/0.1"
    assert read_marker(folder / "results/models/next/0.0").digest != first


def test_places_that_hold_no_model_are_named(tmp_path, elsewhere, monkeypatch, capsys):
    project(tmp_path, monkeypatch, {"folder": "nowhere/{fold}.{seed}"})
    for command, code in ((["train", "next"], 2), (["plan"], 0)):
        assert main(command) == code
        said = capsys.readouterr()
        assert "models.next.initial: folder: nowhere/0.0 is not a folder (looked in" in said.out + said.err
    values = config()
    small = values["models"]["small"]

    def check(initial, more=()):
        sections = {**dict(more), "next": small | {"initial": initial}}
        Project.of(config(models=sections), "c.yaml").check_sources()

    with pytest.raises(
        InputError, match=r"folder: .*peaks\.zarr is no whole model of seqmill: .* is the marker of a dataset"
    ):
        check({"folder": str(elsewhere / "datasets/peaks.zarr")})
    with pytest.raises(InputError, match=r"datasets: .*0\.0 is no whole dataset of seqmill"):
        check({"folder": str(elsewhere / "models/small/0.0"), "datasets": [str(elsewhere / "models/small/0.0")]})
    with pytest.raises(InputError, match="is a run of model small of this configuration; name it by 'model'"):
        check({"folder": "results/models/small/0.0"}, {"small": small}.items())


def test_what_cannot_be_checked_needs_a_word(tmp_path, elsewhere, monkeypatch, capsys):
    """A dataset that is not named: refused, and with the word kept in the model and its note."""
    start = {"folder": str(elsewhere / "models/small/0.0")}
    values = {"genomes": ["toy"], "windows": {"kind": "tiles", "window_bp": 100, "stride_bp": 120}}
    folder = project(tmp_path, monkeypatch, start)
    file = folder / "config/config.yaml"
    settings = json.loads(file.read_text())
    settings["datasets"]["peaks"] |= values  # another dataset than that of the folder
    file.write_text(json.dumps(settings))
    assert main(["train", "next", "--seed", "0"]) == 2
    assert (
        "next/0.0: dataset peaks, which model small/0.0 was trained on, was rebuilt; train it again; for a model "
        "from elsewhere name the folder of that dataset in initial.datasets, or accept with 'initial.unchecked: true' "
        "that it may have seen test rows"
    ) in capsys.readouterr().err
    settings["models"]["next"]["initial"]["unchecked"] = True
    file.write_text(json.dumps(settings))
    assert main(["train", "next", "--seed", "0"]) == 0
    info = ModelReader(folder / "results/models/next/0.0").info
    assert [link.get("unchecked") for link in info["initial"]["seen"]] == [True]
    assert "whether model small/0.0, which this one started from, has seen test rows was not checked" in info["note"]


def link_of(folder, **changes) -> dict:
    reader = DatasetReader(folder)
    link = {"model": "base/0.0", "dataset": reader.name, "dataset_digest": reader.digest, "fold": "0", "pools": None}
    return link | changes


def test_the_word_does_not_hide_what_can_be_checked(tmp_path):
    parts = [("all", "train", 60), ("all", "valid", 20), ("all", "test", 40)]
    old = toys.write_dataset(tmp_path / "old.zarr", [("all", "train", 120)], toys.motif_arrays(120))
    new = DatasetReader(toys.write_dataset(tmp_path / "new.zarr", parts, toys.motif_arrays(120, seed=1)))
    unknown = link_of(old, model="other/0.0", dataset="unknown", dataset_digest="")
    with pytest.raises(
        InputError, match=r"what model other/0\.0 was trained on is not known; for a model from elsewhere"
    ):
        check_unseen(new, "0", [unknown], [old], "new/0.0")
    assert check_unseen(new, "0", [unknown], [old], "new/0.0", unchecked=True) == [unknown | {"unchecked": True}]
    known = link_of(old, unchecked=True)  # a model before this one did not check it; this one does
    with pytest.raises(
        InputError, match=r"40 of 40 test rows of run 0 .* overlap rows that model base/0\.0 was trained on"
    ):
        check_unseen(new, "0", [known], [old], "new/0.0", unchecked=True)


def test_where_the_folder_lies_does_not_matter_to_a_training_that_goes_on():
    def key(folder, **more):
        section = {"architecture": "dense", "dataset": "d", "initial": {"folder": folder, "parts": "all"} | more}
        return run_key(Model.model_validate(section), "1", "2", "0", 0, "cpu")

    assert key("a") == key("b", datasets=["c"])
    assert key("a") != key("a", freeze="trunk")
