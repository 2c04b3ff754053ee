"""Re-binning, the sheet's constants, and the record file: hand numbers."""

import numpy as np
import pytest
from tests.unit import slow_examples as slow

from seqmill.config.sheet import Track
from seqmill.examples.scatter import RecordFile
from seqmill.examples.values import Reduction, reduce_bins, transform
from seqmill.runtime.errors import InputError, SeqmillError


def sheet_row(**columns) -> Track:
    return Track(track="t", location="t.bw", format="bigwig", **columns)


def test_constants_by_hand_and_in_order():
    row = sheet_row(transform="sqrt", clip_soft=3, clip=4, scale=10)
    # sqrt: 8 -> 2, 24 -> 4, 99 -> 9, 0 -> 0; soft: 4 -> 2 + sqrt(2), 9 -> 2 + sqrt(7) = 4.65; clip 4; times 10
    found = transform(np.array([0, 8, 24, 99, np.nan]), row, "d")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0, 20, 10 * (2 + np.sqrt(2)), 40, np.nan], rtol=1e-6)
    # the other order would give something else: clip before soft clip leaves 2 + sqrt(2) for all above 4
    assert found[3] > found[2]


def test_constants_one_by_one():
    np.testing.assert_allclose(transform(np.array([np.e - 1, 0]), sheet_row(transform="log1p"), "d"), [1, 0], rtol=1e-6)
    np.testing.assert_allclose(transform(np.array([-9, 9, 2]), sheet_row(clip=4), "d"), [-4, 4, 2])
    np.testing.assert_allclose(transform(np.array([12.0, 3]), sheet_row(clip_soft=4), "d"), [6, 3])
    np.testing.assert_allclose(transform(np.array([3.0]), sheet_row(scale=0.5), "d"), [1.5])


@pytest.mark.parametrize("seed", range(3))
def test_constants_equal_the_slow_ones(seed):
    rng = np.random.default_rng(seed)
    values = rng.uniform(-0.9, 60, 40)
    options = {
        "transform": ["none", "sqrt", "log1p"][seed],
        "clip_soft": [None, 3, 2][seed],
        "clip": [20, None, 5][seed],
    }
    expected = [slow.constants(v, scale=1.5, **options) for v in values.tolist()]
    np.testing.assert_allclose(transform(values, sheet_row(scale=1.5, **options), "d"), expected, rtol=1e-6)


def test_a_log_ratio_cannot_be_square_rooted():
    with pytest.raises(InputError, match=r"track t has the value -3, which transform 'sqrt' cannot take"):
        transform(np.array([1, -3.0]), sheet_row(transform="sqrt"), "datasets.d")


def test_coarser_bins_by_hand():
    nan = np.nan
    pieces = np.array([[[1, 3], [2, nan], [nan, nan]]], np.float32)
    cases = {
        ("mean", "nan"): [2, 2, nan],
        ("mean", "zero"): [2, nan, nan],  # with zero, NaN is a contig that the file does not have
        ("sum", "nan"): [4, 2, nan],
        ("max", "nan"): [3, 2, nan],
        ("min", "zero"): [1, nan, nan],
    }
    for (aggregate, missing), expected in cases.items():
        np.testing.assert_allclose(reduce_bins(pieces, Reduction(aggregate, missing, 16))[0], expected)
    np.testing.assert_allclose(reduce_bins(pieces, Reduction("mean", "nan", 16, total=True))[0], [64, 32, nan])
    np.testing.assert_allclose(reduce_bins(pieces, Reduction("sum", "nan", 16, total=True))[0], [4, 2, nan])


def test_sums_do_not_lose_small_values():
    pieces = np.full((1, 1 << 20), 0.1, np.float32)
    pieces[0, 0] = 3e7
    exact = float(np.float32(3e7)) + ((1 << 20) - 1) * float(np.float32(0.1))
    assert abs(reduce_bins(pieces, Reduction("sum", "zero", 1))[0] - exact) < 1e-3


@pytest.mark.parametrize(("shape", "dtype"), [((3,), "uint8"), ((), "int32"), ((2, 5), "float32")])
def test_records_come_back_in_row_order(shape, dtype):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 200, (97, *shape)).astype(dtype)
    order = rng.permutation(97)
    with RecordFile(97, shape, dtype) as records:
        for part in np.array_split(order, 7):
            records.put(part, values[part])
        blocks = list(records.blocks(block_bytes=11 * max(values[0].nbytes, 1)))
    assert [len(block) for block in blocks] == [11] * 8 + [9]
    np.testing.assert_array_equal(np.concatenate(blocks), values)


def test_pieces_of_records():
    with RecordFile(4, (5,), "uint8") as records:
        records.put(np.array([2, 0, 1, 3]), np.array([[1, 2], [3, 4], [5, 6], [7, 8]]), at=1)
        records.put(np.arange(4), np.full((4, 2), 9), at=3)
        found = np.concatenate(list(records.blocks()))
    assert found.tolist() == [[0, 3, 4, 9, 9], [0, 5, 6, 9, 9], [0, 1, 2, 9, 9], [0, 7, 8, 9, 9]]


def test_a_full_temporary_folder_is_named(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with RecordFile(10, (1000,), "float32") as records:
        monkeypatch.setattr("os.pwrite", full)
        with pytest.raises(SeqmillError, match=r"cannot hold the 40.0 kB of temporary values .* set TMPDIR"):
            records.put(np.arange(2), np.zeros((2, 1000)))
