"""The verb that shows how trainings go: live curves on a terminal, lines where its output is a pipe or a file."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqmill.cli.curves import COLOURS, Curve, chart, paint
from seqmill.cli.settings import RESULTS, say
from seqmill.runtime.errors import InputError, SeqmillError
from seqmill.runtime.owner import Owner
from seqmill.runtime.progress import human_seconds
from seqmill.training.telemetry import Followed, add_lines, progress_file

TERMINAL_S, PIPE_S = 2.0, 30.0
SILENT_S = 900.0  # of a process on another machine
LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SUFFIX = ".progress.jsonl"
_SHOW, _HIDE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@dataclass
class Run:
    """One training: what its progress file says, or, where it has none, the history of its model."""

    out: Path
    found: Followed = field(default_factory=Followed)
    place: tuple[int, int] = (0, 0)  # inode of the file, bytes of it that were read

    @property
    def label(self) -> str:
        return self.found.header.get("run") or f"{self.out.parent.name}/{self.out.name}"

    def read(self) -> None:
        """Take what was written since. A training that goes on replaces the file."""
        try:
            with open(progress_file(self.out), "rb") as handle:
                inode = os.fstat(handle.fileno()).st_ino
                if inode != self.place[0] or os.fstat(handle.fileno()).st_size < self.place[1]:
                    self.found, self.place = Followed(), (inode, 0)
                handle.seek(self.place[1])
                text = handle.read()
        except FileNotFoundError:
            self._read_model()
            return
        whole = text[: text.rfind(b"\n") + 1]
        add_lines(self.found, whole)
        self.place = (inode, self.place[1] + len(whole))

    def _read_model(self) -> None:
        from seqmill.stores.model import ModelReader

        if self.found.ended or not (self.out / "model.json").is_file():
            return
        try:
            reader = ModelReader(self.out)
            self.found = Followed({"steps": reader.info["steps"]}, [], reader.history, "finished")
        except SeqmillError as error:
            self.found = Followed(ended="damaged", why=str(error))

    def state(self) -> str:
        """running, finished, stopped, failed, killed, damaged; silent: of a process that cannot be asked from here."""
        if self.found.ended or not self.found.header:
            return self.found.ended or "starting"
        dead = Owner(**self.found.header["owner"]).is_dead() if "owner" in self.found.header else None
        if dead is None and self._silence() > SILENT_S:
            return "silent"
        return "killed" if dead else "running"

    def _silence(self) -> float:
        return time.time() - self.found.updated

    def going(self) -> bool:
        return self.state() in ("running", "starting")

    def facts(self) -> dict[str, Any]:
        """What is known now; what is not is left out."""
        header, lines, passes = self.found.header, self.found.lines, self.found.passes
        line, step = (lines or [{}])[-1], max([one["step"] for one in (lines[-1:] + passes[-1:])], default=0)
        facts: dict[str, Any] = {"run": self.label, "state": self.state(), "step": step, "steps": header.get("steps")}
        facts["pass"] = (passes[-1:] + lines[-1:] or [{}])[-1].get("epoch")
        if lines or passes:
            facts["loss"] = line["loss"] if lines else passes[-1]["train_loss"]
        if passes:
            best = min(passes, key=lambda entry: entry["valid_loss"])
            facts |= {"valid_loss": passes[-1]["valid_loss"], "best": best["valid_loss"], "best_pass": best["epoch"]}
        if lines:
            recent = [one["examples_per_s"] for one in lines[-5:]]
            facts |= {"examples_per_s": sum(recent) / len(recent), "waiting": line["waiting"]}
            if self.going() and facts["steps"] and facts["examples_per_s"]:
                left = (facts["steps"] - step) * header["batch_size"] / facts["examples_per_s"]
                facts["seconds_left"] = left
        for name in ("learning_rate", "device_bytes", "device_busy"):
            if name in line and self.going():
                facts[name] = line[name]
        if facts["state"] == "silent":
            facts["seconds_silent"] = self._silence()
        if self.found.why:
            facts["why"] = self.found.why
        return {name: value for name, value in facts.items() if value is not None}


def _outs(path: Path) -> Iterator[Path]:
    """Folders of models, written or being trained, at or below ``path``."""
    if path.name.endswith(_SUFFIX):
        yield path.with_name(path.name[1 : -len(_SUFFIX)])
        return
    if (path / "model.json").is_file() or progress_file(path).is_file():
        yield path
        return
    top = path / "models" if (path / "models").is_dir() else path
    for root, folders, names in os.walk(top):
        for name in names:
            if name.startswith(".") and name.endswith(_SUFFIX):
                yield Path(root) / name[1 : -len(_SUFFIX)]
        for name in list(folders):
            if (Path(root) / name / "model.json").is_file():
                yield Path(root) / name
                folders.remove(name)
            elif name.startswith(".") or name.endswith(".zarr"):
                folders.remove(name)


def find_runs(paths: list[Path], known: dict[Path, Run]) -> list[Run]:
    """Runs at or below ``paths`` in the order of their names, read up to now; ``known`` remembers them."""
    for path in paths:
        for out in _outs(path):
            known.setdefault(out, Run(out))
    for run in known.values():
        run.read()
    return sorted(known.values(), key=lambda run: str(run.out))


def sentence(facts: dict[str, Any]) -> str:
    """One run in one line.

    >>> sentence({"run": "m/0.0", "state": "running", "step": 50, "steps": 200, "pass": 1, "loss": 0.25})
    'm/0.0: running, step 50 of 200 (25 %), pass 1, loss 0.25'
    """
    words = [facts["state"], f"step {facts['step']:,}"]
    if facts.get("steps"):
        words[-1] += f" of {facts['steps']:,} ({100 * facts['step'] / facts['steps']:.0f} %)"
    words += [f"last heard of {human_seconds(facts['seconds_silent'])} ago"] if "seconds_silent" in facts else []
    words += [f"pass {facts['pass']}"] if "pass" in facts else []
    words += [f"loss {facts['loss']:.4g}"] if "loss" in facts else []
    if "valid_loss" in facts:
        words.append(f"validation {facts['valid_loss']:.4g} (best {facts['best']:.4g}, pass {facts['best_pass']})")
    words += [f"{facts['examples_per_s']:,.0f} examples/s"] if "examples_per_s" in facts else []
    words += [f"{human_seconds(facts['seconds_left'])} left"] if "seconds_left" in facts else []
    words += [f"{100 * facts['waiting']:.0f} % waiting for data"] if "waiting" in facts else []
    words += [f"device {100 * facts['device_busy']:.0f} % busy"] if "device_busy" in facts else []
    return f"{facts['run']}: {', '.join(words)}" + (f": {facts['why']}" if "why" in facts else "")


# Columns of the table from the left; where they do not fit, those of the highest number go first.
_TABLE = (
    (0, "run", lambda f: f["run"]),  # cut to what is left for it
    (0, "state", lambda f: f["state"]),
    (2, "done", lambda f: f"{100 * f['step'] / f['steps']:.0f} %" if f.get("steps") else ""),
    (3, "pass", lambda f: str(f.get("pass", ""))),
    (1, "loss", lambda f: f"{f['loss']:.4g}" if "loss" in f else ""),
    (1, "valid", lambda f: f"{f['valid_loss']:.4g}" if "valid_loss" in f else ""),
    (4, "best", lambda f: f"{f['best']:.4g}" if "best" in f else ""),
    (5, "examples/s", lambda f: f"{f['examples_per_s']:,.0f}" if "examples_per_s" in f else ""),
    (2, "left", lambda f: human_seconds(f["seconds_left"]) if "seconds_left" in f else ""),
    (6, "waits", lambda f: f"{100 * f['waiting']:.0f} %" if "waiting" in f else ""),
    (6, "busy", lambda f: f"{100 * f['device_busy']:.0f} %" if "device_busy" in f else ""),
)  # fmt: skip


def _table(facts: list[dict[str, Any]], columns: int, colour: bool) -> list[str]:
    longest = max(14, columns // 3)
    facts = [
        one | {"run": one["run"] if len(one["run"]) <= longest else ".." + one["run"][2 - longest :]} for one in facts
    ]
    cells = [(rank, [title, *(text(one) for one in facts)]) for rank, title, text in _TABLE]
    cells = [(rank, column) for rank, column in cells if any(column[1:])]
    while sum(max(map(len, column)) + 2 for _, column in cells) > columns - 1 and len(cells) > 1:
        cells.pop(max(range(len(cells)), key=lambda number: (cells[number][0], number)))
    lines = []
    for number in range(len(facts) + 1):
        texts = [
            f"{column[number]:<{max(map(len, column))}}" if place < 2 else f"{column[number]:>{max(map(len, column))}}"
            for place, (_, column) in enumerate(cells)
        ]
        letter = _letter(number - 1) if number else " "
        line = (f"{letter} " + "  ".join(texts))[: columns - 1].rstrip()
        lines.append(line[:1] and paint(line[0], _colour(number - 1), colour and number > 0) + line[1:])
    return lines


def _letter(number: int) -> str:
    return LETTERS[number % len(LETTERS)]


def _colour(number: int) -> int:
    return COLOURS[number % len(COLOURS)]


def picture(runs: list[Run], columns: int, rows: int, *, braille: bool = True, colour: bool = True) -> list[str]:
    """Table and curves of all runs, in at most ``rows`` lines of less than ``columns`` characters."""
    facts = [run.facts() for run in runs]
    shown = list(range(len(runs)))
    if len(runs) > rows - 2:  # those that go on, else the last ones
        shown = sorted(sorted(shown, key=lambda number: (not runs[number].going(), -number))[: max(1, rows - 2)])
    chosen = [runs[number] for number in shown]
    lines = _table([facts[number] for number in shown], columns, colour)
    if len(shown) < len(runs):
        lines.append(f"and {len(runs) - len(shown)} more"[: columns - 1])
    curves = [
        Curve(
            _letter(number),
            [(line["step"], line["loss"]) for line in run.found.lines]
            or [(entry["step"], entry["train_loss"]) for entry in run.found.passes],
            [(entry["step"], entry["valid_loss"]) for entry in run.found.passes],
            _colour(number),
        )
        for number, run in enumerate(chosen)
    ]
    drawn = chart(curves, columns=columns - 1, rows=min(24, rows - len(lines) - 2), braille=braille, colour=colour)
    if drawn:
        lines += ["", "training loss (line) and validation loss (letter) by step"[: columns - 1], *drawn]
    return lines[:rows]


def _places(paths: list[Path]) -> list[Path]:
    for path in paths:
        if not path.exists() and not progress_file(path).exists():
            raise InputError(path, "does not exist; name folders of models, or results of which all are shown")
    return paths


def watch(arguments: argparse.Namespace) -> int:
    """Show until every training that was found has ended."""
    known: dict[Path, Run] = {}
    paths = _places(arguments.paths or [RESULTS])
    runs = find_runs(paths, known)
    if not runs:
        raise InputError(", ".join(map(str, paths)), "no training has begun there")
    if arguments.json:
        say(arguments, {"runs": [run.facts() for run in runs]}, [])
        return 0
    screen = sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    looks = {
        "braille": (sys.stdout.encoding or "").lower().replace("-", "") == "utf8",
        "colour": "NO_COLOR" not in os.environ,
    }
    if not screen:
        return _lines(arguments, paths, known)
    try:
        if not arguments.once and any(run.going() for run in runs):
            sys.stdout.write(_SHOW)
            try:
                while any(run.going() for run in runs):
                    columns, rows = shutil.get_terminal_size()
                    text = "".join(line + "\x1b[K\r\n" for line in picture(runs, columns, rows - 1, **looks))
                    sys.stdout.write(f"\x1b[H{text}\x1b[J")
                    sys.stdout.flush()
                    time.sleep(arguments.every or TERMINAL_S)
                    runs = find_runs(paths, known)
            finally:
                sys.stdout.write(_HIDE)
                sys.stdout.flush()
    except KeyboardInterrupt as stop:
        if type(stop) is not KeyboardInterrupt:  # SIGTERM
            raise
    columns, rows = shutil.get_terminal_size()
    print("\n".join(picture(runs, columns, max(rows - 1, 8), **looks)))
    return 0


def _lines(arguments: argparse.Namespace, paths: list[Path], known: dict[Path, Run]) -> int:
    """A line for each run, and again when a pass was validated, when it ended, and every ``--every`` seconds."""
    every = arguments.every or PIPE_S
    told: dict[Path, tuple[str, int, float]] = {}
    while True:
        runs = find_runs(paths, known)
        for run in runs:
            state, passes, now = run.state(), len(run.found.passes), time.monotonic()
            before = told.get(run.out)
            if before is None or before[:2] != (state, passes) or (run.going() and now - before[2] >= every):
                print(sentence(run.facts()), flush=True)
                told[run.out] = (state, passes, now)
        if arguments.once or not any(run.going() for run in runs):
            return 0
        time.sleep(min(every, 1.0))
