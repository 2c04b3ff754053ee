"""Methylation datasets: neighbours against a slow search, and that no site knows its own call."""

import csv
import gzip

import numpy as np
import pytest
from tests.unit.example_worlds import World, random_sequence

from seqmill.config.datasets import Dataset
from seqmill.config.sources import Genome
from seqmill.examples.kinds import input_names
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import build_genome

SPLIT = {"kind": "chromosomes", "test": ["c"], "valid": ["b"]}


def section(calls, split=SPLIT, window_bp=101, neighbours=3, **target) -> Dataset:
    windows = {"kind": "methylation", "window_bp": window_bp, "calls": calls, "neighbours": neighbours}
    targets = {"state": {"kind": "binary", **target}}
    return Dataset(genomes=["toy"], windows=windows, targets=targets, split=split)


def slow_neighbours(calls, contig, position, cell, count):
    """calls: (contig, position) -> list of states (text). Nearest first, left then right, own CpG left out."""
    result = []
    for side in (-1, 1):
        found = []
        for (other, at), states in calls.items():
            distance = (at - position) * side
            if other == contig and distance > 1 and states[cell] != "":
                found.append((distance, int(states[cell])))
        found.sort()
        found += [(0, 2)] * count
        result += found[:count]
    return result


def cpg_world(folder, rng):
    """Three contigs with a CpG every few bases; calls of four cells, on both strands of some sites."""
    sequences, calls = {}, {}
    for contig in "abc":
        text = random_sequence(rng, 900, "AT")
        for position in sorted(rng.choice(np.arange(60, 840, 3), 60, replace=False).tolist()):
            text = text[:position] + "CG" + text[position + 2 :]
            for at in (position, position + 1) if rng.random() < 0.2 else (position,):
                calls[contig, at] = rng.choice(["", "", "0", "1"], 4).tolist()
        sequences[contig] = text
    world = World(folder).genome("toy", sequences)
    lines = ["contig\tpos0\tw\tx\ty\tz"]
    lines += ["\t".join([contig, str(at), *states]) for (contig, at), states in calls.items()]
    (folder / "calls.tsv").write_text("\n".join(lines) + "\n")
    return world, calls


def test_every_value_equals_the_slow_search(tmp_path):
    world, calls = cpg_world(tmp_path, np.random.default_rng(8))
    dataset = section(tmp_path / "calls.tsv")
    assert input_names(dataset) == ["sequence", "neighbour_states", "neighbour_distances"]
    reader = world.build("m", dataset, {"state": []})
    rows = reader.rows()
    sites = {key for key, states in calls.items() if any(states)}
    assert {(row.contig, row.start + 50) for row in rows.itertuples()} == sites
    assert rows.groupby("fold")["contig"].unique().map(list).to_dict() == {
        "train": ["a"],
        "valid": ["b"],
        "test": ["c"],
    }
    states, distances = (
        reader.read("inputs/neighbour_states", 0, reader.n),
        reader.read("inputs/neighbour_distances", 0, reader.n),
    )
    labels, mask = reader.read("targets/state", 0, reader.n), reader.read("mask/state", 0, reader.n)
    codes = reader.read("inputs/sequence", 0, reader.n)
    assert states.shape == distances.shape == (reader.n, 4, 6)
    for i, row in enumerate(rows.itertuples()):
        position = row.start + 50
        assert codes[i].tolist() == ["ACGT".index(x) for x in world.sequences["toy"][row.contig][row.start : row.end]]
        own = calls[row.contig, position]
        assert mask[i].tolist() == [state != "" for state in own]
        assert labels[i].tolist() == [int(state or 0) for state in own]
        for cell in range(4):
            expected = slow_neighbours(calls, row.contig, position, cell, 3)
            assert list(zip(distances[i, cell].tolist(), states[i, cell].tolist())) == expected


def test_a_target_is_never_among_its_own_neighbours(tmp_path):
    world, _ = cpg_world(tmp_path, np.random.default_rng(9))
    before = world.build("m", section(tmp_path / "calls.tsv"), {"state": []})
    rows = before.rows()
    row, changed = rows.iloc[0], rows.iloc[0]["start"] + 50
    lines = (tmp_path / "calls.tsv").read_text().splitlines()
    flip = {"": "", "0": "1", "1": "0"}
    for number, line in enumerate(lines[1:], 1):
        cells = line.split("\t")
        if cells[0] == row["contig"] and abs(int(cells[1]) - changed) <= 1:
            lines[number] = "\t".join([*cells[:2], *(flip[state] for state in cells[2:])])
    (tmp_path / "calls.tsv").write_text("\n".join(lines) + "\n")
    after = world.build("m2", section(tmp_path / "calls.tsv"), {"state": []})
    for key in ("neighbour_states", "neighbour_distances"):
        one, other = (reader.read(f"inputs/{key}", 0, reader.n) for reader in (before, after))
        np.testing.assert_array_equal(one[0], other[0])
    assert (
        before.read("inputs/neighbour_states", 0, before.n) != after.read("inputs/neighbour_states", 0, after.n)
    ).any()
    assert (before.read("targets/state", 0, 1) != after.read("targets/state", 0, 1)).any()


def test_cells_can_be_chosen(tmp_path):
    world, _ = cpg_world(tmp_path, np.random.default_rng(10))
    whole = world.build("m", section(tmp_path / "calls.tsv"), {"state": []})
    some = world.build("s", section(tmp_path / "calls.tsv", column=["z", "x"]), {"state": []})
    assert some.targets["state"].tracks == ("z", "x")
    np.testing.assert_array_equal(
        some.read("targets/state", 0, some.n), whole.read("targets/state", 0, whole.n)[:, [3, 1]]
    )


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        ("contig\tpos\tx\n", SPLIT, "expected columns contig, pos0 and one a cell"),
        ("contig\tpos0\tx\na\tone\t1\n", SPLIT, "calls.tsv:2: pos0 \\['one'\\] is not a position"),
        ("contig\tpos0\tx\na\t100\t0.5\n", SPLIT, "calls.tsv:2: state '0.5' is none of 0, 1 and empty"),
        ("contig\tpos0\tx\na\t100\t1\t1\n", SPLIT, "calls.tsv:2: 2 states for 1 cells"),
        ("contig\tpos0\tx\na\t100\t1\na\t100\t1\n", SPLIT, "a:100 comes twice"),
        ("contig\tpos0\tx\na\t9000\t1\n", SPLIT, "a:9000 is past the end"),
        ("contig\tpos0\tx\n", SPLIT, "0 records"),
        ("contig\tpos0\tx\nq\t1\t1\n", SPLIT, "no contig is in the genome"),
        (
            "contig\tpos0\tx\na\t100\t1\n",
            SPLIT,
            "no site is left; .* no CpG at the position; are the positions 0-based",
        ),
        (None, {"kind": "chromosomes", "test": ["c"]}, "neighbouring calls allow whole contigs only"),
        (None, {"kind": "folds", "k": 2, "by": "blocks", "block_bp": 300}, "whole contigs only"),
    ],
)
def test_bad_settings(tmp_path, text, split, message):
    world, _ = cpg_world(tmp_path, np.random.default_rng(8))
    if text is not None:
        (tmp_path / "calls.tsv").write_text(text)
        if "100\t1\n" in text and "no CpG" in message:
            world.genome("toy", dict.fromkeys("abc", "AT" * 450))
    with pytest.raises(InputError, match=message):
        world.build("bad", section(tmp_path / "calls.tsv", split=split), {"state": []})
    assert not (tmp_path / "datasets/bad.zarr/rows").exists()


def test_mouse_cells(test_data, tmp_path):
    folder = test_data / "modalities/methylation/scbs_mouse30/mm10_windows"
    world = World(tmp_path)
    build_genome(world.genome_store("toy"), name="toy", genome=Genome(fasta=folder / "windows.fa.gz"))
    split = {"kind": "chromosomes", "test": ["chr17_35118412_35249484"], "inner_valid": 0.15}
    reader = world.build("mouse", section(folder / "calls.tsv.gz", split, 501, 5), {"state": []})
    assert reader.n > 800
    assert len({part["fold"] for part in reader.parts}) == 3
    assert reader.rows().groupby("contig")["fold"].nunique().max() == 1
    with gzip.open(folder / "calls.tsv.gz", "rt") as handle:
        lines = list(csv.reader(handle, delimiter="\t"))[1:]
    calls = {(line[0], int(line[1])): line[2:] for line in lines}
    states, distances = (
        reader.read("inputs/neighbour_states", 0, reader.n),
        reader.read("inputs/neighbour_distances", 0, reader.n),
    )
    labels, mask = reader.read("targets/state", 0, reader.n), reader.read("mask/state", 0, reader.n)
    for i, row in list(enumerate(reader.rows().itertuples()))[::40]:
        own = calls[row.contig, row.start + 250]
        assert mask[i].tolist() == [state != "" for state in own]
        assert labels[i].tolist() == [int(state or 0) for state in own]
        for cell in range(0, 30, 7):
            expected = slow_neighbours(calls, row.contig, row.start + 250, cell, 5)
            assert list(zip(distances[i, cell].tolist(), states[i, cell].tolist())) == expected


def test_files_of_cells_give_what_a_table_of_them_gives(tmp_path):
    """Bismark files of single cells, both strands listed, against the same states as one table."""
    rng = np.random.default_rng(11)
    world, calls = cpg_world(tmp_path, rng)
    table, files = {}, {cell: [] for cell in "wxyz"}
    for (contig, at), states in calls.items():
        place = at - (world.sequences["toy"][contig][at] == "G")
        row = table.setdefault((contig, place), [[0, 0] for _ in range(4)])
        for cell, state in enumerate(states):
            if state:
                methylated = int(rng.integers(0, 4))
                row[cell][0] += methylated
                row[cell][1] += 3
                line = [contig, at + 1, at + 1, f"{methylated / 0.03:.3f}", methylated, 3 - methylated]
                files["wxyz"[cell]].append("\t".join(map(str, line)) + "\n")
    lines = ["contig\tpos0\tw\tx\ty\tz"]
    for (contig, at), row in table.items():
        states = ["" if not total or 2 * m == total else str(int(2 * m > total)) for m, total in row]
        lines.append("\t".join([contig, str(at), *states]))
    (tmp_path / "table.tsv").write_text("\n".join(lines) + "\n")
    for cell, text in files.items():
        (tmp_path / f"{cell}.bismark.cov").write_text("".join(text))
    one = world.build("t", section(tmp_path / "table.tsv"), {"state": []})
    two = world.build("f", section([tmp_path / f"{cell}.bismark.cov" for cell in "wxyz"]), {"state": []})
    assert two.targets["state"].tracks == ("w", "x", "y", "z")
    order = [reader.rows().sort_values(["contig", "start"]).index.to_numpy() for reader in (one, two)]
    for key in (
        "inputs/sequence",
        "inputs/neighbour_states",
        "inputs/neighbour_distances",
        "targets/state",
        "mask/state",
    ):
        arrays = [reader.read(key, 0, reader.n)[rows] for reader, rows in zip((one, two), order)]
        np.testing.assert_array_equal(*arrays)


def test_files_of_cells_need_names_of_their_own(tmp_path):
    world, _ = cpg_world(tmp_path, np.random.default_rng(12))
    with pytest.raises(InputError, match="cell 'a' comes twice: name files differently"):
        world.build("m", section([tmp_path / "a.cov", tmp_path / "a.allc"]), {"state": []})
