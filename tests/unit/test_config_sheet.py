"""The track sheet: what is read, what is refused, and the words of each refusal."""

from pathlib import Path

import pytest

from seqmill.config.names import check_label, label_of, slug
from seqmill.config.sheet import guess_format, read_sheet, write_as_targets
from seqmill.runtime.errors import InputError

HEADER = "track\tsource\tlocation\tassay\n"


def sheet(folder: Path, text: str | bytes) -> Path:
    path = folder / "tracks.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_defaults_follow_from_the_row(tmp_path):
    rows = "a b\tlocal\tx.bw\tDNase-seq\nm\tlocal\ty.bw\tWGBS\np\tlocal\tz.narrowPeak.gz\tChIP-seq\n"
    signal, methylation, peaks = read_sheet(sheet(tmp_path, HEADER + rows))
    assert (signal.track, signal.format, signal.kind, signal.missing, signal.bin_bp) == (
        "a b",
        "bigwig",
        "signal",
        "zero",
        None,
    )
    assert methylation.missing == "nan"
    assert (peaks.format, peaks.kind) == ("narrowpeak", "intervals")


def test_bom_windows_lines_and_comments_are_accepted(tmp_path):
    text = "\ufeff" + (HEADER + "# a comment\t\t\t\nx\tlocal\tx.bw\t\n").replace("\n", "\r\n")
    assert [track.track for track in read_sheet(sheet(tmp_path, text))] == ["x"]


def test_location_expands_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQMILL_X", "/data")
    track = read_sheet(sheet(tmp_path, HEADER + "x\tlocal\t${SEQMILL_X}/x.bw\t\n"))[0]
    assert track.path == Path("/data/x.bw")
    monkeypatch.delenv("SEQMILL_X")
    with pytest.raises(InputError, match=r"track x: \$\{SEQMILL_X\}/x.bw: the environment variable is not set"):
        track.path  # noqa: B018


def test_strand_pair_names_the_index_not_the_row(tmp_path):
    text = "\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription\n"
    text += "7\tA+\ta.bw\t384\t64\t0.5\tsum_sqrt\t9\tCAGE:x\n8\tB\tb.bw\t\t\t\tmean\t8\tDNASE:y\n"
    text += "9\tA-\tc.bw\t384\t64\t1\tsum_sqrt\t7\tCAGE:x\n"
    plus, middle, minus = read_sheet(sheet(tmp_path, text))
    assert (plus.strand_pair, middle.strand_pair, minus.strand_pair) == ("A-", "", "A+")
    assert (plus.aggregate, plus.transform, plus.clip, plus.clip_soft, plus.scale) == ("sum", "sqrt", 384, 64, 0.5)
    assert (plus.strand, middle.strand, minus.strand) == ("+", ".", "-")


def test_own_sheet_pairs_by_name_or_index(tmp_path):
    by_name = "track\tlocation\tstrand_pair\nA+\ta.bw\tA-\nA-\tb.bw\tA+\n"
    assert [t.strand_pair for t in read_sheet(sheet(tmp_path, by_name))] == ["A-", "A+"]
    by_index = "index\ttrack\tlocation\tstrand_pair\n5\tA+\ta.bw\t3\n3\tA-\tb.bw\t5\n"
    assert [t.strand_pair for t in read_sheet(sheet(tmp_path, by_index))] == ["A-", "A+"]


REFUSED = {
    "missing column": (
        "name\tfile\nx\ty\n",
        r"tracks.tsv:1: column 'track' missing; found: name, file; is it tab-separated UTF-8\?",
    ),
    "commas": (
        "track,location\nx,x.bw\n",
        r"column 'track' missing; found: track,location; columns are separated by commas, use tabs",
    ),
    "spaces": (
        "track  location  assay\nx  x.bw  a\n",
        r"column 'track' missing; found: track  location  assay; columns are separated by spaces, use tabs",
    ),
    "utf-16": ((HEADER + "x\tlocal\tx.bw\t\n").encode("utf-16"), r"is UTF-16; save it as tab-separated UTF-8"),
    "latin-1": (HEADER.encode() + b"\xe9\tlocal\tx.bw\t\n", r"not UTF-8 \(byte \d+\)"),
    "nul": (HEADER + "x\0\tlocal\tx.bw\t\n", r"tracks.tsv:2: holds NUL characters"),
    "empty": ("", r"is empty; expected a header line"),
    "no tracks": (HEADER, r"0 tracks; expected at least one line below the header"),
    "ragged": (HEADER + "x\tlocal\tx.bw\n", r"tracks.tsv:2: 3 columns, the header has 4; use tabs"),
    "typo in column": ("track\tlocation\tasay\nx\tx.bw\t\n", r"unknown column 'asay'; did you mean 'assay'\?"),
    "column twice": ("track\tlocation\ttrack\nx\tx.bw\tx\n", r"column 'track' given twice"),
    "same id": (HEADER + "x\tlocal\tx.bw\t\nx\tlocal\ty.bw\t\n", r"id 'x' is given twice \(lines 2 and 3\)"),
    "case-fold": (
        HEADER + "K562\tlocal\tx.bw\t\nk562\tlocal\ty.bw\t\n",
        r"id 'k562' and 'K562' collide on case-insensitive disks",
    ),
    "path as id": (
        HEADER + "../../etc/x\tlocal\tx.bw\t\n",
        r"tracks.tsv:2: id '../../etc/x' must start with a letter or digit",
    ),
    "folder in id": (HEADER + "a/b\tlocal\tx.bw\t\n", r"tracks.tsv:2: id 'a/b' must start with"),
    "no id": (HEADER + "\tlocal\tx.bw\t\n", r"tracks.tsv:2: id '' must start with"),
    "script as id": (HEADER + "</script>\tlocal\tx.bw\t\n", r"tracks.tsv:2: id '</script>' must start with"),
    "option as id": (HEADER + "-rf\tlocal\tx.bw\t\n", r"id '-rf' must start with"),
    "markup as id": (
        HEADER + "<img src=x onerror=alert(1)>\tlocal\tx.bw\t\n",
        r"id '<img src=x onerror=alert\(1\)>' must",
    ),
    "device as id": (HEADER + "CON\tlocal\tx.bw\t\n", r"id 'CON' must"),
    "long id": (HEADER + "x" * 300 + "\tlocal\tx.bw\t\n", r"at most 128"),
    "spreadsheet date": (HEADER + "1-Mar\tlocal\tx.bw\t\n", r"id '1-Mar' looks mangled by a spreadsheet"),
    "spreadsheet number": (HEADER + "2.31E+13\tlocal\tx.bw\t\n", r"id '2.31E\+13' looks mangled by a spreadsheet"),
    "no location": (
        HEADER + "x\tlocal\t\t\n",
        r"tracks.tsv:2: track x: location is empty; give the path of its file",
    ),
    "other column for the file": (
        "track\tlocation\taccession\nx\tx.bw\tENCFF000ABC\n",
        r"tracks.tsv:1: unknown column 'accession'",
    ),
    "partners in one file": (
        "track\tlocation\tstrand_pair\nx\tx.bw\ty\ny\tx.bw\tx\n",
        r"tracks x and y are strands of one another, but one file: x.bw",
    ),
    "format": (HEADER + "x\tlocal\tx.txt\t\n", r"tracks.tsv:2: format of 'x.txt' not known; expected one of bigwig"),
    "number": ("track\tlocation\tclip\nx\tx.bw\tlow\n", r"tracks.tsv:2: column 'clip': .*found 'low'"),
    "choice": ("track\tlocation\tmissing\nx\tx.bw\tnone\n", r"column 'missing': .*found 'none'"),
    "partner": ("track\tlocation\tstrand_pair\nx\tx.bw\ty\n", r"track x: strand_pair 'y' is no track of the sheet"),
    "one-sided pair": (
        "track\tlocation\tstrand_pair\nx\tx.bw\ty\ny\ty.bw\t\n",
        r"track x: strand_pair is y, whose own is empty",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_sheets(case, tmp_path):
    text, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        read_sheet(sheet(tmp_path, text))


def test_a_missing_sheet_or_a_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="track sheet does not exist"):
        read_sheet(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="track sheet is not a regular readable file"):
        read_sheet(tmp_path)


@pytest.mark.parametrize("label", ["CNhs10608+", "LNG.IMR90 ", "GTEX-132QS-2526-SM-62LFJ.1", "a (b) c-"])
def test_labels_survive_as_slugs(label):
    assert check_label(label, "x") == label
    assert label_of(slug(label)) == label
    assert "/" not in slug(label) and " " not in slug(label)


def test_formats_by_file_name():
    found = [
        guess_format(name)
        for name in ("x.bigWig", "x.bedgraph.gz", "x.fragments.tsv.gz", "x.bam", "x.broadPeak", "x.w5")
    ]
    assert found == ["bigwig", "bedgraph", "fragments", "bam", "broadpeak", ""]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("enformer_targets_human", 5313),
        ("enformer_targets_mouse", 1643),
        ("borzoi_targets_human", 7611),
        ("borzoi_targets_mouse", 2608),
    ],
)
def test_published_sheets_are_read_whole(name, rows, tmp_path, test_data):
    import gzip

    path = tmp_path / f"{name}.txt"
    path.write_bytes(gzip.decompress((test_data / "papers" / f"{name}.txt.gz").read_bytes()))
    tracks = read_sheet(path)
    assert len(tracks) == rows
    by_name = {track.track: track for track in tracks}
    for track in tracks:
        if track.strand_pair:
            assert by_name[track.strand_pair].strand_pair == track.track
    paired = sum(bool(track.strand_pair) for track in tracks)
    assert (paired > 0) == name.startswith("borzoi")


@pytest.mark.parametrize("name", ["borzoi_targets_human.txt.gz", "enformer_targets_mouse.txt.gz", "basset_targets.txt"])
def test_published_sheets_survive_being_written_as_targets(name, tmp_path, test_data):
    tracks = read_sheet(test_data / "papers" / name)
    write_as_targets(tmp_path / "targets.txt", tracks)
    again = read_sheet(tmp_path / "targets.txt")
    changed = {"description", "assay", "biosample", "format"}  # .w5 files and names without a colon
    assert [t.model_dump(exclude=changed) for t in again] == [t.model_dump(exclude=changed) for t in tracks]


def test_an_aggregate_that_targets_cannot_say_is_refused(tmp_path):
    tracks = read_sheet(sheet(tmp_path, "track\tlocation\taggregate\nx\tx.bw\tmin\n"))
    with pytest.raises(InputError, match=r"targets.txt:x: targets.txt has no sum_stat for min then none"):
        write_as_targets(tmp_path / "targets.txt", tracks)
