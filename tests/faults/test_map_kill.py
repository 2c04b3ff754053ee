"""Real kills while a map is made: it goes on and ends with the bytes of one that was left alone."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit import effects_world as world

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.faults

# Trials are forked before jax starts its threads: importing it takes most of the time of a short run.
TRIALS = """
import logging, os, random, signal, sys, time
from pathlib import Path
from seqmill.runtime.device import choose_device
choose_device("cpu", 1)
from seqmill.config.effects import Map
from seqmill.config.models import Prediction
from seqmill.effects import map_state, maps

folder = Path(sys.argv[1])
logging.basicConfig(level=logging.INFO, format="%(message)s")
map_state.GROUP_BATCHES = 2
section = Map(model="net", regions=folder / "r.bed", tile_bp=30, edits=["substitutions", "insertions"])
draw = random.Random(1)

def start(out):
    child = os.fork()
    if not child:
        maps.build_map(
            out, name="m", section=section, genome=folder / "genome/toy.zarr", models=[folder / "models/net/0.0"],
            prediction=Prediction(), datasets=[folder / "datasets/toy.zarr"], state=out.with_name(".m.state"),
        )
        os._exit(0)
    return child

def kill_at(child, state, group):
    while True:
        done = os.waitpid(child, os.WNOHANG)
        if done[0]:
            return os.waitstatus_to_exitcode(done[1])
        if len(list(state.glob("0*.json"))) >= group:
            time.sleep(draw.random() / 50)
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.001)

print("plain", os.waitstatus_to_exitcode(os.waitpid(start(folder / "plain/m.zarr"), 0)[1]), flush=True)
out = folder / "killed/m.zarr"
for group in (2, 20, 35):
    print("killed", kill_at(start(out), out.with_name(".m.state"), group), flush=True)
print("last", os.waitstatus_to_exitcode(os.waitpid(start(out), 0)[1]), flush=True)
print("left", sorted(path.name for path in out.parent.iterdir()), flush=True)
"""


def test_a_killed_map_ends_with_the_same_bytes(tmp_path):
    world.write_genome(tmp_path)
    world.train(tmp_path, world.write_dataset(tmp_path), "0", 0)
    (tmp_path / "r.bed").write_text("chr1\t40000\t41500\n")
    done = subprocess.run(
        [sys.executable, "-c", TRIALS, str(tmp_path)], capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("plain", "killed", "last", "left"))]
    assert lines == ["plain 0", "killed -9", "killed -9", "killed -9", "last 0", "left ['m.zarr']"], done.stderr
    assert "of 50 groups of regions were there already" in done.stderr
    runs = [tmp_path / run / "m.zarr" for run in ("plain", "killed")]
    names = sorted(str(path.relative_to(runs[0])) for path in runs[0].rglob("*") if path.is_file())
    assert "marker.json" in names and any("insertions" in name for name in names)
    for name in names:
        found = [(run / name).read_bytes() for run in runs]
        assert name == "run.json" or found[0] == found[1], name
