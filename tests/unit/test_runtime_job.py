"""What jobs get from the process that starts them."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from seqmill.runtime.job import DRIVER_VARIABLE, HUGE_PAGES, announce_driver

SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
HUGE_KB = """
import re
held = bytearray(b"x") * (64 << 20)
print(re.search(r"AnonHugePages: +([0-9]+) kB", open("/proc/self/smaps_rollup").read()).group(1))
"""


def left_to_programs() -> bool:
    library, version = platform.libc_ver()
    new_enough = library == "glibc" and tuple(map(int, version.split("."))) >= (2, 35)
    return new_enough and SETTING.exists() and "[madvise]" in SETTING.read_text()


@pytest.mark.skipif(not left_to_programs(), reason="needs glibc 2.35 and huge pages set to madvise")
def test_jobs_get_large_arrays_in_huge_pages(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setenv(DRIVER_VARIABLE, "")

    def huge_kb() -> int:
        return int(subprocess.run([sys.executable, "-c", HUGE_KB], capture_output=True, text=True, check=True).stdout)

    before = huge_kb()
    announce_driver()
    assert os.environ["GLIBC_TUNABLES"] == HUGE_PAGES
    assert before < 4096
    assert huge_kb() > 32 * 1024  # of 64 MiB; a full memory may leave some in small pages


def test_a_setting_of_the_users_own_stays(monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    monkeypatch.setenv(DRIVER_VARIABLE, "")
    announce_driver()
    assert os.environ["GLIBC_TUNABLES"] == "glibc.malloc.check=0"
