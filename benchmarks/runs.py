"""Whole runs of the workflow on real data, and rows of results from their evaluation tables."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from common import ROOT

OUTPUT = ROOT / "benchmarks" / "output"


def need_data() -> Path:
    """Folder of the real data; stops the program if there is none."""
    if not os.environ.get("SEQMILL_TEST_DATA"):
        raise SystemExit("set SEQMILL_TEST_DATA to the folder of the real data")
    return Path(os.environ["SEQMILL_TEST_DATA"])


def run_workflow(config: str, work: Path, cores: int, *targets: str, over: Sequence[str | Path] = ()) -> float:
    """Run ``snakemake --configfile benchmarks/real/{config}.yaml`` in a folder; wall seconds, its start included.

    ``over``: further configuration files, each laid on those before.
    """
    shutil.copytree(ROOT / "benchmarks/real", work / "benchmarks/real", dirs_exist_ok=True)
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(work), "--configfile", f"benchmarks/real/{config}.yaml", *map(str, over)]
    command += ["--quiet", "rules", "host"]
    start = time.monotonic()
    with open(work / "output.txt", "w") as output:
        done = subprocess.run([*command, "--", *targets], cwd=work, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{config} failed:\n" + "\n".join((work / "output.txt").read_text().splitlines()[-30:]))
    return time.monotonic() - start


def whole_run(config: str, text: str) -> tuple[Path, dict[str, Any]]:
    """Run everything of a configuration, from scratch unless ``--go-on`` is given.

    Returns
    -------
    The results folder (``benchmarks/output/{config}/results``, with the report), and what the run took.
    """
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--go-on", action="store_true", help="continue a stopped run instead of starting anew")
    arguments = parser.parse_args()
    need_data()
    work = OUTPUT / config
    if work.exists() and not arguments.go_on:
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    print(f"{config}: log in {work.relative_to(ROOT)}/output.txt", flush=True)
    seconds = run_workflow(config, work, arguments.cores)
    run = {"config": f"benchmarks/real/{config}.yaml", "cores": arguments.cores, "seconds": round(seconds)}
    return work / "results", {**run, "continued": arguments.go_on}


def table(results: Path, dataset: str, name: str) -> pd.DataFrame:
    """One of the tables of an evaluation: metrics, comparison, comparison_tracks."""
    return pd.read_csv(
        results / "evaluation" / dataset / f"{name}.tsv", sep="\t", keep_default_na=False, na_values=[""]
    )


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines of a table as JSON values, empty ones left out."""
    return [{key: value for key, value in line.items() if pd.notna(value)} for line in frame.to_dict("records")]


def lines(frame: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """Lines of a table that hold all of these values."""
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame
