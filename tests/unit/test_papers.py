"""Recipes of papers: they name what they need, their networks have the papers' sizes, the table says it all."""

import re

import jax
import pytest
from flax import nnx
from tests.unit.network_toys import target
from tests.unit.paper_files import PAPERS, RECIPES, prepare
from tests.unit.training_toys import sequence_spec

from seqmill.config.project import Project
from seqmill.models.registry import build
from seqmill.planning.plan import make_plan
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import ArraySpec
from seqmill.training.check import check_model

pytestmark = pytest.mark.usefixtures("test_data")
# Trained values of each network: 164 cell types, 919 features, the notebook's 50 bp; with a control and two strands the
# BPNet of 64 filters has one more profile and count, 3 weights a profile track and 1 a count for the control.
SIZES = {
    "basset": {"basset": 4_135_064},
    "basset_transfer": {"basset_known": 4_135_064 - 1_001, "basset_new": 4_135_064 - 163 * 1_001},
    "factorized_basset": {"factorized_basset": 4_963_542, "basset": 4_135_064},
    "deepsea": {"deepsea": 52_843_119},
    "danq": {"danq": 46_926_479},
    "bpnet": {"bpnet": 109_122 + (75 * 64 + 1) + (64 + 1) + 2 * 3 + 2},
    "deepbind": {"deepbind_srf": 2_641},
    "primer_cnn": {"primer_cnn": 6_209},
}
TRACKS = {"basset": 164, "basset_transfer": 164, "factorized_basset": 164, "deepsea": 919, "danq": 919, "bpnet": 5}


def size_of(project: Project, name: str) -> int:
    """Trained values of a model of the configuration; nothing is computed."""
    model = project.config.models[name]
    dataset = project.config.datasets[model.dataset]
    length = {"deepbind": 101, "primer_cnn": 50}.get(model.architecture) or dataset.windows.window_bp
    inputs, targets = {"sequence": sequence_spec(length)}, {}
    for key, spec in dataset.targets.items():
        tracks = len(project.target_tracks(model.dataset, key)) or 1
        bins = spec.length_bp // spec.bin_bp if spec.kind == "profile" else None
        geometry = {"bp_per_bin": spec.bin_bp, "offset_bp": (length - spec.length_bp) // 2} if bins else {}
        targets[key] = target(key, tracks, spec.kind, bins, **geometry)
    if dataset.control:
        names = tuple(track.track for track in project.control_tracks(model.dataset))
        geometry = {"bp_per_bin": 1, "offset_bp": (length - dataset.control.length_bp) // 2, "tracks": names}
        shape = (dataset.control.length_bp, len(names))
        inputs["control"] = ArraySpec(
            "input", "control", ("example", "bins", "tracks"), "float32", shape, "profile", **geometry
        )
    graph = nnx.eval_shape(lambda: build(model.architecture, model.settings, inputs, targets, 0))
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(graph, nnx.Param)))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_whole(recipe, tmp_path, monkeypatch):
    project = prepare(recipe, tmp_path, monkeypatch)
    assert len(project.tracks) == TRACKS.get(recipe, 0)
    for name, model in project.config.models.items():
        check_model(name, model)
    for name, size in SIZES[recipe].items():
        assert size_of(project, name) == size
    plan = make_plan(project, tmp_path / "results")
    nouns = {entry["noun"] for entry in plan["nouns"]}
    assert {"dataset", "model", "predictions"} <= nouns
    assert project.config.baselines  # no network without something simple beside it


def test_a_missing_variable_is_named(monkeypatch):
    monkeypatch.delenv("SEQMILL_GENOMES", raising=False)
    with pytest.raises(InputError, match=r"\$\{SEQMILL_GENOMES\}/hg19.fa: the environment variable is not set"):
        Project.load([PAPERS / "basset.yaml"])


def test_the_table_has_a_line_for_each_recipe_and_the_score_that_its_head_states():
    table = (PAPERS / "README.md").read_text()
    lines = dict(re.findall(r"^\| \[(\w+)\]\(\w+\.yaml\) (\|.*)$", table, flags=re.MULTILINE))
    assert sorted(lines) == RECIPES == sorted(SIZES)
    for recipe, line in lines.items():
        head = (PAPERS / f"{recipe}.yaml").read_text().split("\n\n")[0]
        assert "# Published: " in head
        published = head.split("# Published: ")[1]
        for score in re.findall(r"(?<![\d.])0?\.\d{2,4}", line):
            assert score in published, (recipe, score)
