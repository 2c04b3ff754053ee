"""Bins of every kind of signal file against slow, independent readers of the same file."""

import gzip
import os
import random

import numpy as np
import pytest
from tests.unit.signal_examples import (
    FILE_NAMES,
    SIZES,
    content,
    slow_bam,
    slow_bigwig,
    slow_bins,
    slow_pileup,
    write_bam,
    write_bigwig,
    write_lines,
)

from seqmill.formats.signal import open_signal
from seqmill.runtime.errors import InputError, SeqmillError

AGGREGATES = ("mean", "sum", "max", "min")
BINS = (1, 7, 32, 128, 6000)


def compare(reader, slow, seed=0):
    """All aggregates, gap meanings and bin sizes: whole contigs, then random runs of bins."""
    rng = random.Random(seed)
    for contig in FILE_NAMES:
        values = slow(contig)
        assert contig != "chr1" or any(value == value for value in values)
        for bin_bp in BINS:
            n_bins = -(-SIZES[contig] // bin_bp)
            for aggregate in AGGREGATES:
                for missing in ("zero", "nan"):
                    expected = slow_bins(values, bin_bp, aggregate, missing)
                    found = reader.bins(contig, 0, n_bins, bin_bp, aggregate, missing)
                    assert found.dtype == np.float32
                    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)
                    first = rng.randrange(n_bins)
                    count = rng.randrange(n_bins - first + 1)
                    found = reader.bins(contig, first, count, bin_bp, aggregate, missing)
                    np.testing.assert_allclose(found, expected[first : first + count], rtol=2e-6, atol=1e-6)


@pytest.fixture(params=["one block", "many blocks"])
def blocks(request, monkeypatch):
    """The answer must not depend on how much is read at once."""
    if request.param == "many blocks":
        monkeypatch.setattr("seqmill.formats.signal.BLOCK_BP", 97)
        monkeypatch.setattr("seqmill.formats.bigwig.BLOCK_BP", 97)
        monkeypatch.setattr("seqmill.formats.bigwig.CALL_BP", 2100)
        monkeypatch.setattr("seqmill.formats.spill.BLOCK_BP", 256)
        monkeypatch.setattr("seqmill.formats.spill.READ_RECORDS", 3)
        monkeypatch.setattr("seqmill.formats.text.BLOCK_BYTES", 64)
        monkeypatch.setattr("seqmill.formats.bam.FLUSH_EDGES", 10)


def test_bigwig(tmp_path, blocks):
    path = write_bigwig(tmp_path / "no-usual-ending", content(1))
    with open_signal(path, "bigwig", SIZES) as reader:
        assert reader.contigs == FILE_NAMES
        assert reader.missing_contigs == ["chr3"]
        compare(reader, lambda contig: slow_bigwig(path, contig))
        assert np.isnan(reader.bins("chr3", 0, 20, 32)).all()
        assert reader.counts["bins below zero"] > 0
        low, high = reader.value_range
        assert low < 0 < high


def test_bigwig_with_nan_values(tmp_path, blocks):
    data = content(2)
    data["chr1"] = [(s, e, float("nan") if i % 5 == 0 else v) for i, (s, e, v) in enumerate(data["chr1"])]
    path = write_bigwig(tmp_path / "x.bw", data)
    with open_signal(path, "bigwig", SIZES) as reader:
        reader.bins("chr1", 0, 40, 128)
        unknown = sum(e - s for s, e, v in data["chr1"] if v != v)
        assert reader.counts["bases with value NaN"] == unknown
        compare(reader, lambda contig: slow_bigwig(path, contig))


def test_bedgraph(tmp_path, blocks):
    data = content(3)
    path = write_lines(tmp_path / "x.bg", data, lambda *row: "\t".join(map(str, row)) + "\n")
    with open_signal(path, "bedgraph", SIZES) as reader:
        assert reader.contigs == FILE_NAMES
        assert reader.missing_contigs == ["chr3"]
        compare(reader, lambda contig: slow_pileup(data[contig], SIZES[contig]))
        assert np.isnan(reader.bins("chr3", 0, 20, 32)).all()


def bed_line(contig, start, end, value):
    return f"{contig}\t{start}\t{end}\tname\t{value}\t{'+' if start % 2 else '-'}\n"


@pytest.mark.parametrize(
    ("options", "choose"),
    [
        ({}, lambda s, e, v: (s, e, 1)),
        ({"value": "score"}, lambda s, e, v: (s, e, v)),
        ({"strand": "+"}, lambda s, e, v: (s, e, 1) if s % 2 else (0, 0, 0)),
        ({"strand": "-", "value": "score"}, lambda s, e, v: (0, 0, 0) if s % 2 else (s, e, v)),
        ({"table": "bed3"}, lambda s, e, v: (s, e, 1)),
    ],
)
def test_bed(tmp_path, blocks, options, choose):
    data = content(4, overlap=True)
    path = write_lines(tmp_path / "x.bed", data, bed_line)
    with open_signal(path, "bed", SIZES, **options) as reader:
        compare(reader, lambda contig: slow_pileup([choose(*row) for row in data[contig]], SIZES[contig]))
        assert reader.bins("chr3", 0, 20, 32).tolist() == [0] * 20
        assert np.isnan(reader.bins("chr3", 0, 20, 32, "mean", "nan")).all()


FRAGMENTS = {
    "coverage": ({}, lambda s, e: [(s, e)]),
    "ends": ({"mode": "ends"}, lambda s, e: [(s, s + 1), (e - 1, e)]),
    "shifted ends": (
        {"mode": "ends", "plus_shift": 4, "minus_shift": -5},
        lambda s, e: [(s + 4, s + 5), (e - 6, e - 5)],
    ),
    "centres": ({"mode": "centres"}, lambda s, e: [((s + e) // 2, (s + e) // 2 + 1)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FRAGMENTS)
@pytest.mark.parametrize("columns", [3, 5, 10])
def test_fragments(tmp_path, blocks, case, columns):
    options, parts = FRAGMENTS[case]
    data = content(5, overlap=True)

    def line(contig, start, end, _):
        if columns == 10:  # two mates, of which the second may be the left one
            mates = [(start, start + 1), (max(end - 2, start), end)]
            first, second = mates[:: 1 if start % 2 else -1]
            return f"{contig}\t{first[0]}\t{first[1]}\t{contig}\t{second[0]}\t{second[1]}\tr\t9\t+\t-\n"
        return "\t".join([contig, str(start), str(end), "ACGT-1", "3"][:columns]) + "\n"

    path = write_lines(tmp_path / "x.tsv", data, line)
    path.write_bytes(gzip.compress(path.read_bytes()))
    with open_signal(path, "fragments", SIZES, **options) as reader:

        def slow(contig):
            rows = [(s, e, 1) for start, end, _ in data[contig] for s, e in parts(start, end)]
            return slow_pileup([row for row in rows if row[0] >= 0], SIZES[contig])

        compare(reader, slow)
        shifted_out = sum(
            not 0 <= s < SIZES[contig]
            for contig in data
            for start, end, _ in data[contig]
            for s, _ in parts(start, end)
            if case != "coverage"
        )
        assert reader.counts["positions outside the contig"] == shifted_out


def test_mates_apart_are_dropped(tmp_path):
    path = tmp_path / "x.bedpe"
    path.write_text("1\t5\t9\t2\t5\t9\n1\t10\t12\t1\t18\t20\n.\t-1\t-1\t1\t5\t9\n1\t5\t9\t.\t-1\t-1\n")
    with open_signal(path, "fragments", SIZES) as reader:
        assert reader.bins("chr1", 0, 1, 5003, "sum").tolist() == [10]
        assert reader.counts == {"mates on two contigs or unmapped": 3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "slow"),
    [
        ({"mode": "coverage"}, {"mode": "coverage"}),
        ({"mode": "coverage", "strand": "-", "mapq_min": 30}, {"mode": "coverage", "strand": "-", "mapq_min": 30}),
        ({"mode": "cuts"}, {"mode": "cuts"}),
        (
            {"mode": "cuts", "plus_shift": 4, "minus_shift": -5, "strand": "+"},
            {"mode": "cuts", "shifts": (4, -5), "strand": "+"},
        ),
        ({"mode": "cuts", "plus_shift": 4, "minus_shift": -4}, {"mode": "cuts", "shifts": (4, -4)}),
        ({"mode": "fragments"}, {"mode": "fragments"}),
        (
            {"mode": "fragments", "strand": "+", "max_fragment_bp": 60},
            {"mode": "fragments", "strand": "+", "longest": 60},
        ),
    ],
)
def test_bam(tmp_path, blocks, options, slow):
    path = write_bam(tmp_path / "x.bam")
    with open_signal(path, "bam", SIZES, **options) as reader:
        assert reader.contigs == FILE_NAMES
        compare(reader, lambda contig: slow_bam(path, contig, **slow))
        assert np.isnan(reader.bins("chr3", 0, 20, 32)).all()


def test_bam_counts_each_read_once(tmp_path, blocks):
    path = write_bam(tmp_path / "x.bam", index=False)
    with open_signal(path, "bam", SIZES, mapq_min=10) as reader:
        for _ in range(2):
            for contig, size in SIZES.items():
                reader.bins(contig, 0, -(-size // 32), 32)
        assert sum(reader.counts.values()) == sum(1 for _ in all_reads(path))
        names = ("unmapped", "secondary", "supplementary", "QC fail", "duplicate", "mapping quality")
        assert set(reader.counts) == {"reads used"} | {f"skipped: {name}" for name in names}


def all_reads(path):
    import pysam

    with pysam.AlignmentFile(str(path)) as file:
        yield from file.fetch(until_eof=True)


def test_flagged_reads_where_wanted(tmp_path):
    path = write_bam(tmp_path / "x.bam")
    sums = []
    for name in (None, "keep_supplementary", "keep_qc_fail", "keep_duplicates"):
        with open_signal(path, "bam", SIZES, mode="cuts", **({name: True} if name else {})) as reader:
            sums.append(float(reader.bins("chr1", 0, 1, 6000, "sum")[0]))
    flags = [0, 2048, 512, 1024]
    wanted = []
    for extra in flags:
        skip = (4 | 256 | 512 | 1024 | 2048) & ~extra
        wanted.append(sum(not read.flag & skip for read in all_reads(path) if read.reference_name == "1"))
    assert sums == wanted
    assert len(set(sums)) > 1


def test_a_piece_of_an_assembly(tmp_path):
    """Longer contigs in the file are cut at the end of the genome's; records behind it are dropped and counted."""
    short = {"chr1": 1000}
    rows = [(0, 60, 0.75), (500, 703, 1.5), (990, 1010, 2.0), (1200, 1300, 3.0), (5002, 5003, 1.0)]
    data = {"chr1": rows, "chr2": [(5, 9, 1.0)]}
    expected = slow_bins(slow_pileup(data["chr1"], 1000), 32, "mean", "nan")
    bigwig = write_bigwig(tmp_path / "x.bw", data)
    bedgraph = write_lines(tmp_path / "x.bg", data, lambda *row: "\t".join(map(str, row)) + "\n")
    for path, kind in ((bigwig, "bigwig"), (bedgraph, "bedgraph")):
        with pytest.raises(InputError, match="partial: true"):
            open_signal(path, kind, short)
        with open_signal(path, kind, short, partial=True) as reader:
            np.testing.assert_allclose(reader.bins("chr1", 0, 32, 32, "mean", "nan"), expected, rtol=2e-6, atol=1e-6)
            counts = reader.counts
    assert counts["clipped at the end of the contig"] == 1
    assert counts["past the end of the contig"] == 2
    assert counts["contigs not in the genome"] == 1


def test_bins_outside_and_unknown_options(tmp_path):
    path = write_bigwig(tmp_path / "x.bw", content(7))
    with open_signal(path, "bigwig", SIZES) as reader:
        assert reader.bins("chr2", 10, 0, 32).shape == (0,)
        for first, count in ((-1, 2), (0, 11), (10, 1)):
            with pytest.raises(ValueError, match=r"lie outside chr2 \(301 bp\)"):
                reader.bins("chr2", first, count, 32)
        with pytest.raises(ValueError, match="aggregate 'median'"):
            reader.bins("chr2", 0, 1, 32, "median")
    with pytest.raises(ValueError, match="unknown kind of signal 'wiggle'"):
        open_signal(path, "wiggle", SIZES)


def test_temporary_files_go(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    bed = write_lines(tmp_path / "x.bed", content(8), bed_line)
    bam = write_bam(tmp_path / "x.bam", index=False)
    for path, kind in ((bed, "bed"), (bam, "bam")):
        with open_signal(path, kind, SIZES):
            assert list((tmp_path / "tmp").iterdir())
        assert list((tmp_path / "tmp").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tmp", "x.bam", "x.bed"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_temporary_disk_is_one_message(tmp_path, monkeypatch):
    bed = write_lines(tmp_path / "x.bed", content(8), bed_line)
    made = tmp_path / "tmp"
    made.mkdir()
    for number in range(3):
        (made / str(number)).symlink_to("/dev/full")
    monkeypatch.setattr("tempfile.mkdtemp", lambda prefix: str(made))
    with pytest.raises(SeqmillError, match=r"cannot write temporary file \(.*set TMPDIR to a disk with more space"):
        open_signal(bed, "bed", SIZES)
    assert not made.exists()
