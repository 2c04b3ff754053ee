"""Datasets of sequence tables: reading, splits, copies, shuffled negatives; toy files and real sets."""

import gzip
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from tests.unit.example_worlds import World, random_sequence

from seqmill.config.datasets import Dataset
from seqmill.examples.kinds import input_names
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader

LETTERS = "ACGTN"


def table(files, targets, split, **more) -> Dataset:
    windows = {key: more.pop(key) for key in list(more) if key not in Dataset.model_fields}
    return Dataset(windows={"kind": "table", "files": files, **windows}, targets=targets, split=split, **more)


def texts_of(reader: DatasetReader) -> list[str]:
    codes = reader.read("inputs/sequence", 0, reader.n)
    return ["".join(LETTERS[c] for c in row) for row in codes]


def dropped_of(reader: DatasetReader) -> dict[str, int]:
    frame = pd.read_csv(reader.folder / "rows/dropped.tsv", sep="\t", keep_default_na=False)
    return frame[frame["stage"] != "kept"].groupby("reason")["count"].sum().to_dict()


def test_inputs_are_known_from_the_configuration():
    y = {"y": {"kind": "quantity", "column": "y"}}
    one = table([{"path": "a.tsv", "format": "tsv"}], y, {"kind": "folds"})
    assert input_names(one) == ["sequence", "length"]
    assert input_names(table([{"path": "a.tsv"}], y, {"kind": "folds"}, length_bp=50)) == ["sequence"]


def test_tsv_with_groups_folds_and_gaps(tmp_path):
    file = tmp_path / "t.tsv.gz"
    rows = [
        ("r0", "ACGT", "g1", "training", "1.5", "0"),
        ("r1", "ACGTT", "g1", "training", "", "1"),
        ("r2", "GGG", "g2", "training", "-2", "NA"),
        ("r3", "CCAA", "g3", "held", "4", "1"),
        ("r4", "CATG", "g4", "dev", "0", "0"),
        ("r5", "NNNN", "g5", "training", "0", "0"),
        ("r6", "TTTT", "g5", "training", "", "."),
    ]
    header = "id\tseq\tgene\tpart\tlevel\tactive\n"
    file.write_bytes(gzip.compress((header + "".join("\t".join(row) + "\n" for row in rows)).encode()))
    section = table(
        [{"path": file, "format": "tsv"}],
        {"level": {"kind": "quantity", "column": "level"}, "on": {"kind": "binary", "column": ["active"]}},
        {"kind": "given", "rename": {"training": "train", "held": "test", "dev": "valid"}},
        sequence_column="seq",
        name_column="id",
        group_column="gene",
        fold_column="part",
    )
    reader = World(tmp_path).build("t", section, {"level": [], "on": []})
    frame = reader.rows()
    got = dict(zip(frame["name"], zip(frame["fold"], frame["group"], frame["source_row"])))
    assert got == {
        "r0": ("train", "g1", 0),
        "r1": ("train", "g1", 1),
        "r2": ("train", "g2", 2),
        "r3": ("test", "g3", 3),
        "r4": ("valid", "g4", 4),
    }
    assert reader.bootstrap_unit == "group"
    assert (frame[["start", "end"]] == -1).all(axis=None)
    by_name = {name: i for i, name in enumerate(frame["name"])}
    texts, lengths = texts_of(reader), reader.read("inputs/length", 0, reader.n)
    level, on = reader.read("targets/level", 0, reader.n)[:, 0], reader.read("targets/on", 0, reader.n)[:, 0]
    mask = reader.read("mask/on", 0, reader.n)[:, 0]
    for name, text, _, _, value, active in rows[:5]:
        i = by_name[name]
        assert texts[i] == text + "N" * (5 - len(text))
        assert lengths[i] == len(text)
        assert np.isnan(level[i]) if value == "" else level[i] == float(value)
        assert mask[i] == (active != "NA")
        assert on[i] == (active == "1")
    dropped = dropped_of(reader)
    assert (dropped["too many N"], dropped["no value"]) == (1, 1)


def test_sequences_are_cut_to_length(tmp_path):
    (tmp_path / "a.fa").write_text(">one x=0.5\nACGTACG\n>two x=1\nTT\n>three x=0\nGGGGG\n")
    section = table(
        [{"path": tmp_path / "a.fa", "label_pattern": r"x=(\S+)", "pool": "long"}],
        {"share": {"kind": "fraction"}},
        {"kind": "blocks", "test": 0.34, "inner_valid": 0},
        length_bp=4,
        max_n_fraction=1,
    )
    reader = World(tmp_path).build("cut", section, {"share": []})
    values = reader.read("targets/share", 0, 3)[:, 0]
    assert dict(zip(texts_of(reader), values.tolist())) == {"ACGT": 0.5, "TTNN": 1, "GGGG": 0}
    assert reader.targets["share"].tracks == ("share",)
    assert reader.pools == ["long"]


def test_rna_reads_u_and_forbids_the_other_strand(tmp_path):
    (tmp_path / "a.txt").write_text("ACGU\nUUUU\nAAAA\n")
    (tmp_path / "y.txt").write_text("1\n0\n1\n")
    section = table(
        [{"path": tmp_path / "a.txt", "format": "lines", "label_file": tmp_path / "y.txt"}],
        {"y": {"kind": "binary"}},
        {"kind": "folds", "k": 3, "inner_valid": 0},
        rna=True,
    )
    reader = World(tmp_path).build("rna", section, {"y": []})
    found = dict(zip(texts_of(reader), reader.read("targets/y", 0, 3)[:, 0].tolist()))
    assert found == {"ACGT": 1, "TTTT": 0, "AAAA": 1}  # UUUU and AAAA are no copies of each other
    assert reader.inputs["sequence"].rc == "forbidden"
    assert not reader.reverse_complement


@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_copies_across_parts_are_counted_and_dropped(tmp_path, duplicates):
    (tmp_path / "train.fa").write_text(">a\nAACCG\n>b\nCGGTT\n>c\nAACCG\n>d\nTTTTT\n>e\nACACA\n")
    (tmp_path / "test.fa").write_text(">t\nAACCG\n>u\nGGGGG\n>v\nGGGGG\n")
    section = table(
        [
            {"path": tmp_path / "train.fa", "fold": "train", "label": 1},
            {"path": tmp_path / "test.fa", "fold": "test", "label": 0},
        ],
        {"y": {"kind": "binary"}},
        {"kind": "given", "inner_valid": 0},
        duplicates=duplicates,
    )
    reader = World(tmp_path).build("copies", section, {"y": []})
    names = set(reader.rows()["name"])
    dropped = dropped_of(reader)
    if duplicates == "drop":  # a and c are copies of t, b is its reverse complement; u and v are in one part
        assert names == {"d", "e", "t", "u", "v"}
        assert dropped["sequence also in another part"] == 3
    else:
        assert len(names) == 8
        assert dropped["sequence also in another part (kept)"] == 3


def dinucleotides(text: str) -> Counter:
    return Counter(text[i : i + 2] for i in range(len(text) - 1))


def test_shuffled_negatives_keep_dinucleotides_and_parts(tmp_path):
    rng = np.random.default_rng(3)
    train = [random_sequence(rng, 40) for _ in range(30)]
    lines = [f">s{i}\n{text}\n" for i, text in enumerate(train)]
    (tmp_path / "pos.fa").write_text("".join(lines))
    (tmp_path / "test.fa").write_text("".join(f">t{i}\n{random_sequence(rng, 40)}\n" for i in range(10)))
    files = [{"path": tmp_path / f"{n}.fa", "fold": f, "label": 1} for n, f in (("pos", "train"), ("test", "test"))]
    section = table(
        files,
        {"y": {"kind": "binary"}},
        {"kind": "given", "inner_valid": 0},
        negatives={"kind": "shuffled", "ratio": 1.5, "folds": ["train"]},
    )
    reader = World(tmp_path).build("shuffled", section, {"y": []})
    rows, texts = reader.rows(), texts_of(reader)
    assert [(p["pool"], p["fold"], p["stop"] - p["start"]) for p in reader.parts] == [
        ("rows", "train", 30),
        ("rows", "test", 10),
        ("negatives", "train", 45),
    ]
    labels = reader.read("targets/y", 0, reader.n)[:, 0]
    assert (labels == (rows["pool"] == "rows")).all()
    seen = set()
    for row, text in zip(rows.itertuples(), texts):
        if row.pool == "negatives":
            source = train[row.source_row]
            assert dinucleotides(text) == dinucleotides(source)
            assert text != source
            seen.add((row.source_row, row.name))
    assert len(seen) == 45
    assert texts_of(World(tmp_path).build("shuffled", section, {"y": []})) == texts


def test_groups_stay_in_one_fold(tmp_path):
    rng = np.random.default_rng(4)
    lines = [f"{random_sequence(rng, 20)},{i % 2},g{i // 4}\n" for i in range(80)]
    (tmp_path / "t.csv").write_text("".join(lines))
    section = table(
        [{"path": tmp_path / "t.csv", "format": "csv", "columns": ["sequence", "y", "gene"]}],
        {"y": {"kind": "binary", "column": "y"}},
        {"kind": "folds", "k": 4, "by": "group"},
        group_column="gene",
    )
    rows = World(tmp_path).build("grouped", section, {"y": []}).rows()
    assert len(rows) == 80
    assert (rows.groupby("group")["fold"].nunique() == 1).all()


BAD = [
    ("a.fa", ">x\nAC\n", {"format": "fasta"}, {"kind": "binary"}, "no row is left; 1 found, dropped: 1 no value"),
    ("a.fa", "", {"format": "fasta", "label": 1}, {"kind": "binary"}, "a.fa: no sequences"),
    ("a.fa", ">x y\nAC\n", {"label_pattern": r"class:(\d)"}, {"kind": "binary"}, "header 'x y' does not match"),
    ("a.fa", ">x\nAC\n", {"label": 2}, {"kind": "binary"}, "target y has the value 2; kind 'binary' takes 0 or 1"),
    ("a.fa", ">x\nAC\n", {"label": 1.5}, {"kind": "fraction"}, "has the value 1.5; kind 'fraction' takes 0 to 1"),
    ("a.fa", ">x\nAC\n", {"label": -1}, {"kind": "count"}, "has the value -1; kind 'count' takes 0 or more"),
    ("a.tsv", "seq\ty\nAC\t1\n", {"format": "tsv"}, {"kind": "binary"}, "column 'sequence' missing, found: seq, y"),
    ("a.tsv", "sequence\ty\nAC\n", {"format": "tsv"}, {"kind": "binary"}, "a.tsv:2: 1 columns, expected 2"),
    (
        "a.tsv",
        "sequence\ty\nAC\thigh\n",
        {"format": "tsv"},
        {"kind": "binary", "column": "y"},
        "'high' is not a number",
    ),
    ("a.tsv", "sequence\ty\nAC\tinf\n", {"format": "tsv"}, {"kind": "quantity", "column": "y"}, "'inf' is not finite"),
    (
        "a.tsv",
        "sequence\ty\nAC\t1\n",
        {"format": "tsv"},
        {"kind": "binary", "column": "z"},
        "column 'z' missing, found",
    ),
    (
        "a.tsv",
        "sequence\ty\nAEC\t1\n",
        {"format": "tsv"},
        {"kind": "binary", "column": "y"},
        "a.tsv:2: 'E' at position 1",
    ),
    ("a.tsv", "sequence\ty\nAUC\t1\n", {"format": "tsv"}, {"kind": "binary", "column": "y"}, "for RNA set windows.rna"),
    ("a.tsv", "sequence\ty\n\t1\n", {"format": "tsv"}, {"kind": "binary", "column": "y"}, "a.tsv:2: empty sequence"),
    ("a.tsv", "sequence\ty\n", {"format": "tsv"}, {"kind": "binary", "column": "y"}, "0 records"),
    ("a.txt", "AC\nGT\n", {"format": "lines"}, {"kind": "profile"}, "targets.y: a table has no profiles"),
]


@pytest.mark.parametrize(("name", "text", "file", "target", "message"), BAD)
def test_bad_tables(tmp_path, name, text, file, target, message):
    (tmp_path / name).write_text(text)
    section = table([{"path": tmp_path / name, **file}], {"y": target}, {"kind": "folds", "k": 2})
    with pytest.raises(InputError, match=message):
        World(tmp_path).build("bad", section, {"y": []})
    assert not (tmp_path / "datasets/bad.zarr/rows").exists()


def test_label_files_must_be_as_long_as_their_sequences(tmp_path):
    (tmp_path / "s.txt").write_text("AC\nGT\n")
    for labels, message in (("1\n", "1 values, but .* has more"), ("1\n0\n1\n", "more values than the 2 sequences")):
        (tmp_path / "y.txt").write_text(labels)
        file = {"path": tmp_path / "s.txt", "format": "lines", "label_file": tmp_path / "y.txt"}
        with pytest.raises(InputError, match=message):
            World(tmp_path).build("l", table([file], {"y": {"kind": "binary"}}, {"kind": "folds", "k": 2}), {"y": []})


def test_a_changed_file_is_refused(tmp_path):
    (tmp_path / "a.fa").write_text("".join(f">{i}\n{'ACGT'[i % 4] * (i + 2)}\n" for i in range(8)))
    section = table([{"path": tmp_path / "a.fa", "label": 1}], {"y": {"kind": "binary"}}, {"kind": "folds", "k": 2})
    world = World(tmp_path)
    rows = world.rows("changed", section)
    (tmp_path / "a.fa").write_text(">x\nACGT\n")
    with pytest.raises(InputError, match="changed since the rows of the dataset were chosen"):
        world.arrays("changed", section, {"y": []}, rows)


@pytest.mark.slow
def test_rbp_set(test_data, tmp_path):
    folder = test_data / "tasks/rbp31_clip/24_PARCLIP_QKI_hg19"
    files = [
        {"path": folder / f"{name}_sample_0.fa.gz", "fold": fold, "label_pattern": r"class:(\d)"}
        for name, fold in (("training", "train"), ("test", "test"))
    ]
    section = table(files, {"bound": {"kind": "binary"}}, {"kind": "given"}, rna=True, length_bp=101)
    reader = World(tmp_path).build("rbp", section, {"bound": []})
    sizes = {part["fold"]: part["stop"] - part["start"] for part in reader.parts}
    assert (
        sum(sizes.values()) + sum(dropped_of(reader)[k] for k in ("too many N", "sequence also in another part"))
        == 40_000
    )
    assert sizes["valid"] == pytest.approx(3_000, rel=0.01)
    with gzip.open(files[1]["path"], "rt") as handle:
        records = handle.read().split(">")[1:]
    truth = [(int(r.splitlines()[0].split("class:")[1]), "".join(r.splitlines()[1:]).upper()) for r in records]
    rows = reader.rows()
    start = next(part["start"] for part in reader.parts if part["fold"] == "test")
    texts = reader.read("inputs/sequence", start, start + 50)
    labels = reader.read("targets/bound", start, start + 50)[:, 0]
    for row, codes, label in zip(rows.iloc[start : start + 50].itertuples(), texts, labels):
        expected, text = truth[row.source_row - 30_000]
        assert label == expected
        assert "".join(LETTERS[c] for c in codes) == text.replace("U", "T")


@pytest.mark.slow
def test_deepbind_set(test_data, tmp_path):
    folder = test_data / "tasks/deepbind_chipseq"
    files = [
        {"path": folder / f"SRF_H1-hESC_SRF_HudsonAlpha_{part}.seq.gz", "format": "tsv", "fold": fold}
        for part, fold in (("AC", "train"), ("B", "test"))
    ]
    section = table(
        files,
        {"bound": {"kind": "binary", "column": "Bound"}},
        {"kind": "given"},
        sequence_column="seq",
        name_column="EventID",
        negatives={"kind": "shuffled", "folds": ["train", "valid"]},
    )
    reader = World(tmp_path).build("deepbind", section, {"bound": []})
    share = {}
    for part in reader.parts:
        labels = reader.read("targets/bound", part["start"], part["stop"])
        share[part["pool"], part["fold"]] = (len(labels), float(labels.mean()))
    assert share["rows", "test"] == (1000, 0.5)
    assert share["rows", "train"][1] == 1
    assert share["negatives", "train"] == (share["rows", "train"][0], 0)
    assert ("negatives", "test") not in share
