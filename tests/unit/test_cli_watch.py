"""`seqmill watch`: what is said of running, ended and killed trainings, on a pipe and on a terminal of any size."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqmill.cli import watch as module
from seqmill.cli.command import main
from seqmill.cli.curves import Curve, chart
from seqmill.cli.watch import Run, find_runs, picture, sentence
from seqmill.runtime.owner import Owner
from seqmill.stores.model import write_model
from seqmill.training.telemetry import progress_file

HEADER = {"steps": 200, "steps_per_epoch": 50, "batch_size": 10, "time": 100.0}


def write(out: Path, *lines: dict, owner: dict | None = None, run: str = "") -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    header = HEADER | {"run": run or f"{out.parent.name}/{out.name}", "owner": owner or Owner.of().as_dict()}
    progress_file(out).write_text("".join(json.dumps(line) + "\n" for line in [header, *lines]))
    return out


def step(number: int, loss: float = 0.5, **more) -> dict:
    line = {"step": number, "epoch": -(-number // 50), "loss": loss, "examples_per_s": 20.0, "waiting": 0.02}
    return line | {"seconds": number / 2, "time": 100.0 + number} | more


def passed(epoch: int, loss: float) -> dict:
    return {"epoch": epoch, "step": 50 * epoch, "train_loss": 0.5, "valid_loss": loss, "time": 100.0}


DEAD = Owner.of().as_dict() | {"pid": 2**22 + 1}
ELSEWHERE = Owner.of().as_dict() | {"host": "another"}


@pytest.fixture
def world(tmp_path):
    models = tmp_path / "results" / "models"
    lines = [step(20), step(50), passed(1, 0.4), step(90), passed(2, 0.45), step(100, 0.25, device_busy=0.97)]
    write(models / "basset" / "0.0", *lines)
    write(models / "basset" / "0.1", *lines, {"ended": "finished", "why": "", "time": 1.0})
    write(models / "basset" / "1.0", *lines[:2], {"ended": "failed", "why": "the loss is nan", "time": 1.0})
    write(models / "danq" / "0.0", step(20), owner=DEAD)
    write(models / "danq" / "0.1", step(20), owner=ELSEWHERE)
    write(models / "danq" / "1.0")
    return tmp_path


SAID = {
    "basset/0.0": "running, step 100 of 200 (50 %), pass 2, loss 0.25, validation 0.45 (best 0.4, pass 1), "
    "20 examples/s, 50 s left, 2 % waiting for data, device 97 % busy",
    "basset/0.1": "finished, step 100 of 200 (50 %), pass 2, loss 0.25, validation 0.45 (best 0.4, pass 1), "
    "20 examples/s, 2 % waiting for data",
    "basset/1.0": "failed, step 50 of 200 (25 %), pass 1, loss 0.5, 20 examples/s, 2 % waiting for data: "
    "the loss is nan",
    "danq/0.0": "killed, step 20 of 200 (10 %), pass 1, loss 0.5, 20 examples/s, 2 % waiting for data",
    "danq/0.1": "silent, step 20 of 200 (10 %), last heard of 3 h 00 min ago, pass 1, loss 0.5, 20 examples/s, "
    "2 % waiting for data",
    "danq/1.0": "running, step 0 of 200 (0 %)",
}


def test_one_line_a_run_on_a_pipe(world, capsys, monkeypatch):
    monkeypatch.setattr(module.time, "time", lambda: 120.0 + 3 * 3600)
    assert main(["watch", str(world / "results"), "--once"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{run}: {text}" for run, text in SAID.items()]


def test_facts_as_one_object(world, capsys):
    assert main(["watch", str(world / "results" / "models" / "basset"), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["runs"][0]
    assert first == {
        "run": "basset/0.0", "state": "running", "step": 100, "steps": 200, "pass": 2, "loss": 0.25, "valid_loss": 0.45,
        "best": 0.4, "best_pass": 1, "examples_per_s": 20.0, "waiting": 0.02, "seconds_left": 50.0, "device_busy": 0.97,
    }  # fmt: skip


def test_runs_are_found_by_any_name_of_theirs(world):
    models = world / "results" / "models"
    for path, expected in (
        (world / "results", 6), (models, 6), (models / "danq", 3), (models / "danq" / "0.1", 1),
        (progress_file(models / "danq" / "0.1"), 1),
    ):  # fmt: skip
        assert len(find_runs([path], {})) == expected
    assert [run.out.name for run in find_runs([models / "danq", models / "danq" / "0.1"], {})] == ["0.0", "0.1", "1.0"]


def test_a_model_without_progress_is_told_by_its_history(tmp_path, capsys):
    history = [{"epoch": 1, "step": 5, "train_loss": 0.5, "valid_loss": 0.25}]
    out = tmp_path / "models" / "m" / "0.0"
    write_model(out, "m", {}, {"steps": 5}, history)
    assert main(["watch", str(tmp_path), "--once"]) == 0
    said = "finished, step 5 of 5 (100 %), pass 1, loss 0.5, validation 0.25 (best 0.25, pass 1)"
    assert capsys.readouterr().out == f"m/0.0: {said}\n"
    (out / "model.json").write_text("{}")
    assert main(["watch", str(tmp_path), "--once"]) == 0
    assert re.match(r"m/0\.0: damaged, step 0: .*model\.json: ", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "none: does not exist; name folders of models, or results of which all are shown"),
        ("empty", "empty: no training has begun there"),
    ],
)
def test_nothing_to_watch(tmp_path, capsys, name, message):
    (tmp_path / "empty").mkdir()
    assert main(["watch", str(tmp_path / name)]) == 2
    assert capsys.readouterr().err == f"ERROR {tmp_path}/{message}\n"


def test_lines_follow_a_training_to_its_end(tmp_path, capsys, monkeypatch):
    out = write(tmp_path / "m" / "0.0", step(20))
    waiting = iter(
        [[step(30)], [step(50)], [passed(1, 0.4)], [step(70), {"ended": "finished", "why": "", "time": 1.0}]]
    )

    def sleep(seconds):
        with open(progress_file(out), "a") as handle:
            handle.write("".join(json.dumps(line) + "\n" for line in next(waiting)))

    monkeypatch.setattr(module.time, "sleep", sleep)
    assert main(["watch", str(out)]) == 0
    said = [line.split(", ")[:2] for line in capsys.readouterr().out.splitlines()]
    steps = [20, 50, 70]
    states = ["running", "running", "finished"]
    assert said == [[f"m/0.0: {s}", f"step {n} of 200 ({n // 2} %)"] for s, n in zip(states, steps)]


def test_a_training_that_goes_on_is_read_anew_and_half_lines_wait(tmp_path):
    out = write(tmp_path / "m" / "0.0", step(20), step(40))
    run = Run(out)
    run.read()
    path = progress_file(out)
    with open(path, "a") as handle:
        handle.write(json.dumps(step(60))[:20])
    run.read()
    assert [line["step"] for line in run.found.lines] == [20, 40]
    with open(path, "a") as handle:
        handle.write(json.dumps(step(60))[20:] + "\n")
    run.read()
    assert [line["step"] for line in run.found.lines] == [20, 40, 60]
    path.with_name("new").write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")
    os.replace(path.with_name("new"), path)
    run.read()
    assert [line["step"] for line in run.found.lines] == [20]


@pytest.mark.parametrize("columns", [12, 20, 36, 60, 80, 200])
@pytest.mark.parametrize("rows", [3, 8, 14, 60])
def test_the_picture_fits(world, columns, rows):
    runs = find_runs([world], {})
    for braille, colour in ((True, True), (False, False)):
        lines = picture(runs, columns, rows, braille=braille, colour=colour)
        plain = [re.sub(r"\x1b\[\d+m", "", line) for line in lines]
        assert len(lines) <= rows
        assert max(map(len, plain)) < columns
        assert plain == lines or colour
        assert any("running" in line for line in plain) or columns < 36
    if columns == 200 and rows == 60:
        assert re.split("  +", plain[1]) == [
            "a basset/0.0", "running", "50 %", "2", "0.25", "0.45", "0.4", "20", "50 s", "2 %", "97 %",
        ]  # fmt: skip
        assert {line.split()[0] for line in plain[1:7]} == set("abcdef")


def test_a_chart_to_the_dot():
    line = Curve("a", [(0, 4.0), (10, 2.0), (20, 0.0)], [(20, 2.0)])
    assert chart([line], columns=21, rows=6, braille=False, colour=False) == [
        "       4 |aa",
        "         |  aa",
        "       2 |    aa    A",
        "         |      aaa",
        "       0 |        aaa",
        "         0  20 steps",
    ]
    flat = chart([Curve("a", [(0, 1.0), (20, 1.0)])], columns=21, rows=4, colour=False)
    assert flat == ["    1.05 |", "       1 |" + "⠤" * 11, "    0.95 |", "         0  20 steps"]
    assert chart([Curve("a", [(0, float("nan"))])], columns=80, rows=20) == []
    assert chart([line], columns=15, rows=6) == chart([line], columns=21, rows=3) == []


def test_two_runs_without_colours_are_letters():
    curves = [Curve("a", [(0, 1.0), (9, 0.0)]), Curve("b", [(0, 0.0), (9, 1.0)])]
    drawn = "".join(chart(curves, columns=40, rows=10, colour=False))
    assert "a" in drawn
    assert "b" in drawn
    assert not any(ord(c) > 127 for c in drawn)


def test_a_sentence_of_a_training_that_has_not_said_anything():
    assert sentence(Run(Path("m/0.0")).facts()) == "m/0.0: starting, step 0"


# Jobs in the background ignore SIGINT, and so would their children. No preexec_fn: it runs in a forked child, which may
# wait for ever for a lock of jax's threads.
WATCH = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from seqmill.cli import main
sys.exit(main())
"""


def on_terminal(path: Path, then, **environment) -> tuple[int, str]:
    """Exit code and output of `seqmill watch` on a terminal; ``then`` is called once it has drawn."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", WATCH, "watch", "--every", "0.05", str(path)]
    settings = {"TERM": "xterm", "COLUMNS": "70", "LINES": "20", "PYTHONIOENCODING": "utf-8"} | environment
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | settings) as process:
        os.close(theirs)
        text, drawn, end = b"", False, time.monotonic() + 60
        while time.monotonic() < end:
            try:
                text += os.read(ours, 4096)
            except OSError:
                break
            if not drawn and text.count(b"\x1b[J") >= 2:
                drawn = True
                then(process)
        os.close(ours)
    return process.returncode, text.decode()


@pytest.mark.parametrize("end", ["ends", "interrupt"])
def test_live_on_a_terminal_that_is_given_back(tmp_path, end):
    out = write(tmp_path / "m" / "0.0", step(20, 0.75), step(50, 0.5), passed(1, 0.625))

    def finish(process):
        if end == "interrupt":
            process.send_signal(signal.SIGINT)
            return
        with open(progress_file(out), "a") as handle:
            handle.write(json.dumps({"ended": "finished", "why": "", "time": 1.0}) + "\n")

    code, text = on_terminal(tmp_path, finish)
    assert code == 0
    assert text.startswith("\x1b[?1049h\x1b[?25l\x1b[H")
    live, left, after = text.partition("\x1b[?25h\x1b[?1049l")
    assert left
    assert "running" in live
    assert ("running" if end == "interrupt" else "finished") in after
    assert "Traceback" not in text
    assert "50 steps" in after
