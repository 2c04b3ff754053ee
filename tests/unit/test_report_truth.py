"""The truth section's numbers against slow counting, on a map whose effects are known."""

import gzip

import numpy as np
import pandas as pd
import pytest
from tests.unit.report_effects import write_map, write_world

from seqmill.evaluation.truth import (
    ALL,
    COLUMNS,
    DECOYS,
    OTHERS,
    _blocks,
    _interval,
    importance,
    judge_map,
    read_bounds,
    world_of,
)
from seqmill.stores.maps import MapReader


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth") / "results"
    write_world(folder)
    write_map(folder)
    return folder


def slow_auroc(ones, zeros):
    """Share of pairs in the right order, ties one half."""
    ones, zeros = np.asarray(ones), np.asarray(zeros)
    return np.mean((ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros))


def by_hand(results):
    """Importance, class, bits and motif name of every base, from the files alone."""
    reader = MapReader(results / "maps/sites.zarr")
    truth = np.load(results / "simulation/truth.npz")
    effects = reader.read("substitutions/bound")
    motif = {}
    with gzip.open(results / "simulation/truth.bed.gz", "rt") as lines:
        for line in lines:
            if not line.startswith("#"):
                contig, start, end, name, *_ = line.split("\t")
                motif |= {(contig, at): name for at in range(int(start), int(end))}
    lines = []
    for i, row in enumerate(reader.regions.itertuples()):
        for at in range(row.start, row.end):
            each = [abs(effects[i, at - row.start, :, track]).sum() / 3 for track in range(2)]
            kind, bits = truth[f"{row.contig}.class"][at], float(truth[f"{row.contig}.bits"][at])
            lines.append((max(each), int(kind), bits, motif.get((row.contig, at), "")))
    return pd.DataFrame(lines, columns=["score", "kind", "bits", "motif"]).dropna()


def test_auroc_is_that_of_all_pairs(results):
    found = judge_map(MapReader(results / "maps/sites.zarr"), results / "simulation", resamples=50)
    assert list(found.columns) == COLUMNS
    table = by_hand(results)
    positive = (table["kind"] == 1) & (table["bits"] >= 1)
    decoy = (table["kind"] == 2) & (table["bits"] >= 1)
    cases = {(ALL, OTHERS): (positive, ~positive), (ALL, DECOYS): (positive, decoy)}
    cases |= {(name, OTHERS): (positive & (table["motif"] == name), ~positive) for name in ("CTCF", "GATA1", "SPI1")}
    lines = found.set_index(["motif", "against"])
    for key, (ones, zeros) in cases.items():
        line = lines.loc[key]
        assert (line.n_pos, line.n_neg) == (ones.sum(), zeros.sum())
        if ones.any() and zeros.any():
            assert line.auroc == pytest.approx(slow_auroc(table["score"][ones], table["score"][zeros]))
        else:
            assert np.isnan(line.auroc) and line.note in ("no positives", "no negatives")
    main = lines.loc[(ALL, OTHERS)]
    assert main.auroc > 0.95
    assert main.ci_low < main.auroc < main.ci_high
    assert main.blocks == 12


def test_large_maps_are_read_in_pieces_with_the_same_numbers(results, monkeypatch):
    reader = MapReader(results / "maps/sites.zarr")
    assert list(read_bounds(reader)) == [(0, 12)]
    whole = judge_map(reader, results / "simulation", resamples=20)
    monkeypatch.setattr("seqmill.evaluation.truth._READ_BYTES", 16 * 240 * 2 * 5)
    assert list(read_bounds(reader)) == [(0, 5), (5, 10), (10, 12)]
    pd.testing.assert_frame_equal(judge_map(reader, results / "simulation", resamples=20), whole)


def test_importance_of_hand_made_effects():
    effects = np.zeros((1, 3, 4, 2))
    effects[0, 0] = [[0, 0], [-3, 1], [0, 1], [0, 1]]
    effects[0, 1] = [[6, 0], [-6, 0], [0, 0], [6, 0]]
    effects[0, 2] = np.nan
    found = importance(effects, np.array([[0, 2, 4]]))
    np.testing.assert_allclose(found, [[1, 6, np.nan]])


def test_interval_is_that_of_drawn_windows():
    """The quick resampling against drawing the rows of the windows one by one."""
    rng = np.random.default_rng(3)
    block = np.repeat(np.arange(11), 9)
    truth = rng.random(99) < 0.3
    score = np.round(rng.normal(size=99) + truth, 1)  # with ties
    low, high, blocks, note = _interval(truth, score, block, 200, 5)
    draws = np.random.default_rng(5)
    values = []
    for _ in range(200):
        rows = np.concatenate([np.flatnonzero(block == b) for b in draws.integers(0, 11, 11)])
        values.append(slow_auroc(score[rows][truth[rows]], score[rows][~truth[rows]]))
    assert (low, high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert (blocks, note) == (11, "")


def test_few_windows_have_no_interval():
    low, high, blocks, note = _interval(np.array([True, False] * 9), np.arange(18.0), np.repeat(np.arange(9), 2), 20, 0)
    assert np.isnan(low) and np.isnan(high)
    assert (blocks, note) == (9, "too few blocks for an interval")


def test_overlapping_windows_are_one_block():
    table = pd.DataFrame(
        {"contig": ["a", "b", "a", "a", "a"], "start": [50, 0, 0, 90, 200], "end": [100, 10, 60, 120, 210]}
    )
    assert list(_blocks(table)) == [0, 2, 0, 0, 1]


def test_world_is_known_by_digest(results, tmp_path):
    reader = MapReader(results / "maps/sites.zarr")
    assert world_of(reader) == results / "simulation"
    other = tmp_path / "results"
    (other / "maps").mkdir(parents=True)
    (results / "maps/sites.zarr").rename(other / "maps/sites.zarr")
    try:
        assert world_of(MapReader(other / "maps/sites.zarr")) is None
    finally:
        (other / "maps/sites.zarr").rename(results / "maps/sites.zarr")
