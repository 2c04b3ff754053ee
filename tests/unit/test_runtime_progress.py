"""Progress lines: what is done, how fast, how long still."""

import io
import logging

import pytest

from seqmill.runtime import progress
from seqmill.runtime.progress import Progress, human_bytes, human_seconds


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1536, "1.5 kB"), (2.5e9, "2.5 GB"), (3e15, "3000.0 TB")]
)
def test_bytes_for_people(count, text):
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (90, "1 min"), (5399, "89 min"), (5400, "1 h 30 min"), (4e5, "111 h 06 min")],
)
def test_seconds_for_people(seconds, text):
    assert human_seconds(seconds) == text


def test_the_line(clock):
    bar = Progress("track K562", 4e9, "bytes", stream=io.StringIO())
    bar.done, clock.now = 1e9, 110.0
    assert bar.line() == "track K562: 1.0 GB of 4.0 GB (25 %), 100.0 MB/s, 30 s left"
    bar.done = 4e9
    assert bar.line() == "track K562: 4.0 GB of 4.0 GB (100 %), 400.0 MB/s"
    unknown = Progress("train", 0, "examples", stream=io.StringIO())
    unknown.done, clock.now = 5000, 115.0
    assert unknown.line() == "train: 5,000 examples, 1,000 examples/s"


def test_a_log_line_every_30_seconds(clock, caplog):
    with caplog.at_level(logging.INFO, "seqmill"), Progress("x", 100, "bp", stream=io.StringIO()) as bar:
        for _ in range(70):
            clock.now += 1
            bar.add(1, note="loss 0.5")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "x: 30 bp of 100 bp (30 %), 1 bp/s, 70 s left; loss 0.5",
        "x: 60 bp of 100 bp (60 %), 1 bp/s, 40 s left; loss 0.5",
        "x: 70 bp in 70 s",
    ]


def test_a_bar_on_a_terminal(clock, caplog):
    screen = Terminal()
    with caplog.at_level(logging.INFO, "seqmill"), Progress("x", 10, "bp", stream=screen) as bar:
        clock.now += 0.125
        bar.add(1)
        clock.now += 0.125
        bar.add(1)
    assert screen.getvalue() == "\r\x1b[Kx: 2 bp of 10 bp (20 %), 8 bp/s, 1 s left\r\x1b[K"
    assert [record.getMessage() for record in caplog.records] == ["x: 2 bp in 0 s"]


def test_what_was_done_before_does_not_count_for_the_rate(clock):
    """A job that goes on from 4,000 examples and compiles for 50 s first."""
    bar = Progress("train", 10_000, "examples", done=4000, stream=io.StringIO())
    clock.now += 50
    bar.begin()
    bar.done, clock.now = 5000, clock.now + 10
    assert bar.line() == "train: 5,000 examples of 10,000 examples (50 %), 100 examples/s, 50 s left"


def test_the_bar_makes_room_for_other_lines(clock):
    terminal = Terminal()
    Progress("x", 10, "bp", stream=terminal).clear()
    assert terminal.getvalue() == "\r\x1b[K"
    silent = io.StringIO()
    Progress("x", 10, "bp", stream=silent).clear()
    assert silent.getvalue() == ""


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (200, "train m/0.0: 1,000 examples of 4,000 examples (25 %), 8,000 examples/s, 0 s left; loss 0.5, wait 1 %"),
        (80, "train m/0.0: 25 %, 8,000/s, 0 s left; loss 0.5, wait 1 %"),
        (50, "train m/0.0: 25 %, 8,000/s, 0 s left; loss 0.5"),
        (40, "train m/0.0: 25 %, 8,000/s, 0 s left"),
        (20, "train m/0.0: 25 %, "),
    ],
)
def test_the_bar_fits_into_its_line(clock, monkeypatch, columns, text):
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Terminal()
    bar = Progress("train m/0.0", 4000, "examples", stream=screen)
    clock.now += 0.125
    bar.done = 999
    bar.every_s = 0.1
    bar.add(1, note="loss 0.5, wait 1 %")
    assert screen.getvalue() == "\r\x1b[K" + text
    assert len(text) < columns
