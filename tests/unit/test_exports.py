"""The field's own files written from ours."""

import json

import pandas as pd
import pytest

from seqmill.config.project import Project
from seqmill.exports.conventions import export_folds, export_targets
from seqmill.formats.folds import read_fold
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import write_rows


def rows_of(folder, folds):
    """Rows part of a toy dataset: one window on each (contig, fold)."""
    n = len(folds)
    order = sorted(folds, key=lambda item: ["train", "valid", "test"].index(item[1]))
    table = pd.DataFrame(
        {
            "genome": ["g"] * n,
            "contig": [contig for contig, _ in order],
            "start": range(n),
            "end": range(10, 10 + n),
            "strand": 1,
            "pool": "tiles",
            "fold": [fold for _, fold in order],
            "group": "",
            "name": "",
            "source_row": range(n),
        }
    )
    runs = {"0": {"train": ["train"], "valid": ["valid"], "test": ["test"]}}
    write_rows(
        folder, name="d", rows=table, dropped=pd.DataFrame(columns=["stage", "reason", "pool", "fold", "count"]),
        runs=runs, window_bp=10, margin_bp=0, reverse_complement=True, bootstrap_unit="contig",
    )  # fmt: skip
    return folder


def test_folds_of_whole_contigs(tmp_path):
    rows = rows_of(
        tmp_path / "d.zarr" / "rows", [("chr1", "train"), ("chr2", "train"), ("chr3", "valid"), ("chr4", "test")]
    )
    (path,) = export_folds(rows, tmp_path / "folds")
    assert path.name == "fold_0.json"
    assert read_fold(path) == {"train": ["chr1", "chr2"], "valid": ["chr3"], "test": ["chr4"]}
    assert list(json.loads(path.read_text())) == ["train", "valid", "test"]


def test_a_split_inside_contigs_has_no_fold_file(tmp_path):
    rows = rows_of(tmp_path / "d.zarr" / "rows", [("chr1", "train"), ("chr1", "test")])
    with pytest.raises(InputError, match=r"contig chr1 has windows in test, train: no split by whole contigs"):
        export_folds(rows, tmp_path / "folds")
    assert not (tmp_path / "folds").exists()


def test_targets_of_a_sheet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tracks.tsv").write_text("track\tlocation\tclip\nx\tx.bw\t32\np\tp.bed\t\n")
    project = Project.of({"genomes": {"g": {"fasta": "g.fa"}}, "tracks": {"sheet": "tracks.tsv"}}, "config.yaml")
    export_targets(project, tmp_path / "targets.txt")
    lines = [line.split("\t") for line in (tmp_path / "targets.txt").read_text().splitlines()]
    assert [line[1:3] for line in lines[1:]] == [["x", "x.bw"], ["p", "p.bed"]]
    assert lines[1][lines[0].index("clip")] == "32"
    assert lines[2][lines[0].index("sum_stat")] == "peak"
