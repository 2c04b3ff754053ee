"""Interval files: values against plain loops, and what is dropped and counted."""

import gzip
import random

import numpy as np
import pytest

from seqmill.formats.intervals import read_intervals

SIZES = {"chr1": 1000, "chr2": 500, "chr3": 50}


def read(tmp_path, text, kind, **options):
    path = tmp_path / "x"
    path.write_text(text)
    return read_intervals(path, kind, SIZES, **options)


def test_bed3_is_sorted_and_typed(tmp_path):
    found = read(tmp_path, "chr2\t5\t9\nchr1\t50\t61\nchr1\t7\t20\nchr1\t7\t10\n", "bed")
    part = found["chr1"]
    assert (part.start.tolist(), part.end.tolist()) == ([7, 7, 50], [10, 20, 61])
    assert part.summit.tolist() == [8, 13, 55]
    assert np.isnan(part.score).all()
    assert part.strand.tolist() == [0, 0, 0]
    assert [part.start.dtype, part.score.dtype, part.strand.dtype] == [np.int32, np.float32, np.int8]
    assert list(found) == ["chr1", "chr2"]
    assert len(found) == 4
    assert len(found["chr3"]) == 0
    assert found.counts == {}


def test_bed6_score_and_strand(tmp_path):
    found = read(tmp_path, "1\t1\t2\ta\t5.5\t+\n1\t3\t4\tb\t.\t-\n1\t5\t6\tc\t7\t.\n", "bed")["chr1"]
    np.testing.assert_array_equal(found.score, np.array([5.5, np.nan, 7], np.float32))
    assert found.strand.tolist() == [1, -1, 0]


def test_bed3_does_not_look_at_other_columns(tmp_path):
    assert len(read(tmp_path, "chr1\t1\t2\ta\tGENE\tx\n", "bed3")) == 1


def test_narrowpeak_summit_and_signal(tmp_path):
    lines = [
        "chr1\t100\t120\tp\t1000\t.\t8.5\t3\t2\t4",
        "chr1\t200\t221\tp\t1000\t.\t9.5\t3\t2\t-1",
        "chr1\t300\t320\tp\t1000\t+\t-1\t-1\t-1\t19",
    ]
    found = read(tmp_path, "track type=narrowPeak\n" + "\n".join(lines), "narrowPeak")
    part = found["chr1"]
    assert part.summit.tolist() == [104, 210, 319]
    np.testing.assert_array_equal(part.score, np.array([8.5, 9.5, np.nan], np.float32))
    assert found.counts == {"comment lines": 1, "no summit (middle used)": 1, "score -1 (not available)": 1}


def test_broadpeak(tmp_path):
    part = read(tmp_path, "chr1\t100\t121\tp\t143\t.\t464.2\t-1\t-1\n", "broadPeak")["chr1"]
    assert part.summit.tolist() == [110]
    np.testing.assert_allclose(part.score, [464.2], rtol=1e-6)


def test_what_is_dropped_is_counted(tmp_path):
    text = (
        "#x\r\nbrowser position chr1\r\n\r\nchr1\t5\t5\r\nchr1\t5\t9\r\nchrUn\t1\t2\r\nchr1\t0\t1\r\n"
        + "chr1\t5\t9\r\n" * 9
    )
    found = read(tmp_path, text, "bed")
    assert found["chr1"].start.tolist() == [0] + [5] * 10
    assert found.counts == {
        "comment lines": 2,
        "zero length": 1,
        "contigs not in the genome": 1,
        "same interval again (kept)": 9,
    }


def test_a_piece_of_an_assembly_drops_what_is_past_its_end(tmp_path):
    found = read(tmp_path, "chr1\t990\t1000\nchr1\t995\t1001\nchr1\t5000\t6000\n", "bed", partial=True)
    assert found["chr1"].end.tolist() == [1000]
    assert found.counts == {"past the end of the contig": 2}


def test_bedpe_is_the_span_of_both_mates(tmp_path):
    found = read(tmp_path, "1\t50\t60\t1\t10\t20\tn\t9\t+\t-\n1\t1\t2\t2\t1\t2\tn\t9\t+\t-\n", "fragments")
    assert (found["chr1"].start.tolist(), found["chr1"].end.tolist()) == ([10], [60])
    assert found.counts == {"mates on two contigs or unmapped": 1}


def test_unknown_kind(tmp_path):
    with pytest.raises(ValueError, match="unknown kind of intervals 'gff'; expected one of bed, bed3,"):
        read(tmp_path, "", "gff")


@pytest.mark.parametrize("block_bytes", [40, 1 << 20])
def test_against_a_plain_loop(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr("seqmill.formats.text.BLOCK_BYTES", block_bytes)
    rng = random.Random(4)
    rows = []
    for _ in range(400):
        name = rng.choice(["chr1", "2", "other"])
        start = rng.randrange(480)
        rows.append((name, start, start + rng.randrange(1, 20), round(rng.gauss(0, 9), 2), rng.choice("+-.")))
    path = tmp_path / "x.bed.gz"
    path.write_bytes(gzip.compress("".join(f"{n}\t{s}\t{e}\tx\t{v}\t{d}\n" for n, s, e, v, d in rows).encode()))
    found = read_intervals(path, "bed", SIZES)
    for contig, name in (("chr1", "chr1"), ("chr2", "2")):
        expected = sorted((s, e, v, {"+": 1, "-": -1, ".": 0}[d]) for n, s, e, v, d in rows if n == name)
        part = found[contig]
        assert list(zip(part.start.tolist(), part.end.tolist())) == [row[:2] for row in expected]
        got = sorted(zip(part.start.tolist(), part.end.tolist(), part.score.tolist(), part.strand.tolist()))
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert found.counts["contigs not in the genome"] == sum(row[0] == "other" for row in rows)


def test_real_peaks_against_a_plain_loop(test_data):
    genome = {"1": 9_876_492}
    folder = test_data / "hg19_chr1"
    cases = [
        (folder / "peaks_tf_chr1/CTCF.K562.bed.gz", "bed"),
        (folder / "peaks_tf_genome/MAX.K562.bed.gz", "bed"),
        (folder / "peaks_other/wgEncodeHaibTfbsGm12878Sp1Pcr1xPkRep1.broadPeak.gz", "broadPeak"),
        (folder / "annotation/hg19-blacklist.v2.bed.gz", "bed"),
    ]
    for path, kind in cases:
        expected, beyond, elsewhere = [], 0, 0
        with gzip.open(path, "rt") as handle:
            for line in handle:
                contig, start, end, *rest = line.rstrip("\n").split("\t")
                if contig not in ("1", "chr1"):
                    elsewhere += 1
                elif int(end) > genome["1"]:
                    beyond += 1
                else:
                    expected.append((int(start), int(end), float(rest[3]) if kind == "broadPeak" else 0.0))
        found = read_intervals(path, kind, genome, partial=True)
        part = found["1"]
        score = part.score if kind == "broadPeak" else np.zeros(len(part))
        np.testing.assert_allclose(np.column_stack([part.start, part.end, score]), sorted(expected), rtol=1e-6)
        assert found.counts["past the end of the contig"] == beyond
        assert found.counts["contigs not in the genome"] == elsewhere
