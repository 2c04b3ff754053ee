"""Tracks that should not stand beside each other, told from the lock."""

from seqmill.config.lock import LockRow
from seqmill.sources.row_checks import find_duplicates, mixed_output_types, remarks, shared_donors


def row(name, accession, md5="a", **fields):
    common = {
        "format": "bigWig",
        "assay": "ChIP",
        "output_type": "signal p-value",
        "file": accession,
        "source": "encode",
    }
    return LockRow(name=name, asked="", accession=accession, url="", bytes=1, md5=md5 * 32, **{**common, **fields})


def test_the_same_bytes_under_two_accessions():
    rows = [row("one", "ENCFF000AAA"), row("two", "ENCFF000AAB"), row("three", "ENCFF000AAC", "b")]
    assert [[found.name for found in group] for group in find_duplicates(rows)] == [["one", "two"]]
    said = "duplicate tracks one, two: the same bytes (ENCFF000AAA, ENCFF000AAB)"
    assert remarks(rows) == [said]
    mates = [row("one", "ENCFF000AAD", "d", role="R2"), row("two", "ENCFF000AAD", "d", role="R2")]
    assert remarks([*rows, *mates]) == [f"{said[:-1]}, ENCFF000AAD)"]


def test_one_file_for_both_strands_is_no_duplicate():
    plus, minus = (row(name, "ENCFF000AAA", format="bam") for name in ("plus", "minus"))
    assert find_duplicates([plus, minus]) == []
    assert find_duplicates([row("plus", "ENCFF000AAA"), row("minus", "ENCFF000AAA")])
    assert find_duplicates([row("one", "ENCFF000AAA", role="R1"), row("one", "ENCFF000AAB", role="R2")]) == []


def test_the_same_md5_with_and_without_sha256():
    assert find_duplicates([row("one", "ENCFF000AAA", sha256="c" * 64), row("two", "ENCFF000AAB")])


def test_output_types_of_one_assay_in_one_group():
    change = {"output_type": "fold change over control"}
    rows = [row("p", "A", "1"), row("f", "B", "2", **change), row("q", "C", "3")]
    assert mixed_output_types(rows, {"p": "main", "f": "main", "q": "main"}) == {
        "main, ChIP": {"signal p-value": ["p", "q"], "fold change over control": ["f"]}
    }
    assert mixed_output_types(rows, {"p": "main", "f": "other", "q": "main"}) == {}
    assert remarks(rows, {"p": "main", "f": "main"}) == [
        "group main, ChIP: output_type differs ('signal p-value': p; 'fold change over control': f): values of "
        "different meaning side by side"
    ]
    for other in ({"assay": "DNase-seq"}, {"format": "bed narrowPeak"}):
        assert mixed_output_types([rows[0], row("f", "B", "2", **change, **other)], {"p": "main", "f": "main"}) == {}
    strands = [row("p", "A", "1", output_type="plus strand raw signal"), row("m", "B", "2", output_type="raw signal")]
    assert mixed_output_types(strands, {"p": "main", "m": "main"}) == {}


def test_donors_of_several_tracks():
    rows = [
        row("one", "A", donors="ENCDO000AAA,ENCDO000AAB"),
        row("two", "B", donors="ENCDO000AAB"),
        row("two", "C", donors="ENCDO000AAB"),
        row("three", "D"),
    ]
    assert shared_donors(rows) == {"ENCDO000AAB": ["one", "two"]}
