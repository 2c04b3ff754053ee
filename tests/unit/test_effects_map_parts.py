"""Maps that are interrupted, divided among jobs or cut into tiles: the same bits, every base once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit import effects_world as world

from seqmill.config.effects import Map
from seqmill.effects.maps import state as map_state
from seqmill.effects.maps.build import build_map
from seqmill.effects.maps.parts import gather_map
from seqmill.effects.maps.state import groups_of, part_of
from seqmill.effects.maps.tiles import window_starts
from seqmill.effects.mutagenesis import Mutagenesis
from seqmill.runtime.errors import DamageError, InputError
from seqmill.runtime.marker import read_marker
from seqmill.stores.maps import MapReader
from seqmill.stores.verify import verify

pytestmark = pytest.mark.slow

BED = "".join(f"chr1\t{start}\t{start + 5 + start % 7}\tr{start}\n" for start in range(40_000, 40_900, 75))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A genome, a dataset and two runs on it, of a network whose batches are of 16."""
    folder = tmp_path_factory.mktemp("parts")
    genome, dataset = world.write_genome(folder), world.write_dataset(folder)
    first = world.train(folder, dataset, "0", 0, hidden=(4,))
    world.another(first, "1", 0)
    return folder, genome, dataset


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(map_state, "GROUP_BATCHES", 2)


def build(made, out, bed=BED, *, runs=("0.0", "1.0"), state=None, part=None, **section):
    folder, genome, dataset = made
    out.parent.mkdir(parents=True, exist_ok=True)
    if "contigs" not in section:
        section["regions"] = out.parent / "regions.bed"
        section["regions"].write_text(bed)
    build_map(
        out, name="m", section=Map(model="net", **section), genome=genome, prediction=world.PLAIN,
        models=[folder / f"models/net/{run}" for run in runs], datasets=[dataset], state=state, part=part,
    )  # fmt: skip
    return out


def files(folder):
    """Every file of a noun but the run record, which tells times."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(name): (folder / name).read_bytes() for name in names if name.name != "run.json"}


class Broken(Exception):
    pass


def test_an_interrupted_map_goes_on_and_ends_with_the_same_bytes(made, tmp_path, monkeypatch):
    """Stopped in its fifth group, then with one group torn: what is whole is not made again."""
    plain = build(made, tmp_path / "plain/m.zarr", edits=["substitutions", "deletions"])
    state, out, asked = tmp_path / "state", tmp_path / "killed/m.zarr", []
    original = Mutagenesis.effects

    def counted(self, stretches, progress=None, limit=4):
        asked.append(len(stretches))
        if len(asked) == limit + 1:
            raise Broken
        return original(self, stretches, progress)

    monkeypatch.setattr(Mutagenesis, "effects", counted)
    with pytest.raises(Broken):
        build(made, out, edits=["substitutions", "deletions"], state=state)
    assert not out.exists() and len(list(state.glob("*.npz"))) == 4
    torn = state / "000001.npz"
    torn.write_bytes(torn.read_bytes()[:-1])
    total = len(asked) - 1
    asked.clear()
    monkeypatch.setattr(Mutagenesis, "effects", lambda *given: counted(*given, limit=-2))
    build(made, out, edits=["substitutions", "deletions"], state=state)
    again = len(asked)
    asked.clear()
    build(made, tmp_path / "counted/m.zarr", edits=["substitutions", "deletions"])
    assert again == len(asked) - total + 1
    assert files(out) == files(plain) and not state.exists() and verify(out) == []


def test_groups_of_another_map_are_not_taken(made, tmp_path, monkeypatch):
    """Another network, other edits or another region start anew."""
    state = tmp_path / "state"
    monkeypatch.setattr(map_state.GroupStore, "delete", lambda self: None)
    build(made, tmp_path / "a/m.zarr", state=state)
    found = {}
    for name, more in {
        "run": {"runs": ("0.0",)},
        "edits": {"edits": ["deletions"]},
        "bed": {"bed": BED.partition("r40600")[0] + "r\n"},
    }.items():
        made_so = build(made, tmp_path / f"{name}/m.zarr", state=state, **more)
        found[name] = files(made_so) == files(build(made, tmp_path / f"{name}2/m.zarr", **more))
    assert found == dict.fromkeys(found, True)


@pytest.mark.parametrize("parts", [3, 40])
def test_parts_become_the_map_that_one_job_makes(made, tmp_path, parts):
    """More parts than groups leave some empty."""
    whole = build(made, tmp_path / "whole/m.zarr", targets=["level"])
    stores = [
        build(made, tmp_path / f"parts/{number + 1}of{parts}.zarr", targets=["level"], part=(number, parts))
        for number in (range(parts) if parts < 40 else [0, 13, 39])
    ]
    if parts == 40:
        assert [read_marker(store).attrs["n"] for store in stores].count(0) >= 1
        with pytest.raises(DamageError, match="part 1 of 40 of another map, expected part 1 of 3"):
            gather_map(tmp_path / "m.zarr", name="m", parts=stores)
        return
    gather_map(tmp_path / "gathered/m.zarr", name="m", parts=stores[::-1])
    assert files(tmp_path / "gathered/m.zarr") == files(whole)
    assert verify(stores[0]) == []
    with pytest.raises(DamageError):  # a part is no map
        MapReader(stores[0])


def test_a_region_gets_what_it_gets_alone(made, tmp_path):
    """Neighbours in a batch do not matter, nor do bounds of groups."""
    together = MapReader(build(made, tmp_path / "m.zarr"))
    line = BED.splitlines()[7]
    alone = MapReader(build(made, tmp_path / "one/m.zarr", line + "\n"))
    for target in together.targets:
        found = together.read(f"substitutions/{target}", 7, 8)[:, : alone.length]
        np.testing.assert_allclose(found, alone.read(f"substitutions/{target}"), atol=1e-6)


def test_tiles_edit_every_base_once(made, tmp_path):
    """Overlapping regions are joined; windows stay inside the contig; tiles of N are left out."""
    places = [
        "1\t40000\t40110\tlong",
        "1\t40100\t40130\tother",
        "1\t50000\t50160\tn",
        "2\t0\t70\tedge",
        "2\t290\t300\tlast",
    ]
    bed = "".join(f"chr{place}\t0\t-\n" for place in places)
    found = MapReader(build(made, tmp_path / "m.zarr", bed, tile_bp=25, runs=("0.0",)))
    rows = found.regions
    places = {(row.contig, at) for row in rows.itertuples() for at in range(row.start, row.end)}
    assert sum(rows["end"] - rows["start"]) == len(places)
    text = world.genome_text()
    wanted = {("chr1", at) for at in [*range(40_000, 40_130), *range(50_000, 50_160)]}
    wanted |= {("chr2", at) for at in [*range(70), *range(290, 300)]}
    assert {(contig, at) for contig, at in wanted if text[contig][at] != "N"} <= places <= wanted
    assert ("chr1", 50_050) not in places  # in a tile of N alone
    assert (rows["end"] - rows["start"]).max() == found.length == 25
    assert rows["name"].tolist()[-1] == "last" and rows["strand"].tolist()[-1] == -1
    assert rows["name"].tolist()[0] == "chr1:40000-40025" and rows["strand"].tolist()[0] == 0
    size = rows["contig"].map({"chr1": world.CHR1, "chr2": world.CHR2})
    assert (rows["window_start"] >= 0).all() and (rows["window_start"] + world.BP <= size).all()
    inner = rows[rows["contig"] == "chr1"]
    assert ((inner["start"] + inner["end"]) // 2 - world.BP // 2 == inner["window_start"]).all()
    assert found.attrs["tile_bp"] == 25 and found.attrs["seen_tiles_left_out"] == 0
    # near the end of a contig an edit is scored in the window that is pushed inside
    edge = MapReader(build(made, tmp_path / "edge/m.zarr", "chr2\t18\t43\n", runs=("0.0",)))
    assert edge.regions["window_start"].tolist() == [0]
    first = found.read("substitutions/level")[(rows["contig"] == "chr2").to_numpy()]
    np.testing.assert_allclose(first[0, 18:25], edge.read("substitutions/level")[0, :7], atol=1e-5)


def test_whole_contigs(made, tmp_path, caplog):
    """All of chr2; of chr1 what no run saw, and the rest is counted."""
    found = MapReader(build(made, tmp_path / "m.zarr", contigs=["chr2"], tile_bp=40))
    assert [(row.start, row.end) for row in found.regions.itertuples()] == [
        (at, min(at + 40, 300)) for at in range(0, 300, 40)
    ]
    assert found.attrs["source"] == "contigs"
    short = build(made, tmp_path / "b/m.zarr", "chr1\t38000\t38120\nchr1\t45000\t45040\n", tile_bp=40)
    assert MapReader(short).attrs["seen_tiles_left_out"] == 2  # row chr1:38000-38060 validates both folds
    assert "2 of 4 tiles are left out" in caplog.text
    with pytest.raises(InputError, match=r"contigs: genome toy has no chr9; it has chr1, chr2"):
        build(made, tmp_path / "c/m.zarr", contigs=["chr9"], tile_bp=40)
    with pytest.raises(InputError, match=r"maps\.m: tile_bp 61 is more than the 60 bp that the network sees"):
        build(made, tmp_path / "d/m.zarr", contigs="all", tile_bp=61)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "needs either 'regions'"),
        ({"contigs": "all"}, "'contigs' needs 'tile_bp'"),
        ({"windows": 3, "tile_bp": 20}, "'tile_bp' cuts 'regions' or 'contigs'"),
        ({"windows": 3, "contigs": ["chr1"], "tile_bp": 9}, "needs either 'regions'"),
    ],
)
def test_sections_that_contradict_themselves(section, message):
    with pytest.raises(ValueError, match=message):
        Map(model="net", **section)


@given(st.lists(st.integers(1, 300), max_size=40), st.integers(1, 30), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_groups_and_parts_cover_all_regions_once(edits, batch, parts):
    groups = groups_of(edits, batch)
    assert [at for start, stop in groups for at in range(start, stop)] == list(range(len(edits)))
    assert all(sum(edits[start:stop]) >= map_state.GROUP_BATCHES * batch for start, stop in groups[:-1])
    assert [n for part in range(parts) for n in part_of(groups, part, parts)] == list(range(len(groups)))


@given(st.integers(1, 500), st.integers(1, 200), st.data())
@settings(max_examples=100, deadline=None)
def test_windows_hold_their_tiles(size, window, data):
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, min(size, start + window)))
    (first,) = window_starts(np.array([start]), np.array([end]), np.array([size]), window)
    assert first <= start and end <= first + window
    assert size < window or (first >= 0 and first + window <= size)
