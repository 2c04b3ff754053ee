"""Maps of toy networks: every number against the weights, runs that may score, regions that cannot be used."""

import logging

import numpy as np
import pytest
from tests.unit import effects_world as world

from seqmill.config.effects import Map
from seqmill.config.models import Prediction
from seqmill.config.sources import Genome
from seqmill.effects.maps.build import build_map
from seqmill.runtime.errors import DamageError, InputError
from seqmill.stores.genome import GenomeReader, build_genome
from seqmill.stores.maps import MapReader
from seqmill.stores.verify import verify


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A genome, a dataset, runs 0.0, 0.1 and 1.0 on it."""
    folder = tmp_path_factory.mktemp("maps")
    genome, dataset = world.write_genome(folder), world.write_dataset(folder)
    first = world.train(folder, dataset, "0", 0)
    for fold, seed in (("0", 1), ("1", 0)):
        world.another(first, fold, seed)
    return folder, genome, dataset


def build(made, out, bed=None, *, runs=("0.0", "0.1", "1.0"), prediction=world.PLAIN, genome=None, **section):
    folder, store, dataset = made
    if bed is not None:
        section["regions"] = out.parent / "regions.bed"
        section["regions"].write_text(bed)
    build_map(
        out, name="m", section=Map(model="net", **section), genome=genome or store,
        models=[folder / f"models/net/{run}" for run in runs], prediction=prediction,
        datasets=[dataset], rows_of=dataset,
    )  # fmt: skip
    return MapReader(out)


def slow_scores(model, sequence):
    """Target -> score (tracks,) of one window of letters."""
    return {
        name: constant + sum(kernel[at, "ACGT".index(x)] for at, x in enumerate(sequence) if x != "N")
        for name, (kernel, constant) in world.weights(model).items()
    }


def slow_effect(model, text, first, at, edit, base):
    """Target -> effect of one edit of the base ``at`` of a contig, window of 60 bp from ``first`` on."""
    padded = "N" * 100 + text + "N" * 100
    low = first + 100
    window, left, right = padded[low : low + 60], padded[low - 1], padded[low + 60]
    place = at - first
    if edit == "substitutions":
        changed = window[:place] + base + window[place + 1 :]
    elif edit == "deletions":
        rest = window[:place] + window[place + 1 :]
        changed = left + rest if place < 30 else rest + right
    else:
        rest = window[:place] + base + window[place:]
        changed = rest[1:] if place < 30 else rest[:-1]
    before, after = slow_scores(model, window), slow_scores(model, changed)
    return {name: after[name] - before[name] for name in before}


BED = "1\t40000\t40012\tfirst one\t7\t-\n1\t1030\t1037\t.\t0\t.\n2\t0\t5\tedge\t.\t+\n1\t25000\t25020\t\t.\t.\n"


def test_every_number_of_a_map(made, tmp_path):
    """Contig "1" of the file is chr1 of the genome; region 2 was seen by the runs of fold 0, region 4 by that of 1."""
    found = build(made, tmp_path / "m.zarr", BED, edits=["insertions", "substitutions", "deletions"])
    regions = found.regions
    assert regions["name"].tolist() == ["first one", "chr1:1030-1037", "edge", "chr1:25000-25020"]
    assert regions["contig"].tolist() == ["chr1", "chr1", "chr2", "chr1"]
    assert regions["strand"].tolist() == [-1, 0, 1, 0] and set(regions["genome"]) == {"toy"}
    assert regions["window_start"].tolist() == [39_976, 1_003, -28, 24_980]
    runs = [["0.0", "0.1", "1.0"], ["1.0"], ["0.0", "0.1", "1.0"], ["0.0", "0.1"]]
    assert regions["runs"].tolist() == [len(each) for each in runs]
    assert found.attrs["models"] == {"net/0.0": 3, "net/0.1": 3, "net/1.0": 3}
    text, length = world.genome_text(), 20
    assert (found.n, found.length) == (4, length)
    paths = [f"{edit}/{name}" for edit in found.edits for name in found.targets]
    arrays = {path: found.read(path) for path in [*paths, *(f"spread/{path}" for path in paths)]}
    sequence = found.read("sequence")
    for number, row in enumerate(regions.itertuples()):
        models = [made[0] / f"models/net/{run}" for run in runs[number]]
        bases = text[row.contig][row.start : row.end]
        assert sequence[number].tolist() == [*world.codes_of(bases).tolist(), *[4] * (length - len(bases))]
        window = ("N" * 100 + text[row.contig])[row.window_start + 100 : row.window_start + 160]
        scores = [slow_scores(model, window) for model in models]
        for name in found.targets:
            reference = found.read(f"reference/{name}", number, number + 1)[0]
            np.testing.assert_allclose(reference, np.mean([each[name] for each in scores], axis=0), atol=1e-4)
        for edit in found.edits:
            for at in range(row.start, row.end):
                for code, base in enumerate("ACGT" if edit != "deletions" else " "):
                    each = [slow_effect(model, text[row.contig], row.window_start, at, edit, base) for model in models]
                    place = (number, at - row.start, *([code] if edit != "deletions" else []))
                    for name in found.targets:
                        stack = [one[name] for one in each]
                        path = f"{edit}/{name}"
                        np.testing.assert_allclose(arrays[path][place], np.mean(stack, axis=0), atol=2e-4)
                        np.testing.assert_allclose(arrays[f"spread/{path}"][place], np.std(stack, axis=0), atol=2e-4)
        for path in arrays:
            assert np.isnan(arrays[path][number, row.end - row.start :]).all()
            assert np.isfinite(arrays[path][number, : row.end - row.start]).all()


def test_a_map_says_what_it_is_and_is_verified(made, tmp_path):
    (tmp_path / "maps").mkdir()
    found = build(made, tmp_path / "maps/m.zarr", "chr1\t40000\t40012\n", targets=["level"], runs=("0.0",))
    attrs = found.attrs
    assert {key: attrs[key] for key in ("name", "model", "genome", "n", "edits", "target_order", "spread", "runs")} == {
        "name": "m", "model": "net", "genome": "toy", "n": 1, "edits": ["substitutions"], "target_order": ["level"],
        "spread": False, "runs": "unseen",
    }  # fmt: skip
    assert attrs["spaces"] == {"level": "value"} and attrs["models"] == {"net/0.0": 1}
    assert (attrs["both_strands"], attrs["shifts_bp"], attrs["file"], attrs["source"]) == (
        False, [0], "regions.bed", "regions",
    )  # fmt: skip
    assert set(attrs["inputs"]) == {"genome/toy.zarr", "models/net/0.0"}
    assert found.targets["level"].tracks == ("up", "down") and not found.has_spread
    assert verify(found.folder) == []
    for path in ("spread/substitutions/level", "deletions/level", "substitutions/bound", "substitutions", "x/level"):
        with pytest.raises(KeyError, match=r"m\.zarr has no .*; edits: substitutions; targets: level"):
            found.read(path)
    shard = next(path for path in (found.folder / "substitutions/level/c").rglob("*") if path.is_file())
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    assert verify(found.folder) == [f"{shard}: content changed (SHA-256 differs from marker.json)"]
    with pytest.raises(DamageError, match="content changed"):
        MapReader(found.folder).read("substitutions/level")


def test_all_runs_score_known_places_when_asked_to(made, tmp_path):
    bed = "chr1\t36000\t36004\n"  # in validation rows of both folds
    with pytest.raises(InputError) as caught:
        build(made, tmp_path / "m.zarr", "chr1\t45000\t45010\n" + bed)
    assert str(caught.value) == (
        f"{tmp_path}/regions.bed:2: the windows (60 bp) of 1 of 2 regions (first: chr1:36000-36004) overlap training "
        "rows of every run of model net (fold 0, 1); leave them out, train the fold that tests them, or set runs: all"
    )
    assert not (tmp_path / "m.zarr").exists()
    found = build_all(made, tmp_path / "m.zarr", bed)
    assert found.attrs["runs"] == "all" and found.regions["runs"].tolist() == [3]


def build_all(made, out, bed):
    folder, genome, _ = made
    (out.parent / "all.bed").write_text(bed)
    section = Map(model="net", regions=out.parent / "all.bed", runs="all")
    models = [folder / f"models/net/{run}" for run in ("0.0", "0.1", "1.0")]
    build_map(out, name="m", section=section, genome=genome, models=models, prediction=world.PLAIN)
    return MapReader(out)


def test_windows_are_test_rows_of_the_folds_in_turn(made, tmp_path):
    """Fold 0 is tested on b (rows 20-34), fold 1 on a (0-19); each is scored by the runs that did not learn it."""
    found = build(made, tmp_path / "m.zarr", windows=5)
    assert found.regions["start"].tolist() == [20_000, 0, 21_000, 1_000, 22_000]
    assert found.regions["runs"].tolist() == [2, 1, 2, 1, 2]
    assert (found.regions["end"] - found.regions["start"]).tolist() == [60] * 5
    assert (found.regions["window_start"] == found.regions["start"]).all()
    assert found.regions["name"].tolist()[:2] == ["row20", "row0"]
    effects = found.read("substitutions/level")
    assert effects.shape == (5, 60, 4, 2) and np.isfinite(effects).all()
    one = build(made, tmp_path / "one.zarr", windows=2, runs=("1.0",))
    assert one.regions["start"].tolist() == [0, 1_000]


def test_more_windows_than_test_rows_warn(made, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "seqmill"):
        found = build(made, tmp_path / "m.zarr", windows=100, runs=("0.0",), targets=["bound"])
    assert found.n == 15
    assert "maps.m: only 15 of 100 windows: there are no more test rows" in caplog.text


def other_genome(folder):
    (folder / "g.fa").write_text(">chr1\n" + "ACGT" * 100 + "\n")
    build_genome(folder / "other.zarr", name="other", genome=Genome(fasta=folder / "g.fa"))
    return folder / "other.zarr"


def test_windows_need_rows_on_the_genome(made, tmp_path):
    with pytest.raises(InputError) as caught:
        build(made, tmp_path / "m.zarr", windows=3, genome=other_genome(tmp_path))
    assert str(caught.value) == (
        "maps.m: no test row of dataset toy.zarr has a place on genome other; give 'regions' instead"
    )


def test_regions_on_another_genome_cannot_be_compared(made, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "seqmill"):
        found = build(made, tmp_path / "m.zarr", "chr1\t100\t105\n", genome=other_genome(tmp_path))
    assert found.regions["runs"].tolist() == [3]
    assert (
        "maps.m: regions on other cannot be compared by their places with the training rows (on toy); all runs score"
        in caplog.text
    )


def test_strands_are_averaged_in_maps_too(made, tmp_path):
    """The weight of a base is then the mean of its own and of its complement's at the mirrored place."""
    found = build(made, tmp_path / "m.zarr", "chr1\t40000\t40060\n", runs=("0.0",), prediction=Prediction())
    kernel, _ = world.weights(made[0] / "models/net/0.0")["level"]
    both = (kernel + kernel[::-1, ::-1]) / 2
    own = both[np.arange(60), found.read("sequence")[0]]
    np.testing.assert_allclose(found.read("substitutions/level")[0], both - own[:, None], atol=2e-4)
    assert found.attrs["both_strands"] is True


def test_equal_builds_give_equal_maps(made, tmp_path):
    first = build(made, tmp_path / "m.zarr", BED).digest
    assert build(made, tmp_path / "m.zarr", BED).digest == first


@pytest.mark.parametrize(
    ("bed", "message"),
    [
        ("", "regions.bed: 0 records"),
        ("# nothing\n", "regions.bed: 0 records"),
        (
            "chr1\t45000\t45010\nchr1\t40000\t40061\n",
            "regions.bed:2: chr1:40000-40061 has 61 bp, the network sees 60; cut it into shorter regions, "
            "or set tile_bp",
        ),
        (
            "chr2\t290\t301\n",
            "regions.bed:1: chr2:290-301 ends past the contig (300 bp): another assembly, or is the genome only a "
            "piece of one (partial: true)?",
        ),
        (
            "chrZ\t5\t9\n",
            "regions.bed: no contig is in the genome (different naming styles or another genome?): the file has chrZ; "
            "the genome has chr1, chr2",
        ),
        (
            "chr1\t40000\t40010\nchr1\t50010\t50020\n",
            "regions.bed:2: chr1:50010-50020 is all N, there is nothing to edit",
        ),
        (
            "chr1\t5\t9\tn\t0\tx\n",
            "regions.bed:1: strand 'x' is none of + - . (if column 6 is something else, read it as bed3)",
        ),
        ("chr1\t9\t5\n", "regions.bed:1: start 9 is behind end 5"),
    ],
)
def test_regions_that_cannot_be_used(made, tmp_path, bed, message):
    with pytest.raises(InputError) as caught:
        build(made, tmp_path / "m.zarr", bed, runs=("0.0",))
    assert str(caught.value) == f"{tmp_path}/{message}"
    assert not (tmp_path / "m.zarr").exists()


def test_records_that_are_left_out_and_half_unknown_ones_warn(made, tmp_path, caplog):
    bed = "#c\nchrZ\t5\t9\nchr1\t40000\t40000\nchr1\t50090\t50105\n"
    with caplog.at_level(logging.WARNING, "seqmill"):
        found = build(made, tmp_path / "m.zarr", bed, runs=("0.0",))
    assert "2 of 3 regions left out (contigs not in the genome: 1; zero length: 1)" in caplog.text
    assert "1 region(s) are more than half N (first: line 4)" in caplog.text
    effects = found.read("substitutions/bound")
    assert np.isnan(effects[0, :10]).all() and np.isfinite(effects[0, 10:]).all()
    assert (found.read("sequence")[0] == GenomeReader(made[1]).codes("chr1", 50_090, 50_105)).all()


def test_a_region_whose_effects_do_not_fit_in_memory_is_refused(made, tmp_path, monkeypatch):
    monkeypatch.setattr("seqmill.effects.maps.build.LARGEST_REGION_BYTES", 2000)
    with pytest.raises(InputError) as caught:
        build(made, tmp_path / "m.zarr", "chr1\t40000\t40050\n")
    assert str(caught.value) == (
        "maps.m: the effects of a region of 50 bp (3 runs) are 7.2 kB, more than 2.0 kB; choose 'targets', fewer "
        "'edits' or shorter regions"
    )
