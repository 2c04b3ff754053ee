"""A month at the portal: one file revoked, one replaced, one experiment with another choice, one track more."""

import json
import random
import subprocess
import sys

import pyBigWig
import pytest
from tests.portal import Portal
from tests.portal.encode import Encode
from tests.workflow.runs import planned, succeed

from seqmill.config.lock import read_lock
from seqmill.stores.verify import verify

pytestmark = pytest.mark.workflow
CONFIG = ("config/config.yaml",)
SIZES = {"chr1": 3000, "chr2": 2000, "chr3": 2000}


def bigwig(folder, seed):
    """A made-up signal in steps of 100 bp."""
    rng = random.Random(seed)
    path = folder / "made.bw"
    with pyBigWig.open(str(path), "w") as out:
        out.addHeader(list(SIZES.items()))
        for contig, size in SIZES.items():
            starts = list(range(0, size, 100))
            values = [rng.random() for _ in starts]
            out.addEntries([contig] * len(starts), starts, ends=[start + 100 for start in starts], values=values)
    return path.read_bytes()


class Lab:
    """A project of four tracks in three array groups, built by Snakemake, and the portal behind it."""

    def __init__(self, folder, portal):
        self.folder, self.encode, self.made = folder, Encode(portal), 0
        (folder / "config").mkdir()
        rng = random.Random(0)
        fasta = "".join(f">{name}\n{''.join(rng.choices('ACGT', k=size))}\n" for name, size in SIZES.items())
        (folder / "genome.fa").write_text(fasta)
        split = {"kind": "chromosomes", "test": ["chr3"], "valid": ["chr2"]}
        level = {"kind": "quantity", "tracks": "all"}
        windows = {"kind": "tiles", "window_bp": 200}
        config = {
            "genomes": {"GRCh38": {"fasta": "genome.fa"}},
            "tracks": {"sheet": "tracks.tsv", "bin_bp": 50},
            "sources": portal.sources(folder).model_dump(mode="json", exclude={"lock"}),
            "datasets": {"d": {"genomes": ["GRCh38"], "windows": windows, "targets": {"level": level}, "split": split}},
        }
        (folder / "config" / "config.yaml").write_text(json.dumps(config))
        self.experiment = self.encode.add_experiment()
        self.rows = {
            "revoked": (self.file(), "a"),
            "replaced": (self.file(), "b"),
            "stays": (self.file(), "b"),
            "moved": (self.experiment, "c"),
        }
        self.chosen = self.file(experiment=self.experiment, preferred_default=True)
        self.write()

    def file(self, **fields):
        accession = self.encode.add_file(**fields)
        self.made += 1
        self.encode.serve(accession, bigwig(self.folder, self.made))
        return accession

    def write(self):
        rows = "".join(f"{name}\tencode:{place}\tbigwig\t{group}\n" for name, (place, group) in self.rows.items())
        (self.folder / "tracks.tsv").write_text("track\tlocation\tformat\tgroup\n" + rows)

    def command(self, *arguments, code=0):
        command = [sys.executable, "-m", "seqmill.cli", *arguments, "--json"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Portal() as portal:
        lab = Lab(tmp_path_factory.mktemp("lab"), portal)
        lab.command("lock")
        succeed(lab.folder, config=CONFIG)
        yield lab


def test_a_month(lab):
    assert planned(lab.folder, config=CONFIG) == []
    lab.encode.change(lab.rows["revoked"][0], status="revoked")
    lab.encode.replace(lab.rows["replaced"][0], heir := lab.file())
    lab.encode.change(lab.chosen, status="archived", preferred_default=False)
    choice = lab.file(experiment=lab.experiment, preferred_default=True)
    lab.rows["late"] = (lab.file(), "late")
    lab.write()

    found = lab.command("refresh", "--no-dry-run", code=10)
    assert found["counts"] == {"revoked": 1, "replaced": 2, "new": 1}
    assert sorted(change["name"] for change in found["changes"] if change["decision"]) == ["replaced", "revoked"]

    found = lab.command("refresh", "--apply", "--accept", "replaced", code=10)
    jobs = [
        "dataset dataset=d",
        "dataset_target dataset=d, target=level, group=b",
        "dataset_target dataset=d, target=level, group=c",
        "dataset_target dataset=d, target=level, group=late",
        "fetch source=late",
        "fetch source=moved",
        "fetch source=replaced",
        "track track=late",
        "track track=moved",
        "track track=replaced",
    ]
    assert sorted(found["cost"]["jobs"]) == jobs
    assert planned(lab.folder, config=CONFIG) == jobs
    held = {row.name: row.accession for row in read_lock(lab.folder / "tracks.lock.tsv")}
    assert (held["revoked"], held["replaced"], held["moved"]) == (lab.rows["revoked"][0], heir, choice)

    succeed(lab.folder, config=CONFIG)
    assert planned(lab.folder, config=CONFIG) == []
    assert verify(lab.folder / "results") == []
    assert lab.command("refresh", code=10)["counts"] == {"revoked": 1}
