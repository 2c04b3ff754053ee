"""Measured effects through the workflow and the command: made once, told on the page, made again when a key changes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.unit.cli_world import config, write_world
from tests.workflow.output_files import unnamed_files
from tests.workflow.runs import leftovers, planned, succeed

from seqmill.stores.measured import MeasuredReader
from seqmill.stores.verify import verify

pytestmark = pytest.mark.workflow
CONFIG = ("config/config.yaml",)


def settings() -> dict:
    values = config()
    values["models"]["small"]["training"]["seeds"] = [0]
    values["baselines"] = {"km": {"kind": "kmer", "dataset": "peaks", "k": 2, "alphas": [10.0]}}
    values["measured"] = {
        "element": {
            "kind": "saturation", "model": "small", "file": "data/element.tsv", "elements": "data/element.fa",
            "backgrounds": 2, "resamples": 100, "kmer": "km",
        },
        "qtl": {"kind": "qtl", "model": "small", "file": "data/qtl.vcf", "columns": {"value": "B"}, "resamples": 100},
    }  # fmt: skip
    return values


def write_measured(folder: Path) -> None:
    """An element of 40 bp with random effects, and twenty variants of the test contig."""
    rng = np.random.default_rng(2)
    text = "".join(rng.choice(list("ACGT"), 40))
    (folder / "data/element.fa").write_text(f">el chr9:501-540\n{text}\n")
    lines = ["Element\tPosition\tRef\tAlt\tValue"]
    lines += [f"el\t{501 + i}\t{a}\t{b}\t{rng.normal():.4f}" for i, a in enumerate(text) for b in "ACGT".replace(a, "")]
    (folder / "data/element.tsv").write_text("\n".join(lines) + "\n")
    contigs = dict(block.split("\n")[:2] for block in (folder / "data/toy.fa").read_text().split(">")[1:])
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    for position in range(1000, 5000, 200):
        ref = contigs["chr3"][position - 1]
        alt = "ACGT"["CGTA".index(ref)]
        lines.append(f"chr3\t{position}\t.\t{ref}\t{alt}\t.\t.\tB={rng.normal():.3f}")
    (folder / "data/qtl.vcf").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = write_world(tmp_path_factory.mktemp("measured") / "work", **settings())
    write_measured(folder)
    succeed(folder, config=CONFIG)
    return folder


def test_all_is_there_and_told(world):
    results = world / "results"
    assert verify(results) == [] and leftovers(world) == [] and unnamed_files(results) == []
    page = (results / "report/index.html").read_text()
    assert "Against experiments" in page and "data:image/svg+xml" in page
    assert "20 measured alleles" in page and "120 measured alleles" in page
    reader = MeasuredReader(results / "measured/qtl")
    assert len(reader.scores()) == 20 and set(reader.summary()["metric"]) == {"sign", "spearman"}


def test_a_change_re_makes_what_follows_and_the_command_agrees(world):
    (world / "change.yaml").write_text(json.dumps({"measured": {"element": {"backgrounds": 3}}}))
    assert planned(world, config=(*CONFIG, "change.yaml")) == ["measured measured=element", "report"]
    for name, built in (("element", 0), ("qtl", 0)):
        command = [sys.executable, "-m", "seqmill.cli", "measured", name, "--json", "-q"]
        done = subprocess.run(command, cwd=world, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["built"] == built
