"""Generated files: readers agree with plain loops, and refuse exactly what the rules refuse."""

import gzip
import math
import re
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.signal_examples import slow_bins, slow_pileup

from seqmill.config.targets import read_targets, write_targets
from seqmill.formats.fasta import read_fasta
from seqmill.formats.intervals import read_intervals
from seqmill.formats.signal import open_signal
from seqmill.genome.sequence import decode, dinucleotide_shuffle, encode, reverse_complement
from seqmill.runtime.errors import InputError

SIZE = 300
BINS = st.sampled_from([1, 3, 32, 100, 512])
AGGREGATE = st.sampled_from(["mean", "sum", "max", "min"])
MISSING = st.sampled_from(["zero", "nan"])
VALUES = st.floats(-1000, 1000, width=32)


def quick(examples):
    return settings(max_examples=examples, deadline=None)


@st.composite
def steps(draw):
    """Sorted, non-overlapping (start, end, value)."""
    edges = sorted(draw(st.sets(st.integers(0, SIZE), min_size=2, max_size=24)))
    pairs = [pair for pair in pairwise(edges) if draw(st.booleans())] or [(edges[0], edges[1])]
    return [(start, end, draw(VALUES)) for start, end in pairs]


@st.composite
def spans(draw):
    starts = draw(st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=20))
    return [(start, draw(st.integers(start + 1, SIZE)), draw(VALUES)) for start in starts]


def check_bins(reader, values, bin_bp, aggregate, missing):
    n_bins = -(-SIZE // bin_bp)
    expected = slow_bins(values, bin_bp, aggregate, missing)
    found = reader.bins("c", 0, n_bins, bin_bp, aggregate, missing)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@quick(60)
@given(steps(), BINS, AGGREGATE, MISSING)
def test_bedgraph(rows, bin_bp, aggregate, missing):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_text("".join(f"c\t{s}\t{e}\t{v!r}\n" for s, e, v in rows))
        with open_signal(path, "bedgraph", {"c": SIZE}) as reader:
            check_bins(reader, slow_pileup(rows, SIZE), bin_bp, aggregate, missing)


@pytest.mark.slow
@quick(40)
@given(steps(), BINS, AGGREGATE, MISSING, st.integers(0, 5))
def test_bigwig(rows, bin_bp, aggregate, missing, unknown):
    import pyBigWig

    rows = [(s, e, math.nan if i == unknown else v) for i, (s, e, v) in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        with pyBigWig.open(str(path), "w") as file:
            file.addHeader([("c", SIZE)])
            starts, ends, values = (list(column) for column in zip(*rows))
            file.addEntries(["c"] * len(rows), starts, ends=ends, values=values)
        with open_signal(path, "bigwig", {"c": SIZE}) as reader:
            check_bins(reader, slow_pileup(rows, SIZE), bin_bp, aggregate, missing)


@quick(60)
@given(spans(), BINS, AGGREGATE, MISSING, st.sampled_from(["coverage", "ends", "centres"]))
def test_fragments(rows, bin_bp, aggregate, missing, mode):
    places = {
        "coverage": lambda s, e: [(s, e, 1)],
        "ends": lambda s, e: [(s, s + 1, 1), (e - 1, e, 1)],
        "centres": lambda s, e: [((s + e) // 2, (s + e) // 2 + 1, 1)],
    }[mode]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(gzip.compress("".join(f"c\t{s}\t{e}\n" for s, e, _ in rows).encode()))
        with open_signal(path, "fragments", {"c": SIZE}, mode=mode) as reader:
            values = slow_pileup([place for s, e, _ in rows for place in places(s, e)], SIZE)
            check_bins(reader, values, bin_bp, aggregate, missing)


@quick(60)
@given(spans(), BINS, AGGREGATE, MISSING, st.sampled_from(["count", "score"]))
def test_bed(rows, bin_bp, aggregate, missing, value):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_text("".join(f"c\t{s}\t{e}\tn\t{v!r}\t+\n" for s, e, v in rows))
        with open_signal(path, "bed", {"c": SIZE}, value=value) as reader:
            used = [(s, e, 1 if value == "count" else v) for s, e, v in rows]
            check_bins(reader, slow_pileup(used, SIZE), bin_bp, aggregate, missing)


FIELD = {
    "start": st.one_of(
        st.integers(-2, 40).map(str), st.sampled_from(["", "1e3", "1.0", "+3", "0x5", ".", "1,000", "x"])
    ),
    "end": st.one_of(
        st.integers(0, 60).map(str), st.sampled_from(["", "1e3", "99999999999", "-1", "nan", "2147483648", " 7"])
    ),
    "name": st.sampled_from(["c", "c", "c", "d", "d.1", "", "c d", "é", "<c>"]),
    "strand": st.sampled_from(["+", "-", ".", "+", "", "++", "1"]),
    "score": st.sampled_from(["0", "1.5", "-1", ".", "nan", "inf", "1e400", "x", "1_0"]),
}
GOOD = {
    "start": st.integers(0, 20).map(str),
    "end": st.integers(21, 60).map(str),
    "name": st.sampled_from(["c", "d"]),
    "strand": st.sampled_from("+-."),
    "score": st.sampled_from(["0", "1.5", "."]),
}


@st.composite
def bed_lines(draw):
    """Mostly good BED6 lines, comments and blank lines; a few fields are wrong or odd."""
    lines = []
    for _ in range(draw(st.integers(1, 8))):
        odd = draw(
            st.sampled_from(["", "", "", "", "start", "end", "name", "strand", "score", "columns", "comment", "blank"])
        )
        field = {name: draw(FIELD[name] if name == odd else GOOD[name]) for name in GOOD}
        line = "\t".join([field["name"], field["start"], field["end"], "x", field["score"], field["strand"]])
        if odd == "columns":
            line = line.rpartition("\t")[0]
        lines.append({"comment": "#" + line, "blank": ""}.get(odd, line))
    return lines


def is_bad(line):
    """The rules for one BED6 line, written a second time."""
    field = line.split("\t")
    if len(field) != 6 or not re.fullmatch(r"[A-Za-z0-9_.:*+|=-]{1,255}", field[0]):
        return True
    if not all(re.fullmatch(r"[+-]?\d+", text.strip()) for text in field[1:3]):
        return True
    if not 0 <= int(field[1]) <= int(field[2]) <= 2**31 - 1:
        return True
    good_score = field[4] == "." or (re.fullmatch(r"-?\d+(\.\d+)?(e\d+)?", field[4]) and math.isfinite(float(field[4])))
    return not good_score or field[5] not in ("+", "-", ".")


@quick(300)
@given(bed_lines(), st.sampled_from(["\n", "\r\n"]))
def test_bed_is_refused_at_its_first_bad_line(lines, ending):
    records = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    same = len(records[0][1].split("\t")) == 6 if records else True
    first = next((number for number, line in records if is_bad(line)), None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(ending.join([*lines, ""]).encode())
        genome = {"c": 10**9, "d": 10**9, "d.1": 10**9}
        if not records or (first is not None and same):
            with pytest.raises(InputError) as error:
                read_intervals(path, "bed", genome)
            assert error.value.record == first
        elif same and (looks_one_based(records) or all(start == end for start, end in spans(records))):
            with pytest.raises(InputError, match="start = end"):
                read_intervals(path, "bed", genome)
        elif same:
            found = read_intervals(path, "bed", genome)
            kept = Counter(tuple(line.split("\t")[:3]) for _, line in records)
            dropped = found.counts["zero length"]
            assert len(found) + dropped == sum(kept.values())
            assert found.counts["comment lines"] == sum(line.startswith("#") for line in lines)


def spans(records):
    return [(int(line.split("\t")[1]), int(line.split("\t")[2])) for _, line in records]


def looks_one_based(records):
    found = spans(records)
    empty = sum(start == end for start, end in found)
    return len(found) >= 10 and empty >= 0.5 * len(found) and min(start for start, _ in found) > 0


@quick(100)
@given(
    st.lists(st.text("ACGTNacgtnRYwk", min_size=1, max_size=60), min_size=1, max_size=4),
    st.integers(1, 30),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.booleans(),
)
def test_fasta(sequences, width, ending, final):
    lines = []
    for number, text in enumerate(sequences):
        lines.append(f">s{number} of {len(sequences)}")
        lines += [text[place : place + width] for place in range(0, len(text), width)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(gzip.compress((ending.join(lines) + ending * final).encode()))
        found = list(read_fasta(path))
    assert [record.name for record in found] == [f"s{number}" for number in range(len(sequences))]
    for record, text in zip(found, sequences):
        assert decode(record.codes) == re.sub("[^ACGT]", "N", text.upper())
        assert record.softmask.tolist() == [letter.islower() for letter in text]
        assert Counter(record.iupac) == Counter(re.sub("[ACGT]", "", text.upper()))


@quick(200)
@given(st.text("ACGTN", max_size=60), st.integers(0, 2**32))
def test_shuffle_and_reverse_complement(text, seed):
    shuffled = decode(dinucleotide_shuffle(encode(text), np.random.default_rng(seed)))
    assert Counter(pairwise(shuffled)) == Counter(pairwise(text))
    assert [a == "N" for a in shuffled] == [a == "N" for a in text]
    assert decode(reverse_complement(encode(text))) == text[::-1].translate(str.maketrans("ACGT", "TGCA"))


WORD = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r", exclude_categories=["Cs", "Cc"]), min_size=1)


@quick(60)
@given(st.lists(st.tuples(WORD, WORD, st.none() | st.floats(0, 1e6)), min_size=1, max_size=6), st.booleans())
def test_targets_come_back(fields, paired):
    rows = []
    for number, (name, file, clip) in enumerate(fields):
        row = {"index": 3 * number, "identifier": name, "file": file, "clip": clip}
        rows.append({**row, "strand_pair": 3 * number} if paired else row)
    with tempfile.TemporaryDirectory() as folder:
        write_targets(Path(folder) / "x", rows)
        assert read_targets(Path(folder) / "x") == rows
