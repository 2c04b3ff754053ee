"""Real kills of the scoring of variants: it goes on and ends with the bytes of one that was left alone."""

import pytest
from tests.faults.killed import run
from tests.unit import effects_world as world

pytestmark = pytest.mark.faults

FILES = ("scores.parquet", "scores.tsv.gz", "scores.vcf.gz", "scores.vcf.gz.tbi", "dropped.tsv", "marker.json")

TRIALS = """
import logging, sys
from pathlib import Path
from seqmill.runtime.device import choose_device
choose_device("cpu", 1)
from seqmill.config.effects import VariantSet
from seqmill.config.models import Prediction
from seqmill.effects.variants import build as variants
from tests.faults.killed import trials

folder = Path(sys.argv[1])
logging.basicConfig(level=logging.INFO, format="%(message)s")
variants.CHUNK_RECORDS = 16
section = VariantSet(model="net", file=str(folder / "v.vcf"), effects=["diff", "score"])

def build(out, state):
    variants.score_variants(
        out, name="s", section=section, genome=folder / "genome/toy.zarr", models=[folder / "models/net/0.0"],
        prediction=Prediction(), datasets=[folder / "datasets/toy.zarr"], state=state,
    )

trials(folder, "s", build, (2, 20, 50))
"""


def test_killed_scoring_ends_with_the_same_bytes(tmp_path):
    world.write_genome(tmp_path)
    world.train(tmp_path, world.write_dataset(tmp_path), "0", 0)
    text = world.genome_text()["chr1"]
    rows = [(place, text[place - 1]) for place in range(40_000, 49_600, 6)]
    lines = [f"1\t{place}\t.\t{base}\t{'C' if base != 'C' else 'T'}\n" for place, base in rows]
    (tmp_path / "v.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n" + "".join(lines))
    log = run(TRIALS, tmp_path, "s")
    assert "of 100 chunks were there already" in log
    for name in FILES:
        found = [(tmp_path / run / "s" / name).read_bytes() for run in ("plain", "killed")]
        assert found[0] == found[1], name
