"""The control of a dataset: values, geometry and turning as a profile's, and what it must not be."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit.example_worlds import World, random_sequence, random_signal

from seqmill.config.datasets import Dataset
from seqmill.config.project import Project
from seqmill.config.scope import input_scope, rows_scope, target_scope
from seqmill.examples.kinds import input_names
from seqmill.models.registry import build as build_network
from seqmill.planning import plan as planning
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.specs import ArraySpec
from seqmill.training.augment import View
from seqmill.training.jitter import jitter_of

SIZES = {"chr1": 1_500, "chr2": 1_400, "chr3": 1_300}
SPLIT = {"kind": "chromosomes", "test": ["chr3"], "valid": ["chr2"]}
STRANDS = {"+": "plus", "-": "minus"}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    """Signal and control on both strands, base by base; the control has no data on chr2."""
    rng = np.random.default_rng(5)
    world = World(tmp_path_factory.mktemp("world"))
    world.genome("toy", {contig: random_sequence(rng, size) for contig, size in SIZES.items()})
    for what in ("chip", "input"):
        sizes = {c: n for c, n in SIZES.items() if what == "chip" or c != "chr2"}
        for strand, word in STRANDS.items():
            partner = f"{what}_{STRANDS['-' if strand == '+' else '+']}"
            world.add_signal(
                f"{what}_{word}",
                random_signal(rng, sizes),
                bin_bp=1,
                aggregate="sum",
                strand=strand,
                strand_pair=partner,
            )
    return world


def section(**control) -> Dataset:
    targets = {
        "profile": {"kind": "profile", "tracks": "all", "length_bp": 30, "bin_bp": 1},
        "count": {"kind": "count", "tracks": "all", "length_bp": 30},
    }
    return Dataset(
        genomes=["toy"],
        windows={"kind": "tiles", "window_bp": 60},
        targets=targets,
        split=SPLIT,
        margin_bp=8,
        control={"tracks": "all", **control},
    )


CHIP, INPUT = ["chip_plus", "chip_minus"], ["input_plus", "input_minus"]


def build(world: World, name: str, **control) -> DatasetReader:
    return world.build(name, section(**control), {"profile": CHIP, "count": CHIP}, control=INPUT)


@pytest.fixture(scope="module")
def reader(world) -> DatasetReader:
    return build(world, "bpnet", length_bp=40, bin_bp=1)


def test_geometry_is_that_of_a_profile(reader):
    spec, target = reader.inputs["control"], reader.targets["profile"]
    assert (spec.role, spec.kind, spec.axes, spec.dtype) == (
        "input",
        "profile",
        ("example", "bins", "tracks"),
        "float32",
    )
    assert (spec.bp_per_bin, spec.offset_bp, spec.margin_bp, spec.shape_per_example) == (1, 10, 8, (56, 2))
    assert (spec.rc, spec.shift, spec.strand_pairs) == ("reverse_swap", "moves", ("input_minus", "input_plus"))
    assert (target.bp_per_bin, target.offset_bp, target.shape_per_example) == (1, 15, (46, 2))


@pytest.mark.parametrize("bin_bp", [1, 4])
def test_values_equal_single_bases(world, reader, bin_bp):
    reader = reader if bin_bp == 1 else build(world, "coarse", length_bp=40, bin_bp=4)
    rows, values = reader.rows(), reader.read("inputs/control", 0, reader.n)
    assert values.shape == (reader.n, 56 // bin_bp, 2)
    for row, found in zip(rows.itertuples(), values):
        for column, track in enumerate(INPUT):
            low = row.start + 10 - 8
            bases = [value or 0.0 for value in world.bases(track, row.contig)][low : low + 56]
            expected = [sum(bases[at : at + bin_bp]) for at in range(0, 56, bin_bp)]
            if row.contig == "chr2":  # the files do not have it
                expected = [np.nan] * len(expected)
            np.testing.assert_allclose(found[:, column], expected, rtol=1e-6)


def test_it_is_moved_and_turned_with_the_sequence_and_the_profile(reader):
    """At every shift and strand, control and profile lie over the bases that the network is shown."""
    arrays = {**reader.inputs, "target": reader.targets["profile"]}
    view = View(reader.inputs, {"profile": reader.targets["profile"]}, jitter_of(arrays.values(), 8), True)
    batch = {key: reader.read(key, 0, 16) for key in ("inputs/sequence", "inputs/control", "targets/profile")}
    for shift in (-8, 0, 5):
        for turned in (False, True):
            shown = view._view(
                {key: jnp.asarray(x) for key, x in batch.items()}, jnp.full(16, shift), jnp.full(16, turned)
            )
            codes = batch["inputs/sequence"][:, 8 + shift : 68 + shift]
            control = batch["inputs/control"][:, 8 + shift : 48 + shift]
            profile = batch["targets/profile"][:, 8 + shift : 38 + shift]
            if turned:
                codes, control, profile = 3 - codes[:, ::-1], control[:, ::-1, ::-1], profile[:, ::-1, ::-1]
            np.testing.assert_array_equal(shown["inputs/sequence"].argmax(-1), codes)
            np.testing.assert_array_equal(shown["inputs/control"], control)
            np.testing.assert_array_equal(shown["targets/profile"], profile)


def test_a_dense_network_sees_the_total_of_each_track(reader):
    """Not one feature a base: k-mers or bases beside thousands of positions of a control would drown."""
    spec = reader.inputs["control"]
    y = ArraySpec("target", "y", ("example", "tracks"), "float32", (1,), "quantity", tracks=("t",))
    model = build_network("dense", {"hidden": []}, {"control": spec}, {"y": y}, 0)
    control = reader.read("inputs/control", 0, 8)
    known = np.nan_to_num(control.astype(np.float64))
    head = model.heads.layers["y"]
    expected = np.log(1 + known.sum(axis=1)) @ np.asarray(head.kernel[...]) + np.asarray(head.bias[...])
    np.testing.assert_allclose(model({"control": jnp.asarray(control)}, train=False)["y"], expected, rtol=1e-4)


def test_only_windows_of_a_genome_have_one():
    assert input_names(section()) == ["sequence", "control"]
    with pytest.raises(ValueError, match="control needs windows of kind tiles or peaks, found table"):
        Dataset(
            windows={"kind": "table", "files": [{"path": "a.fa"}]},
            targets={"y": {"kind": "binary"}},
            split={"kind": "given"},
            control={"tracks": "all"},
        )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Configuration of one dataset with the given control, on a sheet of a pair, a coarse track and peaks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tracks.tsv").write_text(
        "track\tlocation\tstrand_pair\tbin_bp\n"
        "in+\ta.bw\tin-\t1\nin-\tb.bw\tin+\t1\nchip\tc.bw\t\t2\ncoarse\td.bw\t\t6\npeaks\tp.bed\t\t\n"
    )

    def make(control) -> Project:
        dataset = {
            "genomes": ["g"],
            "windows": {"kind": "tiles", "window_bp": 60},
            "targets": {"profile": {"kind": "profile", "tracks": ["chip"]}},
            "split": {"kind": "chromosomes", "test": ["chr1"]},
            "control": control,
        }
        values = {"genomes": {"g": {"fasta": "g.fa"}}, "tracks": {"sheet": "tracks.tsv"}, "datasets": {"d": dataset}}
        return Project.of(values, "c.yaml")

    return make


def test_windows_start_on_the_bins_of_the_control_too(project):
    assert project({"tracks": ["in+", "in-"]}).grid_bp("d") == 2
    assert project({"tracks": ["coarse"]}).grid_bp("d") == 6
    assert [track.track for track in project({"tracks": ["in+", "in-"]}).control_tracks("d")] == ["in+", "in-"]
    assert project(None).control_tracks("d") == []


def test_only_the_control_depends_on_its_section(project):
    """A change of the control leaves rows, sequence and targets as they are."""
    one = project({"tracks": ["coarse"]}).config.datasets["d"]
    other = project({"tracks": ["in+", "in-"], "bin_bp": 2}).config.datasets["d"]
    assert rows_scope(one) == rows_scope(other)
    assert input_scope(one, "sequence") == input_scope(other, "sequence")
    assert target_scope(one, "profile") == target_scope(other, "profile")
    assert input_scope(one, "control") != input_scope(other, "control")


@pytest.mark.parametrize(
    ("control", "message"),
    [
        ({"tracks": ["peaks"]}, "c.yaml: datasets.d.control: track peaks holds intervals; a control needs signal"),
        ({"tracks": ["in+"]}, r"datasets.d.control: in-, strand pair of in\+, is not in the control"),
        ({"tracks": ["coarse"], "bin_bp": 10}, "control: bin_bp 10 is not a multiple of the 6 bp of track coarse"),
        ({"tracks": ["none"]}, "control: track 'none' is not in the sheet"),
        ({}, "datasets.d.control.tracks: "),
        ({"track": "all"}, "control: unknown key 'track'; did you mean 'tracks'"),
    ],
)
def test_configurations_that_cannot_be(project, control, message):
    with pytest.raises(InputError, match=message):
        project(control)


def test_the_plan_counts_its_values(project):
    sizes = []
    for control in (None, {"tracks": ["in+", "in-"], "length_bp": 40, "bin_bp": 1}):
        made = project(control)
        entries, _ = planning._dataset_entries(made, Path("results"), {"g": 60_000})
        assert entries[0]["examples"] == 1_000
        sizes.append(entries[0]["bytes"])
    assert sizes[1] - sizes[0] == round(1_000 * 40 * 2 * 4 * planning.PACKED["signal"])


@pytest.mark.parametrize(
    ("control", "tracks", "message"),
    [
        ({"length_bp": 41}, INPUT, "41 bp cannot be centred in a window of 60 bp"),
        ({"length_bp": 40, "bin_bp": 5}, INPUT, "length_bp 40 and margin_bp 8 must be multiples of bin_bp 5"),
        ({"length_bp": 80}, INPUT, "a part of 80 bp is longer"),
    ],
)
def test_settings_that_cannot_be(world, control, tracks, message):
    with pytest.raises(InputError, match=message):
        world.build("bad", section(**control), {}, control=tracks)
    assert not (world.folder / "datasets/bad.zarr/inputs/control").exists()
