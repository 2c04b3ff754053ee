"""Random calls, written in every layout, read back to the same; random lines are refused or read, never misread."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.methylation_examples import COUNTED, allc, bedmethyl11, context, merge, windows_of

from seqmill.formats.methylation import CallFile
from seqmill.runtime.errors import InputError

SEQUENCE = st.text("ACGTN", min_size=1, max_size=80).map(lambda text: text + "CGNACG")


def quick(examples):
    return settings(max_examples=examples, deadline=None)


def sites(text):
    return [(p, s) for p in range(len(text)) for s in "+-" if context(text, p, s) == "CG"]


@st.composite
def worlds(draw):
    """A sequence and calls at some of its CpG cytosines, below 100 reads (whole percents are exact there)."""
    text = draw(SEQUENCE)
    chosen = draw(st.lists(st.sampled_from(sites(text)), min_size=1, max_size=12, unique=True))
    calls = []
    for position, strand in chosen:
        total = draw(st.integers(1, 99))
        calls.append(("c", position, strand, draw(st.integers(0, total)), total, "CG"))
    return text, calls


def read(written, text, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_text(written)
        with CallFile(path, {"c": len(text)}, windows=windows_of({"c": text}), **options) as file:
            calls = file.contig("c")
            return {
                ("c", p): (m, t)
                for p, m, t in zip(calls.position.tolist(), calls.methylated.tolist(), calls.total.tolist())
            }


@quick(60)
@given(worlds(), st.sampled_from(sorted(COUNTED)))
def test_every_layout_reads_back(world, case):
    text, calls = world
    layout, write = COUNTED[case]
    assert read(write(calls), text, layout=layout) == merge(calls)


@quick(60)
@given(worlds(), st.sampled_from("+-"), st.integers(1, 60))
def test_one_strand_and_least_coverage(world, strand, least):
    text, calls = world
    own = {(c, p): (m, t) for c, p, s, m, t, _ in calls if s == strand}
    expected = {place: value for place, value in own.items() if value[1] >= least}
    assert read(allc(calls), text, strand=strand, min_coverage=least) == expected


FIELD = st.one_of(
    st.integers(-2, 120).map(str), st.sampled_from(["", ".", "1.5", "nan", "+", "1e3", "0x1", "c", "inf"])
)


@quick(150)
@given(worlds(), st.data())
def test_a_changed_field_is_refused_or_changes_one_call(world, data):
    text, calls = world
    lines = bedmethyl11(calls).splitlines()
    row = data.draw(st.integers(0, len(lines) - 1))
    column = data.draw(st.sampled_from([1, 2, 5, 9, 10]))
    fields = lines[row].split("\t")
    before, fields[column] = fields[column], data.draw(FIELD)
    lines[row] = "\t".join(fields)
    try:
        found = read("\n".join(lines), text)
    except InputError:
        assert fields[column] != before
        return
    own = ("c", calls[row][1] - (calls[row][2] == "-"))
    if column in (9, 10):  # reads or percent: no other CpG is touched
        expected = merge(calls)
        assert {place: value for place, value in found.items() if place != own} == {
            place: value for place, value in expected.items() if place != own
        }
    assert all(methylated <= total for methylated, total in found.values())
    if column != 9:
        assert sum(total for _, total in found.values()) <= sum(call[4] for call in calls)
