"""A process that is killed again and again beside one that is left alone.

Trials are forked before jax starts its threads: importing it takes most of the time of a short run.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def trials(folder: Path, name: str, build: Callable[[Path, Path], None], pieces: Sequence[int]) -> None:
    """Call ``build(out, state)`` once for ``plain/name``, and for ``killed/name`` with a kill soon after the state has
    as many pieces as said, then to the end; says how each ended. For a process of its own."""
    draw = random.Random(1)

    def start(out: Path) -> tuple[int, Path]:
        state = out.with_name(f".{out.stem}.state")
        child = os.fork()
        if not child:
            build(out, state)
            os._exit(0)
        return child, state

    def end(child: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    print("plain", end(start(folder / "plain" / name)[0]), flush=True)
    out = folder / "killed" / name
    for count in pieces:
        child, state = start(out)
        while len(list(state.glob("0*.json"))) < count and not _ended(child):
            time.sleep(0.001)
        time.sleep(draw.random() / 50)
        os.kill(child, signal.SIGKILL)
        print("killed", end(child), flush=True)
    print("last", end(start(out)[0]), flush=True)
    print("left", sorted(path.name for path in out.parent.iterdir()), flush=True)


def _ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def run(code: str, folder: Path, name: str) -> str:
    """Run code that calls `trials` with three kills in ``folder``; all must end as said. Returns its log."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("plain", "killed", "last", "left"))]
    assert lines == ["plain 0", *["killed -9"] * 3, "last 0", f"left ['{name}']"], done.stderr
    return done.stderr
