"""Whether a finished demo found what was planted; exits with 1 and says so if not. ``make demo-check`` runs both."""

import json
import subprocess
import sys

import pandas as pd

LEAST_AUROC = 0.95
"""Of a base's importance in each map: functional motif bases (at least 1 bit) against all others, decoys among them."""
LEAST_DECOYS = 0.75
"""The same against the same motifs in arrangements that do nothing: 0.5 if these ranked as high."""
LEAST_MARGIN = 0.03
"""Task AUROC of the network over that of the tuned k-mers: below it the grammar would be too easy to need a network."""

MAPS = ("sites", "contributions")
GRAMMAR = "results/motifs/grammar"
PAIR_GAP_BP = range(8, 13)
"""GATA1 and SPI1 work at these distances, GATA1 left of SPI1 and turned alike (`seqmill.simulate.grammar`)."""


def grammar() -> bool:
    """Whether motifs in random backgrounds tell the grammar; says what was found."""
    alone = pd.read_csv(f"{GRAMMAR}/marginal.tsv", sep="\t")
    alone = alone[alone["track"] == "ctcf_peaks"].groupby("motif")["effect"].max()
    pair = pd.read_csv(f"{GRAMMAR}/spacing.tsv", sep="\t")
    pair = pair[pair["track"] == "gata1_peaks"]
    best = pair.loc[pair["cooperation"].idxmax()]
    where = f"{best['distance_bp']} bp apart ({best['orientation']})"
    said = f"{where}: {best['cooperation']:+.2f}, at least {best['ci_low']:.2f}"
    print(f"CTCF alone on ctcf_peaks: {alone['CTCF']:+.2f}, the next {alone.drop('CTCF').max():+.2f} (at most half)")
    print(f"GATA1 and SPI1 on gata1_peaks co-operate most {said} (8 to 12 bp, ++, above 0)")
    placed = best["distance_bp"] in PAIR_GAP_BP and best["orientation"] == "++" and best["ci_low"] > 0
    return bool(placed and alone.drop("CTCF").max() <= alone["CTCF"] / 2)


def main() -> int:
    done = subprocess.run(["seqmill", "summary", "--json"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    planted = {
        (row["map"], "decoy" in row["against"]): row["auroc"] for row in found["truth"] if row["motif"] == "all motifs"
    }
    margins = [row["difference"] for row in found["comparisons"] if row["metric"] == "auroc"]
    if set(planted) != {(name, decoys) for name in MAPS for decoys in (False, True)} or not margins:
        print("the demo's maps have no truth, or there is no comparison by AUROC", file=sys.stderr)
        return 1
    kept = [grammar(), min(margins) >= LEAST_MARGIN]
    print(f"network over k-mers: {min(margins):+.3f} (at least {LEAST_MARGIN:+.3f})")
    for (name, decoys), auroc in sorted(planted.items()):
        least = LEAST_DECOYS if decoys else LEAST_AUROC
        against = "decoys" if decoys else "all other bases"
        print(f"planted motif bases in maps/{name} against {against}: AUROC {auroc:.3f} (at least {least})")
        kept.append(auroc >= least)
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
