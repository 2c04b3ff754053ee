"""What others read of a map: bigWig and arrays read back by other libraries, pictures by their pixels."""

import gzip

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from matplotlib.image import imread
from tests.unit import effects_world as world
from tests.unit.network_toys import target

from seqmill.effects.maps import pictures as map_pictures
from seqmill.effects.maps import stretches as map_stretches
from seqmill.effects.maps import values as map_values
from seqmill.effects.maps.files import write_map_files
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import read_marker
from seqmill.stores.maps import MapReader, MapWriter, shapes
from seqmill.stores.verify import verify

# Regions 0 and 1 share chr1:110-120; region 2 is shorter, region 3 on the other contig.
REGIONS = [("chr1", 100, 120), ("chr1", 110, 130), ("chr1", 40_000, 40_012), ("chr2", 5, 25)]


def write_map(folder, genome_name="toy", edits=("substitutions",), tracks=2, picture=10, regions=REGIONS, name="a\tb"):
    """A map of random effects, and what was put into it: path -> list of arrays of the regions."""
    rng = np.random.default_rng(0)
    text = world.genome_text()
    specs = {"level": target("level", tracks, "quantity"), "bound": target("bound", 1)}
    length = max(end - start for _, start, end in regions)
    attrs = {
        "model": "net", "genome": genome_name, "spaces": {"level": "value", "bound": "logit"}, "picture": picture,
        "models": {"net/0.0": 3, "net/0.1": 3}, "both_strands": True, "shifts_bp": [0], "runs": "unseen",
    }  # fmt: skip
    kept: dict[str, list[np.ndarray]] = {}
    with MapWriter(folder, "m", attrs, length=length, edits=edits, targets=specs, spread=False) as writer:
        for contig, start, end in regions:
            codes = world.codes_of(text[contig][start:end])
            arrays = {"sequence": codes, "reference/level": np.zeros(tracks), "reference/bound": np.zeros(1)}
            for path, shape in shapes(end - start, edits, specs).items():
                values = rng.normal(size=shape).astype(np.float32)
                if path.startswith("substitutions"):
                    values[np.arange(end - start), codes] = 0
                if (contig, start) == ("chr2", 5):
                    values[3] = np.nan  # as at N
                arrays[path] = values
            for path, values in arrays.items():
                kept.setdefault(path, []).append(values)
            row = {"genome": genome_name, "contig": contig, "start": start, "end": end, "runs": 2}
            writer.append(row | {"name": name, "strand": -1, "window_start": start - 20}, arrays)
    return kept


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return world.write_genome(tmp_path_factory.mktemp("genome"))


def slow_values(kept, path, track, signed):
    """(contig, position) -> the values of all regions that cover it, by loops."""
    found: dict[tuple[str, int], list[float]] = {}
    for (contig, start, end), effects, codes in zip(REGIONS, kept[path], kept["sequence"]):
        for at in range(end - start):
            values = effects[at, ..., track]
            if path.startswith("substitutions"):
                values = [values[base] for base in range(4) if base != codes[at]]
            values = np.atleast_1d(np.array(values, np.float64))
            value = -values.mean() if signed else np.abs(values).mean()
            if not np.isnan(value):
                found.setdefault((contig, start + at), []).append(value)
    return {place: np.mean(values) for place, values in found.items()}


def check_bigwig(path, expected):
    with pyBigWig.open(str(path)) as handle:
        assert handle.chroms() == {"chr1": world.CHR1, "chr2": world.CHR2}
        found = {
            (contig, at): value
            for contig in ("chr1", "chr2")
            for start, end, value in handle.intervals(contig)
            for at in range(start, end)
        }
    assert set(found) == set(expected)
    np.testing.assert_allclose([found[place] for place in expected], list(expected.values()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("edits", [("substitutions", "deletions"), ("deletions", "insertions"), ("insertions",)])
def test_bigwigs_hold_the_mean_effect_of_every_base(tmp_path, genome, edits):
    kept = write_map(tmp_path / "m.zarr", edits=edits, picture=0)
    write_map_files(tmp_path / "m.files", map_folder=tmp_path / "m.zarr", genome=genome)
    for track, name in enumerate(("t0", "t1")):
        expected = slow_values(kept, f"{edits[0]}/level", track, False)
        assert ("chr2", 8) not in expected and len(expected) == 30 + 12 + 19
        check_bigwig(tmp_path / f"m.files/level/{name}.bw", expected)
        check_bigwig(tmp_path / f"m.files/level/signed/{name}.bw", slow_values(kept, f"{edits[0]}/level", track, True))
    attrs = read_marker(tmp_path / "m.files", noun="map-files").attrs
    assert attrs["edit"] == edits[0] and attrs["tracks"] == {"level": ["t0", "t1"], "bound": ["t0"]}
    assert (tmp_path / "m.files/level.shap.npz").exists() is (edits[0] == "substitutions")


def test_many_tracks_are_written_in_groups(tmp_path, genome, monkeypatch):
    kept = write_map(tmp_path / "m.zarr", tracks=7, picture=0)
    monkeypatch.setattr("seqmill.effects.maps.files.SLAB_BYTES", 8 * 4 * 20 * 3)  # 3 tracks, 1 region
    write_map_files(tmp_path / "m.files", map_folder=tmp_path / "m.zarr", genome=genome)
    for track in range(7):
        path = tmp_path / f"m.files/level/t{track}.bw"
        check_bigwig(path, slow_values(kept, "substitutions/level", track, False))
    assert not list((tmp_path / "m.files/level").glob("*.npz"))
    found = np.load(tmp_path / "m.files/level.shap.npz")["arr_0"]
    expected = kept["substitutions/level"][0].mean(axis=-1)
    np.testing.assert_allclose(found[0], (expected - expected.mean(axis=1, keepdims=True)).T, atol=1e-6)


def test_arrays_for_motif_discovery(tmp_path, genome):
    """As tf-modisco reads them: (region, ACGT, position), key arr_0; zeros where nothing is known."""
    kept = write_map(tmp_path / "m.zarr", picture=0)
    write_map_files(tmp_path / "m.files", map_folder=tmp_path / "m.zarr", genome=genome)
    sequences = np.load(tmp_path / "m.files/level.ohe.npz")["arr_0"]
    mean = np.load(tmp_path / "m.files/level.shap.npz")["arr_0"]
    each = [np.load(tmp_path / f"m.files/level/t{track}.shap.npz")["arr_0"] for track in (0, 1)]
    assert sequences.shape == mean.shape == (4, 4, 20)
    for number, (codes, effects) in enumerate(zip(kept["sequence"], kept["substitutions/level"])):
        expected = np.zeros((4, 20))
        expected[codes, np.arange(len(codes))] = 1
        np.testing.assert_array_equal(sequences[number], expected)
        for track in (0, 1):
            hypothetical = np.zeros((4, 20))
            for at in range(len(codes)):
                hypothetical[:, at] = np.nan_to_num(effects[at, :, track] - effects[at, :, track].mean())
            np.testing.assert_allclose(each[track][number], hypothetical, atol=1e-6)
        np.testing.assert_allclose(mean[number], (each[0][number] + each[1][number]) / 2, atol=1e-6)
    assert np.isfinite(mean).all() and not mean[2, :, 12:].any() and not mean[3, :, 3].any()


def test_regions_as_bed(tmp_path, genome):
    kept = write_map(tmp_path / "m.zarr", picture=0)
    write_map_files(tmp_path / "m.files", map_folder=tmp_path / "m.zarr", genome=genome)
    lines = [line.split("\t") for line in (tmp_path / "m.files/regions.bed").read_text().splitlines()]
    strongest = []
    for number in range(4):
        sizes = [np.abs(kept[f"substitutions/{name}"][number]).sum(axis=1) / 3 for name in ("level", "bound")]
        strongest.append(max(np.nanmax(size) for size in sizes))
    for line, (contig, start, end), value in zip(lines, REGIONS, strongest, strict=True):
        assert line[:4] == [contig, str(start), str(end), "a b"] and line[5:7] == ["-", "2"]
        assert float(line[7]) == pytest.approx(value, rel=1e-4)
        assert int(line[4]) == round(1000 * value / max(strongest))


@pytest.mark.slow
def test_pictures_of_the_first_regions(tmp_path, genome):
    write_map(tmp_path / "maps/m.zarr", picture=2, name="<b>$x^2$\x00")
    write_map_files(tmp_path / "maps/m.files", map_folder=tmp_path / "maps/m.zarr", genome=genome)
    attrs = read_marker(tmp_path / "maps/m.files").attrs
    assert [each["file"] for each in attrs["pictures"]] == ["pictures/1.png", "pictures/2.png"]
    assert attrs["pictures"][1] == {
        "file": "pictures/2.png", "region": "<b>$x^2$\x00", "contig": "chr1", "start": 110, "end": 130,
    }  # fmt: skip
    for number in (1, 2):
        pixels = imread(tmp_path / f"maps/m.files/pictures/{number}.png")
        assert pixels.shape[1] >= 1000 and pixels.std() > 0.05
    first = read_marker(tmp_path / "maps/m.files").digest
    write_map_files(tmp_path / "maps/m.files", map_folder=tmp_path / "maps/m.zarr", genome=genome)
    assert read_marker(tmp_path / "maps/m.files").digest == first
    assert verify(tmp_path / "maps") == []


def test_another_genome_is_refused(tmp_path, genome):
    write_map(tmp_path / "m.zarr", genome_name="hg38", picture=0)
    with pytest.raises(InputError) as caught:
        write_map_files(tmp_path / "m.files", map_folder=tmp_path / "m.zarr", genome=genome)
    assert str(caught.value) == f"{genome}: is genome toy, map {tmp_path}/m.zarr is on hg38"
    assert not (tmp_path / "m.files").exists()


def test_the_strongest_stretch():
    values = np.array([0, 1, 0, -3, 2, np.nan, 0, 4.5, 0])
    assert map_pictures.strongest(values, 2) == 3
    assert map_pictures.strongest(values, 1) == 7
    assert map_pictures.strongest(values, 20) == 0


def test_long_regions_are_drawn_by_their_strongest_effects():
    values = np.zeros((2998, 1))
    values[1500], values[1501], values[2997] = 1, -2, 5
    found = map_pictures._strongest_of_each(values, 2998)
    assert found.shape == (1000, 1)
    assert found[500, 0] == -2 and found[999, 0] == 5 and np.count_nonzero(np.nan_to_num(found)) == 2


def test_rows_of_a_picture():
    effects = {"level": np.ones((5, 4, 2)) * [1, 3], "bound": np.zeros((5, 4, 1))}
    tracks = {"level": ("a", "b"), "bound": ("bound",)}
    spaces = {"level": "value", "bound": "logit"}
    rows = list(map_pictures.rows_of(effects, tracks, spaces))
    assert [row.title for row in rows] == ["level: a", "level: b", "bound"]
    assert rows[2].scale == "difference of the logit"
    rows = list(map_pictures.rows_of(effects, tracks, spaces, most=2))
    assert [row.title for row in rows] == ["level: mean over 2 tracks", "bound"]
    assert (rows[0].effects == 2).all() and rows[0].effects.shape == (5, 4)


def test_writers_refuse_what_is_incomplete(tmp_path):
    specs = {"bound": target("bound", 1)}
    with (
        pytest.raises(ValueError, match=r"m: arrays \['sequence'\], expected \['reference/bound', 'sequence', 'subst"),
        MapWriter(
            tmp_path / "m.zarr", "m", {}, length=3, edits=["substitutions"], targets=specs, spread=False
        ) as writer,
    ):
        writer.append({}, {"sequence": np.zeros(3, np.uint8)})
    assert not (tmp_path / "m.zarr").exists()


def test_a_region_range_is_read_alone(tmp_path):
    kept = write_map(tmp_path / "m.zarr", picture=0)
    reader = MapReader(tmp_path / "m.zarr")
    found = reader.read("substitutions/level", 1, 3)
    assert found.shape == (2, 20, 4, 2)
    np.testing.assert_array_equal(found[1, :12], kept["substitutions/level"][2])


def test_bytes_do_not_depend_on_how_much_is_held(tmp_path, genome, monkeypatch):
    """Through the scratch file, region by region: the files are those that are written from memory."""
    apart = [("chr1", 100 + 30 * number, 120 + 30 * number) for number in range(9)] + [("chr2", 5, 25)]
    write_map(tmp_path / "m.zarr", picture=0, regions=apart)
    found = {}
    for name, size in (("memory", 100_000_000), ("scratch", 800)):
        monkeypatch.setattr("seqmill.effects.maps.files.SLAB_BYTES", size)
        out = tmp_path / name / "m.files"
        write_map_files(out, map_folder=tmp_path / "m.zarr", genome=genome, exports=["bedgraph", "positions"])
        found[name] = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        found[name].pop("run.json")
    assert found["memory"] == found["scratch"]
    assert "level/signed/t1.bedgraph.gz" in found["memory"] and "level/t0.shap.npz" in found["memory"]


def test_npz_is_that_of_numpy(tmp_path):
    values = np.random.default_rng(0).normal(size=(7, 4, 30)).astype(np.float32)
    with map_values.npz_stream(tmp_path / "ours.npz", values.shape, np.float32) as write:
        for block in np.array_split(values, 3):
            write(block)
    np.savez_compressed(tmp_path / "theirs.npz", arr_0=values)
    assert (tmp_path / "ours.npz").read_bytes() == (tmp_path / "theirs.npz").read_bytes()


def test_bedgraph_holds_what_the_bigwig_holds(tmp_path, genome):
    kept = write_map(tmp_path / "m.zarr", picture=0)
    write_map_files(tmp_path / "m.files", map_folder=tmp_path / "m.zarr", genome=genome, exports=["bedgraph"])
    for folder, signed in (("level", False), ("level/signed", True)):
        text = gzip.decompress((tmp_path / f"m.files/{folder}/t1.bedgraph.gz").read_bytes()).decode()
        rows = [line.split("\t") for line in text.splitlines()]
        found = {(row[0], at): float(row[3]) for row in rows for at in range(int(row[1]), int(row[2]))}
        expected = slow_values(kept, "substitutions/level", 1, signed)
        assert set(found) == set(expected)
        np.testing.assert_allclose([found[key] for key in expected], list(expected.values()), rtol=1e-5, atol=1e-6)
    assert not (tmp_path / "m.files/positions.bed").exists()


def test_stretches_that_stand_out(tmp_path):
    """Median .1, robust deviation about .015; a stretch with a gap in it, a lone base, a region of one value."""
    sizes = np.tile(np.array([0.09, 0.1, 0.11], np.float32), (2, 20))
    sizes[0, [10, 11, 14, 30]] = [0.5, 2.0, 0.7, 3.0]
    sizes[0, 40:] = np.nan
    sizes[1] = 0.1
    signed = -sizes
    regions = pd.DataFrame({"contig": ["chr2", "chr1"], "start": [100, 5]})
    (line,) = map_stretches.stretches(regions, sizes, signed, "a\tb|t")
    assert (line.contig, line.start, line.end, line.label) == ("chr2", 110, 115, "a\tb|t")
    assert line.largest == 2.0 and line.signed == pytest.approx(-np.mean(sizes[0, 10:15]))
    known = sizes[0, :40]
    spread = 1.4826 * np.median(np.abs(known - np.median(known)))
    assert line.deviations == pytest.approx((2 - np.median(known)) / spread)
    other = line._replace(contig="chr1", start=7, end=12, largest=1.0)
    map_stretches.write_stretches(tmp_path / "p.bed", [line, other], ["chr1", "chr2"])
    rows = [row.split("\t") for row in (tmp_path / "p.bed").read_text().splitlines()]
    assert [row[:6] for row in rows] == [
        ["chr1", "7", "12", "a b|t", "500", "."],
        ["chr2", "110", "115", "a b|t", "1000", "."],
    ]
