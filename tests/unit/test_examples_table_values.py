"""Classes, shares, successes and trials in sequence tables; datasets without targets."""

import numpy as np
import pytest
from pydantic import ValidationError
from tests.unit.example_worlds import World

from seqmill.config.datasets import Dataset, Target
from seqmill.runtime.errors import InputError

HEADER = "sequence\tsite\ta\tb\tc\thits\treads\n"


def dataset_of(file, targets, **windows) -> Dataset:
    return Dataset(
        windows={"kind": "table", "files": [{"path": file, "format": "tsv"}], "length_bp": 4, **windows},
        targets=targets,
        split={"kind": "blocks", "test": 0.2, "inner_valid": 0},
    )


def write(folder, *rows: str):
    file = folder / "t.tsv"
    file.write_text(HEADER + "".join("\t".join(row.split()).replace("-", "") + "\n" for row in rows))
    return file


def built(folder, targets, *rows: str):
    """The dataset, and its targets in the order of the file."""
    reader = World(folder).build("t", dataset_of(write(folder, *rows), targets), {key: [] for key in targets})
    order = np.argsort(reader.rows()["source_row"].to_numpy())
    return reader, {key: reader.read(f"targets/{key}", 0, reader.n)[order] for key in targets}, order


def test_classes_are_one_hot_and_sorted(tmp_path):
    rows = ["AAAA EI - - - 1 1", "CCCC N - - - 1 1", "GGGG IE - - - 1 1", "ACGT EI - - - 1 1", "AACC - - - - 1 1"]
    targets = {
        "site": {"kind": "class", "column": "site"},
        "given": {"kind": "class", "column": ["site"], "classes": ["N", "IE", "EI", "other"]},
        "reads": {"kind": "count", "column": "reads"},
    }
    reader, values, order = built(tmp_path, targets, *rows)
    site = reader.targets["site"]
    assert (site.kind, site.tracks, site.shape_per_example, site.dtype) == ("class", ("EI", "IE", "N"), (3,), "uint8")
    assert values["site"].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert reader.read("mask/site", 0, 5)[order].tolist() == [[True] * 3] * 4 + [[False] * 3]
    assert reader.targets["given"].tracks == ("N", "IE", "EI", "other")
    assert values["given"][:4].argmax(axis=1).tolist() == [2, 0, 1, 2]


def test_numbers_as_classes_are_sorted_as_numbers(tmp_path):
    rows = [f"{sequence} {label} - - - 1 1" for sequence, label in (("AAAA", "10"), ("CCCC", "2.0"), ("GGGG", "2"))]
    reader, values, _ = built(tmp_path, {"site": {"kind": "class", "column": "site"}}, *rows)
    assert reader.targets["site"].tracks == ("2", "10")
    assert values["site"].tolist() == [[0, 1], [1, 0], [1, 0]]


def test_the_label_of_a_file_can_be_the_class(tmp_path):
    files = []
    for label, sequence in ((0, "AAAA"), (1, "CCCC"), (2, "GGGG")):
        path = tmp_path / f"{label}.fa"
        path.write_text(f">x\n{sequence}\n>y\n{sequence[:2]}TT\n")
        files.append({"path": path, "label": label})
    section = Dataset(
        windows={"kind": "table", "files": files, "length_bp": 4},
        targets={"y": {"kind": "class"}},
        split={"kind": "blocks", "test": 0.2, "inner_valid": 0},
    )
    reader = World(tmp_path).build("t", section, {"y": []})
    order = np.argsort(reader.rows()["source_row"].to_numpy())
    assert reader.read("targets/y", 0, 6)[order].argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2]


def test_shares_and_successes(tmp_path):
    rows = ["AAAA - 0.2 0.3 0.5 3 7", "CCCC - 1 0 0 0 0", "GGGG - .333 .333 .333 2 -", "ACGT - - - - 7 7"]
    targets = {
        "psi": {"kind": "distribution", "column": ["a", "b", "c"]},
        "methylated": {"kind": "beta_binomial", "column": ["hits", "reads"]},
    }
    reader, values, _ = built(tmp_path, targets, *rows)
    assert reader.targets["psi"].tracks == ("a", "b", "c")
    np.testing.assert_allclose(values["psi"][:3], [[0.2, 0.3, 0.5], [1, 0, 0], [0.333] * 3], rtol=1e-6)
    assert np.isnan(values["psi"][3]).all()
    spec = reader.targets["methylated"]
    assert (spec.axes, spec.shape_per_example, spec.tracks) == (("example", "count", "tracks"), (2, 1), ("hits",))
    np.testing.assert_array_equal(values["methylated"][:, :, 0], [[3, 7], [0, 0], [np.nan, np.nan], [7, 7]])


def test_a_dataset_without_targets(tmp_path):
    reader, _, _ = built(tmp_path, {}, "AAAA - - - - - -", "CCCC - - - - - -", "GGGG - - - - - -")
    assert (reader.n, reader.targets, list(reader.inputs)) == (3, {}, ["sequence"])


@pytest.mark.parametrize(
    ("target", "row", "message"),
    [
        ({"kind": "class", "column": "site"}, "CCCC EI - - - 1 1", r"t.tsv: target y: 1 class\(es\) \(EI\), expected"),
        ({"kind": "class", "column": "nope"}, "CCCC N - - - 1 1", r"t.tsv:2: target y: column 'nope' missing, found"),
        (
            {"kind": "class", "column": "site", "classes": ["EI", "IE"]},
            "CCCC N - - - 1 1",
            r"t.tsv:3: target y: class 'N' is none of: EI, IE",
        ),
        (
            {"kind": "distribution", "column": ["a", "b", "c"]},
            "CCCC N .2 .3 .4 1 1",
            r"t.tsv:3: target y: shares sum to 0.9, expected 1",
        ),
        (
            {"kind": "distribution", "column": ["a", "b", "c"]},
            "CCCC N .2 - .8 1 1",
            r"t.tsv:3: target y: column 'b' is empty; give all shares or none",
        ),
        (
            {"kind": "distribution", "column": ["a", "b", "c"]},
            "CCCC N 1.5 0 0 1 1",
            r"target y has the value 1.5; kind 'distribution' takes 0 to 1",
        ),
        (
            {"kind": "beta_binomial", "column": ["hits", "reads"]},
            "CCCC N - - - 5 4",
            r"t.tsv:3: target y: 5 successes \('hits'\) of 4 trials",
        ),
    ],
)
def test_refused_values(tmp_path, target, row, message):
    file = write(tmp_path, "AAAA EI .5 .5 0 1 1", row)
    with pytest.raises(InputError, match=message):
        World(tmp_path).build("t", dataset_of(file, {"y": target}), {"y": []})
    assert not (tmp_path / "datasets/t.zarr/targets").exists()


def test_negative_counts_are_refused(tmp_path):
    file = tmp_path / "t.tsv"
    file.write_text("sequence\thits\treads\nAAAA\t1\t2\nCCCC\t-1\t4\n")
    target = {"y": {"kind": "beta_binomial", "column": ["hits", "reads"]}}
    with pytest.raises(InputError, match=r"t.tsv:3: target y has the value -1; kind 'beta_binomial' takes 0 or more"):
        World(tmp_path).build("t", dataset_of(file, target), {"y": []})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "class", "tracks": "all"}, "kind 'class' is for sequence tables: give 'column', not 'tracks'"),
        ({"kind": "class", "column": ["a", "b"]}, "kind 'class' takes one column, found 2"),
        ({"kind": "distribution", "column": "a"}, "kind 'distribution' takes two or more columns"),
        ({"kind": "beta_binomial", "column": ["a", "b", "c"]}, "kind 'beta_binomial' takes pairs of columns"),
        ({"kind": "class", "classes": ["a", "a"]}, "'classes' names each class of a target of kind 'class' once"),
        ({"kind": "binary", "classes": ["a", "b"]}, "'classes' names each class of a target of kind 'class' once"),
    ],
)
def test_refused_targets(settings, message):
    with pytest.raises(ValidationError, match=message):
        Target(**settings)


def test_splice_junctions(test_data, tmp_path):
    """UCI splice junctions: 3,190 sequences of 60 bp of classes EI, IE and N."""
    section = Dataset(
        windows={
            "kind": "table",
            "files": [
                {
                    "path": test_data / "tasks/splice_uci/splice.txt",
                    "format": "csv",
                    "columns": ["site", "instance", "bases"],
                }
            ],
            "sequence_column": "bases",
            "name_column": "instance",
            "length_bp": 60,
        },
        targets={"site": {"kind": "class", "column": "site"}},
        split={"kind": "folds", "k": 5},
        reverse_complement=False,
    )
    reader = World(tmp_path).build("splice", section, {"site": []})
    assert reader.targets["site"].tracks == ("EI", "IE", "N")
    one_hot = reader.read("targets/site", 0, reader.n)
    assert set(one_hot.sum(axis=1)) == {1}
    labels = [line.split(",")[0] for line in (test_data / "tasks/splice_uci/splice.txt").read_text().splitlines()]
    found = dict(zip(reader.targets["site"].tracks, one_hot.sum(axis=0).tolist()))
    kept = [labels[row] for row in reader.rows()["source_row"]]
    assert found == {name: kept.count(name) for name in ("EI", "IE", "N")}
    assert reader.n > 3000
