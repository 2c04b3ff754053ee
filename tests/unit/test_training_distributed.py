"""Places of processes, their rows, and how they are started. Real kills: tests/faults/test_train_processes.py."""

import os
import sys
import threading
import time

import numpy as np
import pytest
from tests.unit import training_toys as toys

from seqmill.config.models import Model, Training
from seqmill.runtime.cluster import Place, find_place, first_host, run_processes
from seqmill.runtime.errors import InputError, SeqmillError, WorkerError
from seqmill.stages.training import train_here
from seqmill.stores.dataset import DatasetReader
from seqmill.training.distributed import join
from seqmill.training.loader import batch_keys, part_batches, plain_batches, training_batches
from seqmill.training.order import make_streams

SLURM = {
    "SLURM_JOB_ID": "1234",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "2",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
}
PLAIN = {"SEQMILL_COORDINATOR": "a:9", "SEQMILL_PROCESSES": "3", "SEQMILL_PROCESS": "1"}
KUBERNETES = {"SEQMILL_COORDINATOR": "run-0.run:9", "SEQMILL_PROCESSES": "3", "JOB_COMPLETION_INDEX": "2"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"JOB_COMPLETION_INDEX": "2"}, None),  # an indexed job of something else
        (PLAIN, Place("a:9", 3, 1)),
        (KUBERNETES, Place("run-0.run:9", 3, 2)),
        (SLURM, Place(f"gpu07:{61000 + 1234 * 7 % 4000}", 4, 2)),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, None),
        (SLURM | PLAIN, Place("a:9", 3, 1)),
    ],
)
def test_the_place_of_a_process(environment, expected):
    assert find_place(environment) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SEQMILL_COORDINATOR": "a"}, "SEQMILL_COORDINATOR: is 'a', expected host:port of process 0"),
        ({"SEQMILL_PROCESSES": ""}, "SEQMILL_PROCESSES: is '', expected a number"),
        ({"SEQMILL_PROCESS": "-1"}, "SEQMILL_PROCESS: is '-1', expected a number"),
        ({"SEQMILL_PROCESS": "3"}, "SEQMILL_PROCESS: is 3, expected less than SEQMILL_PROCESSES (3)"),
    ],
)
def test_a_place_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(InputError) as caught:
        find_place(PLAIN | change)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("one", "one"),
        ("a1,b2", "a1"),
        ("node[007-012,20],other", "node007"),
        ("n[3,5]-ib", "n3-ib"),
        ("a-b-1", "a-b-1"),
    ],
)
def test_the_first_host_of_a_list(nodes, host):
    assert first_host(nodes) == host


def test_one_process_joins_nobody_and_several_need_an_environment(monkeypatch):
    join(Training())
    with pytest.raises(InputError) as caught:
        join(Training(processes=2))
    assert str(caught.value) == "training.processes: is 2, but the environment says nothing"
    with pytest.raises(InputError) as caught:
        join(Training(processes=2, batch_size="auto"))
    assert str(caught.value) == "training.batch_size: 'auto' is for one process; name a size for several"
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        join(Training(processes=2))
    assert str(caught.value) == "training.processes: is 2, but the environment says 3 processes"


# What the processes of run_processes do: process 1 ends as told, the others wait for longer than they are given.
BODY = "import os, sys, time; first = os.environ['SEQMILL_PROCESS'] == '1'; "


@pytest.mark.parametrize(
    ("body", "error", "code", "message"),
    [
        ("os.kill(os.getpid(), 9) if first else time.sleep(60)", WorkerError, 5, "process 1 of 3 of the work was"),
        (
            "(print('ERROR no such thing', file=sys.stderr), os._exit(2)) if first else time.sleep(60)",
            SeqmillError, 2, "no such thing",
        ),
        (
            # the others notice that one is gone, and that is not the reason
            "(time.sleep(.5), os.abort()) if first else (print('ERROR gone', file=sys.stderr), os._exit(5))",
            WorkerError, 5, "process 1 of 3 of the work was killed by SIGABRT",
        ),
        (  # jax aborts the others
            "os.kill(os.getpid(), 9) if first else (time.sleep(.3), os.abort())",
            WorkerError, 5, "process 1 of 3 of the work was killed by SIGKILL",
        ),
        (
            "(print('ERROR saved', file=sys.stderr, flush=True), os._exit(75)) if first else os.abort()",
            SeqmillError, 75, "saved",
        ),
        ("os._exit(7) if first else None", WorkerError, 5, "process 1 of 3 of the work ended with exit code 7"),
    ],
)  # fmt: skip
def test_the_reason_of_the_first_that_fails_is_told(monkeypatch, body, error, code, message):
    monkeypatch.setattr("seqmill.runtime.cluster.GRACE_S", 1.5)
    start = time.monotonic()
    with pytest.raises(SeqmillError) as caught:
        run_processes([sys.executable, "-c", BODY + body], 3, what="work")
    assert isinstance(caught.value, error)
    assert caught.value.exit_code == code
    assert message in str(caught.value)
    assert time.monotonic() - start < 20


def test_each_process_has_its_place_and_its_lines_join_the_log(caplog):
    caplog.set_level("INFO", logger="seqmill")
    body = "import os, sys; print('INFO I am', os.environ['SEQMILL_PROCESS'], file=sys.stderr); print('INFO out')"
    run_processes([sys.executable, "-c", body], 2, what="work")
    assert sorted(caplog.messages) == ["I am 0", "I am 1"]


def test_a_launcher_starts_them_where_one_is_named(monkeypatch, tmp_path):
    log = tmp_path / "log"
    script = tmp_path / "launch"
    script.write_text(f'#!/bin/sh\necho "$SEQMILL_PROCESS|$*" >> {log}\n')
    script.chmod(0o755)
    monkeypatch.setenv("SEQMILL_LAUNCHER", f"{script} -n 2")
    run_processes(["train", "a b"], 2, what="work")
    assert log.read_text() == "|-n 2 train a b\n"


def test_a_process_with_a_place_starts_its_own_only(monkeypatch, caplog):
    caplog.set_level("INFO", logger="seqmill")
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    body = "import os, sys; print('INFO I am', os.environ['SEQMILL_PROCESS'], file=sys.stderr)"
    run_processes([sys.executable, "-c", body], 3, what="work")
    assert caplog.messages == ["I am 1"]


def test_all_devices_cannot_be_given_to_each_of_several_processes(monkeypatch, tmp_path):
    values = {"devices": "all", "processes": 2, "device": "gpu"}
    model = Model.model_validate({"architecture": "dense", "dataset": "toy", "training": values}).model_dump_json()
    with pytest.raises(InputError) as caught:
        train_here(tmp_path / "0.1", "toy", model, tmp_path / "no.zarr", "0", 1, None, [])
    assert str(caught.value) == (
        "training.devices: 'all' for 2 processes of one machine would give each every gpu; name a number"
    )


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return DatasetReader(toys.motif_dataset(tmp_path_factory.mktemp("d") / "toy.zarr"))


def first_batches(reader, streams, count, **more):
    found = training_batches(reader, streams, targets=["bound"], seed=3, **more)
    return [{key: array.copy() for key, array in next(found).items()} for _ in range(count)]


@pytest.mark.parametrize("pools", [None, [("peaks", 3.0), ("negatives", 1.0)]])
@pytest.mark.parametrize(("lanes", "parts"), [(1, 2), (1, 4), (4, 2), (4, 4), (2, 4)])
def test_parts_of_all_processes_are_the_batch(reader, pools, lanes, parts):
    streams = make_streams(reader.parts, ["train"], pools=pools, batch_size=16, chunk=64, lanes=lanes)
    whole = first_batches(reader, streams, 90, first_step=5)
    for number in range(parts):
        own = first_batches(reader, streams, 90, first_step=5, part=(number, parts))
        size = 16 // parts
        for batch, mine in zip(whole, own):
            for key in batch:
                np.testing.assert_array_equal(batch[key][number * size : (number + 1) * size], mine[key])


class Counting:
    """A reader that notes which rows are read."""

    def __init__(self, reader):
        self.reader, self.rows = reader, set()

    def __getattr__(self, name):
        return getattr(self.reader, name)

    def read_async(self, key, start, stop):
        self.rows |= set(range(start, stop))
        return self.reader.read_async(key, start, stop)


def test_with_lanes_a_process_reads_its_own_rows_only(reader):
    streams = make_streams(reader.parts, ["train"], pools=None, batch_size=16, chunk=64, lanes=2)
    seen = []
    for number in (0, 1):
        counting = Counting(reader)
        seen.append(set())
        for batch in first_batches(counting, streams, 75, part=(number, 2)):  # one pass: 1,200 rows
            seen[number] |= set(batch["row"].tolist())
        assert seen[number] == counting.rows
    assert len(seen[0]) == len(seen[1]) == 600
    assert not seen[0] & seen[1]
    assert {row < 900 for row in seen[0]} == {True, False}  # both pools in each


def test_lanes_that_cannot_be_are_refused(reader):
    with pytest.raises(InputError) as caught:
        make_streams(reader.parts, ["train"], pools=None, batch_size=16, chunk=64, lanes=3)
    assert str(caught.value) == (
        "training.lanes: 3 lanes do not divide the 16 rows of pool 'all' in a batch, or its 1200 rows are fewer"
    )


@pytest.mark.parametrize("batch_size", [16, 48, 128, 400])
@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_validation_batches_are_the_batches(reader, batch_size, parts):
    ranges = [(900, 1003), (1010, 1047)]
    keys = batch_keys(reader, ["bound"])
    whole = [
        ({key: array.copy() for key, array in batch.items()}, count)
        for batch, count in plain_batches(reader, ranges, batch_size=batch_size, keys=keys)
    ]
    size, real = batch_size // parts, np.zeros(len(whole), int)
    for number in range(parts):
        counting = Counting(reader)
        own = list(part_batches(counting, ranges, batch_size=batch_size, keys=keys, part=(number, parts)))
        assert len(own) == len(whole)
        for index, ((batch, _), (mine, count)) in enumerate(zip(whole, own)):
            real[index] += count
            for key in batch:
                np.testing.assert_array_equal(batch[key][number * size : (number + 1) * size], mine[key])
        assert len(counting.rows) <= sum(count for _, count in own) + 1
    assert real.tolist() == [count for _, count in whole]


JOINED = """
import os, sys, threading
from seqmill.runtime.device import choose_device
choose_device("cpu", 1)
import jax, numpy as np
from seqmill.config.models import Training
from seqmill.training import distributed as d, parallel
d.PIECE = 1000
d.join(Training(processes=2))
layout = parallel.make_layout(Training(processes=2), 8)
first = d.is_first()
bits = np.array([-0.0, np.nan, np.inf, 1e-45, 3.5] * 500, np.float32)
told = d.tell_arrays({"a": bits, "b": np.int32(7)} if first else None, {"a": bits * 0, "b": np.int32(0)})
assert told["a"].tobytes() == bits.tobytes() and told["b"] == 7
assert d.tell(b"words" if first else None) == b"words" and d.tell(b"" if first else None) == b""
class States:
    every_s = 0.0
    def due(self, *, pass_ended): return pass_ended if first else 1 / 0
shared = d.SharedCheckpoints(States() if first else type("", (States,), {"due": lambda self, **_: True})(), layout)
stop = threading.Event()
assert [shared.stop_asked(stop) for _ in range(5)] == [False] * 5
assert not shared.due(pass_ended=False)
shared.stop_asked(stop)
assert shared.due(pass_ended=True) and not shared.due(pass_ended=True)
if not first:
    stop.set()
assert shared.stop_asked(stop)
own = np.array([3, 2**40]) if first else np.array([5, 6])
rows, marked = d.of_all_processes(own, np.array([False, first]))
assert rows.tolist() == [3, 2**40, 5, 6] and marked.tolist() == [False, True, False, False]
print("all is well", file=sys.stderr)
print("INFO all is well", file=sys.stderr)
"""


SRUN = """#!/bin/sh
[ "$1 $2 $3" = "--overlap --kill-on-bad-exit=1 --ntasks=2" ] || exit 9
shift 3
export SLURM_JOB_ID=$$ SLURM_STEP_ID=1 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST=localhost
SLURM_PROCID=1 "$@" & SLURM_PROCID=0 "$@" && wait $!
"""


@pytest.mark.parametrize("slurm", [False, True])
def test_processes_are_told_the_same_bits_and_agree(caplog, monkeypatch, tmp_path, slurm):
    """Started here, and by a script in place of ``srun`` in an allocation of two nodes."""
    caplog.set_level("INFO", logger="seqmill")
    if slurm:
        (tmp_path / "srun").write_text(SRUN)
        (tmp_path / "srun").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    run_processes([sys.executable, "-c", JOINED], 2, what="test")
    assert caplog.messages == ["all is well"] * 2


def test_a_process_without_the_first_says_so(monkeypatch):
    monkeypatch.setattr("seqmill.training.distributed.MEET_S", 0)
    for name, value in (PLAIN | {"SEQMILL_COORDINATOR": "127.0.0.1:1"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SeqmillError) as caught:
        join(Training(processes=3))
    assert str(caught.value) == (
        "process 1 of 3 could not reach process 0 at 127.0.0.1:1 within 0 s: Connection refused"
    )


def test_signals_outside_the_main_thread_change_nothing():
    done: list[str] = []

    def work():
        run_processes([sys.executable, "-c", "pass"], 2, what="work")
        done.append("ended")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert done == ["ended"]
