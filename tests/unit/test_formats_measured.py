"""Tables of measured effects: the released layout, other columns, and what is refused with its line."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from seqmill.formats.bigwig_out import write_bigwig
from seqmill.formats.measured import (
    FEW_TAGS,
    NO_VALUE,
    OTHER_EDIT,
    place_changes,
    read_changes,
    read_elements,
    read_pairs,
)
from seqmill.formats.measured_sequences import read_activities
from seqmill.formats.measured_values import read_values
from seqmill.formats.place_values import bigwig_at, nearest_bp
from seqmill.formats.variants import open_variants
from seqmill.runtime.errors import InputError

DATA = os.environ.get("SEQMILL_TEST_DATA")
HEAD = "Chromosome\tPosition\tRef\tAlt\tTags\tValue\tElement\n"
real = pytest.mark.skipif(not DATA, reason="SEQMILL_TEST_DATA is not set")


def write(folder: Path, text: str, name: str = "t.tsv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_rows_are_read_and_what_is_left_out_is_counted(tmp_path):
    lines = ["1\t11\tA\tC\t30\t-0.5\tx", "1\t11\tA\tG\t3\t1\tx", "1\t11\tA\tT\t30\tNA\tx", "1\t12\tC\t-\t30\t2\tx"]
    dropped = Counter()
    found = read_changes(write(tmp_path, HEAD + "\n".join(lines) + "\n"), {}, min_tags=10, dropped=dropped)
    assert [(change.start, change.ref, change.alt, change.value, change.line) for change in found] == [
        (10, "A", "C", -0.5, 2)
    ]
    assert dropped == {FEW_TAGS: 1, NO_VALUE: 1, OTHER_EDIT: 1}
    both = read_changes(tmp_path / "t.tsv", {}, edits=["substitutions", "deletions"], dropped=Counter())
    assert [change.alt for change in both] == ["C", "G", "-"]


def test_columns_of_other_names_and_commas(tmp_path):
    path = write(tmp_path, "where,from,to,log2\n0,A,G,1.5\n", "t.csv")
    columns = {"position": "where", "ref": "from", "alt": "to", "value": "log2"}
    (change,) = read_changes(path, columns, base=0, dropped=Counter())
    assert (change.element, change.start, change.value) == ("", 0, 1.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Position\tRef\tAlt\n", r"t\.tsv:1: a column 'value' is missing, found: Position, Ref, Alt; set 'columns\.va"),
        (HEAD + "1\t0\tA\tC\t9\t1\tx\n", r"t\.tsv:2: position '0' is no whole number from 1 on"),
        (HEAD + "1\t5\tA\tCC\t9\t1\tx\n", r"t\.tsv:2: change 'A' to 'CC'; expected one base to another, or to '-'"),
        (HEAD + "1\t5\tA\tC\t9\tinf\tx\n", r"t\.tsv:2: value 'inf' is not a finite number"),
        (HEAD + "1\t5\tA\tC\t9\n", r"t\.tsv:2: 5 columns, expected 7"),
        (HEAD + "1\t5\tA\tC\t9\t1\tx\n1\t5\tA\tC\t9\t1\tx\n", r"t\.tsv:3: .* position 1:5 to C comes twice, first in"),
        (HEAD + "1\t5\tA\tC\t2\t1\tx\n", r"t\.tsv: no measured change is left \(fewer tags than min_tags: 1\)"),
    ],
)
def test_bad_tables_are_refused_with_their_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_changes(write(tmp_path, text), {}, min_tags=5, dropped=Counter())


def test_ref_is_checked_against_the_element(tmp_path):
    fasta = write(tmp_path, ">x chr1:11-14\nACGT\n>y\nTT\n", "e.fa")
    elements = read_elements(fasta)
    assert (elements["x"].contig, elements["x"].start, elements["y"].start) == ("chr1", 10, 0)
    assert read_elements(write(tmp_path, ">x chr1:10-14\nACGT\n", "f.fa"))["x"].start == 10

    def placed(line):
        changes = read_changes(write(tmp_path, HEAD + line), {}, dropped=Counter())
        return place_changes(changes, elements, tmp_path / "t.tsv")

    assert placed("1\t12\tC\tA\t9\t1\tx\n")["x"][0][0] == 1
    with pytest.raises(InputError, match=r"t\.tsv:2: element x, position 12: REF G, the sequence has C"):
        placed("1\t12\tG\tA\t9\t1\tx\n")
    with pytest.raises(InputError, match=r"t\.tsv:2: element x, position 15 lies outside of it \(11 to 14\)"):
        placed("1\t15\tG\tA\t9\t1\tx\n")
    with pytest.raises(InputError, match=r"t\.tsv:2: element 'z' has no sequence; there are x, y"):
        placed("1\t12\tC\tA\t9\t1\tz\n")
    with pytest.raises(InputError, match=r"'x' lies at chr1:1-9, 9 bp, and has 4 bases"):
        read_elements(write(tmp_path, ">x chr1:1-9\nACGT\n", "g.fa"))


def test_pairs_must_be_of_one_order_and_length(tmp_path):
    strong = write(tmp_path, ">a\nACGT\n>b\nACG\n", "s.fa")
    assert len(read_pairs(strong, write(tmp_path, ">a\nACGA\n>b\nACC\n", "w.fa"))) == 2
    for text, message in (
        (">b\nACGA\n>a\nACC\n", r"w\.fa:1: 'b' where s\.fa has 'a'"),
        (">a\nACGA\n>b\nACCC\n", r"w\.fa:2: 'b' has 4 bp, in s\.fa 3 bp"),
        (">a\nACGA\n", r"w\.fa: 1 sequences, s\.fa has 2"),
    ):
        with pytest.raises(InputError, match=message):
            read_pairs(strong, write(tmp_path, text, "w.fa"))


def test_tables_of_sequences(tmp_path):
    path = write(tmp_path, "sequence\tactivity\tgroup\nACG\t1.5\tg\nAAA\tNA\tg\n")
    (row,) = read_activities(path, {"sequence": "sequence"}, Counter())
    assert (row.ref, row.alt.tolist(), row.value, row.group) == (None, [0, 1, 2], 1.5, "g")
    columns = {"ref_sequence": "r", "alt_sequence": "a", "ref_value": "x", "alt_value": "y"}
    path, dropped = write(tmp_path, "r\ta\tx\ty\nAC\tAT\t1\t3\nAC\tAC\t1\t1\n"), Counter()
    (row,) = read_activities(path, columns, dropped)
    assert (row.ref.tolist(), row.alt.tolist(), row.value, sum(dropped.values())) == ([0, 1], [0, 3], 2.0, 1)
    with pytest.raises(InputError, match=r"t\.tsv:2: ref_sequence: '!' at position 1 is not DNA"):
        read_activities(write(tmp_path, "r\ta\tx\ty\nA!\tAT\t1\t3\n"), columns, Counter())


VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def test_values_of_variants_by_line(tmp_path):
    path = write(tmp_path, VCF + "1\t5\t.\tA\tC,G\t.\t.\tB=1,-2;P=0.1\n1\t6\t.\tA\tC\t.\t.\tX\n", "v.vcf")
    found = read_values(open_variants(path), {"value": "B", "p": "P"}, ("value",))
    assert (
        found[3].of("value", 1, 2) == -2 and np.isnan(found[3].of("p", 0, 2)) and np.isnan(found[4].of("value", 0, 1))
    )
    for columns, message in (
        ({}, "which key of INFO is the value"),
        ({"value": "BETA"}, r"no record has 'BETA' in INFO, expected as the value"),
    ):
        with pytest.raises(InputError, match=message):
            read_values(open_variants(path), columns, ("value",))
    bad = write(tmp_path, VCF + "1\t5\t.\tA\tC\t.\t.\tB=up\n", "bad.vcf")
    with pytest.raises(InputError, match=r"bad\.vcf:3: INFO B 'up' is not a finite number"):
        read_values(open_variants(bad), {"value": "B"}, ("value",))


def test_distance_to_the_nearest_place(tmp_path):
    bed = write(tmp_path, "chr1\t100\t101\t.\tGENE\nchr1\t500\t501\t.\tGENE\n", "tss.bed")
    assert nearest_bp(bed, ["1", "1", "1"], [90, 350, 900]).tolist() == [10, 150, 400]
    assert np.isnan(nearest_bp(bed, ["chr2", "chr1"], [90, 90])[0])


def test_bases_of_a_bigwig_in_any_order(tmp_path):
    starts = np.array([10, 20, 60_000])
    write_bigwig(tmp_path / "c.bw", {"chr1": 100_000}, [("chr1", starts, starts + 5, np.array([1.0, 2.0, 3.0]))])
    found = bigwig_at(tmp_path / "c.bw", ["1"] * 5 + ["2"], [60_004, 12, 22, 12, 40, 12])
    np.testing.assert_array_equal(found, [3, 1, 2, 1, np.nan, np.nan])


@real
def test_the_released_table_of_saturation_mutagenesis():
    folder, dropped = Path(DATA) / "satmut_grch38", Counter()
    changes = read_changes(folder / "GRCh38_satmut.tsv", {}, min_tags=10, dropped=dropped)
    placed = place_changes(changes, read_elements(folder / "elements.fa"), folder / "GRCh38_satmut.tsv")
    assert len(placed) == 9 and dropped[OTHER_EDIT] == 1630
    assert len(placed["F9"]) == 888
    assert sum(map(len, placed.values())) == len(changes)


@real
def test_released_pairs_and_promoters():
    folder = Path(DATA) / "variants/maggie"
    pairs = read_pairs(folder / "QTL/H3K27ac/H3K27ac_high.fa", folder / "QTL/H3K27ac/H3K27ac_low.fa")
    assert len(pairs) == 2452 and {len(high) for high, _ in pairs} == {100}
    table = Path(DATA) / "tasks/yeast_promoters_vaishnav2022/complex_medium_drift_res.tsv.gz"
    columns = {"ref_sequence": "seq", "alt_sequence": "original_seq", "value": "delta_measured"}
    rows = read_activities(table, columns, Counter())
    assert len(rows) == 2983 and {len(row.alt) for row in rows} == {110}
