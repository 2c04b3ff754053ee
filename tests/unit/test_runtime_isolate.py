"""Workers: whatever happens in the child, the parent gets an answer or one clear error."""

import os
import signal
import subprocess
import sys
import time

import pytest

from seqmill.runtime import isolate
from seqmill.runtime.errors import WorkerError
from seqmill.runtime.isolate import IsolatedWorker, run_isolated
from seqmill.runtime.owner import start_time

EXAMPLES = "tests.unit.worker_examples"
METHOD = "SEQMILL_TEST_START_METHOD"


@pytest.fixture
def method(monkeypatch):
    """Spawn; `test_the_same_forked_without_threads` runs all tests that use this once more, forked."""
    chosen = os.environ.get(METHOD, "spawn")
    monkeypatch.setattr(isolate, "_start_method", lambda: chosen)
    return chosen


def test_the_same_forked_without_threads():
    """In a process of its own: where other tests have imported jax, a forked child may wait for a lock for ever."""
    if METHOD in os.environ:
        pytest.skip("this is that process")
    command = [sys.executable, "-m", "pytest", "--noconftest", "-p", "no:cacheprovider", "-q", __file__]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, METHOD: "fork"})
    assert done.returncode == 0 and " passed, 1 skipped" in done.stdout, done.stdout + done.stderr


def worker(path="x", **options):
    return IsolatedWorker(f"{EXAMPLES}:Reader", path, where="file.bw", **options)


def test_calls_reach_one_living_object(method):
    with worker() as reader:
        assert [reader.call("double", value) for value in (1, "ab")] == [2, "abab"]
        assert reader.call("count") == 2
        assert reader.call("pid") != os.getpid()


def test_errors_of_the_reader_pass_unchanged(method):
    with worker() as reader:
        with pytest.raises(ValueError, match="line 7: not a number"):
            reader.call("refuse")
        assert reader.call("double", 4) == 8
    with pytest.raises(FileNotFoundError):
        worker("missing")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("crash", r"^file.bw: the reader crashed \(signal SIGSEGV\) in 'crash'"),
        ("leave", r"^file.bw: the reader crashed \(exit code 9\) in 'leave'"),
        ("panic", r"^file.bw: the reader panicked in 'panic' \(Panic: index out of bounds\); the file is corrupt"),
    ],
)
def test_crashes_and_panics_name_the_file(method, call, message):
    with worker() as reader, pytest.raises(WorkerError, match=message):
        reader.call(call)


def test_a_crash_while_opening(method):
    with pytest.raises(WorkerError, match=r"crashed \(signal SIGSEGV\) in 'open'"):
        worker("crash")


def test_calls_after_a_crash_say_so(method):
    with worker() as reader:
        for _ in range(2):
            with pytest.raises(WorkerError, match="the reader crashed"):
                reader.call("crash")


def test_a_hang_is_stopped_in_time(method):
    start = time.monotonic()
    with worker(timeout_s=5) as reader:
        pid = reader.call("pid")
        reader.timeout_s = 0.5
        with pytest.raises(WorkerError, match=r"did not answer 'hang' within 0.5 s and was stopped"):
            reader.call("hang")
    assert time.monotonic() - start < 20
    assert start_time(pid) == ""


def test_memory_is_limited(method):
    with worker(memory_bytes=2 << 30) as reader:
        with pytest.raises(WorkerError, match=r"file.bw: the reader ran out of memory in 'swell'"):
            reader.call("swell")
        assert reader.call("double", 1) == 2


def test_closing_ends_the_child(method):
    reader = worker()
    pid = reader.call("pid")
    reader.close()
    reader.close()
    assert start_time(pid) == ""


def test_one_call_of_a_function():
    assert run_isolated(f"{EXAMPLES}:product", 6, b=7, where="x") == 42


def test_spawn_once_threads_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorstore", object())
    assert isolate._start_method() == "spawn"


SCRIPT = f"""
assert __name__ == "__main__", "run anew in the child"
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
from seqmill.runtime import isolate
assert isolate._start_method() == "spawn"
with isolate.IsolatedWorker("{EXAMPLES}:Reader", "x", where="file.bw") as reader:
    print(reader.call("double", 4), __file__.endswith("job.py"))
"""


def test_the_main_script_is_not_run_in_the_child(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(SCRIPT)
    path = os.pathsep.join([os.getcwd(), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.stdout == "8 True\n", done.stderr


ORPHAN = """
import sys, time
from seqmill.runtime import isolate
isolate.GRACE_S = 0.0
first = isolate.IsolatedWorker("tests.unit.worker_examples:Reader", "x", where="x", timeout_s={timeout})
second = isolate.IsolatedWorker("tests.unit.worker_examples:Reader", "x", where="x", timeout_s={timeout})
print(first.call("pid"), second.call("pid"), flush=True)
first.call({call!r})
time.sleep(60)
"""


@pytest.mark.parametrize(("call", "timeout"), [("count", 60), ("hang", 3)])
def test_children_of_a_killed_parent_end(call, timeout):
    code = ORPHAN.format(call=call, timeout=timeout)
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 20
    while any(start_time(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert [start_time(pid) for pid in pids] == ["", ""]
