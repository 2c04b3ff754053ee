"""Programs of others: found, or named with how to install them; pipelines fail in words and leave nothing running."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqmill.reads import programs
from seqmill.reads.programs import Program, find, pipeline, program_versions
from seqmill.runtime.errors import InputError, WorkerError


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Write a program into a folder that comes first on PATH; its path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    programs._version.cache_clear()

    def write(name: str, text: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    yield write
    programs._version.cache_clear()


def gone(pid: int, within_s: float = 5.0) -> bool:
    """True if the process ends in time (a zombie has not been waited for, and counts as there)."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.02)
    return False


def test_output_goes_to_the_file_and_words_come_back_in_order(tmp_path, script):
    script("say", "echo 'from the first' >&2; printf 'b\\na\\n'")
    script("order", "echo 'from the second' >&2; sort")
    said = pipeline([["say"], ["order"], ["cat"]], cwd=tmp_path, what="sorting", stdout="out.txt")
    assert (tmp_path / "out.txt").read_text() == "a\nb\n"
    assert said == "from the first\nfrom the second\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "out.txt"]


def test_without_a_file_output_is_returned(tmp_path):
    assert pipeline([["printf", "3\n"], ["cat"]], cwd=tmp_path, what="counting") == "3\n"


def test_arguments_pass_no_shell(tmp_path):
    assert pipeline([["printf", "%s", "$HOME; `id` *"]], cwd=tmp_path, what="printing") == "$HOME; `id` *"


def test_more_than_a_pipe_holds_flows(tmp_path):
    pipeline([["head", "-c", "5000000", "/dev/zero"], ["cat"]], cwd=tmp_path, what="copying", stdout="out")
    assert (tmp_path / "out").stat().st_size == 5_000_000


def test_environment(tmp_path, script):
    script("env-of", 'echo "$LC_ALL $TMPDIR $MORE"')
    assert pipeline([["env-of"]], cwd=tmp_path, what="x", env={"MORE": "yes"}) == f"C {tmp_path} yes\n"


def test_failure_names_program_status_and_last_words(tmp_path, script):
    script("aligner", "echo 'reading' >&2; echo 'Error: no such index' >&2; exit 3")
    with pytest.raises(WorkerError) as caught:
        pipeline([["aligner"], ["cat"]], cwd=tmp_path, what="aligning GL1", stdout="out.sam")
    assert str(caught.value) == "aligning GL1: aligner failed (exit status 3): reading | Error: no such index"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin"]


def test_failure_without_a_word(tmp_path):
    with pytest.raises(WorkerError, match=r"^x: false failed \(exit status 1\): it said nothing$"):
        pipeline([["false"]], cwd=tmp_path, what="x")


def test_the_last_program_is_blamed_and_not_the_one_it_stops_reading(tmp_path, script):
    script("sorter", "echo 'No space left on device' >&2; exit 1")
    with pytest.raises(WorkerError) as caught:
        pipeline([["cat", "/dev/zero"], ["sorter"]], cwd=tmp_path, what="sorting", stdout="out")
    assert str(caught.value) == "sorting: sorter failed (exit status 1): No space left on device"


def test_a_reader_that_ends_early_is_a_failure_too(tmp_path):
    with pytest.raises(WorkerError, match="cat was killed by signal SIGPIPE"):
        pipeline([["cat", "/dev/zero"], ["head", "-c", "10"]], cwd=tmp_path, what="cutting", stdout="out")


def test_a_signal_is_named(tmp_path, script):
    script("crashes", "kill -SEGV $$")
    script("killed", "kill -KILL $$")
    with pytest.raises(WorkerError, match="crashes was killed by signal SIGSEGV: it said nothing"):
        pipeline([["crashes"]], cwd=tmp_path, what="x")
    with pytest.raises(WorkerError, match=r"killed was killed by signal SIGKILL \(out of memory\?\)"):
        pipeline([["killed"]], cwd=tmp_path, what="x")


def test_the_others_are_killed_with_what_they_started(tmp_path, script):
    script("wrapper", f"echo $$ > {tmp_path}/pids; sleep 300 & echo $! >> {tmp_path}/pids; wait")
    script(
        "fails", f"while [ ! -s {tmp_path}/pids ] || [ $(wc -l < {tmp_path}/pids) -lt 2 ]; do sleep 0.02; done; exit 7"
    )
    with pytest.raises(WorkerError, match=r"^x: fails failed \(exit status 7\)"):
        pipeline([["wrapper"], ["fails"]], cwd=tmp_path, what="x")
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_long_words_are_cut(tmp_path, script):
    script("chatty", "head -c 3000000 /dev/zero | tr '\\0' 'x' >&2; echo >&2; echo end >&2; exit 1")
    with pytest.raises(WorkerError) as caught:
        pipeline([["chatty"]], cwd=tmp_path, what="x")
    assert str(caught.value).endswith("| end")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_kills_all_children(tmp_path, number):
    """Also in a process that handles SIGTERM by dying at once."""
    program = (
        "import signal, sys\nfrom seqmill.reads.programs import pipeline\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it\n"
        "try:\n"
        "    pipeline([['sh', '-c', 'echo $$ > pids; sleep 300 & echo $! >> pids; wait'], ['sleep', '301']],\n"
        f"             cwd={str(tmp_path)!r}, what='x', stdout='half')\n"
        "except KeyboardInterrupt as error:\n"
        "    print(type(error).__name__)\n    sys.exit(9)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pids = tmp_path / "pids"
    end = time.monotonic() + 20
    while not (pids.exists() and pids.read_text().count("\n") == 2) and time.monotonic() < end:
        time.sleep(0.02)
    children = [int(line) for line in pids.read_text().split()]
    parent.send_signal(number)
    said, _ = parent.communicate(timeout=20)
    assert (parent.returncode, said) == (9, {2: "KeyboardInterrupt\n", 15: "Terminated\n"}[number])
    assert all(gone(pid) for pid in children)
    assert not (tmp_path / "half").exists()


def test_handlers_of_signals_come_back(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    pipeline([["true"]], cwd=tmp_path, what="x")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_no_process_and_no_open_file_is_left(tmp_path):
    def state() -> tuple[int, list[str]]:
        return len(os.listdir("/proc/self/fd")), Path("/proc/thread-self/children").read_text().split()

    before = state()
    for _ in range(3):
        pipeline([["true"], ["cat"]], cwd=tmp_path, what="x", stdout="out")
        with pytest.raises(WorkerError):
            pipeline([["cat", "/dev/zero"], ["false"]], cwd=tmp_path, what="x", stdout="out")
    assert state() == before


def test_a_program_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as caught:
        find("bowtie2")
    assert str(caught.value) == (
        "bowtie2: not found; install it (apt-get install bowtie2, or conda install -c bioconda bowtie2), "
        "or run with --sdm conda"
    )
    with pytest.raises(InputError, match=r"^macs: not found; install it \(apt-get install macs, or .* macs2\)"):
        find("macs")
    with pytest.raises(InputError, match=r"^nothing-like-it: not found on PATH$"):
        pipeline([["nothing-like-it"]], cwd=tmp_path, what="x")


def test_macs_is_whichever_is_there(script, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/nowhere")
    two = script("macs2", "echo 'macs2 2.2.7.1'")
    assert find("macs") == two
    assert program_versions("macs") == {"macs2": "2.2.7.1"}
    three = script("macs3", "echo 'macs3 3.0.2'")
    assert find("macs") == three


def test_an_old_version_is_refused(script):
    place = script("samtools", "echo 'samtools 0.1.19'")
    with pytest.raises(InputError) as caught:
        find("samtools")
    assert str(caught.value) == (
        f"samtools: version 0.1.19 at {place}, need 1.13 or newer; "
        "install it (apt-get install samtools, or conda install -c bioconda samtools)"
    )


def test_a_program_that_tells_no_version(script):
    script("bedtools", "echo 'hello'")
    with pytest.raises(WorkerError, match=r"^bedtools: does not tell its version: hello$"):
        find("bedtools")


def test_the_version_is_not_that_of_something_else(script, monkeypatch):
    script("bwa", "echo 'Program: bwa 9 (built with gcc 12.2)' >&2; echo 'Version: 0.7.17-r1188' >&2; exit 1")
    assert program_versions("bwa") == {"bwa": "0.7.17"}


@pytest.mark.parametrize("name", [*programs.PROGRAMS, "macs"])
def test_versions_of_the_programs_that_are_there(name):
    if not any(shutil.which(one) for one in programs.ALIASES.get(name, (name,))):
        pytest.skip(f"{name} is not installed")
    [(found, version)] = program_versions(name).items()
    assert isinstance(programs.PROGRAMS[found], Program)
    assert version.count(".") >= 1
