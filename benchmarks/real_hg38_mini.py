"""hg38_mini: DNase, CAGE and RNA profiles in 128-bp bins; the ten contigs of the source's validation part are the test.

Early stopping and all tuning use training contigs only. Reads SEQMILL_TEST_DATA; the report is left in
benchmarks/output/hg38_mini/results/report/index.html.
"""

from pathlib import Path

import numpy as np
from common import write_result
from runs import lines, records, table, whole_run

from seqmill.stores.predictions import PredictionsReader

RESAMPLES, SEED = 2000, 20_251
GOAL = 0.40
DATASET = "hg38_mini"


def contig_means(folder: Path, target: str) -> np.ndarray:
    """Pearson's r within each test contig, mean over tracks: what is left when no contig as a whole is brighter."""
    reader = PredictionsReader(folder)
    contigs = reader.rows()["contig"].to_numpy()
    truth, predicted, mask = reader.truth(target), reader.predicted(target), reader.mask(target)
    means = []
    for contig in np.unique(contigs):
        rows = contigs == contig
        tracks = zip(*(np.moveaxis(array[rows], -1, 0) for array in (truth, predicted, mask)))
        # a track without signal on a contig has no correlation there
        found = [np.corrcoef(y[m], x[m])[0, 1] for y, x, m in tracks if np.ptp(y[m]) > 0 and np.ptp(x[m]) > 0]
        means.append(np.mean(found))
    return np.array(means)


def within_contigs(results: Path, target: str) -> list[dict[str, object]]:
    """The same comparison by the mean over contigs of r within each, contigs resampled together.

    Seed "all" is the mean over the seeds, "mean" the average of their predictions.
    """
    stores, rows = results / "predictions", []
    ours = {
        "all": np.mean([contig_means(path, target) for path in sorted((stores / "cnn").glob("0.[0-9]*.zarr"))], axis=0),
        "mean": contig_means(stores / "cnn" / "0.mean.zarr", target),
    }
    draws = np.random.default_rng(SEED).integers(0, len(ours["all"]), (RESAMPLES, len(ours["all"])))
    for seed, network in ours.items():
        for baseline in ("kmer", "gc"):
            theirs = contig_means(stores / baseline / "0.0.zarr", target)
            low, high = np.percentile((network - theirs)[draws].mean(axis=1), [2.5, 97.5])
            values = {"network_value": network.mean(), "baseline_value": theirs.mean()}
            values |= {"difference": (network - theirs).mean(), "ci_low": low, "ci_high": high}
            named = {"target": target, "seed": seed, "baseline": baseline}
            rows.append({**named, **{key: round(float(value), 6) for key, value in values.items()}})
    return rows


def main() -> None:
    results, run = whole_run(DATASET, __doc__)
    metrics, compared = table(results, DATASET, "metrics"), table(results, DATASET, "comparison")
    means = lines(metrics, metric="pearson", over="mean of tracks")
    differences = lines(compared, metric="pearson", over="mean of tracks", fold="all", baseline_kind="baseline")
    pooled = {"fold": "all", "seed": "all"}
    dnase = lines(means, target="dnase", kind="network", **pooled).iloc[0]
    ridge = lines(differences, target="dnase", baseline="kmer", seed="all").iloc[0]
    tracks = lines(metrics, metric="pearson", over="track", **pooled)
    within = [row for target in ("dnase", "cage", "rna") for row in within_contigs(results, target)]
    reached = bool(dnase["value"] >= GOAL and ridge["ci_low"] > 0)
    write_result(
        "real_hg38_mini", float(dnase["value"]),
        "Pearson's r over all bins of the test contigs, mean of 8 DNase tracks and of the seeds",
        f">= {GOAL} and lower bound of the difference to the k-mer ridge > 0", int(dnase["n"]),
        records(means), within_contigs=within, reached=reached, floor={"dnase": 0.32, "cage": 0.07, "rna": 0.08},
        difference={"value": float(ridge["difference"]), "ci_low": float(ridge["ci_low"]),
                    "ci_high": float(ridge["ci_high"]), "blocks": int(ridge["blocks"])},
        differences=records(differences), tracks=records(tracks),
        split="10 test contigs; the inner validation part is 10 % of the 45 training contigs", run=run,
    )  # fmt: skip
    for target, sentence in zip(differences["target"], differences["sentence"]):
        print(f"{target}: {sentence}")
    for row in within:
        print("within contigs: " + ", ".join(f"{key} {value}" for key, value in row.items()))
    print("reached" if reached else "not reached")


if __name__ == "__main__":
    main()
