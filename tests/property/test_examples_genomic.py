"""Properties of datasets of genome windows, under random settings and data."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.unit import slow_examples as slow
from tests.unit.example_worlds import World, random_peaks, random_sequence, random_signal

from seqmill.config.datasets import Dataset, Split
from seqmill.examples.content import runs_of
from seqmill.examples.labels import overlap_labels
from seqmill.examples.splits import make_plan
from seqmill.examples.territory import Windows
from seqmill.examples.windows import merge_peaks, tile_starts
from seqmill.runtime.errors import InputError

SLOW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 400),
    st.integers(1, 60),
    st.integers(1, 50),
    st.integers(0, 20),
    st.integers(0, 15),
    st.integers(1, 9),
)
def test_tiles_are_exact(size, window, stride, margin, offset, grid):
    stride *= grid
    found = tile_starts(size, window, stride, margin, offset, grid).tolist()
    every = [s for s in range(size) if s - margin >= 0 and s + window + margin <= size and (s + offset) % grid == 0]
    assert found == (list(range(every[0], every[-1] + 1, stride)) if every else [])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(1, 150), st.integers(0, 3)), min_size=1, max_size=25),
    st.integers(20, 300),
    st.integers(0, 120),
)
def test_merged_peaks_are_those_of_the_published_search(peaks, window, overlap):
    peaks = [(start, start + length, track) for start, length, track in peaks]
    columns = [np.array(column) for column in zip(*peaks)]
    found, members = merge_peaks(*columns, 1100, window, overlap)
    expected = slow.merge_peaks(peaks, 1100, window, overlap)
    assert found.tolist() == [left for left, _ in expected]
    assert [{t for t in range(4) if bits >> t & 1} for bits in members] == [tracks for _, tracks in expected]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), max_size=12),
    st.integers(1, 60),
    st.sampled_from([0.1, 0.25, 0.5, 1.0]),
    st.sampled_from(["label", "peak", "either"]),
)
def test_labels_count_bases(low, peaks, width, share, of):
    low = sorted(low)
    starts = np.array([start for start, _ in peaks], dtype=np.int64)
    ends = np.array([start + length for start, length in peaks], dtype=np.int64)
    found = overlap_labels(np.array(low), width, starts, ends, share, of)
    listed = [("c", int(s), int(e), 0) for s, e in zip(starts, ends)]
    assert found.astype(int).tolist() == [slow.label(at, at + width, listed, "c", share, of) for at in low]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5000), max_size=60), st.integers(1, 200), st.integers(1, 1500), st.integers(0, 300))
def test_runs_cover_every_window_once(starts, width, span, gap):
    starts = np.array(sorted(starts), dtype=np.int64)
    runs = list(runs_of(starts, width, span, gap))
    assert [i for first, stop in runs for i in range(first, stop)] == list(range(len(starts)))
    for first, stop in runs:
        reach = starts[stop - 1] + width - starts[first]
        assert reach <= max(span, width)
        assert np.all(np.diff(starts[first:stop]) <= width + gap)


chromosomes = st.fixed_dictionaries(
    {
        "kind": st.just("chromosomes"),
        "test": st.lists(st.sampled_from(["c0", "c1", "c2"]), min_size=1, max_size=2, unique=True),
        "inner_valid": st.sampled_from([0.1, 0.3]),
    }
)
folds = st.fixed_dictionaries(
    {
        "kind": st.just("folds"),
        "k": st.integers(2, 3),
        "by": st.sampled_from(["contig", "blocks"]),
        "block_bp": st.sampled_from([1000, 1700]),
    }
)
blocks = st.fixed_dictionaries(
    {
        "kind": st.just("blocks"),
        "test": st.sampled_from([0.2, 0.4]),
        "block_bp": st.sampled_from([900, 1500]),
        "seed": st.integers(0, 5),
    }
)


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(chromosomes, folds, blocks),
    st.integers(10, 150),
    st.integers(0, 60),
    st.integers(3, 90),
    st.integers(0, 1000),
)
def test_extents_of_different_folds_never_share_a_base(split, window, margin, count, seed):
    rng = np.random.default_rng(seed)
    sizes = {("g", f"c{i}"): 3000 + 500 * i for i in range(4)}
    starts = {
        place: np.unique(rng.integers(margin, size - window - margin, count)).astype(np.int64)
        for place, size in sizes.items()
    }
    windows = Windows(starts, window + 2 * margin, margin)
    try:
        plan = make_plan(Split(**split), sizes, windows, "d")
    except InputError:
        assume(False)  # too few windows for this split; which ones are refused is tested elsewhere
    rows = []
    for place in starts:
        fold = plan.assign(place, *windows.extents(place)).tolist()
        rows += [(*place, s, s + window, f) for s, f in zip(starts[place].tolist(), fold) if f >= 0]
    assert len({row[4] for row in rows}) >= 2
    assert not slow.extents_of_folds_overlap(rows, margin)
    used = {name for run in plan.runs.values() for names in run.values() for name in names}
    assert used == set(plan.folds)
    for run in plan.runs.values():
        names = [name for part in run.values() for name in part]
        assert len(names) == len(set(names))


@pytest.mark.slow
@SLOW
@given(
    st.integers(0, 10_000),
    st.sampled_from([1, 5, 16]),
    st.sampled_from(["mean", "sum", "max", "min"]),
    st.sampled_from(["zero", "nan"]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from(["none", "sqrt"]),
)
def test_profiles_are_loops_over_bases(seed, bin_bp, aggregate, missing, factor, transform):
    rng = np.random.default_rng(seed)
    sizes = {"a": 700 + seed % 17, "b": 500, "c": 450}
    length, margin = 4 * bin_bp * factor, bin_bp * factor * (seed % 2)
    window = length + 2 * int(rng.integers(0, 20))
    target = {"v": {"kind": "profile", "tracks": "all", "length_bp": length, "bin_bp": bin_bp * factor}}
    section = Dataset(
        genomes=["toy"],
        windows={"kind": "peaks", "window_bp": window, "tracks": "all"},
        targets=target,
        split={"kind": "chromosomes", "test": ["c"], "valid": ["b"]},
        margin_bp=margin,
    )
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder)).genome("toy", {c: random_sequence(rng, n) for c, n in sizes.items()})
        world.add_peaks("p", random_peaks(rng, sizes, 8))
        world.add_signal(
            "t", random_signal(rng, sizes), bin_bp=bin_bp, aggregate=aggregate, missing=missing, transform=transform
        )
        try:
            reader = world.build("d", section, {"v": ["t"]}, windows=["p"], grid_bp=bin_bp)
        except InputError:
            assume(False)  # a part without windows
        values, rows = reader.read("targets/v", 0, reader.n), reader.rows()
        assert not slow.extents_of_folds_overlap(
            list(zip(rows.genome, rows.contig, rows.start, rows.end, rows.fold)), margin
        )
        for row, found in zip(rows.itertuples(), values[:, :, 0]):
            bases, low = world.bases("t", row.contig), row.start + (window - length) // 2 - margin
            for i, value in enumerate(found):
                at = low + i * bin_bp * factor
                parts = [
                    slow.bin_value(bases[s : s + bin_bp], aggregate, missing)
                    for s in range(at, at + bin_bp * factor, bin_bp)
                ]
                expected = slow.constants(slow.coarser(parts, aggregate, missing), transform, None, None, 1.0)
                np.testing.assert_allclose(value, expected, rtol=3e-6, atol=1e-6)
