"""FRiP, profiles of transcription starts and lengths of fragments equal slow loops on any fragments."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.genome.coords import merge
from seqmill.reads.fragment_sizes import size_counts
from seqmill.reads.fragments import Fragments, FragmentTable, write_fragments
from seqmill.reads.frip import tags_in_peaks
from seqmill.reads.replicates import Replicate
from seqmill.reads.tags import cut_positions
from seqmill.reads.tss import start_profiles

SIZE = 6000
FRAGMENTS = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, 1200), st.sampled_from([1, -1, 0])), min_size=1, max_size=40
).map(lambda rows: [(start, min(start + length, SIZE), strand) for start, length, strand in rows])
PEAKS = st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, 500)), max_size=8)
SHIFT = st.tuples(st.integers(-6, 6), st.integers(-6, 6))


def table_of(folder, rows, paired):
    path = Path(folder) / "fragments.parquet"
    write_fragments(path, {"a": SIZE}, paired, {"a": Fragments.of(*np.array(rows).T)})
    return FragmentTable(path)


def slow_tags(rows, assay, paired, shift, read_bp, fragment_bp):
    """Start and end of tags, a read at a time."""
    tags = []
    for start, end, strand in rows:
        if assay == "chip":
            moved = 0 if paired else strand * ((fragment_bp + 1) // 2)
            tags.append((start + moved, end + moved))
            continue
        mates = [(start, min(end, start + read_bp), 1), (max(start, end - read_bp), end, -1)]
        for first, last, mate in mates if paired else [(start, end, strand)]:
            if mate == -1:
                last += shift[1]
                if 0 < last <= SIZE:
                    tags.append((min(first, last - 1), last))
            elif 0 <= first + shift[0] < SIZE:
                tags.append((first + shift[0], max(last, first + shift[0] + 1)))
    return tags


@settings(deadline=None, max_examples=80)
@given(
    FRAGMENTS, PEAKS, st.sampled_from(["atac", "chip"]), st.booleans(), SHIFT, st.integers(1, 150),
    st.integers(50, 300),
)  # fmt: skip
def test_frip_equals_brute_force(rows, peaks, assay, paired, shift, read_bp, fragment_bp):
    starts, ends = np.array(peaks, np.int64).reshape(-1, 2).T
    with tempfile.TemporaryDirectory() as folder:
        replicate = Replicate(1, table_of(folder, rows, paired), read_bp, *shift)
        found = tags_in_peaks(replicate, {"a": merge(starts, starts + ends)}, assay, fragment_bp)
        counts, longer = size_counts(replicate.table)
    tags = slow_tags(rows, assay, paired, shift, read_bp, fragment_bp)
    inside = sum(any(first < start + length and last > start for start, length in peaks) for first, last in tags)
    assert found == (inside, len(tags))
    lengths = [end - start for start, end, _ in rows]
    assert longer == sum(length > 1000 for length in lengths)
    assert counts.tolist() == [lengths.count(length) for length in range(1001)]


@settings(deadline=None, max_examples=60)
@given(
    FRAGMENTS, st.booleans(), SHIFT,
    st.lists(st.tuples(st.integers(2000, SIZE - 2001), st.sampled_from([1, -1])), min_size=1, max_size=4),
    st.integers(1, 160),
)  # fmt: skip
def test_profiles_of_starts_equal_a_slow_pile_up(rows, paired, shift, starts, read_bp):
    with tempfile.TemporaryDirectory() as folder:
        table = table_of(folder, rows, paired)
        cuts = cut_positions(table.contig("a"), Replicate(1, table, read_bp, *shift))
    places, strands = np.array(starts).T
    found = start_profiles(cuts, places, strands, read_bp)
    pile, wanted = np.zeros(3 * SIZE), []
    for start, end, strand in rows:
        left, right = start + shift[0], end - 1 + shift[1]
        wanted += [left, right] if paired else [right] if strand == -1 else [left]
    assert sorted(wanted) == cuts.tolist()
    for cut in wanted:
        first = SIZE + cut - read_bp // 2
        pile[first : first + read_bp] += 1
    for profile, place, strand in zip(found, places, strands):
        bases = [pile[SIZE + place + strand * relative] for relative in range(-2000, 2000)]
        np.testing.assert_allclose(profile, np.reshape(bases, (400, 10)).mean(axis=1), rtol=1e-6)
