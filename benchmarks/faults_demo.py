"""SIGKILL at random moments: the same command continues, no flags, and ends with the same digests.

Half of the kills hit the whole process group, half the driver alone (its jobs are then orphans). Half of the trials
run `snakemake --cores 2`, half `make demo`. A trial passes if the second, identical command succeeds, every marker,
metric table and model has the digest of an undisturbed run, nothing half-written lies about, and orphans are gone
two seconds after the driver.

Usage: python benchmarks/faults_demo.py [TRIALS]   (30 by default)
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import write_result

from seqmill.runtime.job import DRIVER_VARIABLE
from seqmill.runtime.marker import MARKER, file_digest

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "benchmarks/fault_world.yaml"
COMMANDS = {
    "snakemake": [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", CONFIG],
    "make demo": ["make", "demo", f"CONFIGFILE={CONFIG}"],
}


def digests(folder: Path) -> dict[str, str]:
    """Digest of every marker and table below ``results``."""
    results = folder / "results"
    paths = [*results.rglob(MARKER), *results.rglob("*.tsv"), *results.rglob("*.safetensors")]
    return {
        str(p.relative_to(results)): file_digest(p) for p in paths if "benchmarks" not in p.relative_to(results).parts
    }


def leftovers(folder: Path) -> list[str]:
    return [str(p) for pattern in ("**/.*.part-*", "**/.*.trash-*") for p in (folder / "results").glob(pattern)]


def jobs_of(folder: Path) -> list[int]:
    """Live processes that work in ``folder`` as jobs of a workflow."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(proc / "cwd") == str(folder) and DRIVER_VARIABLE.encode() in (proc / "environ").read_bytes():
                found.append(int(proc.name))
        except OSError:
            continue  # ended while we looked
    return found


def driver_of(pid: int) -> int:
    """The Snakemake process that ``pid`` runs: itself, or below make."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            if b"snakemake" in Path(f"/proc/{child}/cmdline").read_bytes():
                return driver_of(child)
    return pid


def start(folder: Path, command: str) -> subprocess.Popen:
    with open(folder / "campaign.log", "wb") as log:  # the child keeps its own handle
        return subprocess.Popen(COMMANDS[command], cwd=folder, stdout=log, stderr=log, start_new_session=True)


def trial(folder: Path, command: str, group: bool, after_s: float, expected: dict[str, str]) -> dict:
    """One kill and one continuation; the row of the result."""
    row: dict = {
        "command": command,
        "killed": "group" if group else "driver",
        "after_s": round(after_s, 2),
        "passed": False,
    }
    shutil.rmtree(folder / "results", ignore_errors=True)
    shutil.rmtree(folder / ".snakemake", ignore_errors=True)
    process = start(folder, command)
    time.sleep(after_s)
    row["finished_before"] = process.poll() is not None
    if not row["finished_before"]:
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(driver_of(process.pid), signal.SIGKILL)
    process.wait()
    if not group:
        time.sleep(2)
        row["orphans_after_2_s"] = len(jobs_of(folder))
    done = start(folder, command)
    code = done.wait()
    found = digests(folder)
    row["exit_code"] = code
    row["different"] = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))[:5]
    row["leftovers"] = leftovers(folder)
    row["passed"] = code == 0 and not row["different"] and not row["leftovers"] and not row.get("orphans_after_2_s")
    return row


def prepare(folder: Path) -> Path:
    """A copy of the project in a fresh folder, as a clone would be."""
    skip = shutil.ignore_patterns(".git", ".venv*", "results", "logs", ".snakemake", "__pycache__")
    shutil.copytree(ROOT, folder / "project", ignore=skip)
    return folder / "project"


def campaign(trials: int, seed: int, commands: list[str]) -> list[dict]:
    """Run ``trials`` kills spread evenly over commands and kinds of kill."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = prepare(Path(temporary).resolve())
        seconds, expected = {}, {}
        for command in commands:
            start(folder, command).wait()  # sets the environment up, where the command does
            shutil.rmtree(folder / "results", ignore_errors=True)
            shutil.rmtree(folder / ".snakemake", ignore_errors=True)
            begin = time.monotonic()
            if start(folder, command).wait() != 0:
                raise SystemExit(f"{command} fails without any kill:\n" + (folder / "campaign.log").read_text()[-3000:])
            seconds[command] = time.monotonic() - begin
            found = digests(folder)
            if expected and found != expected:
                raise SystemExit(f"{command} and {commands[0]} end with different digests")
            expected = found
        rows = []
        for number in range(trials):
            command = commands[number % len(commands)]
            group = (number // len(commands)) % 2 == 0
            row = trial(folder, command, group, rng.uniform(0.3, seconds[command] * 0.97), expected)
            while row["finished_before"]:  # the machine is quicker now than in the undisturbed run: kill earlier
                row = trial(folder, command, group, rng.uniform(0.3, row["after_s"]), expected)
            print(f"{number + 1}/{trials} {row}", flush=True)
            rows.append({**row, "undisturbed_s": round(seconds[command], 1), "digests": len(expected)})
        return rows


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    rows = campaign(trials, seed=1, commands=list(COMMANDS))
    passed = sum(row["passed"] for row in rows)
    write_result("faults_demo", passed / trials, "fraction of kills continued to the same digests", "1.0", trials, rows)
    print(f"{passed} of {trials} kills continued to the same digests")
    sys.exit(passed != trials)


if __name__ == "__main__":
    main()
