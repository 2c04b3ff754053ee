"""Edits of random sequences against strings that are cut and joined."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.effects.mutagenesis import NONE, edited, embedded, list_edits
from seqmill.stores.maps import EDITS

LETTERS = "ACGTN"


def cut_and_join(left: str, window: str, right: str, edit: str, at: int, base: str) -> str:
    """The edited window; the part between the edit and the nearer end moves."""
    near_left = at < len(window) / 2
    if edit == "substitutions":
        return window[:at] + base + window[at + 1 :]
    if edit == "deletions":
        whole = window[:at] + window[at + 1 :]
        return left + whole if near_left else whole + right
    whole = window[:at] + base + window[at:]
    return whole[1:] if near_left else whole[:-1]


@settings(deadline=None, max_examples=60)
@given(st.text(LETTERS, min_size=3, max_size=25))
def test_every_edit_is_the_string_operation(text):
    codes = np.array([LETTERS.index(letter) for letter in text], np.uint8)
    left, window, right = text[0], text[1:-1], text[-1]
    table = list_edits(codes[1:-1], EDITS)
    found = ["".join(LETTERS[code] for code in row) for row in edited(codes, table)]
    expected, rows = [window], [(NONE, 0, 0)]
    for number, edit in enumerate(EDITS):
        for at, there in enumerate(window):
            bases = "A" if edit == "deletions" else "ACGT"
            for base in bases if there != "N" else "":
                if edit != "substitutions" or base != there:
                    expected.append(cut_and_join(left, window, right, edit, at, base))
                    rows.append((number, at, LETTERS.index(base)))
    assert found == expected
    assert [tuple(row) for row in table.tolist()] == rows


@settings(deadline=None, max_examples=40)
@given(st.text("ACGT", min_size=1, max_size=20), st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_an_element_lies_whole_in_the_middle_of_its_backgrounds(text, more, seed):
    element = np.array([LETTERS.index(letter) for letter in text], np.uint8)
    extent = len(element) + more
    found = embedded(element, extent, 3, np.random.default_rng(seed), (4, 1))
    assert len(found) == 3
    for stretch in found:
        assert stretch.codes.shape == (extent + 2,) and stretch.runs == (4, 1)
        before, behind = stretch.first, extent - stretch.last
        assert stretch.last - stretch.first == len(element) and 0 <= behind - before <= 1
        np.testing.assert_array_equal(stretch.codes[1:-1][stretch.first : stretch.last], element)
        assert set(stretch.codes.tolist()) <= set(element.tolist())
