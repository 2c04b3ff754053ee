"""How often and how many at a time a host is asked, over threads and processes."""

import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from seqmill.config.portals import Network
from seqmill.runtime.errors import InputError
from seqmill.sources import rates as module
from seqmill.sources.rates import Rates

ASK = """
import sys, time
from seqmill.config.portals import Network
from seqmill.sources.rates import Rates
rates = Rates(sys.argv[1], Network(requests_per_s={"portal.test": float(sys.argv[2])}))
for _ in range(int(sys.argv[3])):
    rates.wait("portal.test")
    print(f"{time.time():.6f}", flush=True)
"""

HOLD = """
import sys, time
from seqmill.config.portals import Network
from seqmill.sources.rates import Rates
with Rates(sys.argv[1], Network(bodies_per_host=1)).body("portal.test"):
    print("held", flush=True)
    time.sleep(60)
"""


def peak(moments: list[float], window_s: float = 1.0) -> int:
    """Most moments in any window, counted the slow way."""
    return max(sum(start <= other < start + window_s for other in moments) for start in moments)


def test_limits(tmp_path, monkeypatch):
    monkeypatch.delenv("NCBI_API_KEY", raising=False)
    rates = Rates(tmp_path, Network(requests_per_s={"www.ebi.ac.uk": 2, "127.0.0.1:81": 4, "free.org": 0}))
    asked = {host: rates.limit(host) for host in ("www.encodeproject.org", "www.ebi.ac.uk", "eutils.ncbi.nlm.nih.gov")}
    assert asked == {"www.encodeproject.org": 5, "www.ebi.ac.uk": 2, "eutils.ncbi.nlm.nih.gov": 3}
    assert (rates.limit("jaspar.elixir.no"), rates.limit("other.org:8080")) == (2, 5)
    assert (rates.limit("127.0.0.1:80"), rates.limit("[::1]:80"), rates.limit("free.org")) == (None, None, None)
    assert rates.limit("127.0.0.1:81") == 4
    monkeypatch.setenv("NCBI_API_KEY", "key")
    assert rates.limit("eutils.ncbi.nlm.nih.gov") == 10


def test_this_machine_is_not_slowed_down_and_nothing_is_written(tmp_path):
    rates = Rates(tmp_path / "rates", Network())
    for _ in range(1000):
        rates.wait("127.0.0.1:8080")
    assert not (tmp_path / "rates").exists()


@pytest.mark.parametrize("limit", [0.5, 1, 2.5, 5, 10])
def test_no_second_has_more_requests_than_the_limit(tmp_path, monkeypatch, limit):
    now = [5e8]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    # in this module alone: threads of other tests may sleep too
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now[0], sleep=sleep))
    rates, moments = Rates(tmp_path, Network(requests_per_s={"portal.test": limit})), []
    for step in range(100):
        now[0] += 0.013 * (step % 7)
        rates.wait("portal.test")
        moments.append(now[0])
    assert peak(moments) == max(1, int(limit))
    assert peak(moments, 10.0) <= limit * 10
    # Busy, it still gets near the limit.
    assert len(moments) / (moments[-1] - moments[0]) > 0.6 * limit


def test_three_processes_share_a_limit(tmp_path):
    command = [sys.executable, "-c", ASK, str(tmp_path), "20", "16"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    moments = sorted(float(line) for process in running for line in process.communicate(timeout=60)[0].split())
    assert len(moments) == 48
    assert peak(moments) <= 20
    assert moments[-1] - moments[0] > 2.0  # 48 requests need three windows


def test_a_damaged_file_or_a_clock_set_back_do_not_block(tmp_path):
    rates = Rates(tmp_path, Network(requests_per_s={"portal.test": 2}))
    for content in ("1e9 nonsense", f"{time.time() + 1e6} {time.time() + 1e6}", "\0\0"):
        (tmp_path / "portal.test.rate").write_text(content)
        start = time.monotonic()
        rates.wait("portal.test")
        assert time.monotonic() - start < 0.5


def test_only_so_many_downloads_at_a_time(tmp_path):
    rates = Rates(tmp_path, Network(bodies_per_host=2))
    active, most, lock = [0], [0], threading.Lock()

    def download():
        with rates.body("portal.test"):
            with lock:
                active[0] += 1
                most[0] = max(most[0], active[0])
            time.sleep(0.02)
            with lock:
                active[0] -= 1

    threads = [threading.Thread(target=download) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [2]


def test_a_killed_process_leaves_its_place(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        rates, got = Rates(tmp_path, Network(bodies_per_host=1)), threading.Event()

        def take():
            with rates.body("portal.test"):
                got.set()

        thread = threading.Thread(target=take)
        thread.start()
        assert not got.wait(0.3)
        holder.kill()
        assert got.wait(10)
        thread.join()


def test_a_failed_download_leaves_its_place(tmp_path):
    rates = Rates(tmp_path, Network(bodies_per_host=1))
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"), rates.body("portal.test"):
            raise ValueError("broken")


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="the cache cannot be written"):
        Rates(tmp_path / "file", Network()).wait("portal.test")


def test_names_of_hosts_stay_inside_the_folder(tmp_path):
    rates = Rates(tmp_path / "rates", Network(requests_per_s={"[::1]:80": 5}))
    rates.wait("[::1]:80")
    assert os.listdir(tmp_path / "rates") == ["___1__80.rate"]
