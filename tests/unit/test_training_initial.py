"""Starting from a trained model: what is copied, and that it has not seen what the new one is tested on."""

import json
import logging

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from tests.unit import training_toys as toys
from tests.unit.cli_world import config, write_world

from seqmill.cli import main
from seqmill.config.lineage import initial_seed, lineage
from seqmill.config.models import Model
from seqmill.config.project import Project
from seqmill.models.registry import build
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import read_marker
from seqmill.stores.dataset import DatasetReader, finish_dataset, write_array, write_rows
from seqmill.stores.layout import upstream
from seqmill.stores.model import ModelReader
from seqmill.training.artefact import tensors_of
from seqmill.training.initial import check_unseen, copy_tensors, start_from
from seqmill.training.objectives import split_module
from seqmill.training.seen import overlapping
from seqmill.training.train import train_model

SMALL = {"hidden": [8, 8]}
PARTS = [("all", "train", 80), ("all", "valid", 20), ("all", "test", 20)]


def model_of(initial: dict | None = None, **settings) -> Model:
    training = {"batch_size": 16, "max_steps": 2, "reverse_complement": False}
    return Model.model_validate(
        {"architecture": "dense", "dataset": "d", "settings": SMALL | settings, "training": training}
        | ({"initial": initial} if initial else {})
    )


def arrays_of(tracks: int, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (120, tracks)).astype(np.uint8)
    return {
        "inputs/sequence": (toys.sequence_spec(60), rng.integers(0, 4, (120, 60), dtype=np.uint8)),
        "targets/bound/main": (toys.label_spec("bound", [f"t{i}" for i in range(tracks)]), labels),
    }


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A model of three tracks and its dataset."""
    folder = tmp_path_factory.mktemp("before")
    dataset = toys.write_dataset(folder / "wide.zarr", PARTS, arrays_of(3))
    train_model(folder / "wide" / "0.0", name="wide", model=model_of(), dataset=dataset, fold="0", seed=0)
    return folder / "wide" / "0.0", dataset


def train(out, dataset, before, **changes) -> ModelReader:
    model = model_of(changes.pop("initial", {"model": "wide", "parts": "trunk"}), **changes)
    train_model(
        out, name="new", model=model, dataset=dataset, fold="0", seed=5, initial=before[0], initial_datasets=[before[1]]
    )
    return ModelReader(out)


@pytest.fixture(scope="module")
def middle(before):
    """A model of one track that starts from the first, and its dataset."""
    folder = before[0].parents[1]
    dataset = toys.write_dataset(folder / "new.zarr", PARTS, arrays_of(1))
    return train(folder / "new" / "0.5", dataset, before).folder, dataset


@pytest.mark.slow
def test_the_trunk_is_copied_and_heads_are_fresh(before, middle):
    new = ModelReader(middle[0])
    heads = sorted(name for name in new.tensors() if ".heads." in name)
    assert len(heads) == 2
    info = new.info["initial"]
    assert (info["model"], info["digest"]) == ("wide/0.0", read_marker(before[0]).digest)
    assert sorted(info["fresh"]) == heads
    assert sorted(info["copied"] + heads) == sorted(new.tensors())
    assert new.marker.attrs["inputs"]["models/wide/0.0"] == read_marker(before[0]).digest
    old = ModelReader(before[0]).tensors()
    for name in info["copied"]:
        if name.startswith("params."):
            moved = np.abs(new.tensors()[name] - old[name]).max()
            assert moved < 0.01  # at most two steps of adam at 0.001 away from where the other ended


def test_copies_by_name_and_shape():
    params = {"conv": jnp.zeros((2, 3)), "dense": jnp.zeros(4), "heads": {"a": jnp.zeros(2)}, "bin_heads": jnp.zeros(2)}
    tensors = {
        "params.conv": np.ones((2, 3), np.float32),
        "params.dense": np.ones(5, np.float32),
        "params.heads.a": np.ones(2, np.float32),
        "params.bin_heads": np.ones(2, np.float32),
        "params.other": np.ones(2, np.float32),
        "state.mean": np.ones(3, np.float32),
    }
    found, state, copied, fresh = copy_tensors(params, {"mean": jnp.zeros(3)}, tensors, heads=False)
    assert copied == ["params.conv", "state.mean"]
    assert fresh == ["params.bin_heads", "params.dense", "params.heads.a"]
    assert float(found["conv"].sum()) == 6
    assert float(state["mean"].sum()) == 3
    assert float(found["dense"].sum()) == float(found["heads"]["a"].sum()) == 0
    found, _, copied, fresh = copy_tensors(params, {}, tensors, heads=True)
    assert copied == ["params.bin_heads", "params.conv", "params.heads.a"]
    assert fresh == ["params.dense"]


def start(dataset, before, caplog, **changes):
    """A fresh network of ``dataset`` that starts from ``before``."""
    caplog.set_level(logging.INFO, logger="seqmill")
    reader = DatasetReader(dataset)
    _, params, rest = split_module(build("dense", SMALL, reader.inputs, reader.targets, 5))
    options = {"heads": True, "reader": reader, "fold": "0", "label": "new/0.5"} | changes
    return start_from(before[0], [before[1]], params, rest, **options)


def test_what_was_copied_is_said(before, middle, caplog):
    start(middle[1], before, caplog, heads=False)
    assert "new/0.5: starts from model wide/0.0: 4 of 6 tensors copied; fresh: params.heads." in caplog.text


def test_heads_of_the_same_shape_are_copied_with_all(before, tmp_path, caplog):
    dataset = toys.write_dataset(tmp_path / "new.zarr", PARTS, arrays_of(3))
    params, _, info = start(dataset, before, caplog)
    assert info["fresh"] == []
    stored = ModelReader(before[0]).tensors()
    assert {name: value.tobytes() for name, value in tensors_of(params, {}).items()} == {
        name: value.tobytes() for name, value in stored.items() if name.startswith("params.")
    }


def test_a_network_that_has_nothing_in_common_is_refused(before, tmp_path):
    dataset = toys.write_dataset(tmp_path / "new.zarr", PARTS, arrays_of(1))
    with pytest.raises(
        InputError, match=r"new/0\.5: no parameter of model wide/0\.0 \(dense\) has the name and shape of one"
    ):
        train(tmp_path / "new" / "0.5", dataset, before, hidden=[9])
    assert not (tmp_path / "new").exists()


def link_to(dataset, **changes) -> dict:
    """What a model that was trained on ``dataset`` hands on."""
    reader = DatasetReader(dataset)
    link = {"model": "wide/0.0", "dataset": reader.name, "dataset_digest": reader.digest, "fold": "0", "pools": None}
    return link | changes


def test_test_rows_that_the_initial_model_has_seen_are_refused(before, tmp_path, caplog):
    """The same windows with other parts: the last 10 training rows of the first model are tested here."""
    parts = [("all", "train", 70), ("all", "test", 20), ("all", "valid", 30)]
    dataset = toys.write_dataset(tmp_path / "new.zarr", parts, arrays_of(1))
    with pytest.raises(
        InputError,
        match=r"new/0\.5: 20 of 20 test rows of run 0 \(first: chr1:70000-70060\) overlap rows that model wide/0\.0 "
        r"was trained on \(dataset wide\.zarr\); split both datasets alike",
    ):
        start(dataset, before, caplog)


def test_a_dataset_of_the_initial_model_that_was_rebuilt(before, middle, caplog):
    with pytest.raises(InputError, match=r"dataset wide\.zarr, which model wide/0\.0 was trained on, was rebuilt"):
        start(middle[1], (before[0], middle[1]), caplog)


def test_what_was_seen_is_handed_on(before, middle, caplog):
    """A third model starts from the second: its test must be new to the first too."""
    reader = DatasetReader(middle[1])
    _, params, rest = split_module(build("dense", SMALL, reader.inputs, reader.targets, 5))
    options = {"heads": True, "reader": reader, "fold": "0", "label": "third/0.0"}
    info = start_from(middle[0], [middle[1], before[1]], params, rest, **options)[2]
    assert [link["model"] for link in info["seen"]] == ["new/0.5", "wide/0.0"]
    with pytest.raises(InputError, match=r"dataset wide\.zarr, which model wide/0\.0 was trained on, was rebuilt"):
        start_from(middle[0], [middle[1]], params, rest, **options)


def table_dataset(folder, codes, folds):
    """A table's rows (no place in a genome) with given sequences."""
    rows = toys.toy_rows([("all", fold, folds.count(fold)) for fold in dict.fromkeys(folds)])
    rows[["genome", "contig", "start", "end"]] = ["", "", -1, -1]
    spec, labels = toys.label_spec("bound", ["t"]), np.arange(len(codes), dtype=np.uint8)[:, None] % 2
    write_rows(
        folder / "rows", name=folder.name, rows=rows, dropped=pd.DataFrame({"reason": [], "count": []}), runs=toys.RUNS,
        window_bp=60, margin_bp=0, reverse_complement=True, bootstrap_unit="row",
    )  # fmt: skip
    for path, one, values in (
        ("inputs/sequence", toys.sequence_spec(codes.shape[1]), codes),
        ("targets/bound/main", spec, labels),
    ):
        inputs = upstream(folder / "rows")
        write_array(
            folder / path, name=folder.name, spec=one, n=len(codes), blocks=[values], inputs=inputs, chunk_examples=16
        )
    finish_dataset(folder, name=folder.name, arrays=["inputs/sequence", "targets/bound/main"])
    return folder


def test_sequences_of_a_table_on_either_strand(tmp_path):
    rng = np.random.default_rng(0)
    folds = ["train"] * 40 + ["valid"] * 10 + ["test"] * 10
    first, second = rng.integers(0, 4, (2, 60, 60), dtype=np.uint8)
    second[52] = first[3]
    second[55] = 3 - first[44][::-1]  # of the validation part, which chose the model
    second[1] = first[55]  # tested there, trained on here: no leak
    old = table_dataset(tmp_path / "old.zarr", first, folds)
    new = table_dataset(tmp_path / "new.zarr", second, folds)
    with pytest.raises(
        InputError, match=r"2 of 10 test rows of run 0 \(first: row52\) overlap rows that model wide/0\.0"
    ):
        check_unseen(DatasetReader(new), "0", [link_to(old)], [old], "new/0.5")
    second[[52, 55]] = rng.integers(0, 4, (2, 60), dtype=np.uint8)
    clean = table_dataset(tmp_path / "clean.zarr", second, folds)
    check_unseen(DatasetReader(clean), "0", [link_to(old)], [old], "new/0.5")


def test_overlaps_against_a_slow_count():
    rng = np.random.default_rng(3)

    def windows(n):
        start = rng.integers(0, 3000, n)
        return pd.DataFrame(
            {
                "genome": rng.choice(["a", "b"], n),
                "contig": rng.choice(["chr1", "chr2"], n),
                "start": start,
                "end": start + rng.integers(1, 60, n),
            }
        ).set_index(rng.permutation(n) + 5)

    rows, others = windows(200), windows(60)
    others.loc[others.index[:5], "start"] = -1

    def slow(row, margin, other_margin):
        near = others[
            (others["genome"] == row["genome"]) & (others["contig"] == row["contig"]) & (others["start"] >= 0)
        ]
        return any(
            a - other_margin < row["end"] + margin and row["start"] - margin < b + other_margin
            for a, b in zip(near["start"], near["end"])
        )

    for margins in ((0, 0), (7, 0), (3, 20)):
        expected = [slow(row, *margins) for _, row in rows.iterrows()]
        assert 20 < sum(expected) < 180
        assert overlapping(rows, others, *margins).tolist() == expected


def models(**initial) -> dict[str, Model]:
    seeds = {"a": [0, 1], "b": [0, 1, 2], "c": [7]}
    section = {"architecture": "dense", "dataset": "d"}
    return {
        name: Model.model_validate(
            section | {"training": {"seeds": seeds[name]}} | ({"initial": initial[name]} if name in initial else {})
        )
        for name in seeds
    }


def test_lineage_and_seeds():
    chain = models(a={"model": "b"}, b={"model": "c"})
    assert [lineage(chain, name, "x") for name in "abc"] == [["b", "c"], ["c"], []]
    assert [initial_seed(chain, "a", seed, "x") for seed in (0, 1)] == [0, 1]
    assert initial_seed(chain, "b", 2, "x") == 7
    with pytest.raises(InputError, match="x: initial: model b has no seed 9 to start from; it has 0, 1, 2"):
        initial_seed(chain, "a", 9, "x")
    with pytest.raises(InputError, match="x: initial: a circle, a starts from b starts from a"):
        lineage(models(a={"model": "b"}, b={"model": "a"}), "a", "x")
    with pytest.raises(InputError, match="x: initial: model 'z' is not configured; known: a, b, c"):
        lineage(models(a={"model": "z"}), "a", "x")


def test_a_configuration_with_an_unknown_or_foldless_start_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(write_world(tmp_path / "work"))
    values = config()
    small = values["models"]["small"]
    values["models"]["next"] = small | {"initial": {"model": "smal"}}
    with pytest.raises(InputError, match=r"c\.yaml: models\.next: initial: model 'smal' is not configured"):
        Project.of(values, "c.yaml")
    folds = values["datasets"]["peaks"] | {"split": {"kind": "folds", "k": 3}}
    values["datasets"]["folds"] = folds
    values["models"]["next"] = small | {"dataset": "folds", "initial": {"model": "small"}}
    with pytest.raises(InputError, match=r"models\.next: initial: model small has no fold '1'; it has 0"):
        Project.of(values, "c.yaml")


@pytest.mark.slow
def test_the_command_trains_the_initial_model_first(tmp_path, monkeypatch, capsys):
    values = config()
    values["models"]["next"] = values["models"]["small"] | {"initial": {"model": "small", "parts": "all"}}
    folder = write_world(tmp_path / "work", models=values["models"])
    monkeypatch.chdir(folder)
    assert main(["train", "next", "--seed", "1"]) == 0
    info = json.loads((folder / "results/models/next/0.1/model.json").read_text())
    assert info["initial"]["model"] == "small/0.1"
    assert not (folder / "results/models/small/0.0").exists()
    capsys.readouterr()
    assert main(["train", "next", "--seed", "1"]) == 0
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("0 built")
    assert main(["verify", "results"]) == 0
