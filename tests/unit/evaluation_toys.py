"""Predictions stores of a few hundred rows, for tests of the tables made from them."""

import numpy as np
import pandas as pd

from seqmill.stores.predictions import PredictionsWriter
from seqmill.stores.specs import TargetSpec

N = 600


def rows_of(n=N, contigs=12):
    contig = np.arange(n) % contigs
    start = np.arange(n) // contigs * 1000
    return pd.DataFrame(
        {
            "genome": "toy",
            "contig": [f"chr{i + 1}" for i in contig],
            "start": start,
            "end": start + 600,
            "strand": 1,
            "pool": "peaks",
            "fold": "test",
            "group": "",
            "name": "",
            "source_row": np.arange(n),
        }
    )


def spec(kind, tracks, shape=None, dtype="float32", groups=()):
    shape = shape or (len(tracks),)
    axes = ("example", *(f"axis{i}" for i in range(len(shape) - 1)), "tracks")
    pairs = range(len(tracks))
    return TargetSpec("t", kind, dtype, axes, shape, tuple(tracks), strand_pairs=pairs, track_groups=tuple(groups))


def write(
    folder,
    values,
    specs,
    *,
    model="net",
    kind="network",
    rows=None,
    digest="d",
    fold="0",
    seed=0,
    unit="contig",
):
    """A store of ``values``: target to (predicted, truth, mask); written in two pieces."""
    attrs = {"kind": kind, "model": model, "dataset": "toy", "dataset_digest": digest, "fold": fold, "seed": seed}
    rows = rows_of() if rows is None else rows
    path = folder / model / f"{fold}.{seed}.zarr"
    with PredictionsWriter(path, model, {**attrs, "bootstrap_unit": unit}, specs) as writer:
        for start in range(0, len(rows), 250):
            piece = slice(start, start + 250)
            writer.append(rows[piece], {t: tuple(a[piece] for a in arrays) for t, arrays in values.items()})
    return path


def binary(rng, skill, n=N, tracks=3, mask=True, truth_seed=0):
    """Predicted probabilities of labels that are the same for every ``rng``."""
    truth = (np.random.default_rng(truth_seed).random((n, tracks)) < 0.3).astype(np.uint8)
    raw = rng.normal(size=(n, tracks)) + skill * truth
    present = np.random.default_rng(1).random((n, tracks)) < (0.9 if mask else 2)
    return (1 / (1 + np.exp(-raw))).astype(np.float32), truth, present


PEAKS = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}


def table(out, name="metrics"):
    text = {"fold": str, "seed": str}
    return pd.read_csv(out / f"{name}.tsv", sep="\t", keep_default_na=False, na_values=[""], dtype=text)


def pooled(out, name="metrics"):
    """Lines of the means over runs."""
    found = table(out, name)
    return found[found["fold"] == "all"]
