"""A monthly refresh of 200 tracks, and one more track beside 30: which jobs run, in what time, with how many requests.

The portal is a server on 127.0.0.1 (tests/portal) with test accessions; the files are made-up bigWigs of a toy genome.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import ROOT, write_result
from simulated import write_bigwig, write_fasta

sys.path.insert(0, str(ROOT / "tests"))

from portal import Portal
from portal.encode import Encode

CONTIGS = {"chr1": 20_000, "chr2": 10_000, "chr3": 10_000}
COLUMNS = ("track", "location", "format", "group")

ENCODE_PER_S = 5  # rate limit of the real portal, by default
TRAINING = {"max_epochs": 1, "batch_size": 16}


@dataclass
class Lab:
    """A project folder, and the portal that its files come from."""

    folder: Path
    encode: Encode
    rows: list[dict[str, str]] = field(default_factory=list)
    seed: int = 0

    def file(self, **fields: Any) -> str:
        """A new file at the portal."""
        accession = self.encode.add_file(**fields)
        self.seed += 1
        path = write_bigwig(self.folder / "made.bw", CONTIGS, seed=self.seed)
        self.encode.serve(accession, path.read_bytes())
        return accession

    def row(self, accession: str, group: str) -> str:
        """A new row of the sheet."""
        name = f"t{len(self.rows):03d}"
        self.rows.append({"track": name, "location": f"encode:{accession}", "format": "bigwig", "group": group})
        return name

    def write(self, models: bool) -> None:
        """Sheet, genome and configuration."""
        self.write_sheet()
        if not (self.folder / "toy.fa").exists():
            write_fasta(self.folder / "toy.fa", CONTIGS)
        split = {"kind": "chromosomes", "test": ["chr3"], "valid": ["chr2"]}
        common = {"genomes": ["GRCh38"], "windows": {"kind": "tiles", "window_bp": 256}, "split": split}
        targets = {"all": "all", "few": {"group": "g0"}}
        datasets = {
            name: {**common, "targets": {"level": {"kind": "quantity", "tracks": tracks}}}
            for name, tracks in targets.items()
        }
        network = {"architecture": "dense", "settings": {"hidden": [4]}, "training": TRAINING}
        config = {
            "genomes": {"GRCh38": {"fasta": "toy.fa"}},
            "tracks": {"sheet": "tracks.tsv", "bin_bp": 32},
            "sources": self.encode.portal.sources(self.folder).model_dump(mode="json", exclude={"lock"}),
            "datasets": datasets,
            "models": {f"net_{name}": {**network, "dataset": name} for name in datasets} if models else {},
        }
        (self.folder / "config").mkdir(exist_ok=True)
        (self.folder / "config/config.yaml").write_text(json.dumps(config, indent=1))

    def write_sheet(self) -> None:
        search = "# search: type=File&status=released&assay_title=DNase-seq\n"
        lines = ["\t".join(COLUMNS), *("\t".join(row[column] for column in COLUMNS) for row in self.rows)]
        (self.folder / "tracks.tsv").write_text(search + "\n".join(lines) + "\n")

    def command(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        """Standard output of ``seqmill``."""
        return self._run([sys.executable, "-m", "seqmill.cli", *arguments], codes).stdout

    def snakemake(self, *arguments: str) -> str:
        """Everything that a run says."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
        done = self._run([*command, *arguments, "--configfile", "config/config.yaml"], (0,))
        return done.stdout + done.stderr

    def _run(self, command: list[str], codes: tuple[int, ...]) -> subprocess.CompletedProcess:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=dict(os.environ))
        if done.returncode not in codes:
            raise SystemExit(f"{' '.join(command[2:])} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return done


def jobs_of(text: str) -> list[str]:
    """Jobs that a run of Snakemake started or planned, each as its rule and its wildcards, sorted."""
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", text, flags=re.MULTILINE)
    found = set()
    for rule, block in blocks:
        wildcards = re.search(r"^    wildcards: (.*)$", block, flags=re.MULTILINE)
        found.add(f"{rule} {wildcards[1]}" if wildcards else rule)
    return sorted(found - {"all"})


def expect(what: str, found: list[str], expected: list[str]) -> None:
    """Stop with both lists where they differ."""
    if sorted(found) != sorted(expected):
        raise SystemExit(f"{what}:\n  ran      {sorted(found)}\n  expected {sorted(expected)}")


def run_anew(dataset: str, *groups: str) -> list[str]:
    """Jobs that follow new array groups of a dataset with a network."""
    return [
        *(f"dataset_target dataset={dataset}, target=level, group={group}" for group in groups),
        f"dataset dataset={dataset}",
        f"train model=net_{dataset}, fold=0, seed=0",
        f"predict model=net_{dataset}, fold=0, seed=0",
        f"evaluate dataset={dataset}",
        "report",
    ]


def monthly(folder: Path, tracks: int) -> dict[str, Any]:
    """One revoked, one replaced, one new row and one new experiment among ``tracks`` tracks."""
    with Portal() as portal:
        lab = Lab(folder, Encode(portal))
        replaced, per_group = tracks * 3 // 4, max(2, tracks // 10)
        experiment = lab.encode.add_experiment(assay_title="ATAC-seq")
        for number in range(tracks):
            of_experiment = {"experiment": experiment, "preferred_default": True} if number == replaced else {}
            accession = lab.file(assay_title="ATAC-seq", **of_experiment)
            lab.row(experiment if of_experiment else accession, f"g{number // per_group}")
        lab.write(models=True)
        lab.command("lock")
        lab.command("report")
        lab.snakemake("--touch", "--forceall", "--quiet", "all")
        if left := jobs_of(lab.snakemake("--dry-run")):
            raise SystemExit(f"the world is not up to date: {left}")

        unchanged = timed_refresh(lab, 0)
        if unchanged["counts"]:
            raise SystemExit(f"nothing had changed, but: {unchanged['counts']}")

        rng = random.Random(tracks)
        revoked = rng.randrange(1, replaced)
        lab.encode.change(lab.rows[revoked]["location"].removeprefix("encode:"), status="revoked")
        old = next(name for name, file in lab.encode.files.items() if file["dataset"] == f"/experiments/{experiment}/")
        lab.encode.change(old, status="archived", preferred_default=False)
        heir = lab.file(experiment=experiment, assay_title="ATAC-seq", preferred_default=True)
        new = lab.row(lab.file(assay_title="ATAC-seq"), "late")
        lab.write_sheet()
        other = lab.encode.add_experiment()
        lab.file(experiment=other)
        lock = (folder / "tracks.lock.tsv").read_bytes()
        changed = timed_refresh(lab, 10)
        if (folder / "tracks.lock.tsv").read_bytes() != lock:
            raise SystemExit("the lock was written without --apply")
        if changed["counts"] != {"revoked": 1, "replaced": 1, "new": 1, "found": 1}:
            raise SystemExit(f"other changes than were made: {changed['counts']}")

        shown = timed_refresh(lab, 10, "--apply")
        row = lab.rows[replaced]
        expected = [f"{rule}={name}" for name in (row["track"], new) for rule in ("fetch source", "track track")]
        expected += run_anew("all", row["group"], "late")
        expect("jobs that the changelog names", shown["jobs"], expected)
        start = time.monotonic()
        expect("jobs that ran", jobs_of(lab.snakemake()), expected)
        seconds = time.monotonic() - start
        expect("jobs of a second run", jobs_of(lab.snakemake("--dry-run")), [])
        if heir not in (folder / "tracks.lock.tsv").read_text():
            raise SystemExit("the replacing file is not in the lock")
        shutil.copy(folder / "results/refresh/changelog.md", folder / "changelog.md")
    return {"tracks": tracks, "jobs": expected, "run_s": round(seconds, 1), "unchanged": unchanged, "changed": changed}


def timed_refresh(lab: Lab, code: int, *arguments: str) -> dict[str, Any]:
    """What a refresh found, its seconds with and without the dry runs, and its requests."""
    portal, raw = lab.encode.portal, {}
    for name, more in (("asking_s", ["--no-dry-run"]), ("seconds", list(arguments))):
        portal.clear()
        start = time.monotonic()
        found = json.loads(lab.command("refresh", "--json", *more, codes=(code,)))
        raw[name] = round(time.monotonic() - start, 2)
    return {
        "counts": found["counts"],
        "jobs": found["cost"]["jobs"],
        "download_bytes": found["cost"]["bytes"],
        "requests": len(portal.log),
        "at_the_portals_rate_s": round(len(portal.log) / ENCODE_PER_S),
        **raw,
    }


def one_more(folder: Path, tracks: int) -> dict[str, Any]:
    """One more track, in a group of its own, after a whole real run with ``tracks`` tracks."""
    with Portal() as portal:
        lab = Lab(folder, Encode(portal))
        for _ in range(tracks):
            lab.row(lab.file(assay_title="ATAC-seq"), "g0")
        lab.write(models=False)
        lab.command("lock")
        start = time.monotonic()
        first = jobs_of(lab.snakemake())
        seconds = time.monotonic() - start
        if sum(job.startswith("track ") for job in first) != tracks:
            raise SystemExit(f"not {tracks} track jobs in the first run: {first}")
        new = lab.row(lab.file(assay_title="ATAC-seq"), "late")
        lab.write_sheet()
        lab.command("refresh", "--apply", "--no-dry-run", codes=(10,))
        start = time.monotonic()
        jobs = jobs_of(lab.snakemake())
        expected = [f"fetch source={new}", f"track track={new}", "dataset dataset=all"]
        expected += ["dataset_target dataset=all, target=level, group=late"]
        expect("jobs of one more track", jobs, expected)
    return {
        "tracks": tracks,
        "jobs": expected,
        "run_s": round(time.monotonic() - start, 1),
        "first_jobs": len(first),
        "first_s": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=200)
    parser.add_argument("--before", type=int, default=30, help="tracks before one more is added")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        month = monthly(Path(one), arguments.tracks)
        more = one_more(Path(other), arguments.before)
        text = (Path(one) / "changelog.md").read_text()
    print(text)
    write_result(
        "refresh",
        month["changed"]["asking_s"],
        f"s for {arguments.tracks} tracks, loopback",
        "exactly the right jobs; the command refuses others",
        1,
        [{"what": "month", **month}, {"what": "one more track", **more}],
        note="stand-in bytes and test accessions on 127.0.0.1; the world before the month was built by the command "
        "and marked by snakemake --touch --forceall; the machine had other work to do, so seconds are upper bounds",
    )


if __name__ == "__main__":
    main()
