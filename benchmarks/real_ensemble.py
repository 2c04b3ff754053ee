"""hg38_mini: an ensemble of five against its best member, and calibration of values and spreads.

The five networks differ by their seed. The best member is the one with the smallest loss on the inner validation part,
as a user would choose it; the best by the test part is told beside it, chosen in hindsight. Curves and factors are
fitted to the inner rows, all numbers are of the ten test contigs. Reads SEQMILL_TEST_DATA.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from common import ROOT, write_result
from real_hg38_mini import RESAMPLES, SEED, contig_means
from runs import OUTPUT, need_data, run_workflow

from seqmill.evaluation.calibration import (
    coverage,
    fit_isotonic,
    gaussian_factors,
    interval_factors,
    judge,
    reliability,
)
from seqmill.runtime.child import in_child
from seqmill.stages.predictions import predict_run
from seqmill.stores.ensemble import average_seeds
from seqmill.stores.model import ModelReader
from seqmill.stores.predictions import PredictionsReader

CONFIG, MODEL, DATASET = "hg38_mini_ensemble", "cnn", "hg38_mini"
TARGETS = ("dnase", "cage", "rna")
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def write_config(work: Path, members: int, passes: int | None) -> None:
    """The configuration of hg38_mini with as many seeds as members, without what is not asked here."""
    values = yaml.safe_load((ROOT / "benchmarks/real/hg38_mini.yaml").read_text())
    values["models"][MODEL]["training"]["seeds"] = list(range(members))
    if passes:
        values["models"][MODEL]["training"]["max_epochs"] = passes
    for section in ("baselines", "maps", "report"):
        values.pop(section)
    place = work / "benchmarks/real" / f"{CONFIG}.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(yaml.safe_dump(values, sort_keys=False))


def inner_predictions(results: Path, work: Path, seeds: list[int]) -> Path:
    """Mean predictions of the members on the inner validation part, with their spread."""
    values = yaml.safe_load((work / "benchmarks/real" / f"{CONFIG}.yaml").read_text())
    made, prediction = [], json.dumps(values["models"][MODEL]["prediction"])
    for seed in seeds:
        out = work / "inner" / MODEL / f"0.{seed}.zarr"
        model, dataset = results / f"models/{MODEL}/0.{seed}", results / f"datasets/{DATASET}.zarr"
        if not (out / "marker.json").exists():
            in_child(predict_run, out, model, dataset, prediction, "valid", what=f"inner predictions of seed {seed}")
        made.append(out)
    mean = work / "inner" / MODEL / "0.mean.zarr"
    average_seeds(mean, members=made)
    return mean


def values_of(folder: Path, target: str, track: int, *, spread: bool = False) -> Arrays:
    """Truth, predictions and spread (zeros if not asked for) of one track, all bins, gaps NaN."""
    reader = PredictionsReader(folder)
    truth = np.where(reader.mask(target), reader.truth(target), np.nan)[..., track].astype(float)
    widths = reader.spread(target)[..., track].astype(float) if spread else np.zeros_like(truth)
    return truth, reader.predicted(target)[..., track].astype(float), widths


def versus(ensemble: Path, member: Path, target: str) -> dict[str, Any]:
    """Difference of Pearson's r within contigs, mean over tracks, with an interval over contigs."""
    ours, theirs = contig_means(ensemble, target), contig_means(member, target)
    draws = np.random.default_rng(SEED).integers(0, len(ours), (RESAMPLES, len(ours)))
    low, high = np.percentile((ours - theirs)[draws].mean(axis=1), [2.5, 97.5])
    numbers = {"ensemble": ours.mean(), "member": theirs.mean(), "difference": (ours - theirs).mean()}
    numbers |= {"ci_low": low, "ci_high": high}
    return {"target": target, **{key: round(float(value), 6) for key, value in numbers.items()}, "contigs": len(ours)}


def calibrate(inner: Path, test: Path, target: str, track: int) -> dict[str, Any]:
    """Reliability before and after a rising curve; coverage of the spread as it is and conformal."""
    fit, judged = (values_of(folder, target, track, spread=True) for folder in (inner, test))
    found = judge(fit[:2], judged[:2], probabilities=False)
    curve = fit_isotonic(*fit[:2])
    factors = interval_factors(*fit)
    truth, mean, spread = judged
    return {
        "track": PredictionsReader(test).targets[target].tracks[track],
        "target": target,
        "n": found.n,
        "calibration_error": found.plain,
        "with_isotonic": found.isotonic,
        "mean_truth": float(np.nanmean(truth)),
        "factors": factors,
        "coverage": coverage(truth, mean, spread, gaussian_factors()),
        "coverage_with_factors": coverage(truth, mean, spread, factors),
        "reliability": reliability(truth, mean).round(6).to_dict("list"),
        "reliability_with_isotonic": reliability(truth, curve(mean)).round(6).to_dict("list"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--go-on", action="store_true", help="continue a stopped run instead of starting anew")
    parser.add_argument("--passes", type=int, help="fewer passes, to try this program; no result is written then")
    arguments = parser.parse_args()
    need_data()
    work = OUTPUT / CONFIG
    if work.exists() and not arguments.go_on:
        shutil.rmtree(work)
    write_config(work, arguments.members, arguments.passes)
    print(f"{CONFIG}: log in {work.relative_to(ROOT)}/output.txt", flush=True)
    mean = f"results/predictions/{MODEL}/0.mean.zarr/marker.json"
    seconds = run_workflow(CONFIG, work, arguments.cores, mean)
    results, seeds = work / "results", list(range(arguments.members))
    losses = [ModelReader(results / f"models/{MODEL}/0.{seed}").info["valid_loss"] for seed in seeds]
    stores = results / f"predictions/{MODEL}"
    ensemble = stores / "0.mean.zarr"
    inner = inner_predictions(results, work, seeds)
    chosen = int(np.argmin(losses))
    rows, hindsight = [], []
    for target in TARGETS:
        rows.append({"seed": chosen, **versus(ensemble, stores / f"0.{chosen}.zarr", target)})
        best = max(seeds, key=lambda seed: contig_means(stores / f"0.{seed}.zarr", target).mean())
        hindsight.append({"seed": best, **versus(ensemble, stores / f"0.{best}.zarr", target)})
    tracks = PredictionsReader(ensemble).targets
    calibration = [
        calibrate(inner, ensemble, target, track) for target in TARGETS for track in range(len(tracks[target].tracks))
    ]
    dnase = rows[0]
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    if arguments.passes:
        print("\n".join(map(str, [*hindsight, *calibration])))
        return
    write_result(
        "real_ensemble", dnase["difference"],
        "Pearson's r within test contigs, mean of the DNase tracks: ensemble minus the member of smallest inner loss",
        "> 0", dnase["contigs"], rows, best_in_hindsight=hindsight, calibration=calibration,
        members=[{"seed": seed, "valid_loss": loss} for seed, loss in zip(seeds, losses)],
        reached=bool(dnase["ci_low"] > 0),
        run={"config": f"benchmarks/real/hg38_mini.yaml, seeds {seeds}", "cores": arguments.cores,
             "seconds": round(seconds), "continued": arguments.go_on},
    )  # fmt: skip


if __name__ == "__main__":
    main()
