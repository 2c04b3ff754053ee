"""Means over seeds and published predictions in a real run: made, judged, and made again only where they must be."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.workflow.runs import planned, succeed

from seqmill.stores.predictions import PredictionsReader
from seqmill.stores.verify import verify

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
CONFIG = {
    "datasets": {
        "promoters": {
            "windows": {
                "kind": "table", "files": [{"path": "promoters.tsv", "format": "tsv"}], "name_column": "gene",
                "fold_column": "part", "length_bp": 24,
            },
            "targets": {"strength": {"kind": "quantity", "column": "strength"}},
            "split": {"kind": "given"},
        }
    },
    "models": {
        "net": {
            "architecture": "dense", "dataset": "promoters", "settings": {"hidden": [4]},
            "training": {"max_steps": 3, "batch_size": 16, "seeds": [0, 1]},
        }
    },
    "published": {
        "them": {
            "dataset": "promoters", "file": "promoters.tsv", "key_column": "gene", "columns": {"strength": "theirs"},
            "source": "A paper",
        }
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A finished run on 90 sequences; every third test row has no published prediction."""
    folder = tmp_path_factory.mktemp("predictions")
    rng = np.random.default_rng(0)
    lines = ["gene\tsequence\tpart\tstrength\ttheirs"]
    for i in range(90):
        part = ("train", "test", "valid")[i % 3] if i < 60 else "train"
        sequence = "".join(rng.choice(list("ACGT"), 24))
        strength = sequence.count("G") + rng.normal()
        theirs = "" if i % 9 == 4 else f"{strength + rng.normal():.3f}"
        lines.append(f"g{i}\t{sequence}\t{part}\t{strength:.3f}\t{theirs}")
    (folder / "promoters.tsv").write_text("\n".join(lines) + "\n")
    (folder / "config.yaml").write_text(json.dumps(CONFIG))
    succeed(folder)
    return folder


def test_the_mean_and_the_publication_are_judged_beside_the_runs(world):
    root = world / "results/predictions"
    readers = {run: PredictionsReader(root / f"net/0.{run}.zarr") for run in ("0", "1", "mean")}
    mean = (readers["0"].predicted("strength").astype(float) + readers["1"].predicted("strength")) / 2
    np.testing.assert_allclose(readers["mean"].predicted("strength"), mean, rtol=1e-5, atol=1e-6)
    published = PredictionsReader(root / "them/0.0.zarr")
    assert published.rows()["name"].tolist() == readers["0"].rows()["name"].tolist()
    metrics = pd.read_csv(world / "results/evaluation/promoters/metrics.tsv", sep="\t", dtype=str)
    runs = set(zip(metrics["model"], metrics["fold"], metrics["seed"]))
    assert {("net", "0", "0"), ("net", "0", "1"), ("net", "0", "mean"), ("them", "0", "0")} <= runs
    counts = metrics[(metrics["metric"] == "pearson") & (metrics["over"] == "track")].groupby("model")["n"].unique()
    assert {name: n.tolist() for name, n in counts.items()} == {"net": ["20"], "them": ["13"]}
    compared = pd.read_csv(world / "results/evaluation/promoters/comparison.tsv", sep="\t", dtype=str)
    assert {("net", "0"), ("net", "1"), ("net", "mean")} <= set(zip(compared["network"], compared["seed"]))
    assert set(compared["baseline"]) == {"them"}
    page = (world / "results/report/index.html").read_text()
    assert "them" in page
    assert verify(world / "results") == []


def test_changes_repeat_what_depends_on_them_and_no_more(world):
    after = ["evaluate dataset=promoters", "report"]

    def more(**section):
        (world / "more.yaml").write_text(json.dumps({"models": {"net": section}}))
        return planned(world, config=("config.yaml", "more.yaml"))

    assert planned(world) == []
    assert more(training={"seeds": [0, 1, 2]}) == [
        "ensemble model=net, fold=0", *after[:1], "predict model=net, fold=0, seed=2", *after[1:],
        "train model=net, fold=0, seed=2",
    ]  # fmt: skip
    assert more(prediction={"strands": "forward"}) == [
        "ensemble model=net, fold=0", *after[:1], "predict model=net, fold=0, seed=0",
        "predict model=net, fold=0, seed=1", *after[1:],
    ]  # fmt: skip
    assert more(prediction={"ensemble": False}) == after
    text = (world / "promoters.tsv").read_text()
    (world / "theirs.tsv").write_text(text)
    (world / "more.yaml").write_text(json.dumps({"published": {"them": {"file": "theirs.tsv"}}}))
    assert planned(world, config=("config.yaml", "more.yaml")) == [
        *after[:1], "published model=them, fold=0, seed=0", *after[1:],
    ]  # fmt: skip
