"""Real kills of the scoring of variants: it goes on and ends with the bytes of one that was left alone."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit import effects_world as world

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.faults

FILES = ("scores.parquet", "scores.tsv.gz", "scores.vcf.gz", "scores.vcf.gz.tbi", "dropped.tsv", "marker.json")

# Trials are forked before jax starts its threads: importing it takes most of the time of a short run.
TRIALS = """
import logging, os, random, signal, sys, time
from pathlib import Path
from seqmill.runtime.device import choose_device
choose_device("cpu", 1)
from seqmill.config.effects import VariantSet
from seqmill.config.models import Prediction
from seqmill.effects import variants

folder = Path(sys.argv[1])
logging.basicConfig(level=logging.INFO, format="%(message)s")
variants.CHUNK_RECORDS = 16
section = VariantSet(model="net", file=str(folder / "v.vcf"), effects=["diff", "score"])
draw = random.Random(1)

def start(out):
    child = os.fork()
    if not child:
        variants.score_variants(
            out, name="s", section=section, genome=folder / "genome/toy.zarr", models=[folder / "models/net/0.0"],
            prediction=Prediction(), datasets=[folder / "datasets/toy.zarr"], state=out.with_name(".s.state"),
        )
        os._exit(0)
    return child

def kill_at(child, state, chunk):
    while True:
        done = os.waitpid(child, os.WNOHANG)
        if done[0]:
            return os.waitstatus_to_exitcode(done[1])
        if len(list(state.glob("0*.json"))) >= chunk:
            time.sleep(draw.random() / 50)
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.001)

print("plain", os.waitstatus_to_exitcode(os.waitpid(start(folder / "plain/s"), 0)[1]), flush=True)
out = folder / "killed/s"
for chunk in (2, 20, 50):
    print("killed", kill_at(start(out), out.with_name(".s.state"), chunk), flush=True)
print("last", os.waitstatus_to_exitcode(os.waitpid(start(out), 0)[1]), flush=True)
print("left", sorted(path.name for path in out.parent.iterdir()), flush=True)
"""


def test_killed_scoring_ends_with_the_same_bytes(tmp_path):
    world.write_genome(tmp_path)
    world.train(tmp_path, world.write_dataset(tmp_path), "0", 0)
    text = world.genome_text()["chr1"]
    rows = [(place, text[place - 1]) for place in range(40_000, 49_600, 6)]
    lines = [f"1\t{place}\t.\t{base}\t{'C' if base != 'C' else 'T'}\n" for place, base in rows]
    (tmp_path / "v.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n" + "".join(lines))
    done = subprocess.run(
        [sys.executable, "-c", TRIALS, str(tmp_path)], capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("plain", "killed", "last", "left"))]
    assert lines == ["plain 0", "killed -9", "killed -9", "killed -9", "last 0", "left ['s']"], done.stderr
    assert "of 100 chunks were there already" in done.stderr
    for name in FILES:
        found = [(tmp_path / run / "s" / name).read_bytes() for run in ("plain", "killed")]
        assert found[0] == found[1], name
