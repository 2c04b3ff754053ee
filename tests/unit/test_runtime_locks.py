"""Locks: a live owner is respected, a dead one is no obstacle, wherever it ran."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from seqmill.runtime import locks
from seqmill.runtime.errors import LockedError
from seqmill.runtime.locks import WAIT_VARIABLE, acquire, artefact_lock
from seqmill.runtime.owner import Owner, boot_id, start_time

HOLD = """
import sys, time
from seqmill.runtime.locks import acquire
lock = acquire(sys.argv[1], "the track")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
lock.release()
"""


def holder(path, seconds):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    process.stdout.close()
    return process


@pytest.fixture
def quick(monkeypatch):
    """Shorter heartbeats, and locks that were written by another machine."""
    monkeypatch.setattr(locks, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(locks, "SILENCE_S", 0.5)


def foreign(path, beat=3):
    owner = {**Owner.of().as_dict(), "host": "far-away", "pid": 77}
    with open(path, "r+" if path.exists() else "w") as handle:  # a reader must not see it empty between two beats
        handle.write(json.dumps({"owner": owner, "beat": beat}))


def test_a_live_owner_is_named(tmp_path):
    path = tmp_path / "x.lock"
    process = holder(path, 30)
    try:
        with pytest.raises(LockedError) as error:
            acquire(path, "the track")
        owner = f"process {process.pid} on {os.uname().nodename}"
        assert str(error.value) == (
            f"the track is being written by {owner}, which is alive (lock {path}). "
            f"Wait for it, stop it, or set {WAIT_VARIABLE} to wait that many seconds."
        )
        assert error.value.exit_code == 3
    finally:
        process.kill()
        process.wait()


def test_waiting_for_a_live_owner(tmp_path, monkeypatch):
    path = tmp_path / "x.lock"
    process = holder(path, 0.5)
    monkeypatch.setenv(WAIT_VARIABLE, "30")
    acquire(path, "the track").release()
    assert process.wait() == 0
    assert not path.exists()


def test_a_killed_owner_is_no_obstacle(tmp_path):
    path = tmp_path / "x.lock"
    process = holder(path, 60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.exists()
    acquire(path, "the track").release()
    assert not path.exists()


def test_the_same_process_cannot_hold_it_twice(tmp_path):
    with artefact_lock(tmp_path / "x.zarr"), pytest.raises(LockedError, match=r"x.zarr is being written by process"):
        artefact_lock(tmp_path / "x.zarr", wait_s=0).__enter__()
    with artefact_lock(tmp_path / "x.zarr"):
        assert [path.name for path in tmp_path.iterdir()] == [".x.zarr.lock"]
    assert list(tmp_path.iterdir()) == []


def test_released_when_the_block_raises(tmp_path):
    with pytest.raises(RuntimeError, match="inside"), artefact_lock(tmp_path / "x"):
        raise RuntimeError("inside")
    acquire(tmp_path / ".x.lock", "x").release()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"owner": {"host": "a"}, "beat": 1}', "null"])
def test_torn_lock_files_are_taken(tmp_path, text):
    path = tmp_path / "x.lock"
    path.write_text(text)
    lock = acquire(path, "x")
    assert json.loads(path.read_text())["owner"] == Owner.of().as_dict()
    lock.release()


def test_owners_proven_dead(tmp_path):
    mine = Owner.of()
    for change in ({"boot": "another"}, {"started": "1"}, {"pid": 2**22 + 1}):
        path = tmp_path / "x.lock"
        path.write_text(json.dumps({"owner": {**mine.as_dict(), **change}, "beat": 1}))
        lock = acquire(path, "x")
        assert json.loads(path.read_text())["owner"] == mine.as_dict()
        lock.release()


def test_a_live_owner_counts_even_where_flock_does_not_work(tmp_path):
    path = tmp_path / "x.lock"
    path.write_text(json.dumps({"owner": Owner.of().as_dict(), "beat": 1}))
    with pytest.raises(LockedError, match=f"process {os.getpid()} .* which is alive"):
        acquire(path, "x")


def test_a_silent_owner_of_another_machine_counts_as_dead(tmp_path, quick):
    path = tmp_path / "x.lock"
    foreign(path)
    start = time.monotonic()
    acquire(path, "x").release()
    assert time.monotonic() - start >= 0.5


def test_a_beating_owner_of_another_machine_is_respected(tmp_path, quick):
    path = tmp_path / "x.lock"
    foreign(path)
    stop = threading.Event()

    def beat():
        number = 4
        while not stop.wait(0.05):
            foreign(path, number)
            number += 1

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(LockedError, match="process 77 on far-away, whose heartbeat goes on"):
            acquire(path, "x", wait_s=0.3)
    finally:
        stop.set()
        thread.join()


def test_an_owner_of_another_machine_may_let_go(tmp_path, quick):
    path = tmp_path / "x.lock"
    foreign(path)
    timer = threading.Timer(0.2, lambda: (os.truncate(path, 0), path.unlink()))
    timer.start()
    lock = acquire(path, "x", wait_s=20)
    timer.join()
    assert json.loads(path.read_text())["owner"]["pid"] == os.getpid()
    lock.release()


def test_the_heart_beats(tmp_path, quick):
    lock = acquire(tmp_path / "x.lock", "x")
    first = json.loads((tmp_path / "x.lock").read_text())
    until = time.monotonic() + 10
    while json.loads((tmp_path / "x.lock").read_text() or "{}").get("beat", 0) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    last = json.loads((tmp_path / "x.lock").read_text())
    lock.release()
    assert last["beat"] >= 3
    assert last["owner"] == first["owner"] == Owner.of().as_dict()


RACE = """
import os, sys, time
from pathlib import Path
from seqmill.runtime.locks import artefact_lock
folder = Path(sys.argv[1])
for _ in range(15):
    with artefact_lock(folder / "x", wait_s=120):
        alone = os.open(folder / "inside", os.O_CREAT | os.O_EXCL)  # fails if another one is inside
        with open(folder / "count", "a") as handle:
            handle.write("1")
        os.close(alone)
        os.unlink(folder / "inside")
"""


def test_one_at_a_time_in_a_race(tmp_path):
    racers = [subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path)]) for _ in range(4)]
    assert [racer.wait() for racer in racers] == [0] * 4
    assert (tmp_path / "count").read_text() == "1" * 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["count"]


def test_owner_of_a_zombie_or_nobody_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    until = time.monotonic() + 20
    while start_time(child.pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert start_time(child.pid) == ""  # a zombie until it is waited for
    child.wait()
    assert Owner(os.uname().nodename, boot_id(), child.pid, "5").is_dead() is True
    assert Owner.of().is_dead() is False
    assert Owner("far-away", boot_id(), 1, "5").is_dead() is None
