"""Calico's targets.txt, Basset lists and ChromBPNet folds: read, refused, written."""

import gzip
import json

import pytest

from seqmill.config.targets import read_targets, write_targets
from seqmill.formats.folds import read_fold, write_fold
from seqmill.runtime.errors import InputError

BORZOI = (
    "\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription\n"
    "10\tCNhs1+\t/x/a+.w5\t768\t384\t0.3\tsum\t12\tCAGE: one, pool\n"
    "12\tCNhs1-\t/x/a-.w5\t768\t384\t0.3\tsum\t10\tCAGE: one, pool\n"
    "14\tLNG.IMR90 \t/x/b.w5\t32\t\t1.0\tmean\t14\t\n"
)


def write(folder, text):
    path = folder / "targets.txt"
    path.write_text(text)
    return path


def test_strand_pairs_name_the_index_and_not_the_row(tmp_path):
    rows = read_targets(write(tmp_path, BORZOI))
    assert [row["index"] for row in rows] == [10, 12, 14]
    assert [row["strand_pair"] for row in rows] == [12, 10, 14]
    assert rows[0] == {
        "index": 10,
        "identifier": "CNhs1+",
        "file": "/x/a+.w5",
        "clip": 768.0,
        "clip_soft": 384.0,
        "scale": 0.3,
        "sum_stat": "sum",
        "strand_pair": 12,
        "description": "CAGE: one, pool",
    }
    assert rows[2]["identifier"] == "LNG.IMR90 "
    assert rows[2]["clip_soft"] is None
    assert rows[2]["description"] is None


def test_enformer_header_with_genome(tmp_path):
    text = (
        "index\tgenome\tidentifier\tfile\tclip\tscale\tsum_stat\tdescription\r\n5313\t1\tE1\tf.bw\t32\t2\tmean\td\r\n"
    )
    (row,) = read_targets(write(tmp_path, text))
    assert (row["index"], row["genome"], row["scale"], row["description"]) == (5313, 1, 2.0, "d")


def test_basset_list(tmp_path):
    rows = read_targets(write(tmp_path, "8988T\ta.narrowPeak.gz\nAoSMC\tb.narrowPeak.gz\n"))
    assert rows == [
        {"index": 0, "identifier": "8988T", "file": "a.narrowPeak.gz"},
        {"index": 1, "identifier": "AoSMC", "file": "b.narrowPeak.gz"},
    ]


def test_what_is_written_is_read_again(tmp_path):
    rows = read_targets(write(tmp_path, BORZOI))
    again = tmp_path / "again.txt"
    write_targets(again, rows)
    assert read_targets(again) == rows
    assert again.read_text().splitlines()[1] == "10\tCNhs1+\t/x/a+.w5\t768\t384\t0.3\tsum\t12\tCAGE: one, pool"


def test_a_tab_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="holds a tab or a line end"):
        write_targets(tmp_path / "x.txt", [{"index": 0, "identifier": "a\tb", "file": "f"}])
    assert not (tmp_path / "x.txt").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": no targets"),
        ("index\tidentifier\tfile\n", ": no targets"),
        ("just one column\n", ":1: expected the columns identifier and file, or a list of name, tab, file; found just"),
        ("index\tidentifier\tpath\n1\ta\tb\n", ":1: expected the columns identifier and file"),
        ("index\tidentifier\tfile\tfile\n0\ta\tb\tc\n", ":1: column 'file' comes twice"),
        ("index\tidentifier\tfile\n0\ta\n", ":2: 2 columns, but the header has 3"),
        ("index\tidentifier\tfile\n0\ta\tf\n0\tb\tf\n", ":3: index 0 comes twice"),
        ("index\tidentifier\tfile\nx\ta\tf\n", ":2: index 'x' is not a number"),
        ("index\tidentifier\tfile\n-1\ta\tf\n", ":2: index '-1' is not a whole number from 0 on"),
        ("index\tidentifier\tfile\n0\ta\t\n", ":2: file is empty"),
        ("index\tidentifier\tfile\tclip\n0\ta\tf\tinf\n", ":2: clip 'inf' is not finite"),
        ("index\tidentifier\tfile\tstrand_pair\n0\ta\tf\t3\n", ":2: strand_pair 3 is not the index of any row"),
        (
            "index\tidentifier\tfile\tstrand_pair\n0\ta\tf\t1\n1\tb\tf\t1\n",
            ":2: strand_pair 1 is not mutual: row 1 names 1, not 0",
        ),
    ],
)
def test_bad_targets(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_targets(path)
    assert str(error.value).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("enformer_targets_human.txt.gz", 5313, 0),
        ("enformer_targets_mouse.txt.gz", 1643, 5313),
        ("borzoi_targets_human.txt.gz", 7611, 0),
        ("borzoi_targets_mouse.txt.gz", 2608, 0),
        ("basset_targets.txt", 164, 0),
        ("akita_targets.txt", 5, 0),
    ],
)
def test_published_sheets(test_data, tmp_path, name, count, first):
    path = test_data / "papers" / name
    rows = read_targets(path)
    assert len(rows) == count
    assert rows[0]["index"] == first
    raw = path.read_bytes()
    raw = (gzip.decompress(raw) if name.endswith("gz") else raw).decode()
    assert [row["identifier"] for row in rows][-1] in raw.splitlines()[-1].split("\t")
    write_targets(tmp_path / "again.txt", rows)
    assert read_targets(tmp_path / "again.txt") == rows


def test_folds(tmp_path):
    parts = {"train": ["chr1", "chr3"], "valid": ["chr8"], "test": ["chr9"]}
    write_fold(tmp_path / "fold_0.json", parts)
    assert read_fold(tmp_path / "fold_0.json") == parts
    with pytest.raises(InputError, match="contig 'chr1' is in two parts"):
        write_fold(tmp_path / "x.json", {**parts, "test": ["chr1"]})
    with pytest.raises(ValueError, match="train, valid and test, not train"):
        write_fold(tmp_path / "x.json", {"train": []})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r": not JSON \("),
        ("[]", ": expected the keys train, valid and test, found list"),
        ('{"train": []}', ": expected the keys train, valid and test, found train"),
        ('{"train": "chr1", "valid": [], "test": []}', ":train: expected a list of contig names"),
        ('{"train": ["chr1"], "valid": [], "test": ["chr1"]}', ": contig 'chr1' is in train and in test"),
    ],
)
def test_bad_folds(tmp_path, text, message):
    path = tmp_path / "fold_0.json"
    path.write_text(text)
    with pytest.raises(InputError, match=str(path) + message):
        read_fold(path)


def test_fold_as_published(tmp_path):
    """The keys come in any order, with tabs or spaces."""
    path = tmp_path / "fold_0.json"
    path.write_text(json.dumps({"test": ["chr1"], "valid": ["chr8"], "train": ["chr2"]}, indent="\t"))
    assert list(read_fold(path)) == ["train", "valid", "test"]
