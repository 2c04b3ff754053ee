"""Cards are shared out among processes: who gets which, who waits, and what a killed one leaves."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from seqmill.runtime import leases
from seqmill.runtime.errors import LockedError, SeqmillError
from seqmill.runtime.leases import allotted_cards, gpu_share, lease_cards

LISTED = """GPU 0: NVIDIA A100 (UUID: GPU-aa)
GPU 1: NVIDIA A100 (UUID: GPU-ab)
GPU 2: NVIDIA A100 (UUID: GPU-c)
"""
DIVIDED = """GPU 0: NVIDIA A100 (UUID: GPU-aa)
  MIG 1g.5gb      Device  0: (UUID: MIG-1)
  MIG 1g.5gb      Device  1: (UUID: MIG-2)
GPU 1: NVIDIA A100 (UUID: GPU-ab)
"""
HOLD = "import sys\nfrom seqmill.runtime.leases import lease_cards\n"
HOLD += "print(*lease_cards({count!r}), flush=True)\nsys.stdin.readline()\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Says what nvidia-smi lists; leases lie in a folder of the test."""
    for name in ("CUDA_VISIBLE_DEVICES", "SEQMILL_GPU_SHARE", "SEQMILL_GPU_WAIT_S"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEQMILL_LEASES", str(tmp_path / "leases"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def lists(text: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        program.chmod(0o755)

    lists(LISTED)
    return lists


@pytest.fixture
def jobs(machine):
    """Starts jobs that hold cards until they are ended."""
    started = []

    def start(count: int | str = 1, **environment: str) -> tuple[subprocess.Popen, list[str]]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        code = HOLD.format(count=count)
        job = subprocess.Popen([sys.executable, "-c", code], env=os.environ | environment, text=True, **pipes)
        started.append(job)
        return job, job.stdout.readline().split()

    yield start
    for job in started:
        job.kill()
        job.communicate()


@pytest.fixture
def own():
    """What this process takes it gives back."""
    yield
    while leases._HELD:
        leases._HELD.pop().close()


def test_cards_of_the_scheduler(machine, monkeypatch):
    assert allotted_cards() == ["GPU-aa", "GPU-ab", "GPU-c"]
    for asked, cards in {
        "2,0": ["GPU-c", "GPU-aa"],
        "1,7,0": ["GPU-ab"],  # as for CUDA, the list ends where there is no such card
        "GPU-c,GPU-ab": ["GPU-c", "GPU-ab"],
        "GPU-a": ["GPU-a"],  # two begin so: left as it is
        "1,1": ["GPU-ab"],
    }.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
        assert allotted_cards() == cards


def test_of_a_divided_card_only_its_parts(machine):
    machine(DIVIDED)
    assert allotted_cards() == ["MIG-1", "MIG-2", "GPU-ab"]


def test_each_job_has_a_card_of_its_own_and_the_fourth_waits(jobs, own):
    held = [jobs() for _ in range(3)]
    assert sorted(card for _, (card,) in held) == ["GPU-aa", "GPU-ab", "GPU-c"]
    with pytest.raises(LockedError) as error:
        lease_cards(1, wait_s=0)
    for job, (card,) in held:
        assert f"{card} by process {job.pid}" in str(error.value)
    job, cards = held[1]
    job.kill()
    job.wait()
    assert lease_cards(1, wait_s=10) == cards  # the kernel has freed it


def test_several_cards_are_taken_together_or_not_at_all(jobs, own):
    first, cards = jobs(2)
    with pytest.raises(LockedError):
        lease_cards(2, wait_s=0)
    (third,) = {"GPU-aa", "GPU-ab", "GPU-c"} - set(cards)
    assert jobs()[1] == [third]  # not kept by the one that got too few
    first.kill()
    first.wait()
    assert sorted(lease_cards(2, wait_s=10)) == sorted(cards)


def test_all_means_all_that_are_allotted(jobs, own, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    with pytest.raises(SeqmillError, match=r"3 GPUs were asked for, but this job may use 2: GPU-aa, GPU-c"):
        lease_cards(3)
    assert jobs("all")[1] == ["GPU-aa", "GPU-c"]
    with pytest.raises(LockedError):
        lease_cards(1, wait_s=0)


def test_shares_fill_the_emptiest_card_and_never_more_than_a_card(machine, jobs, own, monkeypatch):
    machine("GPU 0: NVIDIA A100 (UUID: GPU-aa)\nGPU 1: NVIDIA A100 (UUID: GPU-ab)\n")
    held = [jobs(SEQMILL_GPU_SHARE="0.4")[1] for _ in range(4)]
    assert sorted(held) == [["GPU-aa"], ["GPU-aa"], ["GPU-ab"], ["GPU-ab"]]
    assert held[0] != held[1]
    with pytest.raises(LockedError):  # a whole card
        lease_cards(1, wait_s=0)
    monkeypatch.setenv("SEQMILL_GPU_SHARE", "0.3")
    with pytest.raises(LockedError):
        lease_cards(1, wait_s=0)
    monkeypatch.setenv("SEQMILL_GPU_SHARE", "0.2")
    assert len(lease_cards(1, wait_s=0)) == 1


def test_a_waiting_job_says_for_whom_and_goes_on(jobs, own, caplog, monkeypatch):
    caplog.set_level("INFO", "seqmill")
    job, _ = jobs("all")
    ends = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: job.communicate("\n"))
    monkeypatch.setattr(leases, "time", ends)  # the job ends while we wait
    assert len(lease_cards(3)) == 3
    (message,) = caplog.messages
    assert message == "waiting for a GPU; in use: " + "; ".join(
        f"{card} by process {job.pid}" for card in ("GPU-aa", "GPU-ab", "GPU-c")
    )


def test_shares_that_are_none(machine, monkeypatch):
    assert gpu_share() == 1
    for text in ("0", "2", "half", "-0.5", "nan"):
        monkeypatch.setenv("SEQMILL_GPU_SHARE", text)
        with pytest.raises(SeqmillError, match=f"SEQMILL_GPU_SHARE is '{text}', expected a share of a card"):
            gpu_share()


def test_a_folder_that_cannot_be(machine, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEQMILL_LEASES", str(tmp_path / "file" / "leases"))
    with pytest.raises(SeqmillError, match=r"leases of GPUs cannot be kept .* name another folder in SEQMILL_LEASES"):
        lease_cards(1)
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv("SEQMILL_LEASES", str(tmp_path / "link"))
    with pytest.raises(SeqmillError, match="link is not a folder"):
        lease_cards(1)


def test_every_user_can_take_a_lease(machine, own, tmp_path):
    before = os.umask(0o077)
    try:
        (card,) = lease_cards(1)
    finally:
        os.umask(before)
    folder = tmp_path / "leases"
    assert folder.stat().st_mode & 0o7777 == 0o1777
    assert (folder / card).stat().st_mode & 0o777 == 0o666
    assert (folder / card).stat().st_size == 0


CHOOSE = """
import importlib.util, os
from pathlib import Path
importlib.util.find_spec = lambda name: True
there = Path.exists
Path.exists = lambda self: str(self) == "/dev/nvidiactl" or there(self)
from seqmill.runtime.device import choose_device
choose_device("gpu", 1)
print(os.environ["CUDA_VISIBLE_DEVICES"], *(os.environ.get(name) for name in MEMORY))
"""


def choose(again: str = "", **environment: str) -> list[str]:
    names = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")
    clean = {key: value for key, value in os.environ.items() if key not in (*names, "SEQMILL_LEASED_GPUS")}
    done = subprocess.run(
        [sys.executable, "-c", f"MEMORY = {names}\n{CHOOSE}{again}"],
        env=clean | environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_job_sees_its_card_alone_and_its_share_of_the_memory(jobs):
    assert choose() == ["GPU-aa", "None", "None"]  # a whole card: jax's own fraction
    assert jobs()[1] == ["GPU-aa"]
    assert choose(SEQMILL_GPU_SHARE="0.4") == ["GPU-ab", "0.3000", "None"]  # of three quarters
    # jax refuses the old name beside the new one
    asked = {"SEQMILL_GPU_SHARE": "0.5", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.9", "CUDA_VISIBLE_DEVICES": "2"}
    assert choose(**asked) == ["GPU-c", "0.4500", "None"]


def test_what_a_job_starts_uses_its_card(machine):
    child = "import subprocess, sys\nif 'child' not in sys.argv:\n"
    child += "    subprocess.run([sys.executable, '-c', CODE, 'child'], check=True, env=os.environ)\n"
    code = f"MEMORY = ('XLA_CLIENT_MEM_FRACTION',)\n{CHOOSE}"
    assert choose(f"CODE = {code!r}\n{child}", SEQMILL_GPU_SHARE="0.8", CUDA_VISIBLE_DEVICES="1") == [
        *("GPU-ab", "0.6000", "None"),
        *("GPU-ab", "0.6000"),
    ]


def test_cards_that_cannot_be_listed_are_not_leased(machine, tmp_path, monkeypatch, caplog):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [])
    assert lease_cards(1) == []
    assert caplog.messages == [
        "the GPUs of this machine cannot be listed (nvidia-smi), so other jobs may use the same",
    ]
