"""A tree of results with everything that a report shows."""

from pathlib import Path

import numpy as np
import pandas as pd
from tests.unit.quality_examples import chip, write_quality
from tests.unit.report_effects import write_map, write_world
from tests.unit.store_examples import write_toy_results

from seqmill.config.models import Report
from seqmill.config.search import name_of_fraction
from seqmill.evaluation.learning_curves import Point, write_curve
from seqmill.evaluation.searches import draw_trials, write_scores
from seqmill.evaluation.tables import evaluate
from seqmill.report.page import gather
from seqmill.report.variants import effects, facts
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.layout import upstream
from seqmill.stores.model import write_model
from seqmill.stores.predictions import PredictionsWriter
from seqmill.stores.search import write_search
from seqmill.stores.specs import TargetSpec

ROWS = 1200
RATE = "training.optimizer.learning_rate"


def test_rows() -> pd.DataFrame:
    start = np.arange(ROWS) // 12 * 1000
    return pd.DataFrame(
        {
            "genome": "toy",
            "contig": [f"chr{i % 12}" for i in range(ROWS)],
            "start": start,
            "end": start + 600,
            "strand": 1,
            "pool": "peaks",
            "fold": "test",
            "group": "",
            "name": "",
            "source_row": np.arange(ROWS),
        }
    )


test_rows.__test__ = False


def write_predictions(folder: Path, *, model: str, kind: str, fold: str, skill: float, dataset: Path) -> Path:
    """Predictions of three peak tracks and two levels; ``skill`` 0 is guessing."""
    rng, fixed = np.random.default_rng([ord(model[0]), int(fold)]), np.random.default_rng(0)
    specs = {
        "peaks": TargetSpec("peaks", "binary", "uint8", ("example", "tracks"), (3,), ("a", "b", "c")),
        "level": TargetSpec("level", "quantity", "float32", ("example", "tracks"), (2,), ("e", "f")),
    }
    labels = (fixed.random((ROWS, 3)) < [0.3, 0.1, 0.02]).astype(np.uint8)
    level = fixed.normal(size=(ROWS, 2)).astype(np.float32)
    values = {
        "peaks": (rng.normal(size=labels.shape) + skill * labels, labels, None),
        "level": (rng.normal(size=level.shape) * 0.7 + skill * level / 2, level, None),
    }
    attrs = {
        "kind": kind, "model": model, "dataset": "toy", "dataset_digest": DatasetReader(dataset).digest, "fold": fold,
        "seed": 0, "bootstrap_unit": "contig",
    }  # fmt: skip
    path = folder / f"predictions/{model}/{fold}.0.zarr"
    with PredictionsWriter(path, model, attrs, specs, inputs=upstream(dataset)) as writer:
        writer.append(test_rows(), values)
    return path


def write_run(folder: Path, *, name: str, fold: str, dataset: Path) -> Path:
    rng = np.random.default_rng(int(fold))
    history = [
        {
            "epoch": epoch,
            "step": 60 * epoch,
            "train_loss": 0.2 + 0.5 * 0.7**epoch,
            "valid_loss": 0.28 + 0.4 * 0.65**epoch + 0.004 * epoch + 0.01 * rng.random(),
        }
        for epoch in range(1, 13)
    ]
    best = min(history, key=lambda entry: entry["valid_loss"])
    info = {
        "architecture": "basset", "fold": fold, "seed": 0, "best_epoch": best["epoch"],
        "valid_loss": best["valid_loss"], "steps": 720, "device": "cpu", "xla_threads": 2, "parameters": 4_137_000,
        "dataset": "toy",
    }  # fmt: skip
    tensors = {"dense.bias": np.zeros(3, np.float32)}
    path = folder / f"models/{name}/{fold}.0"
    write_model(
        path,
        name,
        tensors,
        info,
        history,
        inputs=upstream(dataset),
        record={"device": "cpu", "training_seconds": 100.2},
    )
    return path


def write_results(folder: Path, networks=("basset",), baselines=("kmer",)) -> dict[str, list[Path]]:
    """The nouns of a small run with two folds, networks and baselines; the arguments of `write_report`."""
    write_toy_results(folder)
    dataset = folder / "datasets/toy.zarr"
    predictions, models = [], []
    judged = [(name, "network", 1.6) for name in networks] + [(name, "baseline", 0.8) for name in baselines]
    for fold in ("0", "1"):
        models += [write_run(folder, name=name, fold=fold, dataset=dataset) for name in networks]
        for model, kind, skill in judged:
            predictions.append(
                write_predictions(folder, model=model, kind=kind, fold=fold, skill=skill, dataset=dataset)
            )
    evaluate(folder / "evaluation/toy", name="toy", predictions=predictions)
    return {
        "evaluations": [folder / "evaluation/toy"],
        "datasets": [dataset],
        "models": models,
        "predictions": predictions,
    }


def write_searches(folder: Path, folds: tuple[str, ...] = ("0", "1"), trials: int = 24) -> dict[str, list[Path]]:
    """A search of three settings: loss falls towards a learning rate of 0.01; one trial failed, some were stopped."""
    dataset, made = folder / "datasets/toy.zarr", []
    space = {
        RATE: {"low": 1e-5, "high": 1.0, "log": True},
        "training.batch_size": {"low": 16, "high": 128, "step": 16},
        "settings.hidden": {"choices": [[64], [128, 64]]},
    }
    for fold in folds:
        rng, lines = np.random.default_rng(int(fold)), []
        for number in range(trials):
            rate = float(10 ** rng.uniform(-5, 0))
            hidden = [[64], [128, 64]][rng.integers(2)]
            state = "fail" if number == 5 else "pruned" if number % 6 == 4 else "complete"
            value = 0.3 + 0.08 * (np.log10(rate) + 2) ** 2 + 0.02 * rng.random() if state != "fail" else None
            settings = {RATE: rate, "training.batch_size": int(16 * rng.integers(1, 9)), "settings.hidden": hidden}
            reason = "settings of basset: too large for 20 bp" if state == "fail" else ""
            line = {"number": number, "state": state, "value": value, "passes": 3 if state == "pruned" else 12}
            lines.append({**line, "settings": settings, "reason": reason})
        best = min((line for line in lines if line["state"] == "complete"), key=lambda line: line["value"])
        out = folder / "searches/wide" / fold
        write_search(
            out,
            name="wide",
            fold=fold,
            trials=lines,
            keys=list(space),
            best={"settings": best["settings"], "trial": best["number"], "value": best["value"], "inner": "valid"},
            importance={RATE: 0.9, "training.batch_size": 0.04, "settings.hidden": 0.06},
            dataset=dataset,
            parameters={"search": {"model": "basset", "sampler": "tpe", "space": space, "trials": trials}},
            seconds=600.0,
            draw=draw_trials,
        )
        made.append((out, fold, best["value"]))
    rows = [
        {
            "fold": fold, "trials": trials, "best_trial": 1, "optimistic_loss": value, "optimistic_mean_loss": 0.6,
            "nested_loss": value + 0.06, "nested_mean_loss": 0.6, "settings": "",
        }
        for _, fold, value in made
    ]  # fmt: skip
    write_scores(folder / "search_scores/wide", name="wide", rows=rows, inputs={}, parameters={})
    return {"searches": [out for out, *_ in made], "scores": [folder / "search_scores/wide"]}


def write_size_curve(folder: Path) -> Path:
    """A curve of three sizes, each with the predictions of the two folds of a better network."""
    dataset, points = folder / "datasets/toy.zarr", []
    for fraction, rows, skill in ((0.05, 400, 0.3), (0.25, 2000, 0.9), (1.0, 8000, 1.6)):
        for fold in ("0", "1"):
            model = {"model": f"size@{name_of_fraction(fraction)}", "kind": "network"}
            path = write_predictions(folder, **model, fold=fold, skill=skill, dataset=dataset)
            points.append(Point(fraction, rows, path))
    write_curve(folder / "curves/size", name="size", points=points, parameters={})
    return folder / "curves/size"


def variant_table(n: int = 400) -> pd.DataFrame:
    """Scores of variants on two tracks; the largest effect is at row 7."""
    rng = np.random.default_rng(4)
    table = pd.DataFrame(
        {
            "contig": "chr1", "position_1based": np.arange(n) * 10 + 1, "id": [f"rs{i}" for i in range(n)],
            "ref": "A", "alt": ["G", "ACGTACGTACGTACGTACGTT"] * (n // 2), "status": "ok", "runs": 1,
        }
    )  # fmt: skip
    for track in ("e", "f"):
        for effect in ("diff", "score"):
            table[f"bound|{track}|{effect}"] = rng.normal(size=n).astype(np.float32)
    table.loc[7, "bound|f|score"] = -9.5
    table.loc[11, [name for name in table if "|" in name]] = np.nan
    return table


VARIANTS = {
    "name": "gwas", "model": "basset", "genome": "sim1", "file_sha256": "5" * 64, "n": 420, "scored": 399,
    "ref_match": 0.9976, "both_strands": True,
    "shifts_bp": [0], "models": {"0.0": 399}, "targets": {"bound": {}},
}  # fmt: skip


DROPPED = pd.DataFrame(
    {
        "reason": ["contig not in the genome", "seen"], "count": [20, 1], "first": ["3", "17"],
        "example": ["contig 'chrUn'", "chr1:5760 T>G"],
    }
)  # fmt: skip


def gather_variant_example() -> dict:
    """What the template shows of `variant_table`."""
    table = variant_table()
    return facts(VARIANTS, DROPPED) | {
        "effects": effects(lambda: iter([table[:150], table[150:]]), ["bound"], {"bound": "logit"})
    }


def gather_example(folder: Path, nouns: dict[str, list[Path]]) -> dict:
    """What the template shows of the nouns of `write_results`, of reads, searches, maps, their truth, and variants."""
    qualities = [write_quality(folder / "quality/CTCF", "CTCF", chip())]
    world = folder.with_name("world")
    write_world(world)
    maps = [write_map(world), write_map(world, name="more", count=3, edits=("substitutions", "deletions"))]
    tuned = {**write_searches(folder), "curves": [write_size_curve(folder)]}
    context = gather(Report(title="Open chromatin of a toy"), **nouns, **tuned, maps=maps, qualities=qualities)
    return context | {"variants": [gather_variant_example()]}
