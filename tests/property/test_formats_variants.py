"""Alleles that hypothesis thinks of: normal form against the published algorithm, windows against string slices."""

from types import SimpleNamespace

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqmill.effects.variants.alleles import Examiner, sequences
from seqmill.formats.variant_records import Records
from seqmill.formats.variants import OK, is_normalised, judge_alt
from seqmill.genome.sequence import decode, encode

DNA = st.text("ACGT", min_size=1, max_size=6)
GENOME = "GATTACACCGGTTAAACCCTGAGAGAGACT"
EXTENT = 14


def normalised(ref, alts, before):
    """Tan, Abecasis and Kang 2015, algorithm 1; ``before`` is the sequence left of the record."""
    alleles, left = [ref, *alts], before
    moved = True
    while moved:
        moved = False
        room = left or min(map(len, alleles)) > 1  # at the start of a contig nothing can be put in front
        if len({allele[-1:] for allele in alleles}) == 1 and all(alleles) and room:
            alleles, moved = [allele[:-1] for allele in alleles], True
        if not all(alleles) and left:
            alleles, left, moved = [left[-1] + allele for allele in alleles], left[:-1], True
    while len({allele[0] for allele in alleles}) == 1 and min(map(len, alleles)) > 1:
        alleles, left = [allele[1:] for allele in alleles], left + alleles[0][0]
    return alleles, len(left)


@settings(deadline=None, max_examples=300)
@example("AAAAAAAA", "AA", ["A"])
@given(st.text("ACGT", min_size=8, max_size=12), DNA, st.lists(DNA, min_size=1, max_size=3))
def test_a_record_is_normalised_if_the_algorithm_leaves_it(before, ref, alts):
    if all(alt != ref for alt in alts):
        assert is_normalised(ref, alts) == (normalised(ref, alts, before) == ([ref, *alts], len(before)))


class Genome:
    """The few methods of a genome store that windows need, on a string."""

    name, sizes = "toy", {"c": len(GENOME)}

    def codes(self, contig, start, end):
        return encode("".join(GENOME[at] if 0 <= at < len(GENOME) else "N" for at in range(start, end)))

    def many(self, contig, starts, width):
        return np.stack([self.codes(contig, start, start + width) for start in starts])


@st.composite
def records(draw):
    found = Records([], [], [], [], [], [])
    for number in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(GENOME) - 1))
        ref = GENOME[start : start + draw(st.integers(1, 5))]
        alts = draw(
            st.lists(st.sampled_from(["*", "<DEL>", "."]) | st.text("ACGTacgtN", min_size=1, max_size=9), max_size=3)
        )
        for column, value in zip(found, ("x", start, ".", ref.lower(), ",".join(alts) or ".", number)):
            column.append(value)
    return found


@settings(deadline=None, max_examples=200)
@given(records())
def test_alleles_and_windows_are_those_of_strings(given_records):
    alleles = Examiner(Genome(), {"x": "c"}, window_bp=EXTENT).alleles(given_records)
    expected = [
        (start, ref.upper(), alt if "<" in alt else alt.upper(), judge_alt(ref.upper(), alt.upper(), EXTENT // 2))
        for start, ref, text in zip(given_records.start, given_records.ref, given_records.alt)
        for alt in text.split(",")
    ]
    assert list(zip(alleles.start.tolist(), alleles.ref, alleles.alt, alleles.status)) == expected
    assert alleles.allowed.tolist() == [[status == OK for *_, status in expected]]
    assert all(alleles.ref_agrees) and len(alleles.ref_agrees) == len(given_records.start)
    found = sequences(Genome(), alleles, EXTENT)
    wanted = [row for row in expected if row[3] == OK]
    assert len(found.rows) == len(wanted)
    padded = "N" * EXTENT + GENOME + "N" * EXTENT
    for (start, ref, alt, _), before, after in zip(wanted, found.ref, found.alt):
        at = start + EXTENT
        left, right = padded[at - EXTENT // 2 : at], padded[at + len(ref) :]
        for window, allele in ((before, ref), (after, alt)):
            assert decode(found.codes[window]) == (left + allele + right)[:EXTENT]
    assert len(found.codes) == len({*((s, "") for s, *_ in wanted), *((s, r, a) for s, r, a, _ in wanted)})


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 15)), max_size=8), st.integers(0, 80), st.integers(1, 20))
def test_places_are_unseen_where_no_training_row_has_a_base(rows, start, length):
    import pandas as pd

    from seqmill.effects.unseen import Unseen
    from seqmill.genome.coords import merge

    starts, ends = np.array([s for s, _ in rows], np.int64), np.array([s + n for s, n in rows], np.int64)
    unseen = Unseen.__new__(Unseen)
    unseen.infos = [SimpleNamespace()]
    unseen._known = [[{("g", "c"): merge(starts, ends)}]]
    places = pd.DataFrame({"genome": ["g", "g"], "contig": ["c", "d"], "start": start, "end": start + length})
    touched = any(s < start + length and start < s + n for s, n in rows)
    assert unseen.of(places).tolist() == [[not touched, True]]
