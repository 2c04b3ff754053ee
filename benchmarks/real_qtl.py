"""Variants against measurement: the dsQTL and H3K27ac QTL that lie on hg19_chr1, scored out of fold.

Runs the variants of benchmarks/real/hg19_chr1.yaml (make real-hg19_chr1 first, else it trains them): each is scored by
the runs whose training and validation parts do not hold its window. A variant's score is the mean over the 36 factors
of logit(ALT) - logit(REF); it agrees if its sign is that of ALT_EFFECT, the measured direction. Positions that stand
twice in a file count once.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pysam
from common import write_result
from runs import OUTPUT, need_data, run_workflow

CONFIG = "hg19_chr1"
SETS = {"dsqtl": "hg19_chr1.dsQTL.vcf", "h3k27ac": "hg19_chr1.H3K27ac.vcf"}


def directions(path: Path) -> dict[tuple[int, str, str], int]:
    """(position_1based, REF, ALT) -> +1 or -1; a position with two directions is left out."""
    found: dict[tuple[int, str, str], set[int]] = {}
    with pysam.VariantFile(str(path)) as file:
        for record in file:
            key = record.pos, str(record.ref), str((record.alts or ("",))[0])
            found.setdefault(key, set()).add(int(record.info["ALT_EFFECT"]))
    return {key: next(iter(signs)) for key, signs in found.items() if len(signs) == 1}


def judge(name: str, results: Path, data: Path) -> dict[str, Any]:
    from scipy.stats import binomtest

    from seqmill.stores.variants import VariantsReader

    truth = directions(data / "variants/qtl_mapped" / SETS[name])
    reader = VariantsReader(results / "variants" / name)
    scores: dict[tuple[int, str, str], tuple[float, int]] = {}
    status: dict[str, int] = {}
    for table in reader.table():
        columns = [column for column in table.columns if column.endswith("|score")]
        for row in table.to_dict("records"):
            status[row["status"]] = status.get(row["status"], 0) + 1
            if row["status"] == "ok":
                key = int(row["position_1based"]), row["ref"], row["alt"]
                scores[key] = float(np.mean([row[column] for column in columns])), int(row["runs"])
    known = [(key, *scores[key], truth[key]) for key in scores if key in truth]
    agree = sum(score * sign > 0 for _, score, _, sign in known)
    test = binomtest(agree, len(known))
    interval = test.proportion_ci(method="wilson")
    rank = np.argsort([-abs(score) for _, score, _, _ in known])
    strongest = rank[: max(1, len(rank) // 2)]
    half = [known[i][1] * known[i][3] > 0 for i in strongest]
    return {
        "set": name, "records": int(sum(status.values())), "status": status, "n": len(known), "agree": agree,
        "share": round(agree / len(known), 4), "ci_low": round(interval.low, 4), "ci_high": round(interval.high, 4),
        "p_two_sided": float(f"{test.pvalue:.3g}"), "stronger_half": {"n": len(half), "agree": int(sum(half))},
        "runs_each": sorted({runs for _, _, runs, _ in known}), "ref_match": reader.attrs["ref_match"],
        "variants": [{"position_1based": k[0], "ref": k[1], "alt": k[2], "score": round(s, 5), "measured": sign}
                     for k, s, _, sign in known],
    }  # fmt: skip


def main() -> None:
    data = need_data()
    work = OUTPUT / CONFIG
    work.mkdir(parents=True, exist_ok=True)
    targets = [f"results/variants/{name}/marker.json" for name in SETS]
    seconds = run_workflow(CONFIG, work, 2, *targets)
    rows = [judge(name, work / "results", data) for name in SETS]
    for row in rows:
        print(f"{row['set']}: {row['agree']} of {row['n']} signs agree, {row['share']:.2f} "
              f"[{row['ci_low']:.2f}, {row['ci_high']:.2f}], p {row['p_two_sided']}")  # fmt: skip
    write_result(
        "real_qtl", min(row["share"] for row in rows), "share of variants whose sign agrees, of the worse set",
        "none: to be stated (0.5 is guessing)", sum(row["n"] for row in rows), rows, seconds=round(seconds),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
