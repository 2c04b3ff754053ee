"""Work in a process of its own: what it returns and raises, and that signals reach it."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from seqmill.runtime.child import Terminated, in_child, termination_unwinds
from seqmill.runtime.errors import InputError, WorkerError


def answer(number):
    return number, os.getpid()


def refuse():
    raise InputError("x.bed", "is odd", record=3)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_answer_comes_from_another_process():
    number, pid = in_child(answer, 7, what="a sum")
    assert number == 7 and pid != os.getpid()


def test_its_errors_are_ours_and_its_death_is_told():
    with pytest.raises(InputError, match=r"x\.bed:3: is odd"):
        in_child(refuse, what="a sum")
    with pytest.raises(WorkerError, match="a sum was killed; it may need more memory"):
        in_child(die, what="a sum")


SCRIPT = textwrap.dedent(
    """
    import os, signal, sys, time
    from seqmill.runtime.child import in_child, termination_unwinds

    def work(how):
        if how == "saves":
            def save(*_):
                print("saved", flush=True)
                os._exit(0)
            signal.signal(signal.SIGTERM, save)
        elif how == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            print("working", os.getpid(), flush=True)  # inside: the signal may come at once
            while True:
                time.sleep(0.05)
        finally:
            print("tidied", flush=True)

    if __name__ == "__main__":
        try:
            with termination_unwinds():
                in_child(work, sys.argv[1], what="work")
        except KeyboardInterrupt as error:
            print(type(error).__name__, flush=True)
    """
)


@pytest.mark.parametrize(
    ("how", "number", "times", "expected"),
    [
        ("tidies", signal.SIGTERM, 1, ["tidied", "Terminated"]),
        ("tidies", signal.SIGINT, 1, ["tidied", "KeyboardInterrupt"]),
        ("saves", signal.SIGTERM, 1, ["saved", "Terminated"]),
        ("deaf", signal.SIGTERM, 2, ["Terminated"]),
    ],
)
def test_signals_are_handed_on_and_a_second_one_kills(tmp_path, how, number, times, expected):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen([sys.executable, str(script), how], stdout=subprocess.PIPE, text=True)
    word, pid = parent.stdout.readline().split()
    assert word == "working"
    for _ in range(times):
        parent.send_signal(number)
        time.sleep(0.5)
    out, _ = parent.communicate(timeout=30)
    assert out.split() == expected
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_termination_is_an_exception_only_inside_its_block():
    before = signal.getsignal(signal.SIGTERM)
    with termination_unwinds(), pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
