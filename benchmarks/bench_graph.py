"""Seconds to build the job graph of the largest published sheets: Enformer's 5,313 and Borzoi's 7,611 human tracks.

The sheets are read as they are (targets.txt); empty files stand in for the published coverage files. Beside them, a
bare workflow of as many one-file jobs, so that what Snakemake itself needs is seen on the same machine.
"""

import csv
import gzip
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import write_result

ROOT = Path(__file__).resolve().parent.parent
GOAL_S = 30.0
CONFIG = """
genomes:
  hg38: {fasta: genome.fa}
tracks:
  sheet: targets.txt
datasets:
  all:
    genomes: [hg38]
    windows: {kind: tiles, window_bp: 196608}
    targets:
      signal: {kind: profile, tracks: all, bin_bp: 128, length_bp: 114688}
    split: {kind: folds, k: 8, by: contig}
"""
BARE = """
rule all:
    input: [f"out/{{i}}" for i in range({n})]

rule one:
    input: "files/{{i}}"
    output: "out/{{i}}"
    shell: "touch {{output}}"
"""


def seconds_of_dry_run(folder: Path, expected_jobs: int) -> float:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--snakefile", "Snakefile"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    elapsed = time.monotonic() - start
    output = done.stdout + done.stderr
    total = [line.split()[1] for line in output.splitlines() if line.startswith("total ")]
    if done.returncode or not total or int(total[0]) < expected_jobs:
        raise SystemExit(f"the dry run failed or planned too few jobs:\n{output[-3000:]}")
    return elapsed


def real_graph(folder: Path, sheet: Path) -> int:
    """Lay out a project on a published sheet; return the number of its tracks."""
    with gzip.open(sheet, "rt", newline="") as handle:
        header, *rows = csv.reader(handle, delimiter="\t")
    column = header.index("file")
    (folder / "files").mkdir(parents=True)
    for number, row in enumerate(rows):
        row[column] = f"files/{number}.bw"
        (folder / row[column]).touch()
    with open(folder / "targets.txt", "w", newline="") as handle:
        csv.writer(handle, delimiter="\t", lineterminator="\n").writerows([header, *rows])
    (folder / "genome.fa").write_text(">chr1\nACGT\n")
    (folder / "config.yaml").write_text(CONFIG)
    shim = f'module seqmill:\n    snakefile: "{ROOT}/Snakefile"\n    config: config\n\n\nuse rule * from seqmill\n'
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(CONFIG)
    (folder / "Snakefile").write_text(f'configfile: "config.yaml"\n\n\n{shim}')
    return len(rows)


def bare_graph(folder: Path, n: int) -> None:
    (folder / "files").mkdir(parents=True)
    for number in range(n):
        (folder / "files" / str(number)).touch()
    (folder / "Snakefile").write_text(BARE.format(n=n))


def main() -> None:
    data = Path(os.environ.get("SEQMILL_TEST_DATA", ""))
    if not (data / "papers").is_dir():
        raise SystemExit("bench-graph needs SEQMILL_TEST_DATA (the published target sheets)")
    rows = []
    for name, goal in (("enformer_targets_human", GOAL_S), ("borzoi_targets_human", None)):
        with tempfile.TemporaryDirectory() as temporary:
            ours, bare = Path(temporary, "ours"), Path(temporary, "bare")
            tracks = real_graph(ours, data / "papers" / f"{name}.txt.gz")
            bare_graph(bare, tracks)
            raw: dict[str, list[float]] = {"seqmill_s": [], "bare_s": []}
            for _ in range(3):
                raw["seqmill_s"].append(seconds_of_dry_run(ours, tracks + 4))
                raw["bare_s"].append(seconds_of_dry_run(bare, tracks + 1))
        median = sorted(raw["seqmill_s"])[1]
        rows.append(
            {
                "sheet": name,
                "tracks": tracks,
                "value": median,
                "goal": goal,
                "reached": goal is None or median < goal,
                **raw,
            }
        )
        print(f"{name}: {tracks} tracks, {median:.1f} s (bare graph {sorted(raw['bare_s'])[1]:.1f} s)")
    write_result(
        "graph", rows[0]["value"], "s (Enformer, median of 3)", f"< {GOAL_S:.0f} s for Enformer's sheet", 3, rows
    )


if __name__ == "__main__":
    main()
