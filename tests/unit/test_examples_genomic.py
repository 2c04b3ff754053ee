"""Datasets of genome windows: every value against slow, plain references on toy genomes."""

import numpy as np
import pandas as pd
import pytest
from tests.unit import slow_examples as slow
from tests.unit.example_worlds import World
from tests.unit.genomic_world import BOUND, CODES, PEAKS, SIZES, dataset, make_world

from seqmill.config.datasets import Dataset
from seqmill.examples.negatives import match_gc
from seqmill.runtime.marker import read_marker
from seqmill.stores.dataset import DatasetReader


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def peaks(world) -> DatasetReader:
    return world.build("peaks", dataset(PEAKS, BOUND), {"bound": ["p0", "p1", "p2"]}, windows=["p0", "p1", "p2"])


def test_windows_are_centred_on_summits(world, peaks):
    rows = peaks.rows()
    found = sorted(zip(rows["contig"], rows["start"]))
    expected = set()
    for name in ("p0", "p1", "p2"):
        for contig, _, _, summit in world.peaks[name]:
            start = summit - 160
            text = world.sequences["toy"][contig][max(start, 0) : start + 320]
            if start >= 0 and start + 320 <= SIZES[contig] and text.count("N") <= 32:
                expected.add((contig, start))
    assert found == sorted(expected)
    assert (rows["end"] - rows["start"] == 320).all()
    fold = rows["contig"].map({"chr1": "train", "chr2": "train", "chr3": "valid", "chr4": "test"})
    assert (rows["fold"] == fold).all()


def test_sequences_equal_the_text(world, peaks):
    rows, codes = peaks.rows(), peaks.read("inputs/sequence", 0, peaks.n)
    for row, found in zip(rows.itertuples(), codes):
        text = world.sequences["toy"][row.contig][row.start : row.end]
        assert found.tolist() == [CODES.get(letter, 4) for letter in text]


def test_labels_equal_counting_bases(world, peaks):
    rows, labels = peaks.rows(), peaks.read("targets/bound", 0, peaks.n)
    for row, found in zip(rows.itertuples(), labels):
        low = row.start + (320 - 96) // 2
        expected = [slow.label(low, low + 96, world.peaks[t], row.contig, 0.3, "label") for t in ("p0", "p1", "p2")]
        assert found.tolist() == expected
    assert 0 < labels.mean() < 1
    assert not peaks.targets["bound"].masked


def test_rows_are_partitioned_and_shuffled(peaks):
    rows = peaks.rows()
    assert [(p["pool"], p["fold"]) for p in peaks.parts] == [("peaks", f) for f in ("train", "valid", "test")]
    train = rows[rows["fold"] == "train"]
    assert not train["start"].is_monotonic_increasing
    assert set(train["contig"].head(8)) == {"chr1", "chr2"}


def test_the_same_settings_give_the_same_bytes(world, peaks):
    digests = [read_marker(peaks.folder / part).digest for part in ("rows", "inputs/sequence", "targets/bound/main")]
    again = world.build("peaks", dataset(PEAKS, BOUND), {"bound": ["p0", "p1", "p2"]}, windows=["p0", "p1", "p2"])
    assert [read_marker(again.folder / p).digest for p in ("rows", "inputs/sequence", "targets/bound/main")] == digests
    other = dataset(PEAKS, BOUND, seed=1)
    rows = world.rows("peaks_seed", other, windows=["p0", "p1", "p2"])
    assert read_marker(rows).digest != digests[0]


def signal_truth(world, track, contig, low, bin_bp, bins, count=False):
    """Values of one track in ``bins`` bins from ``low``, from single bases."""
    row = world.tracks[track]
    if contig not in world.signal[track]:
        return [np.nan] * bins
    bases = world.bases(track, contig)
    if row.sign == "flip":
        bases = [None if value is None else -value for value in bases]
    values = []
    for start in range(low, low + bins * bin_bp, bin_bp):
        parts = [
            slow.bin_value(bases[at : at + row.bin_bp], row.aggregate, row.missing)
            for at in range(start, start + bin_bp, row.bin_bp)
        ]
        value = slow.coarser(parts, "sum" if count else row.aggregate, row.missing)
        if count and value is not None and row.aggregate == "mean":
            value *= row.bin_bp
        values.append(slow.constants(value, row.transform, row.clip_soft, row.clip, row.scale))
    return values


TRACKS = ["plus", "minus", "fine", "highest", "methylation"]


@pytest.fixture(scope="module")
def signal(world) -> DatasetReader:
    targets = {
        "profile": {"kind": "profile", "tracks": "all", "length_bp": 256, "bin_bp": 64},
        "count": {"kind": "count", "tracks": "all", "length_bp": 192},
        "level": {"kind": "quantity", "tracks": "all", "length_bp": 64},
    }
    section = dataset({"kind": "tiles", "window_bp": 448, "stride_bp": 320}, targets, margin_bp=128)
    counted = ["plus", "minus", "fine", "methylation"]
    return world.build("signal", section, {"profile": TRACKS, "count": counted, "level": TRACKS}, grid_bp=32)


def test_profiles_equal_loops_over_bases(world, signal):
    spec, rows = signal.targets["profile"], signal.rows()
    assert (spec.bp_per_bin, spec.offset_bp, spec.margin_bp, spec.shape_per_example) == (64, 96, 128, (8, 5))
    assert (spec.rc, spec.shift, spec.strand_pairs) == ("reverse_swap", "moves", (1, 0, 2, 3, 4))
    values = signal.read("targets/profile", 0, signal.n)
    for row, found in zip(rows.itertuples(), values):
        for column, track in enumerate(TRACKS):
            expected = signal_truth(world, track, row.contig, row.start + 96 - 128, 64, 8)
            np.testing.assert_allclose(found[:, column], expected, rtol=2e-6, atol=1e-6)
    mask = signal.read("mask/profile", 0, signal.n)
    assert not mask[rows["contig"] == "chr2", :, 3].any()  # the file does not have this contig
    assert mask[:, :, :3].all()
    assert np.isnan(values[:, :, 4]).any()


def test_single_values_equal_loops_over_bases(world, signal):
    rows = signal.rows()
    counts, levels = signal.read("targets/count", 0, signal.n), signal.read("targets/level", 0, signal.n)
    assert (signal.targets["count"].rc, signal.targets["count"].shift) == ("swap", "fixed")
    for row, count, level in zip(rows.itertuples(), counts, levels):
        for column, track in enumerate(["plus", "minus", "fine", "methylation"]):
            expected = signal_truth(world, track, row.contig, row.start + 128, 192, 1, count=True)
            np.testing.assert_allclose(count[column], expected[0], rtol=2e-6)
        for column, track in enumerate(TRACKS):
            expected = signal_truth(world, track, row.contig, row.start + 192, 64, 1)
            np.testing.assert_allclose(level[column], expected[0], rtol=2e-6, atol=1e-6)


def test_margins_are_in_the_sequence_too(world, signal):
    rows, codes = signal.rows(), signal.read("inputs/sequence", 0, signal.n)
    spec = signal.inputs["sequence"]
    assert (spec.margin_bp, spec.shape_per_example, spec.rc, spec.shift) == (128, (704,), "sequence", "moves")
    row = rows.iloc[3]
    text = world.sequences["toy"][row["contig"]][row["start"] - 128 : row["end"] + 128]
    assert codes[3].tolist() == [CODES.get(letter, 4) for letter in text]


def test_tiles_are_all_tiles(world, signal):
    rows = signal.rows()
    for contig, size in SIZES.items():
        # the first start at which base start + 96 begins a bin of 32 and the margin is on the contig
        starts = range(128, size - 128 - 448 + 1, 320)
        texts = world.sequences["toy"][contig]
        starts = [s for s in starts if texts[s : s + 448].count("N") <= 44]
        assert sorted(rows[rows["contig"] == contig]["start"]) == starts


def test_small_blocks_of_rows_and_tracks_change_nothing(world, signal, monkeypatch):
    whole = signal.read("targets/profile", 0, signal.n)
    for module, name, value in (
        ("seqmill.examples.signal_arrays", "VALUES_AT_ONCE", 100),
        ("seqmill.examples.signal_arrays", "SPAN_BINS", 64),
        ("seqmill.examples.visits", "TRACKS_AT_ONCE", 2),
    ):
        monkeypatch.setattr(f"{module}.{name}", value)
    section = Dataset.model_validate(
        dataset(
            {"kind": "tiles", "window_bp": 448, "stride_bp": 320},
            {"profile": {"kind": "profile", "tracks": "all", "length_bp": 256, "bin_bp": 64}},
            margin_bp=128,
        )
    )
    again = world.build("blocks", section, {"profile": TRACKS}, grid_bp=32)
    np.testing.assert_array_equal(again.read("targets/profile", 0, again.n), whole)


def test_labelled_tiles_as_deepsea(world):
    windows = {"kind": "tiles", "window_bp": 400, "stride_bp": 80, "label_bp": 80, "keep": "labelled"}
    target = {"bound": {"kind": "binary", "tracks": "all", "min_overlap": 0.5}}
    names = ["p0", "p1"]
    reader = world.build("deepsea", dataset(windows, target), {"bound": names}, **{"targets/bound": names})
    rows, labels = reader.rows(), reader.read("targets/bound", 0, reader.n)
    expected = {}
    for contig, size in SIZES.items():
        for start in range(0, size - 400 + 1, 80):
            low = start + 160
            found = [slow.label(low, low + 80, world.peaks[t], contig, 0.5, "label") for t in names]
            if any(found) and world.sequences["toy"][contig][start : start + 400].count("N") <= 40:
                expected[contig, start] = found
    assert {(r.contig, r.start): x.tolist() for r, x in zip(rows.itertuples(), labels)} == expected


def test_labels_divide_tiles_into_pools(world):
    windows = {"kind": "tiles", "window_bp": 400, "stride_bp": 80, "label_bp": 80}
    target = {"bound": {"kind": "binary", "tracks": "all", "min_overlap": 0.5}}
    names = ["p0", "p1"]
    whole = world.build("whole", dataset(windows, target), {"bound": names})
    divided = dataset({**windows, "keep": "pools"}, target)
    reader = world.build("pools", divided, {"bound": names}, **{"targets/bound": names})
    rows, labels = reader.rows(), reader.read("targets/bound", 0, reader.n)
    assert (rows["pool"] == np.where(labels.any(axis=1), "labelled", "unlabelled")).all()
    place = ["genome", "contig", "start", "fold"]
    pd.testing.assert_frame_equal(
        rows[place].sort_values(place, ignore_index=True), whole.rows()[place].sort_values(place, ignore_index=True)
    )
    assert {part["pool"] for part in reader.parts} == {"labelled", "unlabelled"}


def test_merged_peaks_carry_the_labels_of_all_their_peaks(world):
    section = dataset(
        {"kind": "peaks", "window_bp": 300, "tracks": "all", "merge": "basset", "merge_overlap_bp": 100},
        {"bound": {"kind": "binary", "tracks": "all", "rule": "merged"}},
    )
    names = ["p0", "p1", "p2"]
    reader = world.build("merged", section, {"bound": names}, windows=names)
    rows, labels = reader.rows(), reader.read("targets/bound", 0, reader.n)
    found = {(r.contig, r.start): {i for i in range(3) if x[i]} for r, x in zip(rows.itertuples(), labels)}
    for contig, size in SIZES.items():
        listed = [(s, e, i) for i, t in enumerate(names) for c, s, e, _ in world.peaks[t] if c == contig]
        for start, tracks in slow.merge_peaks(listed, size, 300, 100):
            if world.sequences["toy"][contig][start : start + 300].count("N") <= 30:
                assert found.pop((contig, start)) == tracks
    assert not found


def test_negatives_match_gc_and_touch_no_peak(world):
    section = dataset(PEAKS, BOUND, negatives={"kind": "gc_matched", "ratio": 0.5, "gc_tolerance": 0.05})
    names = ["p0", "p1", "p2"]
    reader = world.build("negatives", section, {"bound": names}, windows=names)
    rows = reader.rows()
    pools = {part["pool"] for part in reader.parts}
    assert pools == {"peaks", "negatives"}
    negatives = rows[rows["pool"] == "negatives"]
    assert not negatives.duplicated(["contig", "start"]).any()
    assert not reader.read("targets/bound", 0, reader.n)[negatives.index].any()
    for row in negatives.itertuples():
        text = world.sequences["toy"][row.contig][row.start : row.end]
        assert text.count("N") <= 32
        for name in names:
            assert not any(c == row.contig and s < row.end and row.start < e for c, s, e, _ in world.peaks[name])
    for fold, part in rows.groupby("fold"):
        gc = {}
        for pool, some in part.groupby("pool"):
            texts = [world.sequences["toy"][r.contig][r.start : r.end] for r in some.itertuples()]
            gc[pool] = [(t.count("G") + t.count("C")) / (320 - t.count("N")) for t in texts]
        assert all(min(abs(x - y) for y in gc["peaks"]) <= 0.05 for x in gc["negatives"]), fold
        assert len(gc["negatives"]) <= round(0.5 * len(gc["peaks"]))
    dropped = pd.read_csv(reader.folder / "rows/dropped.tsv", sep="\t", keep_default_na=False)
    short = dropped[dropped["reason"] == "no free window of like GC content"]["count"].sum()
    asked = sum(round(0.5 * p["stop"] - 0.5 * p["start"]) for p in reader.parts if p["pool"] == "peaks")
    assert short + len(negatives) == asked


def test_the_table_of_kept_and_dropped_adds_up(peaks):
    table = pd.read_csv(peaks.folder / "rows/dropped.tsv", sep="\t", keep_default_na=False)
    found = table[table["stage"] == "found"]["count"].sum()
    kept = table[table["stage"] == "kept"]["count"].sum()
    assert kept == peaks.n
    assert found == table[table["stage"] != "found"]["count"].sum()
    assert set(table[table["stage"] == "kept"]["fold"]) == {"train", "valid", "test"}
    assert table.set_index("reason")["count"]["too many N"] > 0


def test_gc_matching_by_hand():
    offered = np.array([0.30, 0.40, 0.41, 0.60])
    assert match_gc(np.array([0.40]), offered, 1, 0.02, [1]).tolist() == [1]
    assert match_gc(np.array([0.40, 0.40]), offered, 1, 0.02, [1]).tolist() == [1, 2]
    assert match_gc(np.array([0.40, 0.40, 0.40]), offered, 1, 0.02, [1]).tolist() == [1, 2]
    assert match_gc(np.array([0.40]), offered, 3, 0.5, [1]).tolist() == [0, 1, 2]
    assert match_gc(np.array([0.5]), np.zeros(0), 1, 0.5, [1]).tolist() == []
    assert match_gc(np.zeros(0), offered, 1, 0.5, [1]).tolist() == []


@pytest.mark.parametrize("seed", range(4))
def test_gc_matching_takes_the_nearest_free_windows(seed):
    offered = np.random.default_rng(seed).permutation(np.arange(100) / 100 + 0.0003 * seed)
    chosen = match_gc(np.full(15, 0.5), offered, 1, 0.2, [seed])
    assert chosen.tolist() == sorted(np.argsort(np.abs(offered - 0.5))[:15].tolist())
    chosen = match_gc(np.full(90, 0.5), offered, 1, 0.2, [seed])
    assert chosen.tolist() == np.flatnonzero(np.abs(offered - 0.5) <= 0.2 + 1e-12).tolist()
