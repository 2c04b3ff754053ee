"""Yeast: MNase, PolII, RNA and ATAC in 75-bp bins, chromosome XVI held out.

Early stopping uses an inner part of the other chromosomes. Reads SEQMILL_TEST_DATA; the report is left in
benchmarks/output/yeast/results/report/index.html.
"""

from common import write_result
from runs import lines, records, table, whole_run

DATASET = "yeast"


def main() -> None:
    results, run = whole_run(DATASET, __doc__)
    metrics, compared = table(results, DATASET, "metrics"), table(results, DATASET, "comparison")
    tracks = lines(metrics, metric="pearson", over="track", fold="all")
    differences = lines(compared, metric="pearson", over="mean of tracks", fold="all", baseline_kind="baseline")
    each = lines(table(results, DATASET, "comparison_tracks"), metric="pearson", seed="all", baseline="kmer")
    worst = each.loc[each["difference"].idxmin()]
    unit = f"Pearson's r, network less k-mer ridge, worst track ({worst['track']})"
    write_result(
        "real_yeast", float(worst["difference"]), unit,
        "> 0", int(worst["n"]), records(tracks), reached=bool(worst["ci_low"] > 0), differences=records(differences),
        tracks=records(each), split="test: chromosome XVI; the inner validation part is 10 % of the others", run=run,
    )  # fmt: skip
    for target, sentence in zip(differences["target"], differences["sentence"]):
        print(f"{target}: {sentence}")


if __name__ == "__main__":
    main()
