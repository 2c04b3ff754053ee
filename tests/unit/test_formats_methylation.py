"""Methylation calls of every layout against plain loops, and what is refused or counted."""

import gzip
import random

import numpy as np
import pytest
from tests.unit.methylation_examples import (
    COUNTED,
    allc,
    bedmethyl11,
    bismark,
    cytosine_report,
    make_genome,
    merge,
    random_calls,
    states,
    table,
    windows_of,
)

from seqmill.formats.methylation import CallFile, context_at
from seqmill.formats.methylation_layouts import sniff
from seqmill.formats.signal import open_signal
from seqmill.runtime.errors import InputError

TEXTS = make_genome(3, chr1=900, chr2=400)
SIZES = {name: len(text) for name, text in TEXTS.items()} | {"chr3": 50}
CALLS = random_calls(TEXTS, seed=1)


def put(tmp_path, text, name="x"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def read(path, **options):
    options = {"windows": windows_of(TEXTS), **options}
    with CallFile(path, SIZES, **options) as file:
        found = {
            (contig, position): (methylated, total)
            for contig in SIZES
            for position, _, methylated, total, _ in zip(*(column.tolist() for column in file.contig(contig)))
        }
        return file, found


@pytest.mark.parametrize("case", COUNTED)
@pytest.mark.parametrize("told", [True, False])
def test_every_layout_gives_the_counts_of_both_strands(tmp_path, case, told):
    layout, write = COUNTED[case]
    calls = CALLS[:]
    random.Random(5).shuffle(calls)  # lines may come in any order
    file, found = read(put(tmp_path, write(calls), "x.gz"), layout=layout if told else "")
    assert found == merge(CALLS)
    assert file.counts == {}
    assert file.contigs == {"chr1": "chr1", "chr2": "chr2"}
    assert file.counted


def test_small_blocks_and_other_names(tmp_path, monkeypatch):
    monkeypatch.setattr("seqmill.formats.text.BLOCK_BYTES", 300)
    path = put(tmp_path, table(CALLS).replace("chr", "").replace("om\tpos0", "chrom\tpos0").replace("\n", "\r\n"))
    file, found = read(path)
    assert found == merge(CALLS)
    assert file.contigs == {"chr1": "1", "chr2": "2"}


def test_columns_are_typed(tmp_path):
    with CallFile(put(tmp_path, bismark(CALLS)), SIZES, windows=windows_of(TEXTS)) as file:
        calls = file.contig("chr1")
        assert [column.dtype.str for column in calls] == ["<i4", "|i1", "<u4", "<u4", "<f4"]
        np.testing.assert_allclose(calls.fraction, calls.methylated / calls.total, rtol=1e-6)
        assert (np.diff(calls.position) > 0).all()
        assert not calls.strand.any()
        assert len(file.contig("chr3").position) == 0


@pytest.mark.parametrize("write", [bismark, allc])  # the first does not say the strand
@pytest.mark.parametrize("strand", ["+", "-"])
def test_one_strand_alone(tmp_path, write, strand):
    file, found = read(put(tmp_path, write(CALLS)), strand=strand)
    assert found == {(c, p): (m, t) for c, p, s, m, t, _ in CALLS if s == strand}
    assert file.counts == {"calls of the other strand, or of both": sum(call[2] != strand for call in CALLS)}


@pytest.mark.parametrize("wanted", ["CG", "CHG", "CHH"])
@pytest.mark.parametrize("write", [cytosine_report, allc])
def test_contexts(tmp_path, wanted, write):
    calls = random_calls(TEXTS, seed=2, contexts=("CG", "CHG", "CHH"), share=0.4)
    file, found = read(put(tmp_path, write(calls)), context=wanted)
    own = [call for call in calls if call[5] == wanted]
    assert found == (merge(calls) if wanted == "CG" else {(c, p): (m, t) for c, p, s, m, t, _ in own})
    assert file.counts == {"calls in another context": len(calls) - len(own)}
    for name in ("CG", "CHG", "CHH"):
        picked = [call for call in calls if call[5] == name and call[0] == "chr2"]
        expected = [sum(call[3] for call in picked), sum(call[4] for call in picked), len(picked)]
        assert file.sums["chr2", name].tolist() == expected


def test_context_is_told_by_the_genome_where_the_file_does_not(tmp_path):
    calls = random_calls(TEXTS, seed=2, contexts=("CHH",))
    file, found = read(put(tmp_path, bedmethyl11(calls)), context="CHH")
    assert found == {(c, p): (m, t) for c, p, s, m, t, _ in calls}
    assert set(file.sums) == {("chr1", "CHH"), ("chr2", "CHH")}


def test_context_of_single_bases():
    codes = np.array(
        [[0, 0, 0, 1, 2, 0, 0], [0, 1, 0, 1, 0, 2, 0], [0, 0, 1, 2, 0, 0, 0], [0, 1, 0, 2, 0, 0, 0]], np.uint8
    )
    assert context_at(codes, 0, np.zeros(4, np.int8)).tolist() == [1, 2, 1, 2]
    assert context_at(codes, 0, np.array([-1, 1, 1, -1], np.int8)).tolist() == [0, 2, 0, 2]
    assert context_at(np.full((1, 7), 4, np.uint8), 0, np.zeros(1, np.int8)).tolist() == [0]
    assert context_at(np.array([[0, 0, 0, 1, 0, 4, 0]], np.uint8), 0, np.ones(1, np.int8)).tolist() == [0]


def test_least_coverage_is_that_of_both_strands(tmp_path):
    _, found = read(put(tmp_path, allc(CALLS)), min_coverage=12)
    assert found == {key: value for key, value in merge(CALLS).items() if value[1] >= 12}
    assert len(found) < len(merge(CALLS))


def test_states_have_no_counts(tmp_path):
    calls = [call for call in CALLS if call[2] == "+"]
    path = put(tmp_path, states(calls))
    with CallFile(path, SIZES, windows=windows_of(TEXTS)) as file:
        assert not file.counted
        assert file.sums == {}
        found = file.contig("chr1")
        assert found.total.tolist() == [0] * len(found.position)
        assert found.fraction.tolist() == [float(2 * m >= t) for c, _, _, m, t, _ in calls if c == "chr1"]
    with pytest.raises(InputError, match=r"has no counts \(states without counts\): only 'fraction' can be taken"):
        open_signal(path, "call_states", SIZES, calls="total")
    with pytest.raises(InputError, match=r"has no counts .*, so min_coverage 3 cannot be applied"):
        CallFile(path, SIZES, min_coverage=3)


def test_states_of_both_strands_are_averaged(tmp_path):
    place = TEXTS["chr1"].index("CG")
    _, found = read(put(tmp_path, f"chr1\t{place + 1}\t1.0\nchr1\t{place + 2}\t0.0\n"))
    assert list(found) == [("chr1", place)]
    with CallFile(
        put(tmp_path, f"chr1\t{place + 1}\t1\nchr1\t{place + 2}\t0\n"), SIZES, windows=windows_of(TEXTS)
    ) as file:
        assert file.contig("chr1").fraction.tolist() == [0.5]


def test_without_a_genome_known_strands_are_merged_and_others_are_not(tmp_path):
    _, found = read(put(tmp_path, allc(CALLS)), windows=None)
    assert found == merge(CALLS)
    _, found = read(put(tmp_path, bismark(CALLS)), windows=None)
    assert found == {(c, p): (m, t) for c, p, s, m, t, _ in CALLS}


def test_zero_based_coverage_of_bismark_is_told_by_its_name(tmp_path):
    text = "".join(f"{c}\t{p}\t{p + 1}\t{100 * m / t}\t{m}\t{t - m}\n" for c, p, s, m, t, _ in CALLS)
    _, found = read(put(tmp_path, text, "a.bismark.zero.cov"))
    assert found == merge(CALLS)


def test_calls_without_reads_and_of_other_contigs_are_counted(tmp_path):
    extra = [("chr1", 7, "+", 0, 0, "CG"), ("lambda", 5, "+", 1, 90, "CG"), ("lambda", 9, "-", 0, 110, "CHH")]
    file, found = read(put(tmp_path, allc([*CALLS, *extra])))
    assert found == merge(CALLS)
    assert file.counts == {"calls without reads": 1, "contigs not in the genome": 2}
    assert file.sums["lambda", "CG"].tolist() == [1, 90, 1]


def test_minus_calls_listed_at_the_c_are_taken_and_counted(tmp_path):
    moved = [(c, p - 1, s, m, t, x) if s == "-" else (c, p, s, m, t, x) for c, p, s, m, t, x in CALLS]
    file, found = read(put(tmp_path, bedmethyl11(moved)))
    assert found == merge(CALLS)
    assert file.counts == {"calls of the - strand listed at the C": sum(call[2] == "-" for call in CALLS)}


def test_few_calls_off_the_genome_are_counted(tmp_path):
    off = [(c, p, s, m, t, "CG") for c, p, s, m, t, _ in random_calls(TEXTS, seed=9, contexts=("CHH",))][:5]
    file, found = read(put(tmp_path, bedmethyl11([*CALLS, *off])))
    assert found == merge(CALLS)
    assert file.counts == {"calls off a CpG": 5}


def test_off_by_one_is_told(tmp_path):
    calls = [call for call in CALLS if call[2] == "+"]
    path = put(tmp_path, allc([(c, p + 1, s, m, t, x) for c, p, s, m, t, x in calls]))
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value) == (
        f"{path}: wrong assembly or off by one? (0 of {len(calls)} calls are on a CpG; shifted by 1 bp, to the base "
        f"before, it would be {len(calls)}); or does the file hold calls of other contexts?"
    )


PLACE = TEXTS["chr1"].index("CG")
BED = f"chr1\t{PLACE}\t{PLACE + 1}\t.\t9\t+\t{PLACE}\t{PLACE + 1}\t0,0,0\t"
REFUSED = {
    "percent above 100": (BED + "9\t101\n", r"x:1: percent 101 is not within 0 to 100"),
    "percent below 0": (BED + "9\t100\n" + BED + "9\t-1\n", r"x:2: percent -1 is not within 0 to 100"),
    "percent missing": (BED + "9\t.\n", r"x:1: no percent for 9 reads"),
    "percent is text": (BED + "9\thigh\n", r"x:1: percent 'high' is not a number"),
    "fraction": (BED + "9\t1.0\n", r"x: max value 1.0: fraction\? The column is percent, 0 to 100"),
    "12 columns": (BED + "9\t50\tx\n", r"x:1: unknown dialect: 12 tab-separated columns; expected 11 \("),
    "columns change": (BED + "9\t50\n" + BED + "9\t50\tx\n", r"x:2: 12 tab-separated columns, but bedMethyl of 11 "),
    "strand": (BED.replace("+", "x") + "9\t50\n", r"x:1: strand 'x' is none of \+ - \."),
    "long call": (BED.replace(str(PLACE + 1), str(PLACE + 3)) + "9\t50\n", r"x:1: a call of 3 bp; expected"),
    "no calls": ("#nothing\n", r"x: 0 records; expected one call a line"),
    "twice": ((BED + "9\t50\n") * 2, rf"x: chr1:{PLACE} \(\+\), 0-based, comes twice \(1 such calls\)"),
    "past the end": ("chr1\t5000\t5001\t.\t9\t+\t1\t1\t0\t9\t50\n", r"x:1: chr1:5000-5001 ends past the contig"),
    "contig name": (BED.replace("chr1", "chr 1") + "9\t50\n", r"x:1: contig name 'chr 1' holds characters"),
    "float count": (BED + "9.5\t50\n", r"x:1: total '9.5' is not a whole number"),
    "not UTF-8": (BED + "9\t50\n" + "\udcff\n", "is not UTF-8 text"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_bedmethyl(tmp_path, case):
    text, message = REFUSED[case]
    path = tmp_path / "x"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        read(path, layout="bedmethyl")


OTHERS = {
    "1-based 0": ("bismark", "chr1\t0\t0\t50\t1\t1\n", r":1: start 0 is not within 1 to .* \(positions are 1-b"),
    "exchanged": ("bismark", "chr1\t5\t5\t50\t1\t1\n" + "chr1\t7\t7\t75\t1\t3\n", r":2: percent 75, but 1 of 4 reads"),
    "fraction beside counts": ("bismark", "chr1\t5\t5\t0.25\t1\t3\n", r"max value 0.25: fraction\?"),
    "more methylated": ("allc", "chr1\t5\t+\tCGA\t4\t3\t1\n", r":1: 4 methylated of 3 reads"),
    "state 2": ("call_states", "chr1\t5\t2\n", r":1: state 2 is not within 0 to 1: percent\?"),
    "wrong format": ("allc", "chr1\t5\t5\t50\t1\t1\n", r":1: looks like Bismark coverage \(format bismark\), the "),
    "report as allc": ("allc", "chr1\t5\t+\t1\t1\tCG\tCGA\n", r"looks like Bismark cytosine report"),
    "two samples": ("gembs", "Contig\tPos0\tPos1\tRef" + "\tx" * 14 + "\n", r":1: gemBS file of 2 samples"),
    "no counts": ("call_table", "chrom\tpos0\tmeth\n", r":1: expected columns contig, pos0 .* found chrom"),
    "two columns of one": ("call_table", "chrom\tpos0\tmeth\tmc\ttotal\n", r":1: columns meth and mc are both meth"),
    "base": ("gembs", "Contig\tPos0\tPos1\tRef" + "\tx" * 7 + "\nchr1\t1\t2\tA\t.\t.\t1\t1\t1\t1\t1\n", r":2: ref"),
    "one column": ("", "hello\n", r":1: unknown dialect: 1 tab-separated column; expected 11"),
    "no modification m": ("bedmethyl", "chr1\t1\t2\th\t1\t+" + "\t1" * 12 + "\n", r"no call has modification code m"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_refused_files_of_other_layouts(tmp_path, case):
    layout, text, message = OTHERS[case]
    with pytest.raises(InputError, match=message):
        read(put(tmp_path, text), layout=layout)


def test_any_modification_alone_is_taken(tmp_path):
    line = f"chr1\t{PLACE}\t{PLACE + 1}\tC\t4\t.\t0\t0\t0\t4\t75.00\t3\t1\t0\t0\t0\t0\t0\n"
    assert read(put(tmp_path, line))[1] == {("chr1", PLACE): (3, 4)}


def test_reads_are_exact_below_a_hundred():
    """Whole percents, rounded: the reads they came from."""
    from seqmill.formats.methylation_text import _reads

    for total in range(1, 101):
        reads = np.arange(total + 1)
        percent = np.floor(100 * reads / total + 0.5)
        assert _reads(percent, np.full(total + 1, total), False).tolist() == reads.tolist()
        assert np.abs(_reads(100 * reads // total * 1.0, np.full(total + 1, total), True) - reads).max() == 0


def slow_bins(values, size, bin_bp, aggregate):
    out = []
    for left in range(0, size, bin_bp):
        known = [values[base] for base in range(left, min(left + bin_bp, size)) if base in values]
        out.append(np.nan if not known else sum(known) / (len(known) if aggregate == "mean" else 1))
    return out


@pytest.mark.parametrize(("calls", "aggregate"), [("fraction", "mean"), ("methylated", "sum"), ("total", "sum")])
def test_bins_are_means_over_cpgs_or_sums_of_reads(tmp_path, calls, aggregate):
    value = {"fraction": lambda m, t: m / t, "methylated": lambda m, t: m, "total": lambda m, t: t}[calls]
    path = put(tmp_path, allc(CALLS))
    with open_signal(path, "allc", SIZES, windows=windows_of(TEXTS), calls=calls) as reader:
        for contig in ("chr1", "chr2"):
            values = {p: value(m, t) for (c, p), (m, t) in merge(CALLS).items() if c == contig}
            expected = slow_bins(values, SIZES[contig], 7, aggregate)
            found = reader.bins(contig, 0, len(expected), 7, aggregate, "nan")
            np.testing.assert_allclose(found, expected, rtol=1e-6)
            assert np.isnan(expected).any()
        assert np.isnan(reader.bins("chr3", 0, 4, 16)).all()
        assert reader.missing_contigs == ["chr3"]
        total = sum(t for _, t in merge(CALLS).values())
        about = reader.about
        assert about["n_calls"] == len(merge(CALLS))
        assert about["mean_coverage"] == pytest.approx(total / len(merge(CALLS)), abs=1e-4)
        assert about["strands_merged"] is True


def test_layouts_are_told_apart(tmp_path):
    for case, (layout, write) in COUNTED.items():
        assert sniff(put(tmp_path, write(CALLS), case)).kind == layout
    assert sniff(put(tmp_path, states(CALLS))).kind == "call_states"


def test_calls_of_a_real_sample_are_on_cpgs(test_data):
    with gzip.open(test_data / "hg19_chr1/genome/chr1_10MB.fasta.gz", "rt") as file:
        text = file.read().partition("\n")[2].replace("\n", "").upper()
    codes = np.frombuffer(text.encode(), np.uint8)
    table_of = np.full(256, 4, np.uint8)
    table_of[[65, 67, 71, 84]] = [0, 1, 2, 3]
    codes = table_of[codes]

    def many(contig, starts, width):
        return codes[np.asarray(starts)[:, None] + np.arange(width)]

    path = test_data / "modalities/methylation/encode_wgbs_chr1/ENCSR750CPN.cpg.hg19_chr1.tsv.gz"
    with CallFile(path, {"1": len(text)}, partial=True, windows=many) as file:
        calls = file.contig("1")
        assert file.counts == {}
    lines = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()[1:]]
    assert calls.position.tolist() == [int(line[1]) for line in lines]
    assert calls.methylated.tolist() == [int(line[2]) for line in lines]
    assert calls.total.tolist() == [int(line[2]) + int(line[3]) for line in lines]
    assert len(lines) == 36_270
    assert all(text[place : place + 2] == "CG" for place in calls.position)
