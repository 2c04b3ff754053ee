"""hg38_mini: DNase, CAGE and RNA profiles in 128-bp bins; the ten contigs of the source's validation part are the test.

Early stopping and all tuning use training contigs only. Reads SEQMILL_TEST_DATA; the report is left in
benchmarks/work/hg38_mini/results/report/index.html.
"""

from common import write_result
from runs import lines, records, table, whole_run

GOAL = 0.40
DATASET = "hg38_mini"


def main() -> None:
    results, run = whole_run(DATASET, __doc__)
    metrics, compared = table(results, DATASET, "metrics"), table(results, DATASET, "comparison")
    means = lines(metrics, metric="pearson", over="mean of tracks")
    differences = lines(compared, metric="pearson", over="mean of tracks", fold="all", baseline_kind="baseline")
    pooled = {"fold": "all", "seed": "all"}
    dnase = lines(means, target="dnase", kind="network", **pooled).iloc[0]
    ridge = lines(differences, target="dnase", baseline="kmer", seed="all").iloc[0]
    tracks = lines(metrics, metric="pearson", over="track", **pooled)
    reached = bool(dnase["value"] >= GOAL and ridge["ci_low"] > 0)
    write_result(
        "real_hg38_mini", float(dnase["value"]), "mean Pearson's r of 8 DNase tracks, mean over seeds",
        f">= {GOAL} and lower bound of the difference to the k-mer ridge > 0", int(dnase["n"]),
        records(means), reached=reached, floor={"dnase": 0.32, "cage": 0.07, "rna": 0.08},
        difference={"value": float(ridge["difference"]), "ci_low": float(ridge["ci_low"]),
                    "ci_high": float(ridge["ci_high"]), "blocks": int(ridge["blocks"])},
        differences=records(differences), tracks=records(tracks),
        split="10 test contigs; the inner validation part is 10 % of the 45 training contigs", run=run,
    )  # fmt: skip
    for sentence in differences["sentence"].dropna():
        print(sentence)
    print("reached" if reached else "not reached")


if __name__ == "__main__":
    main()
