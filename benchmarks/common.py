"""What all benchmarks share: the form of a result, and fair turns for both sides."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqmill.runtime.files import atomic_write
from seqmill.runtime.record import machine, versions

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "zarr", "tensorstore", "pybigtools", "pyBigWig", "pysam", "jax", "flax", "snakemake")


def commit() -> str:
    """Commit of the code that ran, with ``-dirty`` if tracked files differ from it; empty outside a repository."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.strip()


def write_result(
    name: str, value: float, unit: str, goal: str, n: int, rows: Sequence[Mapping[str, Any]], **more: Any
) -> Path:
    """Write ``benchmarks/results/{name}.json`` and print its main line.

    Parameters
    ----------
    value : the worst row, in ``unit``. goal : in words, e.g. ">= 300000".
    n : number of measurements behind the rows. rows : all of them, raw times included.
    more : whatever else a reader needs.
    """
    body = {
        "name": name,
        "value": value,
        "unit": unit,
        "goal": goal,
        "n": n,
        "rows": [dict(row) for row in rows],
        **more,
        "machine": machine(),
        "versions": versions(*PACKAGES),
        "commit": commit(),
    }
    path = RESULTS / f"{name}.json"
    atomic_write(path, json.dumps(body, indent=1) + "\n")
    print(f"{name}: {value:g} {unit} (goal {goal}, n = {n}) -> {path.relative_to(ROOT)}")
    return path


def interleave(functions: Mapping[str, Callable[[], Any]], repeats: int = 5) -> dict[str, list[float]]:
    """Run the functions in turns, so that a slow minute of the machine hits all; raw seconds of each run.

    What a function answers under ``seconds`` is taken for its time, else that of the call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(repeats):
        names = list(functions)
        for name in names if turn % 2 == 0 else reversed(names):
            start = time.perf_counter()
            answer = functions[name]()
            took = time.perf_counter() - start
            seconds[name].append(answer["seconds"] if isinstance(answer, Mapping) and "seconds" in answer else took)
    return seconds
