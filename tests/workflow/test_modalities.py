"""Genotypes and single-cell methylation, from toy files through the dataset, loop and predictor of all others."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from seqmill.config.project import Project
from seqmill.stages.datasets import of_dataset
from seqmill.stages.steps import Steps
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.verify import verify

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.workflow
GENES = [f"Y{number:02d}" for number in range(12)]
CELLS = 3
TEST_CONTIG = "chr4"


@pytest.fixture
def modalities(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import real_modalities

    return real_modalities


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def section(name: str, dataset: dict) -> dict:
    training = {"batch_size": 32, "max_epochs": 30, "patience": 30, "optimizer": {"learning_rate": 0.003}}
    model = {"architecture": "dense", "dataset": name, "settings": {"hidden": [16]}, "training": training}
    dataset = {"reverse_complement": False, "chunk_examples": 64, **dataset}
    return {"datasets": {name: dataset}, "models": {"net": model}}


def genotype_config() -> dict:
    """Genes with weights of either sign; a genotype's value is their sum."""
    rng = random.Random(1)
    Path("topology.txt").write_text(f"ROOT: GO:1 12\nGENES: {' '.join(GENES)}\nTERMS:\n")
    weights = {gene: rng.gauss(0, 1) for gene in GENES}
    pairs = [tuple(rng.sample(GENES, number)) for number in [2, 3, 4] * 300]
    pairs = sorted(set(map(tuple, map(sorted, pairs))))
    rng.shuffle(pairs)
    lines = [f"{len(pair)} {' '.join(pair)} {sum(weights[gene] for gene in pair):.4f}\n" for pair in pairs]
    Path("train.txt").write_text("".join(lines[80:]))
    Path("test.txt").write_text("".join(lines[:80]))
    windows = {"kind": "genotype", "topology": "topology.txt", "files": {"train": "train.txt", "test": "test.txt"}}
    return section("g", {"windows": windows, "targets": {"score": {"kind": "quantity"}}, "split": {"kind": "given"}})


def methylation_calls() -> dict[tuple[str, int], list[str]]:
    """A CpG about every 20 bp; stretches of sites share one state in all cells, half of the calls are missing."""
    rng = random.Random(2)
    calls: dict[tuple[str, int], list[str]] = {}
    fasta = []
    for contig in ("chr1", "chr2", "chr3", TEST_CONTIG):
        text, state = list("A" * 4000), 0
        for number, place in enumerate(range(60, 3900, 20)):
            state = rng.randrange(2) if number % 8 == 0 else state
            text[place : place + 2] = "CG"
            for strand in (0, 1) if rng.random() < 0.3 else (0,):
                cells = [str(state) if rng.random() < 0.5 else "" for _ in range(CELLS)]
                calls[contig, place + strand] = cells
        fasta.append(f">{contig}\n{''.join(text)}\n")
    Path("m.fa").write_text("".join(fasta))
    return calls


def methylation_config(calls: dict[tuple[str, int], list[str]]) -> dict:
    header = ["contig", "pos0", *(f"cell{number}" for number in range(CELLS))]
    rows = ["\t".join([contig, str(place), *cells]) for (contig, place), cells in calls.items()]
    Path("calls.tsv").write_text("\n".join(["\t".join(header), *rows]) + "\n")
    dataset = {
        "genomes": ["m"],
        "windows": {"kind": "methylation", "window_bp": 20, "calls": "calls.tsv", "neighbours": 2},
        "targets": {"state": {"kind": "binary"}},
        "split": {"kind": "chromosomes", "test": [TEST_CONTIG], "valid": ["chr3"]},
    }
    return {"genomes": {"m": {"fasta": "m.fa"}}, **section("m", dataset)}


def build(config: dict, name: str) -> Steps:
    Path("config.yaml").write_text(json.dumps(config))
    steps = Steps(Project.load(["config.yaml"]))
    steps.run([of_dataset(steps, name)])
    assert verify("results") == []
    return steps


def score(modalities, steps: Steps, dataset: Path, target: str, rule) -> float:
    """Train and predict in this process; score on the test part."""
    from seqmill.training.predict import predict
    from seqmill.training.train import train_model

    folder = dataset.parents[1]
    model = steps.project.config.models["net"]
    train_model(folder / "models/net/0.0", name="net", model=model, dataset=dataset, fold="0", seed=0)
    out = folder / "predictions/net/0.0.zarr"
    predict(out, model_folder=folder / "models/net/0.0", dataset=dataset)
    return rule(modalities.read_predictions(out, target))


def test_genotypes_beat_shuffled_labels(folder, modalities):
    steps = build(genotype_config(), "g")
    dataset, copy = Path("results/datasets/g.zarr"), Path("shuffled/datasets/g.zarr")
    copy.parent.mkdir(parents=True)
    modalities.shuffle_labels(dataset, copy, "score", seed=0)
    assert score(modalities, steps, dataset, "score", modalities.pearson) > 0.9
    assert abs(score(modalities, steps, copy, "score", modalities.pearson)) < 0.5


def test_shuffled_labels_keep_values_gaps_and_the_test_part(folder, modalities):
    build(methylation_config(methylation_calls()), "m")
    copy = Path("shuffled/datasets/m.zarr")
    copy.parent.mkdir(parents=True)
    modalities.shuffle_labels(Path("results/datasets/m.zarr"), copy, "state", seed=3)
    assert verify(copy) == []
    before, after = DatasetReader("results/datasets/m.zarr"), DatasetReader(copy)
    n, test = before.n, (before.rows()["fold"] == "test").to_numpy()
    for key in ("inputs/sequence", "inputs/neighbour_states", "inputs/neighbour_distances", "mask/state"):
        np.testing.assert_array_equal(before.read(key, 0, n), after.read(key, 0, n))
    old, new = (reader.read("targets/state", 0, n) for reader in (before, after))
    present = before.read("mask/state", 0, n)
    np.testing.assert_array_equal(old[test], new[test])
    for cell in range(CELLS):
        inside = ~test & present[:, cell]
        assert sorted(old[inside, cell]) == sorted(new[inside, cell])
        assert 0.3 < np.mean(old[inside, cell] != new[inside, cell]) < 0.7


def test_methylation_beats_shuffled_labels(folder, modalities):
    steps = build(methylation_config(methylation_calls()), "m")
    dataset, copy = Path("results/datasets/m.zarr"), Path("shuffled/datasets/m.zarr")
    copy.parent.mkdir(parents=True)
    modalities.shuffle_labels(dataset, copy, "state", seed=0)
    assert score(modalities, steps, dataset, "state", modalities.pooled_auc) > 0.8
    assert abs(score(modalities, steps, copy, "state", modalities.pooled_auc) - 0.5) < 0.25


def test_a_target_s_own_call_is_never_among_its_neighbours(folder):
    """Neighbours equal a slow list of the other calls, and do not change when the site's own calls do."""
    calls = methylation_calls()
    build(methylation_config(calls), "m")
    reader = DatasetReader("results/datasets/m.zarr")
    states = reader.read("inputs/neighbour_states", 0, reader.n)
    distances = reader.read("inputs/neighbour_distances", 0, reader.n)
    labels = reader.read("targets/state", 0, reader.n)
    sites = [(row.contig, row.start + 10) for row in reader.rows().itertuples()]
    for (contig, place), found, away in zip(sites, states, distances):
        for cell in range(CELLS):
            near = {p: s[cell] for (c, p), s in calls.items() if c == contig and s[cell]}
            called = [(p, s) for p, s in near.items() if abs(p - place) > 1]
            sides = [
                sorted((place - p, s) for p, s in called if p < place)[:2],
                sorted((p - place, s) for p, s in called if p > place)[:2],
            ]
            for side, at in zip(sides, (0, 2)):
                side += [(0, "2")] * (2 - len(side))
                assert [(int(d), str(s)) for d, s in zip(away[cell][at : at + 2], found[cell][at : at + 2])] == side
    row = next(i for i, site in enumerate(sites) if all(calls[site]))
    other = {**calls, sites[row]: [str(1 - int(state)) for state in calls[sites[row]]]}
    build(methylation_config(other), "m")
    again = DatasetReader("results/datasets/m.zarr")
    assert [(r.contig, r.start + 10) for r in again.rows().itertuples()] == sites
    np.testing.assert_array_equal(again.read("inputs/neighbour_states", row, row + 1)[0], states[row])
    np.testing.assert_array_equal(again.read("targets/state", row, row + 1)[0], 1 - labels[row])
    changed = (again.read("inputs/neighbour_states", 0, again.n) != states).any(axis=(1, 2))
    assert changed.any() and not changed[row]
