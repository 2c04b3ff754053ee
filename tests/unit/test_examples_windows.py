"""Where windows are, merged peaks and overlap labels: known answers and slow references."""

import shutil

import numpy as np
import pytest
from tests.unit import slow_examples as slow

from seqmill.examples.content import touches
from seqmill.examples.labels import overlap_labels
from seqmill.examples.windows import centred_offset, centred_starts, check_grid, merge_peaks, snap, tile_starts
from seqmill.runtime.errors import InputError


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        (10, {"window_bp": 4, "stride_bp": 3}, [0, 3, 6]),
        (9, {"window_bp": 4, "stride_bp": 3}, [0, 3]),
        (4, {"window_bp": 4, "stride_bp": 3}, [0]),
        (3, {"window_bp": 4, "stride_bp": 3}, []),
        (20, {"window_bp": 4, "stride_bp": 4, "margin_bp": 3}, [3, 7, 11]),
        # base start + 2 begins a bin of 5; the first start with its margin on the contig is 3
        (30, {"window_bp": 10, "stride_bp": 5, "margin_bp": 1, "offset": 2, "grid_bp": 5}, [3, 8, 13, 18]),
    ],
)
def test_tiles(size, options, expected):
    assert tile_starts(size, **options).tolist() == expected


def test_windows_are_centred_on_the_summit():
    assert centred_starts(np.array([100, 101]), 10).tolist() == [95, 96]
    assert centred_starts(np.array([100]), 11).tolist() == [95]


def test_snapping_moves_to_the_nearest_bin():
    starts = snap(np.array([0, 3, 4, 7, 8, 15]), offset=2, grid_bp=8)
    assert starts.tolist() == [-2, 6, 6, 6, 6, 14]
    assert all((start + 2) % 8 == 0 for start in starts)
    assert snap(np.array([5, 6]), 3, 1).tolist() == [5, 6]


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="stride_bp 100 is not a multiple of the tracks' bins \\(32 bp\\); try 128"):
        check_grid(100, 32, "datasets.d.windows")
    with pytest.raises(InputError, match="a part of 700 bp is longer than the window of 600 bp"):
        centred_offset(600, 700, "d")
    with pytest.raises(InputError, match="201 bp cannot be centred in a window of 600 bp"):
        centred_offset(600, 201, "d")
    assert centred_offset(1000, 200, "d") == 400


def test_basset_merging_by_hand():
    # Midpoints 1000 and 1100: windows 700-1300 and 800-1400 overlap by 500; each has one track, so the middle is 1050.
    starts, members = merge_peaks(np.array([950, 1050]), np.array([1050, 1150]), np.array([0, 3]), 5000, 600, 200)
    assert starts.tolist() == [750]
    assert members == [0b1001]
    # An overlap of 199 bp is not enough.
    starts, members = merge_peaks(np.array([990, 1391]), np.array([1010, 1411]), np.array([0, 1]), 5000, 600, 200)
    assert starts.tolist() == [700, 1101]
    assert members == [1, 2]
    # The weight of a window grows with its tracks: (1 + 2) * 1000 + (1 + 1) * 1100 over 5 is 1040.
    starts, members = merge_peaks(
        np.array([990, 990, 1090]), np.array([1010, 1010, 1110]), np.array([0, 1, 2]), 5000, 600, 200
    )
    assert starts.tolist() == [740]
    assert members == [7]


def test_merged_windows_stay_on_the_contig():
    starts, _ = merge_peaks(np.array([0, 950]), np.array([20, 1000]), np.array([0, 1]), 1000, 400, 100)
    assert starts.tolist() == [0, 600]
    assert merge_peaks(np.array([0]), np.array([20]), np.array([0]), 300, 400, 100)[0].tolist() == []


@pytest.mark.parametrize("seed", range(6))
def test_basset_merging_equals_the_published_search(seed):
    rng = np.random.default_rng(seed)
    count, size, window = 150, 12_000, 300
    starts = rng.integers(0, size - 200, count)
    ends, tracks = starts + rng.integers(1, 200, count), rng.integers(0, 5, count)
    found, members = merge_peaks(starts, ends, tracks, size, window, 60)
    expected = slow.merge_peaks(list(zip(starts.tolist(), ends.tolist(), tracks.tolist())), size, window, 60)
    assert found.tolist() == [left for left, _ in expected]
    assert [{t for t in range(5) if bits >> t & 1} for bits in members] == [tracks for _, tracks in expected]


@pytest.mark.parametrize("overlap_of", ["label", "peak", "either"])
@pytest.mark.parametrize("min_overlap", [0.01, 0.5, 1.0])
def test_labels_equal_counting_bases(overlap_of, min_overlap):
    rng = np.random.default_rng(5)
    low = np.sort(rng.integers(0, 3000, 80))
    starts = rng.integers(0, 3000, 40)
    ends = starts + rng.integers(1, 150, 40)
    peaks = [("c", int(s), int(e), 0) for s, e in zip(starts, ends)]
    found = overlap_labels(low, 60, starts, ends, min_overlap, overlap_of)
    expected = [slow.label(at, at + 60, peaks, "c", min_overlap, overlap_of) for at in low.tolist()]
    assert found.astype(int).tolist() == expected
    assert found.sum() > 0


def test_half_of_a_200_bp_bin_as_deepsea():
    bins = np.array([0, 200, 400])
    assert overlap_labels(bins, 200, np.array([100]), np.array([299]), 0.5).tolist() == [True, False, False]
    assert overlap_labels(bins, 200, np.array([100]), np.array([300]), 0.5).tolist() == [True, True, False]
    assert overlap_labels(bins, 200, np.zeros(0), np.zeros(0), 0.5).tolist() == [False] * 3


@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")
def test_regions_touched_and_covered_as_bedtools_says():
    import pybedtools

    rng = np.random.default_rng(7)
    low, regions = np.sort(rng.integers(0, 4000, 120)), rng.integers(0, 4000, 30)
    ends = regions + rng.integers(1, 90, 30)
    windows = pybedtools.BedTool("".join(f"c\t{s}\t{s + 50}\t{i}\n" for i, s in enumerate(low)), from_string=True)
    bed = pybedtools.BedTool("".join(f"c\t{s}\t{e}\n" for s, e in zip(regions, ends)), from_string=True)
    touched = {int(line.name) for line in windows.intersect(bed, u=True)}
    assert set(np.flatnonzero(touches(low, low + 50, regions, ends)).tolist()) == touched
    covered = {int(fields[3]): float(fields[-1]) for fields in (str(x).split() for x in windows.coverage(bed))}
    labels = overlap_labels(low, 50, regions, ends, 0.5)
    assert labels.tolist() == [covered[i] >= 0.5 for i in range(120)]
