"""Real kills while a map is made: it goes on and ends with the bytes of one that was left alone."""

import pytest
from tests.faults.killed import run
from tests.unit import effects_world as world

pytestmark = pytest.mark.faults

TRIALS = """
import logging, sys
from pathlib import Path
from seqmill.runtime.device import choose_device
choose_device("cpu", 1)
from seqmill.config.effects import Map
from seqmill.config.models import Prediction
from seqmill.effects.maps import build as maps
from seqmill.effects.maps import state as map_state
from tests.faults.killed import trials

folder = Path(sys.argv[1])
logging.basicConfig(level=logging.INFO, format="%(message)s")
map_state.GROUP_BATCHES = 2
section = Map(model="net", regions=folder / "r.bed", tile_bp=30, edits=["substitutions", "insertions"])

def build(out, state):
    maps.build_map(
        out, name="m", section=section, genome=folder / "genome/toy.zarr", models=[folder / "models/net/0.0"],
        prediction=Prediction(), datasets=[folder / "datasets/toy.zarr"], state=state,
    )

trials(folder, "m.zarr", build, (2, 20, 35))
"""


def test_a_killed_map_ends_with_the_same_bytes(tmp_path):
    world.write_genome(tmp_path)
    world.train(tmp_path, world.write_dataset(tmp_path), "0", 0)
    (tmp_path / "r.bed").write_text("chr1\t40000\t41500\n")
    log = run(TRIALS, tmp_path, "m.zarr")
    assert "of 50 groups of regions were there already" in log
    runs = [tmp_path / run / "m.zarr" for run in ("plain", "killed")]
    names = sorted(str(path.relative_to(runs[0])) for path in runs[0].rglob("*") if path.is_file())
    assert "marker.json" in names and any("insertions" in name for name in names)
    for name in names:
        found = [(run / name).read_bytes() for run in runs]
        assert name == "run.json" or found[0] == found[1], name
