"""Files of variants: every format gives the same records, and each mistake has its message."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pysam
import pytest

from seqmill.formats.variants import (
    BAD_ALT,
    BREAKEND,
    NO_ALT,
    OK,
    SAME,
    STAR,
    SYMBOLIC,
    TOO_LONG,
    is_normalised,
    judge_alt,
    open_variants,
)
from seqmill.formats.vcf_out import Field, VcfWriter, field_ids
from seqmill.runtime.errors import InputError, WorkerError

HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1,assembly=b37,length=5000>\n##contig=<ID=X>\n"
ROWS = [
    ("chr1", 10, "rs1", "A", "G"),
    ("chr1", 7, ".", "ac", "A,<DEL>"),
    ("X", 1, "a;b", "T", "."),
    ("X", 1, "a", "T", "C"),
]
VCF = HEADER + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\n" + "".join(
    "\t".join(map(str, row)) + "\t.\tPASS\tAC=1;AF=.\tGT\t0|1\n" for row in ROWS
)  # fmt: skip


def read(path, size=100, **more):
    file = open_variants(path, **more)
    blocks = list(file.blocks(size))
    rows = [row for block in blocks for row in zip(block.contig, block.start, block.id, block.ref, block.alt)]
    return rows, [n for block in blocks for n in block.number], file


def expected(base=1, ids=True):
    return [(c, p - base, i if ids else ".", r, a) for c, p, i, r, a in ROWS]


def write(path, text):
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def bgzip(path, text):
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(text.encode())
    return path


def test_vcf_plain_gzip_and_bgzf(tmp_path):
    for path in (
        write(tmp_path / "a.vcf", VCF), write(tmp_path / "a.vcf.gz", VCF), bgzip(tmp_path / "b.vcf.gz", VCF),
        write(tmp_path / "c.vcf", VCF.replace("\n", "\r\n")), write(tmp_path / "no_ending", VCF),
    ):  # fmt: skip
        rows, numbers, file = read(path)
        assert rows == expected()
        assert (numbers, file.unit, file.sizes) == ([5, 6, 7, 8], "line", {"chr1": 5000})


def test_blocks_are_of_one_size(tmp_path, monkeypatch):
    monkeypatch.setattr("seqmill.formats.variants.TEXT_BYTES", 64)
    text = START + "" + "".join(f"1\t{i}\t.\tA\tC\n" for i in range(1, 101))
    file = open_variants(write(tmp_path / "a.vcf", text))
    blocks = list(file.blocks(30))
    assert [len(block.start) for block in blocks] == [30, 30, 30, 10]
    assert [n for block in blocks for n in block.start] == list(range(100))
    assert [n for block in blocks for n in block.number] == list(range(5, 105))


def test_bcf(tmp_path):
    text = VCF.replace(
        "##contig=<ID=X>", '##contig=<ID=X,length=90>\n##INFO=<ID=END,Number=1,Type=Integer,Description="e">'
    )
    text = text.replace("AC=1;AF=.", ".").replace("\tGT\t0|1", "").replace("\tFORMAT\ts1", "")
    plain, out = write(tmp_path / "a.vcf", text), tmp_path / "a.bcf"
    with pysam.VariantFile(str(plain)) as source, pysam.VariantFile(str(out), "wb", header=source.header) as target:
        for record in source:
            target.write(record)
    rows, numbers, file = read(out, size=3)
    assert rows == expected()
    assert (numbers, file.unit, file.sizes) == ([1, 2, 3, 4], "record", {"chr1": 5000, "X": 90})
    data = out.read_bytes()
    (tmp_path / "cut.bcf").write_bytes(data[: len(data) // 2])
    with pytest.raises((InputError, WorkerError), match=r"cut\.bcf"):
        read(tmp_path / "cut.bcf")


@pytest.mark.parametrize(("ending", "delimiter"), [("tsv", "\t"), ("csv", ","), ("tsv.gz", "\t"), ("txt", "\t")])
def test_text_tables(tmp_path, ending, delimiter):
    quoted = [(c, p, i, r, f'"{a}"' if "," in a else a) for c, p, i, r, a in ROWS]
    body = "".join(delimiter.join(["0.5", *map(str, row)]) + "\n" for row in quoted)
    path = write(
        tmp_path / f"a.{ending}", delimiter.join(["beta", "#CHROM", "Pos", "rsid", "REF", "alt"]) + "\n" + body
    )
    rows, numbers, file = read(path)
    assert (rows, numbers, file.unit) == (expected(), [2, 3, 4, 5], "line")
    assert read(path, position_base=0)[0] == expected(base=0)


def test_parquet_and_named_columns(tmp_path):
    contig, place, _, ref, alt = zip(*ROWS)
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(
        pa.table({"c": contig, "bp": np.array(place, np.int32), "A": ref, "B": alt, "p": [0.1] * 4}), path
    )
    names = {"contig": "c", "position": "bp", "ref": "A", "alt": "B"}
    rows, numbers, file = read(path, columns=names)
    assert (rows, numbers, file.unit) == (expected(ids=False), [1, 2, 3, 4], "record")
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value) == (
        f"{path}:1: a column 'contig' is missing, found: c, bp, A, B, p; set 'columns' where names are others"
    )
    pa.parquet.write_table(pa.table({"chrom": ["1"], "pos": [0.5], "ref": ["A"], "alt": ["C"]}), path)
    with pytest.raises(InputError, match="column 'pos' is of type double, expected integers"):
        read(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read(path)


START = HEADER + "#CHROM\tPOS\tID\tREF\tALT\n"
TABLE = "chrom\tpos\tref\talt\n"
MISTAKES = {
    "few columns": (
        "a.vcf",
        START + "1\t5\t.\tA\n",
        ":5: 4 tab-separated column(s), expected at least 5 (CHROM POS ID REF ALT)",
    ),
    "position": ("a.vcf", START + "1\t5\t.\tA\tC\n1\t-5\t.\tA\tC\n", ":6: position '-5' is not a whole number"),
    "far": ("a.vcf", START + "1\t9999999999\t.\tA\tC\n", ":5: position 9999999999 is beyond 2,147,483,647"),
    "header without #": (
        "a.vcf",
        "CHROM\tPOS\tID\tREF\tALT\n",
        ":1: position 'POS' is not a whole number; a header line starts with #CHROM",
    ),
    "header with spaces": (
        "a.vcf",
        "#CHROM POS ID REF ALT\n",
        ":1: header is not #CHROM POS ID REF ALT ..., tab-separated",
    ),
    "no REF": ("a.vcf", START + "1\t5\t.\t\tC\n", ":5: REF is empty"),
    "not text": ("a.vcf", b"##fileformat=VCFv4.2\n1\t5\t\xff\xfe\tA\tC\n", ":2: is not UTF-8 text"),
    "empty": ("a.vcf", "", ": is empty"),
    "unknown": (
        "a.xyz",
        "some text of no kind",
        ": is neither VCF, BCF nor Parquet; a table is called .tsv or .csv (or .gz of these)",
    ),
    "columns of VCF": ("a.vcf", VCF, ": 'columns' is for tables; this is VCF", {"columns": {"ref": "x"}}),
    "no header line": (
        "a.tsv",
        "chr1\t5\tA\tC\n",
        ":1: a column 'contig' is missing, found: chr1, 5, A, C; set 'columns' where names are others",
    ),
    "summary statistics": (
        "a.tsv",
        "chrom\tpos\teffect_allele\tother_allele\tbeta\tp\n",
        ":1: a column 'ref' is missing, found: chrom, pos, effect_allele, other_allele, beta, p"
        "; effect and other allele are not REF and ALT: which is the genome's? Then set 'columns'",
    ),
    "two positions": (
        "a.tsv",
        "chrom\tpos\tposition\tref\talt\n",
        ":1: columns 'pos', 'position' could each be 'position'; name one with 'columns'",
    ),
    "unknown role": (
        "a.tsv",
        TABLE,
        ": 'columns' names 'chr'; known: contig, position, ref, alt, id",
        {"columns": {"chr": "x"}},
    ),
    "named column": (
        "a.tsv",
        TABLE,
        ":1: column 'x' is missing, found: chrom, pos, ref, alt; set 'columns' where names are others",
        {"columns": {"position": "x"}},
    ),
    "ragged": ("a.tsv", TABLE + "1\t5\tA\tC\tx\n", ":2: 5 columns, expected 4 (tsv)"),
    "table position": ("a.csv", "chrom,pos,ref,alt\n1,5.0,A,C\n", ":2: position '5.0' is not a whole number"),
    "empty contig": ("a.csv", "chrom,pos,ref,alt\n,5,A,C\n", ":2: contig is empty"),
    "cut gzip": ("a.vcf.gz", None, ": truncated: the gzip stream ends before its end mark"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_named(tmp_path, case):
    name, text, message, *more = MISTAKES[case]
    path = tmp_path / name
    if text is None:
        path.write_bytes(gzip.compress(VCF.encode() * 200)[:-20])
    else:
        write(path, text)
    with pytest.raises(InputError) as error:
        read(path, **(more[0] if more else {}))
    assert str(error.value) == f"{path}{message}"


def test_missing_header_is_noted(tmp_path):
    rows, _, file = read(write(tmp_path / "a.vcf", "1\t5\t.\tA\tC\n"))
    assert rows == [("1", 4, ".", "A", "C")]
    assert file.notes == ["no header line (#CHROM ...): the first columns are read as CHROM POS ID REF ALT"]


@pytest.mark.parametrize(
    ("ref", "alt", "found"),
    [
        ("A", "G", OK), ("A", "A", SAME), ("AC", "A", OK), ("AC", "AC", SAME), ("A", ".", NO_ALT), ("A", "", NO_ALT),
        ("A", "<*>", NO_ALT), ("A", "*", STAR), ("A", "<DEL>", SYMBOLIC), ("A", "<NON_REF>", SYMBOLIC),
        ("A", "A[chr2:5[", BREAKEND), ("A", "]chr2:5]A", BREAKEND), ("A", ".A", BREAKEND), ("A", "AC.", BREAKEND),
        ("A", "R", BAD_ALT), ("A", "N", BAD_ALT), ("A", "-", BAD_ALT), ("A", "A" * 9, TOO_LONG),
        ("A" * 9, "A", TOO_LONG), ("A", "C" * 8, OK),
    ],
)  # fmt: skip
def test_what_an_alternative_allele_is(ref, alt, found):
    assert judge_alt(ref, alt, 8) == found


@pytest.mark.parametrize(
    ("ref", "alts", "found"),
    [
        ("A", ["G"], True), ("CA", ["C"], True), ("C", ["CA"], True), ("CAA", ["CA"], False), ("GCA", ["GTA"], False),
        ("GC", ["GT"], False), ("CAA", ["C", "CA"], True), ("AC", ["GT"], True),
    ],
)  # fmt: skip
def test_normalised_records(ref, alts, found):
    assert is_normalised(ref, alts) is found


def test_vcf_out_is_sorted_indexed_and_queried(tmp_path):
    fields = [Field("SM_a_diff", 'effect "x"\\\n', ("t 1", "t2")), Field("SM_b_jsd", "y", ("u",))]
    writer = VcfWriter(tmp_path / "o.vcf.gz", "toy", {"chr1": 1000, "chr2": 50}, fields)
    values = np.array([[0.25, np.nan, 3], [1e-9, 2, 4], [-1, -2, 0.1]], np.float32)
    writer.append(
        ["chr2", "chr1", "chr1"], [7, 900, 5], ["rs 1", ".", "x;y"], ["A", "C", "CT"], ["T", "G", "C"],
        np.array([1, 2, 3]), values,
    )  # fmt: skip
    writer.finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.vcf.gz", "o.vcf.gz.tbi"]
    with pysam.VariantFile(str(tmp_path / "o.vcf.gz")) as file:
        assert file.header.info["SM_a_diff"].number == 2
        assert file.header.info["SM_a_diff"].description.endswith("one value for each track: t 1, t2")
        found = [(r.chrom, r.pos, r.id, r.info["SM_RUNS"], r.info["SM_a_diff"], r.info["SM_b_jsd"]) for r in file]
        assert [(r.chrom, r.pos) for r in file.fetch("chr1", 800, 1000)] == [("chr1", 900)]
    assert found[0] == ("chr1", 5, "x_y", 3, (-1.0, -2.0), pytest.approx(0.1, rel=1e-6))
    assert found[1] == ("chr1", 900, None, 2, (pytest.approx(1e-9, rel=1e-6), 2.0), 4.0)
    assert found[2] == ("chr2", 7, "rs_1", 1, (0.25, None), 3.0)


def test_info_keys():
    assert field_ids(["a b_diff", "a-b_diff", "é_jsd"]) == ["SM_a_b_diff", "SM_a_b_diff_2", "SM___jsd"]
