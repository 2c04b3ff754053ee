"""Mutagenesis against experiment: saturation mutagenesis of nine elements (Kircher 2019), and pairs of alleles.

The networks of hg38_mini and hg19_chr1 (make real-hg38_mini, make real-hg19_chr1 first) score every substitution of
each element. No element lies in their data, so each is embedded in the middle of dinucleotide-shuffled backgrounds and
effects are averaged over them; each background is scored by one run of the network, the next one in turn. Beside them
a random predictor (measured values shuffled within the element) and a perfect one (the measured values). The
measurements come from reporter assays in cell types that the networks were not trained on: weak agreement is expected.

Pairs of alleles, 100-bp sequences from the MAGGIE repository: CTCF binding in GM12878 (Shi 2016), H3K27ac QTL.
"""

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import write_result
from runs import OUTPUT, need_data

SEED = 20_251
RESAMPLES = 2000
BLOCK_BP = 10  # positions that are resampled together
LEAST_TAGS = 10  # barcodes behind a measured value: fewer say little
PAIRS = {
    "CTCF": ("AlleleSpecificBinding/CTCF_binding_alleles.fa", "AlleleSpecificBinding/CTCF_nonbinding_alleles.fa"),
    "H3K27ac": ("QTL/H3K27ac/H3K27ac_high.fa", "QTL/H3K27ac/H3K27ac_low.fa"),
}


def read_fasta(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, record in enumerate(path.read_text().split(">")[1:]):
        head, _, body = record.partition("\n")
        found[f"{number} {head.strip()}"] = body.replace("\n", "").upper()
    return found


def codes(text: str) -> np.ndarray:
    return np.array(["ACGT".find(base) % 5 for base in text], np.uint8)  # anything else is N, 4


def measured(data: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Element -> its bases, and measured log2 effects of substitutions, NaN where not measured: (bp, 4)."""
    found = {}
    for head, text in read_fasta(data / "satmut_grch38/elements.fa").items():
        name, place = head.split()[1:3]
        start = int(place.partition(":")[2].partition("-")[0])
        found[name] = (start, codes(text), np.full((len(text), 4), np.nan))
    with open(data / "satmut_grch38/GRCh38_satmut.tsv") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            start, bases, values = found[row["Element"]]
            at = int(row["Position"]) - start
            if row["Alt"] == "-" or int(row["Tags"]) < LEAST_TAGS:
                continue
            if "ACGT"[bases[at]] != row["Ref"]:
                raise SystemExit(
                    f"{row['Element']} position {row['Position']}: REF {row['Ref']}, element has another base"
                )
            values[at, "ACGT".index(row["Alt"])] = float(row["Value"])
    return {name: (bases, values) for name, (_, bases, values) in found.items()}


def agreement(predicted: np.ndarray, values: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Pearson's and Spearman's correlation over the measured substitutions, 95 % intervals from blocks of positions."""
    from scipy.stats import rankdata

    known = np.isfinite(values) & np.isfinite(predicted)
    place = np.nonzero(known)[0] // BLOCK_BP
    blocks = np.unique(place)
    found: dict[str, Any] = {"n": int(known.sum()), "blocks": len(blocks)}
    for name, turn in (("pearson", np.asarray), ("spearman", rankdata)):
        x, y = turn(predicted[known]), turn(values[known])
        draws = rng.integers(0, len(blocks), (RESAMPLES, len(blocks)))
        weights = np.array([np.bincount(draw, minlength=len(blocks)) for draw in draws])[
            :, np.searchsorted(blocks, place)
        ]
        low, high = np.percentile([weighted_r(x, y, w) for w in weights], [2.5, 97.5])
        found[name] = {
            "value": round(weighted_r(x, y, np.ones(len(x))), 4),
            "ci_low": round(low, 4),
            "ci_high": round(high, 4),
        }
    return found


def weighted_r(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    return float((weight * x * y).sum() / np.sqrt((weight * x * x).sum() * (weight * y * y).sum()))


def at_random(values: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """Pearson's r of measured values shuffled within the element: mean and 95 % range."""
    known = values[np.isfinite(values)]
    drawn = [np.corrcoef(rng.permutation(known), known)[0, 1] for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"value": round(float(np.mean(drawn)), 4), "ci_low": round(float(low), 4), "ci_high": round(float(high), 4)}


class Scored:
    """A trained model whose runs share the backgrounds."""

    def __init__(self, name: str, target: str, backgrounds: int):
        from seqmill.config.models import Prediction
        from seqmill.effects.ensemble import Ensemble

        self.name, self.target, self.backgrounds = name, target, backgrounds
        folder = OUTPUT / name / "results/models/cnn"
        self.folders = sorted(path.parent for path in folder.glob("*/marker.json"))
        if not self.folders:
            raise SystemExit(f"{folder} has no trained run: make real-{name} first")
        self.ensemble = Ensemble(self.folders, Prediction())
        self.tracks = self.ensemble.targets[target].tracks

    def run_of(self, background: int) -> int:
        return background % len(self.folders)

    def effects(self, bases: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Score of each substitution minus that of the element, mean over backgrounds: (bp, 4, tracks)."""
        from seqmill.effects.mutagenesis import Mutagenesis, embedded

        machine = Mutagenesis(self.ensemble, [self.target])
        stretches = [
            stretch
            for number in range(self.backgrounds)
            for stretch in embedded(bases, self.ensemble.extent_bp, 1, rng, [self.run_of(number)])
        ]
        return np.mean([found.mean(f"substitutions/{self.target}") for found in machine.effects(stretches)], axis=0)

    def alleles(self, high: list[np.ndarray], low: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Score of the one allele minus that of the other in the same backgrounds: (pairs, tracks)."""
        from seqmill.effects.measures import scores
        from seqmill.effects.mutagenesis import embedded

        reduce, extent = scores(self.ensemble.targets, [self.target]), self.ensemble.extent_bp
        found = []
        for number in range(self.backgrounds):
            one = np.stack([embedded(bases, extent, 1, rng)[0].codes[1:-1] for bases in high])
            other, first = one.copy(), (extent - len(high[0])) // 2
            other[:, first : first + len(high[0])] = low
            run = [self.run_of(number)]
            found.append([self.ensemble.apply(x, reduce, run)[0][self.target] for x in (one, other)])
        return np.mean([a - b for a, b in found], axis=0)


def pair_row(model: Scored, name: str, data: Path, rng: np.random.Generator) -> list[dict[str, Any]]:
    from scipy.stats import binomtest

    high, low = (list(read_fasta(data / "variants/maggie" / path).values()) for path in PAIRS[name])
    bp = len(high[0])
    same = [(a, b) for a, b in zip(high, low, strict=True) if len(a) == len(b) == bp and a != b]
    changes = model.alleles([codes(a) for a, _ in same], [codes(b) for _, b in same], rng)
    chosen: dict[str, Callable[[str], bool]] = {"mean of tracks": lambda track: True}
    if name == "CTCF" and any(track.startswith("CTCF") for track in model.tracks):
        chosen["CTCF tracks"] = lambda track: track.startswith("CTCF")
    rows = []
    for label, keep in chosen.items():
        change = changes[:, [keep(track) for track in model.tracks]].mean(axis=1)
        right, n = int((change > 0).sum()), len(change)
        test = binomtest(right, n)
        interval = test.proportion_ci(method="wilson")
        rows.append({
            "pairs": name, "model": model.name, "tracks": label, "n": n, "left_out": len(high) - n,
            "agree": round(right / n, 4), "ci_low": round(interval.low, 4), "ci_high": round(interval.high, 4),
            "p_two_sided": float(f"{test.pvalue:.3g}"), "random": 0.5, "perfect": 1.0,
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backgrounds", type=int, default=10, help="shuffled backgrounds an element (default 10)")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    data = need_data()

    from seqmill.runtime.device import choose_device

    choose_device("cpu", options.threads)
    rng = np.random.default_rng(SEED)
    elements, rows, pairs = measured(data), [], []
    for model_name, target in (("hg38_mini", "dnase"), ("hg19_chr1", "bound")):
        model = Scored(model_name, target, options.backgrounds)
        print(f"{model_name}: {len(model.folders)} runs, {len(model.tracks)} tracks of {target}", flush=True)
        for name, (bases, values) in elements.items():
            predicted = model.effects(bases, rng).mean(axis=-1)
            row = {
                "element": name,
                "bp": len(bases),
                "model": model_name,
                "score": f"mean of {len(model.tracks)} {target} tracks",
            }
            row |= {"network": agreement(predicted, values, rng), "random": at_random(values, rng)}
            row["perfect"] = agreement(values, values, rng)["pearson"]["value"]
            rows.append(row)
            r = row["network"]["pearson"]
            print(f"  {name}: r {r['value']:+.3f} [{r['ci_low']:+.3f}, {r['ci_high']:+.3f}], "
                  f"random {row['random']['ci_low']:+.3f} to {row['random']['ci_high']:+.3f}", flush=True)  # fmt: skip
        for name in PAIRS:
            for row in pair_row(model, name, data, rng):
                pairs.append(row)
                print(f"  {name} pairs, {row['tracks']}: {row['agree']:.3f} agree [{row['ci_low']:.3f}, "
                      f"{row['ci_high']:.3f}] of {row['n']}", flush=True)  # fmt: skip
    means = {name: float(np.mean([row["network"]["pearson"]["value"] for row in rows if row["model"] == name]))
             for name in ("hg38_mini", "hg19_chr1")}  # fmt: skip
    unit = "mean over nine elements of Pearson's r of predicted and measured effects, of the worse model"
    write_result(
        "real_satmut", min(means.values()), unit, "none: to be stated", sum(row["network"]["n"] for row in rows), rows,
        means={name: round(value, 4) for name, value in means.items()}, pairs=pairs, seed=SEED,
        backgrounds=options.backgrounds,
        intervals=f"{RESAMPLES} resamples of blocks of {BLOCK_BP} bp; pairs: Wilson",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
