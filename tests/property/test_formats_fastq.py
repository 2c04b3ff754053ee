"""A changed FASTQ is refused, or counted as a slow reader that knows only the rules counts it."""

import gzip
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.formats import fastq
from seqmill.formats.fastq import check_fastq
from seqmill.runtime.errors import InputError

NAMES = st.from_regex(r"[A-Za-z0-9_:.]{1,12}( [12]:[YN]:0:[ACGT]{4}| more words)?", fullmatch=True)
RECORD = st.integers(1, 9).flatmap(
    lambda length: st.tuples(
        NAMES,
        st.text("ACGTNacgtnRY.", min_size=length, max_size=length),
        st.text("".join(map(chr, range(33, 127))), min_size=length, max_size=length),
    )
)
RECORDS = st.lists(RECORD, min_size=1, max_size=8)
# What is done to the bytes: (place as a share, what is put there, how many bytes go).
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from(
            [b"", b"\n", b"@", b"+", b"\r", b" ", b"/1", b"/2", b"A", b"\t", b"\x80", b"\n\n", b"+\n", b"-"]
        ),
        st.integers(0, 6),
    ),
    max_size=3,
)


def as_bytes(records: list[tuple[str, str, str]], repeat: bool = False) -> bytes:
    return "".join(f"@{name}\n{bases}\n+{name if repeat else ''}\n{marks}\n" for name, bases, marks in records).encode()


def edited(content: bytes, edits: list[tuple[float, bytes, int]]) -> bytes:
    for share, new, gone in edits:
        place = int(share * len(content))
        content = content[:place] + new + content[place + gone :]
    return content


def mate_of(head: str) -> str:
    name, comment = (*re.split("[ \t]", head, maxsplit=1), "")[:2]
    if re.search("/[123]$", name):
        return name[-1]
    if re.match("[123]:[YN]:", comment):
        return comment[0]
    return comment[-1] if re.search("/[123]$", comment) else ""


def slow_read(content: bytes) -> tuple[list[str], list[str]] | None:
    """Names and sequences of a FASTQ by the rules; None if it breaks one."""
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        return None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines or len(lines) % 4:
        return None
    names, sequences, mates, codes = [], [], set(), []
    for place in range(0, len(lines), 4):
        head, bases, plus, marks = lines[place : place + 4]
        name = re.split("[ \t]", head[1:])[0]
        good = re.fullmatch(r"@[!-?A-~][!-~]*([ \t][\t -~]*)?", head) and len(name) <= 254
        good = good and re.fullmatch("[ACGTNRYSWKMBDHVacgtnryswkmbdhv.]+", bases)
        if not (good and plus in ("+", "+" + head[1:]) and re.fullmatch("[!-~]+", marks) and len(bases) == len(marks)):
            return None
        names.append(name)
        sequences.append(bases)
        mates.add(mate_of(head[1:]))
        codes += [ord(mark) for mark in marks]
    if len(mates - {""}) > 1 or (min(codes) >= 59 and 76 <= max(codes) <= 106):
        return None
    even = len(names) // 2 * 2
    if even and names[:even:2] == names[1:even:2]:
        return None
    if re.match(r"@(HD|SQ|RG|PG|CO)\t", text):
        return None
    return names, sequences


def facts_of(*contents: bytes, block: int):
    """What `check_fastq` says of files with these contents; None if it refuses them."""
    before = fastq.BLOCK_BYTES
    fastq.BLOCK_BYTES = block
    try:
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{number}.fq.gz" for number in range(len(contents))]
            for path, content in zip(paths, contents):
                path.write_bytes(gzip.compress(content, 1) if block % 2 else content)
            return check_fastq(*paths)
    except InputError:
        return None
    finally:
        fastq.BLOCK_BYTES = before


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(RECORDS, EDITS, st.booleans(), st.integers(1, 200) | st.just(1 << 22))
def test_single_reads(records, edits, repeat, block):
    content = edited(as_bytes(records, repeat), edits)
    # only a first block is looked at for pairs side by side; then all of it
    wanted, found = slow_read(content), facts_of(content, block=1 << 22)
    if wanted is None:
        assert found is None
    else:
        names, sequences = wanted
        lengths = [len(bases) for bases in sequences]
        assert found[:4] == (len(names), sum(lengths), min(lengths), max(lengths))
        assert found.unknown == sum(bases.count(letter) for bases in sequences for letter in "Nn.")
    in_blocks = facts_of(content, block=block)
    assert in_blocks == found or found is None or len(set(wanted[0])) < len(wanted[0])


def same_pair(name1: str, name2: str, style: str) -> bool:
    if not style:
        return name1 == name2
    return name1[:-2] == name2[:-2] and (name1[-2:], name2[-2:]) == (f"{style}1", f"{style}2")


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(
    st.lists(RECORD, min_size=1, max_size=8, unique_by=lambda record: record[0].split()[0]),
    st.sampled_from([("", ""), ("/1", "/2"), (".1", ".2"), ("/1", "/1")]),
    EDITS,
    st.integers(20, 200) | st.just(1 << 22),
)
def test_pairs(records, ends, edits, block):
    mates = [
        as_bytes([(record[0].split()[0] + end, bases, marks) for record in records for bases, marks in [record[1:]]])
        for end in ends
    ]
    contents = [mates[0], edited(mates[1], edits)]
    wanted, found = [slow_read(content) for content in contents], facts_of(*contents, block=block)
    if None in wanted:
        good = False
    else:
        names1, names2 = wanted[0][0], wanted[1][0]
        style = next((end for end in "/._:" if same_pair(names1[0], names2[0], end)), "")
        good = len(names1) == len(names2)
        good = good and all(same_pair(*pair, style) for pair in zip(names1, names2))
        marks = [next((mark for name in names if (mark := mate_of(name))), "") for names in (names1, names2)]
        good = good and not (all(marks) and marks[0] >= marks[1])
    assert (found is not None) == good
    if good:
        assert found.reads == 2 * len(records)
        assert found.bases == sum(len(bases) for _, sequences in wanted for bases in sequences)
