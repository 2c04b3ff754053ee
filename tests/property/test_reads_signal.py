"""Signal of generated fragments against loops in plain Python; sums; groups of a cell table share out the fragments."""

import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.reads.fragment_files import read_fragment_file
from seqmill.reads.fragments import Fragments
from seqmill.reads.signal import centres, coverage, cut_sites, runs

SIZE = 60
SHIFTS = st.integers(-9, 9)


@st.composite
def fragments(draw):
    starts = draw(st.lists(st.integers(0, SIZE - 1), max_size=15))
    return sorted((start, draw(st.integers(start + 1, SIZE)), draw(st.sampled_from([1, -1]))) for start in starts)


def table(rows) -> Fragments:
    columns = list(zip(*rows)) or [[], [], []]
    return Fragments.of(*(np.array(column, dtype=np.int64) for column in columns))


def slow_ends(rows, paired):
    for start, end, strand in rows:
        if paired or strand == 1:
            yield "+", start
        if paired or strand == -1:
            yield "-", end - 1


@settings(max_examples=80, deadline=None)
@given(fragments(), st.booleans(), SHIFTS, SHIFTS)
def test_cut_sites(rows, paired, plus, minus):
    values = [0] * SIZE
    off = 0
    for strand, base in slow_ends(rows, paired):
        place = base + (plus if strand == "+" else minus)
        if 0 <= place < SIZE:
            values[place] += 1
        else:
            off += 1
    found = cut_sites(table(rows), SIZE, paired, plus, minus)
    assert found.tolist() == values
    assert found.sum() == len(rows) * (2 if paired else 1) - off


@settings(max_examples=60, deadline=None)
@given(fragments(), st.integers(1, 20), st.integers(0, 30))
def test_centres(rows, shortest, more):
    values = [0] * SIZE
    for start, end, _ in rows:
        if shortest <= end - start <= shortest + more:
            values[(start + end) // 2] += 1
    assert centres(table(rows), SIZE, True, fragment_bp=(shortest, shortest + more)).tolist() == values


@settings(max_examples=60, deadline=None)
@given(fragments(), st.none() | st.integers(1, 40))
def test_coverage(rows, extend_bp):
    values = [0] * SIZE
    for start, end, strand in rows:
        if extend_bp is not None:
            start, end = (start, start + extend_bp) if strand == 1 else (end - extend_bp, end)
        for base in range(max(start, 0), min(end, SIZE)):
            values[base] += 1
    assert coverage(table(rows), SIZE, extend_bp=extend_bp).tolist() == values


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=40))
def test_runs(values):
    found = [pair for starts, ends in runs(np.array(values)) for pair in zip(starts.tolist(), ends.tolist())]
    rebuilt = [values[start] for start, end in found for _ in range(start, end)]
    assert rebuilt == values
    assert all(values[one[0]] != values[two[0]] and one[1] == two[0] for one, two in pairwise(found))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(1, 20), st.sampled_from("pqrs")),
        min_size=1,
        max_size=30,
    ),
    st.dictionaries(st.sampled_from("pqrs"), st.sampled_from(["x", "y"]), min_size=1),
)
def test_groups_share_out_the_fragments_of_the_matched_cells(rows, groups):
    with tempfile.TemporaryDirectory() as folder:
        path, cells = Path(folder) / "f.tsv", Path(folder) / "cells.tsv"
        lines = [f"{contig}\t{start}\t{start + bp}\t{barcode}\t1\n" for contig, start, bp, barcode in rows]
        path.write_text("".join(lines))
        cells.write_text("barcode\tgroup\n" + "".join(f"{barcode}\t{group}\n" for barcode, group in groups.items()))
        found: Counter = Counter()
        for group in set(groups.values()):
            mine = {barcode for barcode, name in groups.items() if name == group}
            expected = Counter((c, start, start + bp) for c, start, bp, barcode in rows if barcode in mine)
            if not expected:
                continue  # refused: no barcode of the group is in the file
            pieces, counts = read_fragment_file(path, {"a": 60, "b": 60}, cells=cells, group=group)
            ours = Counter((c, s, e) for c, one in pieces.items() for s, e in zip(one.start.tolist(), one.end.tolist()))
            assert ours == expected and counts["fragments"] == sum(expected.values())
            assert counts["fragments"] + counts["fragments_of_other_cells"] == len(rows)
            found += ours
        assert found == Counter((c, start, start + bp) for c, start, bp, barcode in rows if barcode in groups)
