"""bigWig files that are written, read back by another library."""

import numpy as np
import pytest

from seqmill.formats.bigwig_out import averaged, write_bigwig
from seqmill.runtime.errors import InputError

pyBigWig = pytest.importorskip("pyBigWig")
SIZES = {"chr2": 1000, "chr10": 500, "chr1": 700}


def test_what_is_written_is_read_back(tmp_path):
    pieces = [
        ("chr2", np.array([0, 5]), np.array([5, 9]), np.array([1.0, -2.5])),
        ("chr2", np.array([900]), np.array([1000]), np.array([0.25])),
        ("chr1", np.array([3, 5]), np.array([4, 6]), np.array([np.nan, 7.0])),
    ]
    path = tmp_path / "out.bw"
    write_bigwig(path, SIZES, pieces)
    with pyBigWig.open(str(path)) as file:
        assert file.intervals("chr2") == ((0, 5, 1.0), (5, 9, -2.5), (900, 1000, 0.25))
        assert file.intervals("chr1") == ((5, 6, 7.0),)
    assert [item.name for item in tmp_path.iterdir()] == ["out.bw"]
    first = path.read_bytes()
    write_bigwig(path, SIZES, pieces)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([("chrX", [0], [1], [1.0])], "contig 'chrX' is not of this assembly"),
        ([("chr1", [0], [701], [1.0])], "values on chr1 are not sorted and disjoint inside its 700 bp"),
        ([("chr1", [5, 0], [6, 1], [1.0, 1.0])], "not sorted and disjoint"),
        ([("chr1", [0, 2], [3, 5], [1.0, 1.0])], "not sorted and disjoint"),
        ([("chr1", [0], [5], [1.0]), ("chr1", [4], [6], [1.0])], "not sorted and disjoint"),
        ([("chr1", [2], [2], [1.0])], "not sorted and disjoint"),
        ([("chr1", [0], [5], [1.0]), ("chr2", [4], [6], [1.0]), ("chr1", [9], [10], [1.0])], "comes in two places"),
        ([("chr1", [0], [5], [np.nan])], "a bigWig needs at least one value, found none"),
        ([], "a bigWig needs at least one value, found none"),
    ],
)
def test_what_no_bigwig_can_hold_is_refused_and_nothing_is_left(tmp_path, pieces, message):
    arrays = [(contig, *map(np.array, rest)) for contig, *rest in pieces]
    with pytest.raises(InputError, match=message):
        write_bigwig(tmp_path / "out.bw", SIZES, arrays)
    assert list(tmp_path.iterdir()) == []


def test_averages_over_each_base():
    rng = np.random.default_rng(1)
    starts = rng.integers(0, 60, 30)
    ends = starts + rng.integers(0, 15, 30)
    values = rng.normal(size=30).astype(np.float32)
    values[4] = np.nan
    expected = np.full(80, np.nan)
    for base in range(80):
        here = [v for s, e, v in zip(starts, ends, values) if s <= base < e and v == v]
        if here:
            expected[base] = np.mean(here)
    found = np.full(80, np.nan)
    last = -1
    for start, end, value in zip(*averaged(starts, ends, values)):
        assert start >= last and end > start
        found[start:end], last = value, end
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_equal_neighbours_are_one_run_and_gaps_stay():
    starts, ends, values = averaged(np.array([0, 5, 20]), np.array([5, 9, 25]), np.array([2.0, 2.0, 2.0]))
    assert (starts.tolist(), ends.tolist(), values.tolist()) == ([0, 20], [9, 25], [2.0, 2.0])
    assert [len(x) for x in averaged(np.zeros(0), np.zeros(0), np.zeros(0))] == [0, 0, 0]
