"""Datasets from real files, each by one command, checked against the files by slow independent readers.

Reads SEQMILL_TEST_DATA. One dataset at a time: snakemake --cores 2 --configfile benchmarks/real/NAME.yaml datasets
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from common import write_result
from runs import run_workflow

CONFIGS = ("deepbind_srf", "rbp31_qki", "yeast", "hg38_mini", "hg19_chr1")
WINDOWS = 200


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def describe(folder: Path) -> dict[str, Any]:
    """Examples, shapes and bytes of a built dataset, from its own markers."""
    marker = json.loads((folder / "marker.json").read_text())
    arrays = {}
    for path in marker["attrs"]["arrays"]:
        spec = json.loads((folder / path / "marker.json").read_text())["attrs"]["spec"]
        arrays[path] = f"{spec['dtype']} {tuple(spec['shape_per_example'])}"
    return {"examples": marker["attrs"]["n"], "arrays": arrays, "bytes": size_of(folder)}


def measure(config: str, data: Path, cores: int) -> list[dict[str, Any]]:
    from real_checks import CHECKS

    with tempfile.TemporaryDirectory(prefix="seqmill-real-") as temporary:
        work = Path(temporary).resolve()
        seconds = run_workflow(config, work, cores, "datasets")
        results = work / "results"
        jobs = [json.loads(path.read_text()) for path in results.rglob("run.json")]
        run = {
            "config": config,
            "cores": cores,
            "seconds": round(seconds, 1),
            "nouns": len(jobs),
            "peak_memory_bytes": max(job["peak_memory_bytes"] for job in jobs),
            "track_bytes": size_of(results / "tracks") if (results / "tracks").exists() else 0,
        }
        rows = []
        for folder in sorted((results / "datasets").iterdir()):
            if folder.suffix == ".zarr":
                name = folder.stem
                tally = CHECKS[name](folder, data, WINDOWS)
                checked = {"values": tally.values, "missing": tally.missing, "largest_difference": tally.worst}
                rows.append({"dataset": name, **describe(folder), **run, "checked": checked})
                print(line(rows[-1]), flush=True)
        return rows


HEADER = f"{'dataset':<14}{'examples':>10}{'MB':>8}{'s':>7}{'peak MB':>9}{'compared':>11}{'difference':>12}"


def line(row: dict[str, Any]) -> str:
    return (
        f"{row['dataset']:<14}{row['examples']:>10,}{row['bytes'] / 1e6:>8.1f}{row['seconds']:>7.0f}"
        f"{row['peak_memory_bytes'] / 1e6:>9.0f}{row['checked']['values']:>11,}"
        f"{row['checked']['largest_difference']:>12.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="*", default=CONFIGS, metavar="CONFIG", help=", ".join(CONFIGS))
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    value = os.environ.get("SEQMILL_TEST_DATA")
    if not value or not Path(value).is_dir():
        raise SystemExit("SEQMILL_TEST_DATA is not set to the folder of real test data")
    print(HEADER)
    rows = [row for config in options.configs for row in measure(config, Path(value).resolve(), options.cores)]
    print("seconds are those of the whole command; peak memory is that of its largest job")
    worst = max(row["checked"]["largest_difference"] for row in rows)
    write_result(
        "real_datasets", worst, "largest relative difference to slow readers", "<= 1e-5",
        sum(row["checked"]["values"] for row in rows), rows, load=os.getloadavg(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
