"""Running the workflow in a folder of its own, and reading what a dry run says."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def snakemake(folder: Path, *arguments: str, config: tuple[str, ...] = ("config.yaml",)) -> subprocess.CompletedProcess:
    """One run in ``folder``, where the configuration files ``config`` lie."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    command += [*arguments, "--configfile", *config]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def succeed(folder: Path, *arguments: str, **more) -> str:
    """Output of a run that must succeed."""
    done = snakemake(folder, *arguments, **more)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout + done.stderr


def planned(folder: Path, *arguments: str, **more) -> list[str]:
    """Jobs of a dry run, sorted, each as its rule and its wildcards: 'track track=ctcf'."""
    text = succeed(folder, "--dry-run", *arguments, **more)
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", text, flags=re.MULTILINE)
    jobs = []
    for rule, block in blocks:
        wildcards = re.search(r"^    wildcards: (.*)$", block, flags=re.MULTILINE)
        jobs.append(f"{rule} {wildcards.group(1)}" if wildcards else rule)
    return sorted(set(jobs) - {"all"})


def leftovers(folder: Path) -> list[str]:
    """Half-written things below ``results``."""
    found = [str(path) for pattern in ("**/.*.part-*", "**/.*.trash-*") for path in folder.glob(f"results/{pattern}")]
    stores = [path for path in (folder / "results").rglob("*.zarr") if path.is_dir()]
    return found + [str(path) for path in stores if not (path / "marker.json").exists()]
