"""Maps of attribution: built from trained runs, read back, in files, pictures, the report and beside the truth."""

import numpy as np
import pytest
from pydantic import ValidationError
from tests.unit import effects_world as world

from seqmill.config.effects import Map
from seqmill.effects.maps.build import build_map
from seqmill.effects.maps.files import write_map_files
from seqmill.effects.maps.parts import gather_map
from seqmill.evaluation.truth import importance
from seqmill.planning.effects import _passes
from seqmill.report.maps import gather_map as gather_report
from seqmill.report.methods import _map
from seqmill.runtime.marker import read_marker
from seqmill.stores.map_values import contribution, hypothetical, weight
from seqmill.stores.maps import MapReader
from seqmill.stores.verify import verify

BED = "chr1\t40000\t40012\tone\t7\t-\nchr2\t0\t5\tedge\t.\t+\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A genome, a dataset, two runs without hidden layer on it, and a map by DeepLIFT with its files."""
    folder = tmp_path_factory.mktemp("attribution")
    genome, dataset = world.write_genome(folder), world.write_dataset(folder)
    first = world.train(folder, dataset, "0", 0)
    world.another(first, "0", 1)
    (folder / "regions.bed").write_text(BED)
    build(folder, folder / "maps/d.zarr", method="deeplift", references=3)
    write_map_files(folder / "maps/d.files", map_folder=folder / "maps/d.zarr", genome=genome)
    return folder


def build(folder, out, part=None, **section):
    build_map(
        out, name="d", section=Map(model="net", regions=folder / "regions.bed", picture=1, **section),
        genome=folder / "genome/toy.zarr", models=[folder / f"models/net/{run}" for run in ("0.0", "0.1")],
        prediction=world.PLAIN, datasets=[folder / "datasets/toy.zarr"], part=part,
    )  # fmt: skip
    return out


@pytest.mark.slow
def test_contributions_of_linear_networks_are_differences_of_weights(made):
    """By each base against any other of its position; the mean and the spread over two runs."""
    found = MapReader(made / "maps/d.zarr")
    assert found.method == "deeplift" and found.attrs["references"] == 3 and "steps" not in found.attrs
    runs = [world.weights(made / f"models/net/{run}") for run in ("0.0", "0.1")]
    for name in found.targets:
        values = found.read(f"substitutions/{name}")
        for number, row in enumerate(found.regions.itertuples()):
            inside = slice(row.start - row.window_start, row.end - row.window_start)
            mean = np.mean([run[name][0][inside] for run in runs], axis=0)
            mine = values[number, : row.end - row.start]
            np.testing.assert_allclose(mine - mine[:, :1], mean - mean[:, :1], atol=2e-5)
        assert found.read(f"spread/substitutions/{name}").shape == values.shape
        completeness = found.read(f"completeness/{name}")
        assert completeness.shape == (2, values.shape[-1]) and completeness.max() < 1e-9
    assert found.attrs["completeness"]["n"] == 2 and 0 <= found.attrs["completeness"]["largest"] < 1e-9
    assert verify(made / "maps") == []


@pytest.mark.slow
def test_parts_make_the_same_map(made, tmp_path):
    parts = [
        build(made, tmp_path / f"{n}.part", part=(n, 2), method="integrated_gradients", references=2, steps=3)
        for n in (0, 1)
    ]
    gather_map(tmp_path / "gathered/d.zarr", name="d", parts=parts)
    whole = build(made, tmp_path / "whole/d.zarr", method="integrated_gradients", references=2, steps=3)
    assert MapReader(tmp_path / "gathered/d.zarr").digest == MapReader(whole).digest
    assert MapReader(whole).attrs["steps"] == 3


def test_files_hold_contributions(made):
    source, attrs = MapReader(made / "maps/d.zarr"), read_marker(made / "maps/d.files", noun="map-files").attrs
    assert attrs["value"].startswith("|contribution| of the base that is there (deeplift)")
    values = np.nan_to_num(source.read("substitutions/level")).transpose(0, 2, 1, 3)
    for place, track in enumerate(source.targets["level"].tracks):
        stored = np.load(made / f"maps/d.files/level/{track}.shap.npz")["arr_0"]
        np.testing.assert_array_equal(stored, values[..., place])
    import pyBigWig

    codes = source.read("sequence", 0, 1)[0]
    with pyBigWig.open(str(made / f"maps/d.files/level/signed/{track}.bw")) as handle:
        signed = handle.values("chr1", 40_000, 40_012)
    np.testing.assert_allclose(signed, values[0][codes, np.arange(12), place], rtol=1e-6)
    assert (made / "maps/d.files/pictures/1.png").stat().st_size > 10_000


def test_the_report_shows_contributions(made):
    shown = gather_report(made / "maps/d.zarr")
    assert shown["method"] == "deeplift" and shown["data"]["own"] is True
    source = MapReader(made / "maps/d.zarr")
    own = contribution(
        np.concatenate([source.read(f"substitutions/{t}") for t in source.targets], -1),
        source.read("sequence"),
        "deeplift",
    )
    assert shown["regions"][0]["largest"] == pytest.approx(np.nanmax(np.abs(own)), rel=1e-5)
    assert "→" not in shown["regions"][0]["what"]
    said = _map(shown)
    assert "by DeepLIFT (rescale rule" in said and "means over 3 references" in said and "edited" not in said


def test_values_of_a_base_by_method():
    values = np.array([[[0.0], [1.0], [-2.0], [4.0]], [[1.0], [2.0], [3.0], [4.0]]])
    codes = np.array([0, 4], np.uint8)
    np.testing.assert_allclose(contribution(values, codes, "mutagenesis")[0], [-1])
    np.testing.assert_allclose(weight(values, codes, "mutagenesis")[0], [7 / 3])
    np.testing.assert_allclose(hypothetical(values, "mutagenesis")[0, :, 0], [-0.75, 0.25, -2.75, 3.25])
    codes[0] = 2
    np.testing.assert_allclose(contribution(values, codes, "deeplift"), [[-2], [np.nan]])
    np.testing.assert_allclose(weight(values, codes, "deeplift"), [[2], [np.nan]])
    np.testing.assert_array_equal(hypothetical(values, "deeplift"), values)
    np.testing.assert_allclose(importance(values[None], codes[None], "deeplift"), [[2, np.nan]])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"references": 5}, "'references' are for methods integrated_gradients and deeplift, not for mutagenesis"),
        ({"method": "gradient_input", "references": 5}, "not for gradient_input"),
        ({"method": "deeplift", "steps": 5}, "'steps' are for method integrated_gradients, not for deeplift"),
        (
            {"method": "deeplift", "edits": ["substitutions", "deletions"]},
            "'edits' are made by method mutagenesis, deeplift makes none: leave them out",
        ),
        (
            {"method": "deepshap"},
            "Input should be 'mutagenesis', 'gradient_input', 'integrated_gradients' or 'deeplift'",
        ),
    ],
)
def test_keys_that_do_not_fit_the_method_are_refused(section, message):
    with pytest.raises(ValidationError) as caught:
        Map(model="net", windows=3, **section)
    assert message in str(caught.value)


def test_cost_of_attribution():
    section = Map(model="net", windows=3, method="integrated_gradients", references=2, steps=5)
    assert _passes(section, 3) == 4 * 2 * 5 * 4
    assert _passes(Map(model="net", windows=3, method="gradient_input"), 1) == 8
