"""Datasets of genome windows: every value against slow, plain references on toy genomes."""

import logging

import numpy as np
import pandas as pd
import pytest
from tests.unit import slow_examples as slow
from tests.unit.example_worlds import World, random_peaks, random_sequence, random_signal

from seqmill.config.datasets import Dataset
from seqmill.examples import build
from seqmill.examples.negatives import match_gc
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import read_marker
from seqmill.stores.dataset import DatasetReader

SIZES = {f"chr{i}": 6_000 + 130 * i for i in range(1, 5)}
CODES = {"A": 0, "C": 1, "G": 2, "T": 3}
SPLIT = {"kind": "chromosomes", "test": ["chr4"], "valid": ["chr3"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    rng = np.random.default_rng(11)
    world = World(tmp_path_factory.mktemp("world"))
    texts = {contig: random_sequence(rng, size) for contig, size in SIZES.items()}
    texts["chr1"] = texts["chr1"][:2000] + "N" * 500 + texts["chr1"][2500:]
    world.genome("toy", texts)
    world.genome("other", {"chr1": random_sequence(rng, 3_000), "X": random_sequence(rng, 4_000)})
    for name in ("p0", "p1", "p2"):
        world.add_peaks(name, random_peaks(rng, SIZES, 6))
    world.add_peaks("q", random_peaks(rng, {"chr1": 3_000, "X": 4_000}, 5), assembly="other")
    options = {
        "plus": {
            "bin_bp": 16,
            "strand": "+",
            "strand_pair": "minus",
            "transform": "sqrt",
            "clip_soft": 1.2,
            "scale": 3,
        },
        "minus": {"bin_bp": 16, "strand": "-", "strand_pair": "plus", "sign": "flip", "clip": 2.0},
        "fine": {"bin_bp": 1, "aggregate": "sum"},
        "highest": {"bin_bp": 8, "aggregate": "max", "transform": "log1p"},
        "methylation": {"bin_bp": 32, "missing": "nan"},
    }
    for name, columns in options.items():
        signal = random_signal(rng, {c: s for c, s in SIZES.items() if c != "chr2" or name != "highest"})
        if name == "minus":
            signal = {c: [(s, e, -v) for s, e, v in runs] for c, runs in signal.items()}
        world.add_signal(name, signal, **columns)
    return world


def dataset(windows, targets, **more) -> Dataset:
    return Dataset(**{"genomes": ["toy"], "windows": windows, "targets": targets, "split": SPLIT, **more})


PEAKS = {"kind": "peaks", "window_bp": 320, "tracks": "all", "label_bp": 96}
BOUND = {"bound": {"kind": "binary", "tracks": "all", "min_overlap": 0.3}}


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


def test_blacklist(world, tmp_path):
    bed = tmp_path / "blacklist.bed"
    bed.write_text("1\t1000\t1500\nchr3\t0\t6000\n")
    section = dataset({"kind": "tiles", "window_bp": 100}, BOUND, margin_bp=10)
    section = section.model_copy(update={"split": section.split.model_copy(update={"valid": None})})
    rows = world.build("black", section, {"bound": ["p0"]}, blacklists={"toy": bed}).rows()
    assert not ((rows["contig"] == "chr1") & (rows["start"] - 10 < 1500) & (rows["end"] + 10 > 1000)).any()
    left = rows[rows["contig"] == "chr3"]
    assert (left["start"] - 10 >= 6000).all()
    kept = section.model_copy(update={"blacklist": "keep"})
    again = world.build("black_kept", kept, {"bound": ["p0"]}, blacklists={"toy": bed}).rows()
    assert len(again) > len(rows) + 50


def test_losing_most_windows_to_the_blacklist_is_warned_of(world, tmp_path, caplog):
    bed = tmp_path / "blacklist.bed"
    bed.write_text("".join(f"{contig}\t0\t{size * 2 // 3}\n" for contig, size in SIZES.items()))
    section = dataset({"kind": "tiles", "window_bp": 100}, BOUND)
    with caplog.at_level(logging.WARNING, "seqmill"):
        world.build("lost", section, {"bound": ["p0"]}, blacklists={"toy": bed})
    tiles = sum(size // 100 for size in SIZES.values())
    lost = sum(sum(start < size * 2 // 3 for start in range(0, size - 99, 100)) for size in SIZES.values())
    assert f"datasets.lost: {lost} of {tiles} windows dropped: touches the blacklist" in caplog.text


def test_strand_partners_with_equal_files_are_refused(tmp_path):
    rng = np.random.default_rng(2)
    world = World(tmp_path).genome("toy", {contig: random_sequence(rng, 2_000) for contig in SIZES})
    signal = random_signal(rng, dict.fromkeys(SIZES, 2_000))
    for name, partner, strand in (("plus", "minus", "+"), ("minus", "plus", "-")):
        world.add_signal(name, signal, bin_bp=10, strand=strand, strand_pair=partner)
    section = dataset({"kind": "tiles", "window_bp": 100}, {"rna": {"kind": "profile", "tracks": "all"}})
    with pytest.raises(InputError, match="tracks plus and minus are strands of one another, but of equal files"):
        world.build("pair", section, {"rna": ["plus", "minus"]}, grid_bp=10)


def test_several_genomes_mask_each_others_tracks(world):
    section = dataset(
        {"kind": "tiles", "window_bp": 200},
        {"bound": {"kind": "binary", "tracks": "all"}, "level": {"kind": "quantity", "tracks": "all"}},
        genomes=["toy", "other"],
        split={"kind": "chromosomes", "test": ["toy:chr4", "X"], "valid": ["chr3"]},
    )
    reader = world.build("two", section, {"bound": ["p0", "q"], "level": ["fine"]}, grid_bp=1)
    rows = reader.rows()
    assert set(rows["genome"]) == {"toy", "other"}
    own = rows["genome"].to_numpy() == "toy"
    np.testing.assert_array_equal(reader.read("mask/bound", 0, reader.n), np.stack([own, ~own], axis=1))
    labels = reader.read("targets/bound", 0, reader.n)
    for row, found in zip(rows.itertuples(), labels):
        name, column = ("p0", 0) if row.genome == "toy" else ("q", 1)
        assert found[column] == slow.label(row.start, row.end, world.peaks[name], row.contig, 0.5, "label")
        assert found[1 - column] == 0
    assert (np.isnan(reader.read("targets/level", 0, reader.n)[:, 0]) == ~own).all()
    assert set(rows[(rows["fold"] == "test") & (rows["genome"] == "other")]["contig"]) == {"X"}


def test_bad_tracks_are_left_out_or_masked(tmp_path, caplog):
    rng = np.random.default_rng(2)
    sizes = {"c1": 2_000, "c2": 2_000, "c3": 2_000}
    world = World(tmp_path).genome("toy", {c: random_sequence(rng, n) for c, n in sizes.items()})
    world.add_peaks("good", random_peaks(rng, sizes, 4))
    section = dataset(
        {"kind": "tiles", "window_bp": 200},
        {"bound": {"kind": "binary", "tracks": "all"}},
        split={"kind": "chromosomes", "test": ["c1"], "valid": ["c2"]},
    )
    for state in ("drop", "mask"):
        world.on_bad_track = state
        world.add_peaks(f"bad_{state}", [("c1", 500, 100, 100)])
    reader = world.build("left", section, {"bound": ["good", "bad_drop"]})
    assert reader.targets["bound"].tracks == ("good",)
    assert not reader.targets["bound"].masked
    reader = world.build("masked", section, {"bound": ["good", "bad_mask"]})
    assert reader.targets["bound"].masked
    assert reader.read("mask/bound", 0, reader.n).all(axis=0).tolist() == [True, False]
    with (
        caplog.at_level(logging.WARNING, logger="seqmill"),
        pytest.raises(
            InputError,
            match=r"0 of 1 tracks left, all were dropped; the first: .*bad_drop.narrowPeak:1: start 500 is behind",
        ),
    ):
        world.build("none", section, {"bound": ["bad_drop"]})
    assert "left out, as their files were dropped: bad_drop" in caplog.text


def test_groups_are_joined_and_a_new_group_leaves_the_others(world, tmp_path):
    section = dataset({"kind": "tiles", "window_bp": 200}, {"bound": {"kind": "binary", "tracks": "all"}})
    reader = world.build("grouped", section, {"bound": ["p0"]})
    before = read_marker(reader.folder / "targets/bound/main").digest
    world.tracks["p1b"] = world.tracks["p1"].model_copy(update={"group": "later"})
    rows = reader.folder / "rows"
    build.build_target(
        reader.folder / "targets/bound/later",
        name="grouped",
        dataset=section,
        target_name="bound",
        group="later",
        tracks=[world.tracks["p1b"]],
        rows=rows,
        track_stores={"p1": world.store("p1")},
        genomes={"toy": world.genome_store("toy")},
    )
    build.finish(reader.folder, name="grouped", arrays=["inputs/sequence", "targets/bound/main", "targets/bound/later"])
    joined = DatasetReader(reader.folder)
    assert joined.targets["bound"].tracks == ("p0", "p1")
    assert read_marker(reader.folder / "targets/bound/main").digest == before


@pytest.mark.parametrize(
    ("windows", "targets", "more", "names", "message"),
    [
        ({"kind": "tiles", "window_bp": 7_000}, BOUND, {}, ["p0"], "no window is left; 0 found"),
        ({"kind": "tiles", "window_bp": 200, "label_bp": 300}, BOUND, {}, ["p0"], "a part of 300 bp is longer"),
        (
            {"kind": "tiles", "window_bp": 200},
            {"v": {"kind": "profile", "tracks": "all", "length_bp": 80}},
            {},
            ["plus", "methylation"],
            "length_bp 80 is not a multiple of the 32 bp of track methylation",
        ),
        (
            {"kind": "tiles", "window_bp": 256},
            {"v": {"kind": "profile", "tracks": "all", "length_bp": 128, "bin_bp": 64}},
            {"margin_bp": 16},
            ["plus"],
            "length_bp 128 and margin_bp 16 must be multiples of bin_bp 64",
        ),
        (
            {"kind": "tiles", "window_bp": 256},
            {"v": {"kind": "count", "tracks": "all"}},
            {},
            ["highest"],
            "a count needs aggregate mean or sum, track highest has max",
        ),
        (
            {"kind": "tiles", "window_bp": 256},
            {"v": {"kind": "quantity", "tracks": "all"}},
            {},
            ["p0"],
            "track p0 holds peaks, expected signal",
        ),
        (
            {"kind": "tiles", "window_bp": 256},
            {"v": {"kind": "binary", "tracks": "all"}},
            {},
            ["plus"],
            "track plus holds signal; a binary target needs peaks",
        ),
        (
            {"kind": "tiles", "window_bp": 256},
            {"v": {"kind": "binary", "tracks": "all", "rule": "merged"}},
            {},
            ["p0"],
            "rule 'merged' needs windows.merge: basset",
        ),
        (
            {"kind": "tiles", "window_bp": 250},
            {"v": {"kind": "profile", "tracks": "all", "length_bp": 128}},
            {},
            ["plus"],
            "windows do not begin on the 16-bp bins of track plus",
        ),
        (
            {"kind": "tiles", "window_bp": 200},
            BOUND,
            {"negatives": {"kind": "shuffled"}},
            ["p0"],
            "take kind 'gc_matched'",
        ),
        (
            {"kind": "tiles", "window_bp": 200},
            BOUND,
            {"negatives": {"kind": "gc_matched", "folds": ["x"]}},
            ["p0"],
            "part 'x' is none of train, valid, test",
        ),
        (
            {"kind": "tiles", "window_bp": 200},
            BOUND,
            {"negatives": {"kind": "gc_matched"}},
            ["p0"],
            "nothing to avoid; name peak tracks in negatives.avoid",
        ),
    ],
)
def test_settings_that_cannot_be(world, windows, targets, more, names, message):
    key = next(iter(targets))
    with pytest.raises(InputError, match=message):
        world.build("bad", dataset(windows, targets, **more), {key: names})
    assert not (world.folder / "datasets/bad.zarr/targets").exists() or not any(
        (world.folder / "datasets/bad.zarr/targets").glob("*/main")
    )


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
