"""Maps of sequences of a table: no genome, effects against the weights, runs that may score, files without places."""

import json

import numpy as np
import pytest
from PIL import Image
from tests.unit import effects_world as world
from tests.unit import training_toys as toys

from seqmill.config.effects import Map, map_genome
from seqmill.config.project import Project
from seqmill.effects.maps.build import build_map
from seqmill.effects.maps.files import write_map_files
from seqmill.runtime.errors import InputError
from seqmill.stores.layout import open_noun
from seqmill.stores.maps import MapReader
from seqmill.stores.specs import ArraySpec
from seqmill.stores.verify import verify

SHORT = (0, 1, 21)
"""Rows of 40 bases, filled up with N; the others have 60."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table of 40 sequences (fold a, b, v), runs 0.0, 0.1 and 1.0; row 22 (b) is a copy of row 3 (a)."""
    folder = tmp_path_factory.mktemp("tables")
    n = sum(size for *_, size in world.PARTS)
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 4, (n, world.BP), dtype=np.uint8)
    codes[22] = codes[3]
    codes[SHORT, 40:] = 4
    lengths = (codes < 4).sum(axis=1).astype(np.int32)
    arrays = {
        "inputs/sequence": (toys.sequence_spec(world.BP), codes),
        "inputs/length": (ArraySpec("input", "length", ("example",), "int32", (), "length", units="bp"), lengths),
        "targets/level/main": (
            toys.label_spec("level", ["up", "down"], "quantity", "float32"),
            rng.normal(2, 3, (n, 2)).astype(np.float32),
        ),
        "targets/bound/main": (toys.label_spec("bound", ["tf"]), rng.integers(0, 2, (n, 1), dtype=np.uint8)),
    }
    rows = toys.toy_rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toys, "toy_rows", lambda parts: rows(parts).assign(genome="", contig="", start=-1, end=-1))
        dataset = toys.write_dataset(folder / "datasets/toy.zarr", world.PARTS, arrays, runs=world.RUNS, chunk=16)
    first = world.train(folder, dataset, "0", 0)
    for fold, seed in (("0", 1), ("1", 0)):
        world.another(first, fold, seed)
    return folder, dataset, codes


def build(made, out, **section):
    folder, dataset, _ = made
    build_map(
        out, name="m", section=Map(model="net", **section), genome=None, prediction=world.PLAIN,
        models=[folder / f"models/net/{run}" for run in ("0.0", "0.1", "1.0")], datasets=[dataset], rows_of=dataset,
    )  # fmt: skip
    return MapReader(out)


def test_sequences_are_test_rows_with_effects_from_the_weights(made, tmp_path):
    """Fold 0 is tested on rows 20 to 34, fold 1 on rows 0 to 19; each is scored by the runs that did not learn it."""
    (tmp_path / "maps").mkdir()
    found = build(made, tmp_path / "maps/m.zarr", windows=4)
    numbers = [20, 0, 21, 1]
    assert found.regions["name"].tolist() == [f"row{number}" for number in numbers]
    assert found.regions["runs"].tolist() == [2, 1, 2, 1]
    assert found.regions["start"].tolist() == [-1] * 4 == found.regions["window_start"].tolist()
    assert (found.regions["end"] - found.regions["start"]).tolist() == [60, 40, 40, 40]
    assert set(found.regions["contig"]) == {""} == set(found.regions["genome"])
    assert found.attrs["genome"] == "" and found.attrs["source"] == "windows"
    assert set(found.attrs["inputs"]) == {"datasets/toy.zarr", "models/net/0.0", "models/net/0.1", "models/net/1.0"}
    for place, number in enumerate(numbers):
        codes = made[2][number]
        bp = int((codes < 4).sum())
        runs = ["0.0", "0.1"] if number >= 20 else ["1.0"]
        for target in ("level", "bound"):
            each = []
            for run in runs:
                kernel, constant = world.weights(made[0] / f"models/net/{run}")[target]
                own = kernel[np.arange(bp), codes[:bp]]
                each.append((kernel[:bp] - own[:, None], constant + own.sum(axis=0)))
            effects = found.read(f"substitutions/{target}")[place]
            np.testing.assert_allclose(effects[:bp], np.mean([x for x, _ in each], axis=0), atol=2e-4)
            assert np.isnan(effects[bp:]).all()
            reference = found.read(f"reference/{target}")[place]
            np.testing.assert_allclose(reference, np.mean([x for _, x in each], axis=0), atol=2e-4)
        assert found.read("sequence")[place, :bp].tolist() == codes[:bp].tolist()
    assert verify(tmp_path) == []


def test_a_copy_of_a_training_sequence_is_not_scored_by_the_run_that_learned_it(made, tmp_path):
    """Rows 3 and 22 are the same sequence: the runs of fold 0 learned it as row 3, that of fold 1 as row 22."""
    with pytest.raises(InputError) as caught:
        build(made, tmp_path / "m.zarr", windows=6)
    assert str(caught.value).startswith(
        "toy.zarr: 1 of 6 rows (first: row22) overlap training rows of every run of model net (fold 0, 1)"
    )
    assert build(made, tmp_path / "m.zarr", windows=6, runs="all").regions["runs"].tolist() == [3] * 6


def test_files_have_arrays_and_pictures_but_no_places(made, tmp_path):
    build(made, tmp_path / "m.zarr", windows=3, targets=["bound"], picture=1)
    write_map_files(tmp_path / "m.files", map_folder=tmp_path / "m.zarr", genome=None)
    files = {
        str(path.relative_to(tmp_path / "m.files")) for path in (tmp_path / "m.files").rglob("*") if path.is_file()
    }
    assert files == {"bound.ohe.npz", "bound.shap.npz", "pictures/1.png", "marker.json", "run.json"}
    assert open_noun(tmp_path / "m.files", "map-files").attrs["bigwigs"] is False
    assert np.load(tmp_path / "m.files/bound.ohe.npz")["arr_0"].shape == (3, 4, 60)
    with Image.open(tmp_path / "m.files/pictures/1.png") as picture:
        assert picture.width > 1000 and len(picture.convert("RGB").getcolors(1_000_000)) > 20


def project(folder, **section):
    (folder / "t.tsv").write_text("sequence\tbound\nACGT\t1\n")
    table = {"kind": "table", "files": [{"path": str(folder / "t.tsv"), "format": "tsv"}]}
    config = {
        "datasets": {"t": {"windows": table, "targets": {"bound": {"kind": "binary"}}, "split": {"kind": "given"}}},
        "models": {"net": {"architecture": "dense", "dataset": "t"}},
        "maps": {"m": {"model": "net", **section}},
    }
    (folder / "c.yaml").write_text(json.dumps(config))
    return Project.load([folder / "c.yaml"])


def test_a_configured_map_of_a_table_has_no_genome(tmp_path):
    found = project(tmp_path, windows=3)
    assert map_genome(found.config, found.config.maps["m"], "here") is None


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"windows": 3, "genome": "hg38"}, "'windows' are sequences of table t, on no genome: leave 'genome' out"),
        (
            {"windows": 3, "edits": ["substitutions", "deletions"]},
            "edits ['substitutions', 'deletions']: sequences of table t have no neighbours, only substitutions can be "
            "made",
        ),
        ({"regions": "x.bed"}, "set 'genome': dataset t has no genome"),
    ],
)
def test_what_a_map_of_a_table_refuses(tmp_path, section, message):
    with pytest.raises(InputError) as caught:
        project(tmp_path, **section)
    assert str(caught.value).endswith(message)
