"""Where the parts of a dataset lie, and which negatives were not found, in words."""

import pandas as pd
import pytest

from seqmill.report.split import missing_negatives, parts_of, split_in_words
from seqmill.report.words import plural, records


def rows(*lines, genome="g"):
    table = pd.DataFrame(lines, columns=["contig", "start", "end", "fold"])
    return table.assign(genome=genome)


def test_whole_contigs_are_named_with_the_bases_that_windows_cover():
    table = rows(
        ("chr10", 0, 600, "test"), ("chr2", 0, 1000, "test"), ("chr2", 500, 1500, "test"), ("chr2", 500, 900, "test"),
        ("chr1", 5000, 5600, "train"),
    )  # fmt: skip
    assert parts_of(table, ["train", "test"]) == [
        {"name": "train", "where": "chr1", "length": "600 bp", "examples": 1},
        {"name": "test", "where": "chr2, chr10", "length": "2.1 kb", "examples": 4},  # 600 + 1,500
    ]


def test_contigs_shared_by_parts_say_how_many_stretches_each_has():
    table = rows(*(("1", 1000 * i, 1000 * i + 900, "test" if i in (2, 3, 6) else "train") for i in range(8)))
    assert [part["where"] for part in parts_of(table, ["train", "test"])] == ["1 (3 stretches)", "1 (2 stretches)"]
    assert [part["length"] for part in parts_of(table, ["train", "test"])] == ["4.5 kb", "2.7 kb"]


def test_many_contigs_two_genomes_and_tables():
    many = rows(*((f"c{i}", 0, 10, "train") for i in range(12)))
    assert parts_of(many, ["train"])[0]["where"] == "c0, c1, c2, c3, c4, c5, c6, c7 and 4 more contigs"
    both = pd.concat([rows(("1", 0, 10, "train"), genome="hg"), rows(("1", 0, 10, "train"), genome="mm")])
    assert parts_of(both, ["train"])[0] == {"name": "train", "where": "hg:1, mm:1", "length": "20 bp", "examples": 2}
    table = rows(("", -1, -1, "train"), ("", -1, -1, "test"))
    assert parts_of(table, ["train"]) == [{"name": "train", "where": "rows of tables", "length": "–", "examples": 1}]


def test_split_in_words():
    assert split_in_words({"kind": "folds", "k": 5, "by": "blocks"}) == "into 5 folds of blocks along the contigs"
    assert split_in_words({"kind": "chromosomes"}) == "by contigs that the configuration names"
    assert split_in_words({}) == ""


def line(stage, reason, fold, count):
    return {"stage": stage, "reason": reason, "pool": "negatives", "fold": fold, "count": count}


def test_a_shortfall_of_negatives_is_a_sentence():
    tally = [
        line("negatives", "no free window of like GC content", "train", 0),
        line("negatives", "no free window of like GC content", "test", 422),
        line("negatives", "touches a peak to avoid", "", 8371),
        line("kept", "", "train", 3000),
        line("kept", "", "test", 2001),
    ]
    assert missing_negatives(tally) == (
        "Not found, because there is no free window of like GC content: test 422 of 2,423 (17.4 %). "
        "Positives are more frequent than was asked for."
    )
    assert missing_negatives([tally[0], *tally[2:]]) == ""


@pytest.mark.parametrize(
    ("attrs", "format", "text"),
    [
        ({"kind": "intervals", "intervals": 3198, "counts": {}}, "narrowpeak", "3,198 kept"),
        (
            {"kind": "intervals", "intervals": 1, "counts": {"contigs not in the genome": 2, "zero length": 1000}},
            "bed",
            "1 kept; 2 on contigs not in the genome; 1,000 of zero length",
        ),
        (
            {"kind": "signal", "counts": {"contigs not in the genome": 2}, "absent": ["chrM"]},
            "bigwig",
            "2 contigs not in the genome; 1 contig without data",
        ),
        ({"kind": "signal", "counts": {"bins below zero": 0}}, "bigwig", "all used"),
        ({"kind": "intervals", "state": "dropped"}, "bed", "–"),
    ],
)
def test_what_was_used_and_left_out(attrs, format, text):
    assert records(attrs, format) == text


def test_plurals():
    assert [plural(1, "stretch"), plural(1200, "stretch"), plural(None, "track")] == [
        "1 stretch", "1,200 stretches", "– tracks",
    ]  # fmt: skip
