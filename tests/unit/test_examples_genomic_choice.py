"""Datasets of genome windows: what is left out, joined or refused."""

import logging

import numpy as np
import pytest
from tests.unit import slow_examples as slow
from tests.unit.example_worlds import World, random_peaks, random_sequence, random_signal
from tests.unit.genomic_world import BOUND, SIZES, dataset, make_world

from seqmill.examples import build
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import read_marker
from seqmill.stores.dataset import DatasetReader


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


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
