"""How far a job is: a bar on a terminal, one log line every 30 seconds otherwise."""

import logging
import os
import shutil
import sys
import time
from typing import Any

EVERY_S = 30.0


def human_bytes(count: float) -> str:
    """1536 -> '1.5 kB' (powers of 1,000)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def human_seconds(seconds: float) -> str:
    """4000 -> '1 h 07 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def terminal_columns(stream: Any) -> int:
    """Width of the terminal that ``stream`` writes to."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return shutil.get_terminal_size().columns


class Progress:
    """Count of work done. Call `add` with what has been done since; rate and time left follow.

    Parameters
    ----------
    what : label, e.g. "track K562".
    total : amount of work, or 0 if unknown.
    unit : "bytes", "bp", "examples", ...; bytes are printed as kB, MB.
    done : amount that was done before, by a job that this one continues; it does not count for the rate.
    """

    def __init__(self, what: str, total: float, unit: str, *, done: float = 0.0, stream=None, every_s: float = EVERY_S):
        self.what, self.total, self.unit, self.done, self.before = what, total, unit, done, done
        self.stream = sys.stderr if stream is None else stream
        self.log = logging.getLogger("seqmill")
        self.terminal = self.stream.isatty() and self.log.level <= logging.INFO
        self.every_s = 0.2 if self.terminal else every_s
        self.start = self.last = time.monotonic()

    def _amount(self, value: float) -> str:
        return human_bytes(value) if self.unit == "bytes" else f"{value:,.0f} {self.unit}"

    def line(self, *, short: bool = False) -> str:
        """What is done; ``short``: the share instead of the amounts where the total is known, rates without unit."""
        elapsed = max(time.monotonic() - self.start, 1e-9)
        rate = (self.done - self.before) / elapsed
        text = f"{self.what}: {self._amount(self.done)}"
        if self.total and short:
            text = f"{self.what}: {100 * self.done / self.total:.0f} %"
        elif self.total:
            text += f" of {self._amount(self.total)} ({100 * self.done / self.total:.0f} %)"
        text += f", {rate:,.0f}/s" if short and self.unit != "bytes" else f", {self._amount(rate)}/s"
        if self.total and rate and self.done < self.total:
            text += f", {human_seconds((self.total - self.done) / rate)} left"
        return text

    def add(self, amount: float, note: str = "") -> None:
        """Count ``amount`` more; ``note`` (a loss, a metric) is shown behind the line."""
        self.done += amount
        now = time.monotonic()
        if now - self.last >= self.every_s:
            self.last = now
            if self.terminal:
                self.stream.write("\r\x1b[K" + self._fitting(note))
                self.stream.flush()
            else:
                self.log.info(self.line() + (f"; {note}" if note else ""))

    def _fitting(self, note: str) -> str:
        """One line of the terminal: amounts give way to the end of the note, then that to the rest."""
        columns = terminal_columns(self.stream) - 1
        words = note.split(", ") if note else []
        texts = [self.line() + ("; " if note else "") + note]
        short = self.line(short=True)
        texts += [short + ("; " if count else "") + ", ".join(words[:count]) for count in range(len(words), -1, -1)]
        return next((text for text in texts if len(text) <= columns), short[:columns])

    def begin(self) -> None:
        """Take rate and time left from now on: what came before was preparation, e.g. compilation."""
        self.start, self.before = time.monotonic(), self.done

    def clear(self) -> None:
        """Take the bar away, before another line is written."""
        if self.terminal:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def close(self) -> None:
        self.clear()
        done = self._amount(self.done - self.before)
        self.log.info("%s: %s in %s", self.what, done, human_seconds(time.monotonic() - self.start))

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
