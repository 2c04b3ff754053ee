"""Territories, the kinds of splits, inner parts, and the independent audit."""

import json

import numpy as np
import pandas as pd
import pytest

from seqmill.config.datasets import Split
from seqmill.examples.audit import check_extents, foreign_copies
from seqmill.examples.splits import make_plan
from seqmill.examples.table_split import split_table
from seqmill.examples.territory import BORDER, NOWHERE, Territory, Windows
from seqmill.runtime.errors import InputError, SeqmillError

SIZES = {("toy", f"chr{i}"): 40_000 for i in range(1, 7)}


def windows(step=200, extent=600, margin=50, sizes=SIZES):
    starts = {place: np.arange(margin, size - extent, step, dtype=np.int64) for place, size in sizes.items()}
    return Windows(starts, extent, margin)


def plan_of(split, sizes=SIZES, **options):
    wins = windows(sizes=sizes, **options)
    return make_plan(Split(**split), sizes, wins, "datasets.d"), wins


def folds_by_contig(plan, wins):
    """Contig -> fold names of its windows, '' for none and '|' for a border."""
    names = {NOWHERE: "", BORDER: "|", **dict(enumerate(plan.folds))}
    return {place[1]: {names[i] for i in plan.assign(place, *wins.extents(place)).tolist()} for place in wins.starts}


def test_a_window_belongs_to_a_piece_as_a_whole():
    territory = Territory.of([(10, 20, 0), (20, 30, 1), (30, 40, 1)], 50)
    assert territory.bounds.tolist() == [0, 10, 20, 40, 50]
    assert territory.folds.tolist() == [NOWHERE, 0, 1, NOWHERE]
    starts, ends = np.array([10, 15, 20, 25, 19, 0, 35, 40]), np.array([20, 21, 40, 35, 20, 10, 41, 50])
    assert territory.assign(starts, ends).tolist() == [0, BORDER, 1, 1, 0, NOWHERE, BORDER, NOWHERE]
    carved = territory.carve(15, 35, 1, 2)
    assert carved.bounds.tolist() == [0, 10, 20, 35, 40, 50]
    assert carved.folds.tolist() == [NOWHERE, 0, 2, 1, NOWHERE]


def test_chromosomes():
    plan, wins = plan_of({"kind": "chromosomes", "test": ["chr6"], "valid": ["toy:chr5"]})
    found = folds_by_contig(plan, wins)
    assert found["chr6"] == {"test"}
    assert found["chr5"] == {"valid"}
    assert all(found[f"chr{i}"] == {"train"} for i in range(1, 5))
    assert plan.runs == {"0": {"train": ["train"], "valid": ["valid"], "test": ["test"]}}


def test_without_valid_an_inner_part_of_each_contig_is_set_aside():
    plan, wins = plan_of({"kind": "chromosomes", "test": ["chr6"], "inner_valid": 0.2})
    train, valid, _ = plan.counts(wins)
    assert valid == pytest.approx(0.2 * (train + valid), rel=0.15)
    found = folds_by_contig(plan, wins)
    assert found["chr6"] == {"test"}
    for i in range(1, 6):  # one stretch, not single windows
        fold = plan.assign(("toy", f"chr{i}"), *wins.extents(("toy", f"chr{i}")))
        inner = np.flatnonzero(fold == plan.folds.index("valid"))
        assert np.all(np.diff(inner) == 1)


def test_with_ten_contigs_the_inner_part_is_whole_contigs():
    sizes = {("toy", f"c{i}"): 5_000 for i in range(21)}
    plan, wins = plan_of({"kind": "chromosomes", "test": ["c0"], "inner_valid": 0.1}, sizes=sizes)
    found = folds_by_contig(plan, wins)
    assert sum(parts == {"valid"} for parts in found.values()) == 2
    assert sum(parts == {"train"} for parts in found.values()) == 18


@pytest.mark.parametrize("by", ["contig", "blocks"])
def test_folds_use_every_window_once_for_testing(by):
    block = {"block_bp": 5_000} if by == "blocks" else {}
    plan, wins = plan_of({"kind": "folds", "k": 3, "by": by, **block})
    assert plan.folds == ["0", "1", "2", "0.valid", "1.valid", "2.valid"]
    assert plan.runs["1"] == {"train": ["0", "2"], "valid": ["0.valid", "2.valid"], "test": ["1", "1.valid"]}
    tested = [fold for run in plan.runs.values() for fold in run["test"]]
    assert sorted(tested) == sorted(plan.folds)
    counts = plan.counts(wins)
    assert max(counts[:3]) < 1.3 * min(counts[:3])


def test_blocks_take_their_share():
    plan, wins = plan_of({"kind": "blocks", "test": 0.25, "valid": 0.1, "block_bp": 2_000})
    train, valid, test = plan.counts(wins)
    total = train + valid + test
    assert test / total == pytest.approx(0.25, abs=0.04)
    assert valid / total == pytest.approx(0.1, abs=0.04)


def test_regions(tmp_path):
    bed = tmp_path / "regions.bed"
    bed.write_text(
        "# comment\nchr1\t1000\t9000\ttrain\nchr1\t9000\t20000\thold\n2\t0\t5000\thold\nother\t0\t9\ttrain\n"
    )
    split = {"kind": "regions", "file": bed, "rename": {"hold": "test"}, "territory": "region"}
    plan, wins = plan_of(split)
    found = folds_by_contig(plan, wins)
    assert found["chr1"] == {"", "train", "valid", "test", "|"}
    assert found["chr2"] == {"test", "", "|"}
    assert found["chr3"] == {""}
    bed.write_text("chr1\t1000\t9000\ttrain\nchr2\t0\t5000\ttest\n")
    plan, wins = plan_of({**split, "territory": "contig"})
    assert folds_by_contig(plan, wins)["chr2"] == {"test"}


def test_fold_file_of_chrombpnet(tmp_path):
    file = tmp_path / "fold_0.json"
    file.write_text(json.dumps({"test": ["chr1"], "valid": ["chr2"], "train": ["3", "chr4", "chrX"]}))
    plan, wins = plan_of({"kind": "fold_file", "file": file})
    found = folds_by_contig(plan, wins)
    assert [found[f"chr{i}"] for i in range(1, 6)] == [{"test"}, {"valid"}, {"train"}, {"train"}, {""}]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"kind": "given"}, "'given' is for sequence tables"),
        ({"kind": "chromosomes"}, "split.test must be a list of contigs where kind is 'chromosomes', found None"),
        (
            {"kind": "chromosomes", "test": ["chr9"]},
            "contig 'chr9' of the split is in no genome; the genome has chr1, chr2",
        ),
        ({"kind": "chromosomes", "test": ["chr1"], "valid": ["chr1"]}, "chr1 is in split.test and in split.valid"),
        ({"kind": "chromosomes", "test": [f"chr{i}" for i in range(1, 7)]}, "no window in part 'train'"),
        ({"kind": "folds", "k": 7}, "6 contig unit\\(s\\) hold windows, too few for split.k 7; use split.by: blocks"),
        ({"kind": "folds", "by": "row"}, "split.by 'row' is for tables"),
        ({"kind": "blocks", "test": 1.5}, "must be a fraction between 0 and 1 where kind is 'blocks', found 1.5"),
        ({"kind": "blocks", "test": 0.5, "valid": 0.5}, "leave something for training"),
        (
            {"kind": "blocks", "test": 0.2, "block_bp": 700},
            "block_bp 700 is shorter than two window extents \\(1200 bp\\)",
        ),
        ({"kind": "regions"}, "needs split.file"),
    ],
)
def test_splits_that_cannot_be(split, message):
    with pytest.raises(InputError, match=message):
        plan_of(split)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t5\n", "regions.bed:1: expected contig, start, end and part"),
        ("chr1\t5\tx\ttrain\n", "regions.bed:1: expected contig, start, end and part"),
        ("chr1\t0\t900\ttrain\nchr1\t9\t9\ttrain\n", "regions.bed:2: start 9 and end 9 are not a region"),
        ("chr1\t0\t9\tfold7\n", "part 'fold7' is none of train, valid, test; map it with split.rename"),
        ("chr1\t0\t50000\ttrain\n", "ends past the contig \\(40,000 bp\\)"),
        (
            "chr1\t0\t900\ttrain\nchr1\t800\t1000\ttest\n",
            "regions.bed:2: region chr1:800-1000 overlaps one of another part",
        ),
        ("", "0 records"),
    ],
)
def test_bad_region_files(tmp_path, text, message):
    bed = tmp_path / "regions.bed"
    bed.write_text(text)
    with pytest.raises(InputError, match=message):
        plan_of({"kind": "regions", "file": bed, "territory": "region"})


def test_the_audit_sees_one_shared_base():
    rows = pd.DataFrame(
        {
            "genome": ["a"] * 4,
            "contig": ["c", "c", "c", "d"],
            "start": [0, 50, 160, 40],
            "end": [100, 150, 260, 140],
            "fold": ["train", "train", "test", "test"],
        }
    )
    check_extents(rows, 5)
    with pytest.raises(SeqmillError, match="windows of different folds overlap on a c"):
        check_extents(rows, 6)


def test_copies_stay_in_the_lowest_part_only():
    keys = [b"x", b"y", b"x", b"z", b"x", b"z"]
    ranks = np.array([2, 2, 0, 1, 0, 2])
    assert foreign_copies(keys, ranks).tolist() == [True, False, False, False, False, True]


def test_table_units_stay_together():
    units = np.repeat(np.arange(40), 3)
    folds, number, runs = split_table(Split(kind="folds", k=4), [""] * 120, units, "d")
    assert folds == ["0", "1", "2", "3", "0.valid", "1.valid", "2.valid", "3.valid"]
    assert all(len(set(number[units == unit].tolist())) == 1 for unit in range(40))
    assert runs["2"]["test"] == ["2", "2.valid"]
    folds, number, _ = split_table(Split(kind="blocks", test=0.25, inner_valid=0.2), [""] * 120, units, "d")
    assert [int(n) for n in np.bincount(number)] == [72, 18, 30]
    assert all(len(set(number[units == unit].tolist())) == 1 for unit in range(40))


@pytest.mark.parametrize(
    ("split", "given", "message"),
    [
        ({"kind": "given"}, "", "part '' is none of train, valid, test; give 'fold' with each file"),
        ({"kind": "given"}, "test", "leaves no row for training"),
        ({"kind": "chromosomes", "test": ["a"]}, "", "split.kind 'chromosomes' is for genomes"),
        ({"kind": "folds", "k": 9}, "", "4 units to split, too few for split.k 9"),
        ({"kind": "blocks"}, "", "must be fractions that leave something"),
        ({"kind": "blocks", "test": ["a"]}, "", "must be a fraction between 0 and 1 for a table"),
    ],
)
def test_table_splits_that_cannot_be(split, given, message):
    with pytest.raises(InputError, match=message):
        split_table(Split(**split), [given] * 4, np.arange(4), "datasets.d")
