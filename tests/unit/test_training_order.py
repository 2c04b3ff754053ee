"""Order of rows: every row once a pass, no gap over steps, a pure function of seed, pass and step."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit import training_toys as toys

from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.parts import cut_blocks, part_ranges
from seqmill.training.loader import ahead, batch_keys, plain_batches, training_batches
from seqmill.training.order import (
    Order,
    Stream,
    block_rows,
    deal,
    make_streams,
    shares_of,
    steps_per_epoch,
    validation_ranges,
)


def taken(order: Order, position: int, count: int) -> list[int]:
    """The first ``count`` rows of an order from ``position`` on."""
    rows: list[int] = []
    for blocks, picks in order.groups(position):
        rows += block_rows(blocks)[picks].tolist()
        if len(rows) >= count:
            return rows[:count]
    raise AssertionError("unreachable")


ranges_of = st.lists(st.integers(1, 40), min_size=1, max_size=6).map(
    lambda sizes: [(sum(sizes[:i]) + 3 * i, sum(sizes[: i + 1]) + 3 * i) for i in range(len(sizes))]
)


@settings(max_examples=60, deadline=None)
@given(ranges_of, st.integers(1, 16), st.integers(1, 5), st.integers(0, 3), st.integers(0, 300))
def test_each_pass_has_every_row_once_and_any_position_can_be_entered(ranges, chunk, group, seed, position):
    order = Order(Stream("x", (cut_blocks(ranges, chunk),), 1), seed=seed, number=0, group=group)
    every = sorted(itertools.chain(*(range(a, b) for a, b in ranges)))
    n = len(every)
    rows = taken(order, 0, 3 * n)
    for first in (0, n, 2 * n):
        assert sorted(rows[first : first + n]) == every
    position %= 2 * n
    fresh = Order(Stream("x", (cut_blocks(ranges, chunk),), 1), seed=seed, number=0, group=group)
    assert taken(fresh, position, n) == rows[position : position + n]


def test_orders_differ_by_seed_stream_and_pass():
    stream = Stream("x", (cut_blocks([(0, 500)], 16),), 1)
    base = taken(Order(stream, seed=0, number=0, group=4), 0, 1000)
    assert base[:500] != base[500:]
    assert base != taken(Order(stream, seed=1, number=0, group=4), 0, 1000)
    assert base != taken(Order(stream, seed=0, number=1, group=4), 0, 1000)
    assert base == taken(Order(stream, seed=0, number=0, group=4), 0, 1000)
    # Groups of 4 chunks are mixed row by row, chunks over the whole pass.
    assert np.abs(np.diff(base[:500])).mean() > 20


def test_cut_blocks_stay_inside_chunks():
    for start, stop in cut_blocks([(3, 50), (60, 61)], 16):
        assert start // 16 == (stop - 1) // 16
    assert block_rows(cut_blocks([(3, 50), (60, 61)], 16)).tolist() == [*range(3, 50), 60]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.integers(1, 500))
def test_shares_add_up_and_are_within_one_row(ratios, size):
    shares = shares_of(ratios, size)
    assert sum(shares) == size
    for share, ratio in zip(shares, ratios):
        assert abs(share - size * ratio / sum(ratios)) < 1


def test_part_ranges_take_a_prefix_of_each_part():
    parts = [
        {"pool": "a", "fold": "1", "start": 0, "stop": 10},
        {"pool": "a", "fold": "2", "start": 10, "stop": 30},
        {"pool": "b", "fold": "1", "start": 30, "stop": 31},
        {"pool": "b", "fold": "3", "start": 31, "stop": 31},
    ]
    assert part_ranges(parts, ["1", "2", "3"]) == [(0, 10), (10, 30), (30, 31)]
    assert part_ranges(parts, ["1", "2"], ["a"], 0.5) == [(0, 5), (10, 20)]
    assert part_ranges(parts, ["1"], None, 0.01) == [(0, 1), (30, 31)]


def streams_of(**changes):
    parts = [{"pool": "a", "fold": "t", "start": 0, "stop": 100}, {"pool": "b", "fold": "t", "start": 100, "stop": 130}]
    return make_streams(parts, ["t"], **({"pools": None, "batch_size": 10, "chunk": 16} | changes))


def test_pools_by_size_and_by_ratio():
    (stream,) = streams_of()
    assert (stream.rows, stream.share, steps_per_epoch([stream])) == (130, 10, 13)
    two = streams_of(pools=[("a", 3.0), ("b", 1.0)], batch_size=8)
    assert [(s.name, s.rows, s.share) for s in two] == [("a", 100, 6), ("b", 30, 2)]
    assert steps_per_epoch(two) == 17  # 100 rows of the larger pool, 6 a step
    assert streams_of(fraction=0.1)[0].rows == 13


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=8), st.integers(1, 12))
def test_dealt_rows_come_once_in_groups_of_equal_size(sizes, groups):
    starts = [1000 * number for number in range(len(sizes))]
    blocks = [(start, start + size) for start, size in zip(starts, sizes)]
    dealt = deal(blocks, groups)
    rows = [block_rows(group).tolist() if group else [] for group in dealt]
    assert list(itertools.chain(*rows)) == block_rows(blocks).tolist()
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


def test_pools_of_one_stream_are_in_proportion_in_every_group():
    parts = [
        {"pool": "peaks", "fold": "t", "start": 0, "stop": 415},
        {"pool": "negatives", "fold": "t", "start": 500, "stop": 1743},
    ]
    (stream,) = make_streams(parts, ["t"], pools=None, batch_size=16, chunk=128)
    groups = Order(stream, seed=1, number=0, group=8).groups(0)
    rows = [block_rows(blocks)[picks] for blocks, picks in itertools.islice(groups, 2)]
    assert sorted(np.concatenate(rows)) == [*range(415), *range(500, 1743)]
    assert [int((r < 415).sum()) for r in rows] == [207, 208]
    assert [int((r >= 500).sum()) for r in rows] == [621, 622]
    chunk = 100
    for r in rows:
        counts = [(r[first : first + chunk] < 415).sum() for first in range(0, len(r) - chunk, chunk)]
        assert 12 <= min(counts) <= max(counts) <= 40  # 25 expected; whole blocks would give 0 or 100 at the end


def test_validation_rows_keep_the_ratios_of_the_pools():
    parts = [
        {"pool": "rare", "fold": "valid", "start": 0, "stop": 40},
        {"pool": "rare", "fold": "train", "start": 40, "stop": 400},
        {"pool": "common", "fold": "valid", "start": 400, "stop": 1400},
        {"pool": "common", "fold": "inner", "start": 1400, "stop": 2400},
    ]
    assert validation_ranges(parts, ["valid"], None) == [(0, 40), (400, 1400)]
    # 40 rare rows ask for 120 of the 2,000 common ones: the same share of both parts
    mixed = validation_ranges(parts, ["valid", "inner"], [("rare", 1.0), ("common", 3.0)])
    assert mixed == [(0, 40), (400, 460), (1400, 1460)]
    assert validation_ranges(parts, ["inner"], [("rare", 1.0), ("common", 3.0)]) == [(1400, 2400)]
    assert validation_ranges(parts, ["other"], [("rare", 1.0)]) == []


def test_pools_that_cannot_be():
    with pytest.raises(InputError, match="pool 'c' is not in the dataset: a, b"):
        streams_of(pools=[("c", 1.0)])
    with pytest.raises(InputError, match="batch_size 4 is too small to hold one row of pool 'b'"):
        streams_of(pools=[("a", 100.0), ("b", 1.0)], batch_size=4)
    parts = [{"pool": "a", "fold": "t", "start": 0, "stop": 100}]
    with pytest.raises(InputError, match="pool 'all' has no rows in folds other"):
        make_streams(parts, ["other"], pools=None, batch_size=4, chunk=16)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return DatasetReader(toys.motif_dataset(tmp_path_factory.mktemp("order") / "toy.zarr"))


@pytest.mark.parametrize("pools", [None, [("peaks", 2.0), ("negatives", 1.0)]])
def test_batches_hold_the_rows_that_they_name(reader, pools):
    streams = make_streams(reader.parts, ["train"], pools=pools, batch_size=50, chunk=reader.chunk_examples)
    keys = batch_keys(reader, ["bound"])
    whole = {key: reader.read(key, 0, reader.n) for key in keys}
    seen = []
    for batch in itertools.islice(training_batches(reader, streams, targets=["bound"], seed=3), 60):
        for key in keys:
            assert batch[key].dtype == whole[key].dtype
            assert np.array_equal(batch[key], whole[key][batch["row"]])
        seen.append(batch["row"])
    again = list(itertools.islice(training_batches(reader, streams, targets=["bound"], seed=3, first_step=29), 31))
    assert all(np.array_equal(a["row"], b) for a, b in zip(again, seen[29:]))
    table = reader.rows()
    if pools is None:
        rows = np.concatenate(seen)[:1200]
        assert sorted(rows) == [*range(900), *range(1300, 1600)]
    else:
        assert all((table["pool"].iloc[rows] == "peaks").sum() == 33 for rows in seen)


def test_plain_batches_pad_the_last(reader):
    ranges = part_ranges(reader.parts, ["valid", "test"])
    batches = list(plain_batches(reader, ranges, batch_size=150, keys=["inputs/sequence"]))
    assert [count for _, count in batches] == [150, 150, 100]
    rows = np.concatenate([batch["row"][:count] for batch, count in batches])
    assert rows.tolist() == [*range(900, 1300)]
    assert (batches[-1][0]["row"][100:] == 1299).all()
    for batch, _ in batches:
        assert np.array_equal(
            batch["inputs/sequence"][7], reader.read("inputs/sequence", *(batch["row"][7] + [0, 1]))[0]
        )


def test_ahead_passes_items_and_errors_on():
    assert list(ahead(iter(range(5)), lambda x: x * x)) == [0, 1, 4, 9, 16]

    def broken():
        yield 1
        raise InputError("file", "is broken")

    items = ahead(broken(), lambda x: x)
    assert next(items) == 1
    with pytest.raises(InputError, match="file: is broken"):
        next(items)
    endless = ahead(itertools.count(), lambda x: x)
    assert next(endless) == 0
    endless.close()
