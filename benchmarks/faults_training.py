"""Trainings that are killed again and again: they end with the bits of one that was left alone.

A schedule is one training that is stopped one to four times, then left to end. Kinds of stops:

- worker: SIGKILL of the training process at a random step;
- driver: SIGKILL of the process that started it; the training has to stop by itself, the next one waits for its lock;
- save, restore: SIGKILL at a random file operation while a state is written, or read back;
- term: SIGTERM at a random step, after which the process has to end with 75 and lose no step.

A schedule passes if parameters, history and description of the model are byte for byte those of the undisturbed run, if
each process went on no further than the one before had come, and if the log of the rows of every step, taken together
as far as they count for the result, has every step once, in order, with the rows of the undisturbed run.

Usage: python benchmarks/faults_training.py [SIGKILL_SCHEDULES] [SIGTERM_SCHEDULES] [RESULT]   (50, 20, faults_training)
"""

import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import write_result

from seqmill.config.models import Model
from seqmill.runtime.device import choose_device
from seqmill.runtime.errors import SeqmillError
from seqmill.runtime.job import announce_driver, watch_driver
from seqmill.runtime.marker import MARKER, file_digest
from seqmill.stores.dataset import finish_dataset, write_array, write_rows
from seqmill.stores.layout import upstream
from seqmill.stores.specs import ArraySpec

FILES = ("model.safetensors", "history.jsonl", "model.json")
PARTS = {"train": 320, "valid": 40, "test": 40}
BATCH, PASSES = 16, 8
STEPS = PASSES * PARTS["train"] // BATCH
EVERY_S, PAUSE_S = 0.1, 0.005
KILLS = ("worker", "driver", "save", "restore")
# A state is written and read back with some ten file operations each; the count goes on in the next state.
OPERATIONS = {"save": 60, "restore": 6}


def make_dataset(folder: Path) -> Path:
    """400 rows of six numbers and two labels."""
    n, rng = sum(PARTS.values()), np.random.default_rng(0)
    features = rng.normal(size=(n, 6)).astype(np.float32)
    start = np.arange(n) * 1000
    fold = np.repeat(list(PARTS), list(PARTS.values()))
    places = {"genome": "toy", "contig": "chr1", "start": start, "end": start + 60, "strand": np.int8(1)}
    names = {
        "pool": "all",
        "fold": fold,
        "group": "",
        "name": [f"row{i}" for i in range(n)],
        "source_row": start // 1000,
    }
    write_rows(
        folder / "rows",
        name=f"{folder.name}/rows",
        rows=pd.DataFrame({**places, **names}),
        dropped=pd.DataFrame({"reason": ["N"], "count": [0]}),
        runs={"0": {part: [part] for part in PARTS}},
        window_bp=60,
        margin_bp=0,
        reverse_complement=False,
        bootstrap_unit="row",
    )
    labels = ArraySpec(
        "target", "calls", ("example", "tracks"), "uint8", (2,), "binary", group="main", tracks=("a", "b")
    )
    arrays = {
        "inputs/features": (ArraySpec("input", "features", ("example", "n"), "float32", (6,), "features"), features),
        "targets/calls/main": (labels, (features[:, :2] > 0).astype(np.uint8)),
    }
    for path, (spec, values) in arrays.items():
        inputs = upstream(folder / "rows")
        write_array(
            folder / path,
            name=f"{folder.name}/{path}",
            spec=spec,
            n=n,
            blocks=[values],
            inputs=inputs,
            chunk_examples=64,
        )
    finish_dataset(folder, name=folder.name, arrays=list(arrays))
    return folder


def settings() -> Model:
    training = {"batch_size": BATCH, "max_epochs": PASSES, "patience": PASSES, "checkpoint_seconds": EVERY_S}
    network = {"architecture": "dense", "settings": {"hidden": [8], "dropout": 0.2}, "dataset": "toy"}
    return Model.model_validate({**network, "training": {**training, "ema_decay": 0.9}})


def logged(fit: Callable, log: Path) -> Callable:
    """``fit`` that notes the rows of each step in ``log`` before it is taken, and takes its time."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(*words: Any) -> None:
        os.write(handle, (" ".join(map(str, [*words, time.monotonic()])) + "\n").encode())

    def batches_of(source: Any, first: int) -> Iterator[Any]:
        note("begin", first, 0)
        with closing(source):
            for step, batch in enumerate(source, first):
                note("step", step, zlib.crc32(np.ascontiguousarray(batch["row"]).tobytes()))
                time.sleep(PAUSE_S)
                yield batch

    def run(objective: Any, state: Any, batches: Callable, *others: Any, **more: Any) -> Any:
        return fit(objective, state, lambda step: batches_of(batches(step), step), *others, **more)

    return run


def kill_inside(kind: str, operation: int) -> None:
    """Kill this process at its n-th file operation of a kind of work, "save" or "restore"."""
    from seqmill.training.checkpoint import Checkpoints

    now, left = threading.local(), [operation]

    def during(name: str, work: Callable) -> Callable:
        def run(*given: Any, **named: Any) -> Any:
            now.kind = name
            try:
                return work(*given, **named)
            finally:
                now.kind = ""

        return run

    def watch(event: str, _: tuple) -> None:
        if getattr(now, "kind", "") == kind and event.startswith(("open", "os.", "shutil.")):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    Checkpoints._write = during("save", Checkpoints._write)  # type: ignore[method-assign]
    Checkpoints.load = during("restore", Checkpoints.load)  # type: ignore[method-assign]
    sys.addaudithook(watch)


def train(out: Path, dataset: Path, log: Path, kind: str, operation: int) -> int:
    """Body of a training process; its exit code."""
    from seqmill.training import train as training

    watch_driver()
    if kind in OPERATIONS:
        kill_inside(kind, operation)
    training.fit = logged(training.fit, log)  # type: ignore[assignment]
    try:
        training.train_model(out, name="toy", model=settings(), dataset=dataset, fold="0", seed=3)
    except SeqmillError as error:
        print(error, flush=True)
        return error.exit_code
    return 0


def prepare() -> None:
    """Choose the device and import what every fork needs, so that none has to."""
    choose_device("cpu", 1)
    import seqmill.models.dense
    import seqmill.training.train  # noqa: F401


def forked(body: Callable[[], int]) -> int:
    """Process id of a fork that runs ``body`` and exits with what it returns.

    jax starts no thread before it is used, so a process that has only imported it can be forked.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            code = body()
        finally:
            os._exit(code)
    return child


def ended(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def start(work: Path, body: Callable[[], int]) -> tuple[int, int]:
    """Process ids of a driver and of the training that it starts and waits for."""
    place = work / "pid"
    place.unlink(missing_ok=True)

    def drive() -> int:
        announce_driver()
        worker = forked(body)
        (work / "pid.part").write_text(str(worker))
        os.rename(work / "pid.part", place)
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        return code if code >= 0 else 128 - code

    driver = forked(drive)
    while not place.exists():
        time.sleep(0.001)
    return driver, int(place.read_text())


def steps_in(log: Path) -> int:
    """Steps that the last process has begun with, in all."""
    lines = log.read_bytes().splitlines() if log.exists() else []
    return max((int(line.split()[1]) + 1 for line in lines if line.startswith(b"step")), default=0)


def attempt(work: Path, dataset: Path, kind: str, draw: random.Random) -> dict[str, Any]:
    """Start the training once and stop it as planned ("" for not at all); what came of it."""
    log, out = work / "log", work / "toy" / "0.3"
    row: dict[str, Any] = {"stop": kind}
    if kind in OPERATIONS:
        row["operation"] = draw.randint(1, OPERATIONS[kind])
    else:
        row["at_step"] = draw.randint(steps_in(log), STEPS)
    driver, worker = start(work, lambda: train(out, dataset, log, kind, row.get("operation", 0)))
    while (code := ended(driver)) is None:
        if kind in ("worker", "driver", "term") and steps_in(log) >= row["at_step"]:
            time.sleep(draw.random() / 50)
            try:
                os.kill(driver if kind == "driver" else worker, signal.SIGTERM if kind == "term" else signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has just ended
            kind = ""
        time.sleep(0.002)
    return {**row, "exit_code": code}


def judged(log: Path, expected: list[int] | None) -> dict[str, Any]:
    """What the log of rows says: the order in which rows came to the result, and how much was lost at stops."""
    rows: list[int] = []
    times: list[float] = []
    lost, lost_s, faults = [], [], []
    for line in log.read_text().splitlines():
        word, number, digest, at = line.split()
        if word == "begin":
            if int(number) > len(rows):
                faults.append(f"went on at step {number} after {len(rows)} steps")
            if rows:
                lost.append(len(rows) - int(number))
                lost_s.append(round(times[-1] - times[int(number)], 3) if int(number) < len(times) else 0.0)
            del rows[int(number) :], times[int(number) :]
        elif int(number) != len(rows):
            faults.append(f"step {number} where {len(rows)} was due")
        else:
            rows.append(int(digest))
            times.append(float(at))
    if expected is not None and rows != expected:
        faults.append("the rows of the steps are not those of the undisturbed run")
    return {"rows": rows, "lost_steps": lost, "lost_s": lost_s, "faults": faults}


def digests(work: Path) -> dict[str, str]:
    return {name: file_digest(work / "toy" / "0.3" / name) for name in FILES}


def schedule(
    work: Path, dataset: Path, stops: list[str], draw: random.Random, plain: tuple[dict, list[int]]
) -> dict[str, Any]:
    """One training with its stops; the row of the result."""
    work.mkdir()
    out = work / "toy" / "0.3"
    attempts: list[dict[str, Any]] = []
    for stop in [*stops, ""]:
        attempts.append(attempt(work, dataset, stop, draw))
        # done, before or after the stop came: one more would train anew
        if (out / MARKER).exists() and not out.with_name(".0.3.resume").exists():
            break
    row: dict[str, Any] = {"attempts": attempts}
    found = judged(work / "log", plain[1])
    row |= {key: value for key, value in found.items() if key != "rows"}
    whole = (out / MARKER).exists()
    row["different"] = (
        [name for name, digest in digests(work).items() if digest != plain[0][name]] if whole else list(FILES)
    )
    kept = ("0.3", ".0.3.progress.jsonl")  # the second is how it went
    row["left"] = sorted(path.name for path in (work / "toy").iterdir() if path.name not in kept)
    if "term" in stops:  # it may have ended before, or not yet have begun
        codes = {attempt["exit_code"] for attempt in attempts[:-1]}
        row["faults"] += [f"exit codes {sorted(codes)}"] * bool(codes - {0, 75, 128 + signal.SIGTERM})
        row["faults"] += ["SIGTERM lost steps"] * any(found["lost_steps"])
    row["passed"] = whole and not row["different"] and not row["left"] and not row["faults"]
    return row


def campaign(kills: int, terms: int, seed: int = 1) -> list[dict[str, Any]]:
    """Schedules of SIGKILL (each kind of kill begins one in four) and of SIGTERM."""
    draw, rows = random.Random(seed), []
    with tempfile.TemporaryDirectory() as temporary:
        dataset = make_dataset(Path(temporary) / "toy.zarr")
        work = Path(temporary) / "plain"
        work.mkdir()
        if attempt(work, dataset, "", draw)["exit_code"]:
            raise SystemExit("the training fails without any kill")
        plain = judged(work / "log", None)["rows"]
        if len(plain) != STEPS or len(set(plain)) != STEPS:
            raise SystemExit(f"{STEPS} steps of different rows expected, {len(plain)} found")
        expected = digests(work), plain
        for number in range(kills + terms):
            if number < kills:
                stops = [KILLS[number % 3], *draw.choices(KILLS, k=draw.randint(0, 3))]
                if number % 2:
                    stops.append("restore")  # only where a state is there can it be read back
            else:
                stops = ["term"] * draw.randint(1, 4)
            row = schedule(Path(temporary) / str(number), dataset, stops, draw, expected)
            print(f"{number + 1}/{kills + terms} {json.dumps(row)}", flush=True)
            rows.append(row)
    return rows


def main() -> None:
    kills, terms = (int(word) for word in (sys.argv[1:3] + ["50", "20"][len(sys.argv[1:3]) :]))
    name = sys.argv[3] if len(sys.argv) > 3 else "faults_training"
    prepare()
    rows = campaign(kills, terms)
    passed = sum(row["passed"] for row in rows)
    stops = [attempt for row in rows for attempt in row["attempts"] if attempt["stop"]]
    hits = {
        kind: sum(stop["stop"] == kind and stop["exit_code"] not in (0, 1, 2) for stop in stops)
        for kind in (*KILLS, "term")
    }
    lost = [seconds for row in rows for seconds in row["lost_s"]]
    write_result(
        name, passed / len(rows), "fraction of stopped trainings that end with the same bits", "1.0", len(rows), rows,
        schedules={"SIGKILL": kills, "SIGTERM": terms}, stops=hits, longest_lost_s=max(lost, default=0.0),
        checkpoint_seconds=EVERY_S, steps=STEPS,
    )  # fmt: skip
    print(f"{passed} of {len(rows)} trainings ended with the same bits; stops that hit: {hits}")
    sys.exit(passed != len(rows))


if __name__ == "__main__":
    main()
