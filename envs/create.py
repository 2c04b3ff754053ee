"""Create or refresh the Python environment of the project: exactly the locked packages, then seqmill itself.

Usage: python envs/create.py FOLDER

A stamp file is written last, so an interrupted set-up is done again; a second one waits for the first.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"


def wanted_stamp() -> str:
    """What the environment must have been made from: Python, the lock, the package's own metadata, the place."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    content = LOCK.read_bytes() + json.dumps(project, sort_keys=True).encode()
    return f"{sys.version_info[:3]} {hashlib.sha256(content).hexdigest()} {ROOT}\n"


def run(folder: Path, *arguments: str) -> None:
    subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *arguments], check=True)


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    stamp = folder / "seqmill.stamp"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f"{folder.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted_stamp():
            return
        python = sys.version.split()[0]
        print(f"set-up: Python {python} environment in {folder.name} (first time: 1-3 minutes)", flush=True)
        start = time.monotonic()
        # the interpreter below any active environment: this folder may be that environment
        base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
        run(folder, "install", "-qq", "--require-hashes", "-r", str(LOCK))
        run(folder, "install", "-qq", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
        stamp.write_text(wanted_stamp())
        print(f"set-up: done in {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
