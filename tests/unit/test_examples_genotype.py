"""Genotype datasets: DCell's formats, toy files and its own example."""

import numpy as np
import pytest
from tests.unit.example_worlds import World

from seqmill.config.datasets import Dataset
from seqmill.examples.genotype import ontology_genes, read_topology
from seqmill.examples.kinds import input_names
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader, open_rows

TOPOLOGY = (
    "ROOT: T:1 4\nGENES: D \nTERMS: T:2 T:3 \nROOT: T:2 2\nGENES: A B \nTERMS: \nROOT: T:3 2\nGENES: B C\nTERMS:\n"
)


def section(folder, **more) -> Dataset:
    files = {part: folder / f"{part}.txt" for part in ("train", "test")}
    windows = {"kind": "genotype", "topology": folder / "topology.txt", "files": files}
    return Dataset(windows=windows, targets={"score": {"kind": "quantity"}}, split={"kind": "given", **more})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "topology.txt").write_text(TOPOLOGY)
    (tmp_path / "train.txt").write_text("2 A B 0.5\n1 C -1\n2 D A 2\n3 A B C 0.25\n2 C D NA\n2 D B 9\n")
    (tmp_path / "test.txt").write_text("2 B D 1.5\n")
    return tmp_path


def test_topology(folder):
    assert read_topology(folder / "topology.txt") == {
        "T:1": (["D"], ["T:2", "T:3"]),
        "T:2": (["A", "B"], []),
        "T:3": (["B", "C"], []),
    }
    assert ontology_genes(folder / "topology.txt") == ["A", "B", "C", "D"]


def test_genotypes_and_values(folder):
    dataset = section(folder, inner_valid=0)
    assert input_names(dataset) == ["genotype"]
    reader = World(folder).build("g", dataset, {"score": []})
    assert open_rows(reader.folder / "rows").attrs["genes"] == ["A", "B", "C", "D"]
    genotypes = reader.read("inputs/genotype", 0, reader.n)
    scores = reader.read("targets/score", 0, reader.n)[:, 0]
    found = {(row.fold, tuple(g.tolist())): s for row, g, s in zip(reader.rows().itertuples(), genotypes, scores)}
    assert found == {
        ("train", (1, 1, 0, 0)): 0.5,
        ("train", (0, 0, 1, 0)): -1,
        ("train", (1, 0, 0, 1)): 2,
        ("train", (1, 1, 1, 0)): 0.25,
        ("test", (0, 1, 0, 1)): 1.5,  # D B of the training file is the same genotype and is dropped
    }
    text = (reader.folder / "rows/dropped.tsv").read_text()
    assert "filters\tno value\tgenotypes\t\t1\n" in text
    assert "split\tgenotype also in another part\tgenotypes\t\t1\n" in text


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train.txt", "2 A B\n", "train.txt:1: expected 'order gene ... value', found '2 A B'"),
        ("train.txt", "2 A E 1\n", "train.txt:1: gene E is not in .*topology.txt"),
        ("train.txt", "1 A high\n", "train.txt:1: value 'high' is not a number"),
        ("train.txt", "\n", "train.txt: 0 records"),
        ("topology.txt", "", "0 terms"),
        ("topology.txt", "GENES: A\n", "topology.txt:1: expected ROOT:, GENES: or TERMS:"),
        ("topology.txt", "ROOT: a 1\nROOT: a 1\n", "topology.txt:2: term a comes twice"),
        ("topology.txt", "ROOT: a 1\nTERMS: b\n", "term b, child of a, has no lines"),
    ],
)
def test_bad_files(folder, file, text, message):
    (folder / file).write_text(text)
    with pytest.raises(InputError, match=message):
        World(folder).build("g", section(folder), {"score": []})
    assert not (folder / "datasets/g.zarr/rows").exists()


def test_example_of_dcell(test_data, tmp_path):
    folder = test_data / "modalities/genotype/dcell/GO_0000790"
    windows = {
        "kind": "genotype",
        "topology": folder / "topology.txt",
        "files": {"train": folder / "training_data_2016_0.txt", "test": folder / "testing_data_2016_0.txt"},
    }
    dataset = Dataset(windows=windows, targets={"score": {"kind": "quantity"}}, split={"kind": "given"})
    reader: DatasetReader = World(tmp_path).build("dcell", dataset, {"score": []})
    sizes = {part["fold"]: part["stop"] - part["start"] for part in reader.parts}
    assert sizes["test"] == 1_724
    assert sizes["train"] + sizes["valid"] == 5_092
    genotypes = reader.read("inputs/genotype", 0, reader.n)
    assert genotypes.shape == (6_816, 124)
    assert (genotypes.sum(axis=1) == 2).all()
    genes = open_rows(reader.folder / "rows").attrs["genes"]
    lines = windows["files"]["train"].read_text().splitlines() + windows["files"]["test"].read_text().splitlines()
    scores = reader.read("targets/score", 0, reader.n)[:, 0]
    for row, genotype, score in list(zip(reader.rows().itertuples(), genotypes, scores))[::97]:
        words = lines[row.source_row].split()
        assert {genes[i] for i in np.flatnonzero(genotype)} == set(words[1:3])
        assert score == np.float32(words[3])
