"""Bad files of the BED family: each case with its message, from the reader of intervals or of signal."""

import gzip

import pytest

from seqmill.formats.intervals import read_intervals
from seqmill.formats.signal import open_signal
from seqmill.runtime.errors import InputError

SIZES = {"chr1": 1000, "chr2": 500}
GOOD = "chr1\t10\t20\n"
PEAK = "chr1\t10\t20\tp\t5\t.\t{value}\t-1\t-1\t{peak}\n"

BAD = {
    "50 two columns": ("bed", GOOD + "chr1\t10\n", ":2: 2 tab-separated columns, expected at least 3"),
    "50 two columns everywhere": ("bed", "chr1\t10\n", ":1: 2 tab-separated columns, expected at least 3"),
    "50 mixed columns": ("bed", GOOD + GOOD + "chr1\t10\t20\tx\n", ":3: 4 columns, but the lines before have 3"),
    "50 narrowPeak": (
        "narrowPeak",
        GOOD,
        ":1: 3 tab-separated columns, expected 10 (or set format = bed in the sheet)",
    ),
    "50 bedgraph": ("bedgraph", GOOD, ":1: 3 tab-separated columns, expected 4"),
    "51 commas": ("bed", "chr1,10,20\n", ":1: 1 tab-separated column, expected at least 3 (comma-separated?)"),
    "51 spaces": ("bed", "chr1 10 20 my peak\n", ":1: fields are separated by spaces; use tabs"),
    "52 below 0": ("bed", GOOD + "chr1\t-5\t20\n", ":2: start -5 is below 0"),
    "52 backwards": ("bed", "# x\n" + GOOD + "chr1\t30\t20\n", ":3: start 30 is behind end 20"),
    "54 past the end": (
        "bed",
        GOOD + "\nchr2\t490\t501\n",
        ":3: chr2:490-501 ends past the contig (500 bp): another assembly, or is the genome only a piece of one "
        "(partial: true)?",
    ),
    "55 all of one base": (
        "bed",
        "".join(f"chr1\t{i}\t{i + i // 15}\n" for i in range(10, 20)),
        ": looks 1-based: 5 of 10 records have start = end and none starts at 0; BED is 0-based",
    ),
    "53 all of length zero": ("bed", "chr1\t10\t10\nchr1\t12\t12\n", ": 0 records left: all 2 have start = end"),
    "55 GFF": (
        "bed",
        "chr1\tsrc\tgene\t10\t20\t.\t+\t.\tid=1\n",
        ":1: looks like GFF (1-based, start and end in columns 4 and 5); expected BED",
    ),
    "56 decimal": ("bed", "chr1\t10.5\t20\n", ":1: start '10.5' is not a whole number"),
    "56 exponent": ("bed", GOOD + "chr1\t10\t1e6\n", ":2: end '1e6' is not a whole number"),
    "56 commas": ("bed", "chr1\t10\t1,000\n", ":1: end '1,000' is not a whole number"),
    "56 hexadecimal": ("bed", "chr1\t0x1\t20\n", ":1: start '0x1' is not a whole number"),
    "56 empty": ("bed", "chr1\t\t20\n", ":1: start '' is not a whole number"),
    "56 dot": ("bed", "chr1\t.\t20\n", ":1: start '.' is not a whole number"),
    "56 large": ("bed", "chr1\t10\t3000000000\n", ":1: end 3000000000 is beyond 2,147,483,647"),
    "56 enormous": ("bed", "chr1\t10\t99999999999999999999\n", ":1: end 99999999999999999999 is beyond 2,147,483,647"),
    "59 NaN": ("narrowPeak", PEAK.format(value="nan", peak=1), ":1: value 'nan' is not finite"),
    "59 infinite": ("narrowPeak", PEAK.format(value="inf", peak=1), ":1: value 'inf' is not finite"),
    "59 bedgraph": ("bedgraph", "chr1\t1\t2\t1\nchr1\t5\t6\tNaN\n", ":2: value 'NaN' is not finite"),
    "60 summit outside": (
        "narrowPeak",
        PEAK.format(value=3, peak=10),
        ":1: summit offset 10 lies outside the 10 bp of the peak",
    ),
    "60 summit below": (
        "narrowPeak",
        PEAK.format(value=3, peak=-2),
        ":1: summit offset -2 lies outside the 10 bp of the peak",
    ),
    "61 contig name": (
        "bed",
        GOOD + "chr<1>\t10\t20\n",
        ":2: contig name 'chr<1>' holds characters that are not allowed or is empty",
    ),
    "61 no contig": ("bed", "\t10\t20\n", ":1: contig name '' holds characters that are not allowed or is empty"),
    "62 empty": ("bed", "", ": 0 records"),
    "62 only comments": ("bed", "# a\ntrack name=x\n\n", ": 0 records"),
    "63 strand": (
        "bed",
        "chr1\t1\t2\tx\t0\tplus\n",
        ":1: strand 'plus' is none of + - . (if column 6 is something else, read it as bed3)",
    ),
    "score": (
        "bed",
        "chr1\t1\t2\tx\tGENE\n",
        ":1: value 'GENE' is not a number (if column 5 is no score, read it as bed3)",
    ),
    "not text": ("bed", b"chr1\t1\t2\nch\xff1\t1\t2\n", ":2: is not UTF-8 text"),
    "48 naming": (
        "bed",
        "NC_1\t1\t2\n",
        ": no contig is in the genome (different naming styles or another genome?): the file has NC_1; "
        "the genome has chr1, chr2",
    ),
    "48 two names of one contig": (
        "bed",
        "1\t1\t2\n" * 3 + "chr1\t1\t2\n",
        ": both 'chr1' and '1' occur, which are one contig of the genome",
    ),
    "BEDPE of reads": ("fragments", "chr1\t1\t2\tname\t7\t+\n", ":1: end2 '+' is not a whole number (six or more"),
}


def write(folder, text, name="x.bed"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("case", BAD)
def test_bad_intervals(tmp_path, case, zipped):
    kind, text, message = BAD[case]
    text = text if isinstance(text, bytes) else text.encode()
    path = write(tmp_path, gzip.compress(text) if zipped else text)
    with pytest.raises(InputError) as error:
        read_intervals(path, kind, SIZES)
    assert str(error.value).startswith(f"{path}{message}")


SIGNAL = {
    "58 overlap": (
        "chr1\t10\t20\t1\nchr1\t19\t25\t2\n",
        ":2: overlap: chr1:19-25 begins before the record above it ends (20)",
    ),
    "58 order": (
        "chr1\t10\t20\t1\nchr2\t10\t20\t1\nchr1\t5\t8\t1\n",
        ":3: chr1:5 comes after chr1:10: sort the file by start",
    ),
    "58 the same twice": (
        "track type=bedGraph\nchr1\t10\t20\t1\nchr1\t10\t20\t1\n",
        ":3: overlap: chr1:10-20 begins before the record above it ends (20)",
    ),
}


@pytest.mark.parametrize("case", SIGNAL)
def test_bad_bedgraph(tmp_path, case, monkeypatch):
    text, message = SIGNAL[case]
    path = write(tmp_path, text)
    for block_bytes in (8 << 20, 15):
        small_blocks(monkeypatch, block_bytes)
        with pytest.raises(InputError) as error:
            open_signal(path, "bedgraph", SIZES)
        assert str(error.value) == f"{path}{message}"


def small_blocks(monkeypatch, block_bytes):
    from seqmill.formats import bedtext
    from seqmill.formats.text import line_blocks

    monkeypatch.setattr(bedtext, "line_blocks", lambda path: line_blocks(path, block_bytes))


def test_line_numbers_do_not_depend_on_blocks(tmp_path, monkeypatch):
    path = write(tmp_path, "# one\n\n" + GOOD * 50 + "\r\n# two\n" + GOOD * 5 + "chr1\t7\t6\n" + GOOD)
    for block_bytes in (1, 10, 64, 1 << 20):
        small_blocks(monkeypatch, block_bytes)
        with pytest.raises(InputError) as error:
            read_intervals(path, "bed", SIZES)
        assert error.value.record == 60


@pytest.mark.parametrize("text", ["1\t1\t2\nchr1\t5\t6\n", "chr1\t1\t2\n1\t5\t6\n"])
@pytest.mark.parametrize("block_bytes", [6, 1000])
def test_second_name_of_a_contig_in_any_order(tmp_path, monkeypatch, text, block_bytes):
    small_blocks(monkeypatch, block_bytes)
    with pytest.raises(InputError, match="both 'chr1' and '1' occur, which are one contig of the genome"):
        read_intervals(write(tmp_path, text), "bed", SIZES)


def test_cut_gzip(tmp_path):
    lines = "".join(f"chr1\t{i % 900}\t{i % 900 + 1 + i % 7}\n" for i in range(50_000))
    path = write(tmp_path, gzip.compress(lines.encode())[:-500])
    with pytest.raises(InputError, match="truncated: the gzip stream ends before its end mark"):
        read_intervals(path, "bed", SIZES)


def test_options_that_the_file_cannot_serve(tmp_path):
    path = write(tmp_path, GOOD)
    with pytest.raises(InputError, match="has no score column"):
        open_signal(path, "bed", SIZES, value="score")
    with pytest.raises(InputError, match="has no strand column, but records of one strand are wanted"):
        open_signal(path, "bed", SIZES, strand="+")


def test_no_temporary_files_stay_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    path = write(tmp_path, "chr1\t1\t5\t1\nchr1\t2\t6\t1\n")
    with pytest.raises(InputError):
        open_signal(path, "bedgraph", SIZES)
    assert list((tmp_path / "tmp").iterdir()) == []
