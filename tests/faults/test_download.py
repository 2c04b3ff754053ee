"""Downloads under network faults: the pinned bytes or a clear error, never other bytes; 20 trials of each fault."""

import contextlib
import sys
import threading
from pathlib import Path

import pytest

from seqmill.config.lock import LockRow
from seqmill.runtime.errors import RemoteError
from seqmill.sources.cache import Cache
from seqmill.sources.download import download_many
from seqmill.sources.rates import Rates
from seqmill.sources.web import Web

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from portal import Fault, Portal, stand_in
from portal.campaign import CELLS, judge, ours, peak_at_once, plain_requests, run_cell, world
from portal.cells import Cell, Trial
from portal.files import lock_row
from portal.killed import kill_trials

pytestmark = pytest.mark.faults
TRIALS = 20


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """World, our download, and a folder, shared by all cells."""
    folder = tmp_path_factory.mktemp("campaign")
    with world("ours") as place:
        client, end = ours(place.portal.sources(folder, bodies_per_host=64))
        yield place, client, folder
        end()


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.fault}-{cell.slug}")
def test_pinned_bytes_or_a_clear_error(cell: Cell, campaign):
    verdicts = run_cell(cell, *campaign, range(TRIALS), workers=TRIALS)
    assert len(verdicts) == TRIALS
    assert [verdict for verdict in verdicts if verdict.fault] == []
    # the fault was really there: somebody asked, and more than once wherever the first answer could not do
    assert all(verdict.requests >= 1 for verdict in verdicts)


def test_campaign_sees_what_a_careless_client_does(tmp_path):
    # the harness must be able to fail: a plain download takes other bytes for the file
    cell = next(cell for cell in CELLS if cell.name == "flipped bit for ever")
    with world("requests") as place:
        assert [v.outcome for v in run_cell(cell, place, plain_requests, tmp_path, range(3))] == ["WRONG"] * 3


@pytest.mark.parametrize(
    ("requests", "seconds", "fault"),
    [
        (6, 0.02, ""),
        (12, 0.1, "12 requests, at most 8 are right"),  # begun again though the first attempt had ended by itself
        (10, 0.6, ""),  # the first attempt was cut off by the limit of silence
        (48, 1.2, "48 requests, at most 20 are right"),
    ],
)
def test_requests_are_counted_but_for_attempts_that_silence_cut_off(requests, seconds, fault):
    trial = Trial(None, b"", "error", ("redirect",), most=8, attempt=6)
    times = [seconds * number / (requests - 1) for number in range(requests)]
    assert judge(trial, "error", "more than 5 redirects", times) == fault


def test_nothing_is_left_but_what_was_checked(tmp_path):
    with world("ours") as place:
        sources = place.portal.sources(tmp_path)
        client, end = ours(sources)
        for cell in CELLS:
            if cell.name in ("flipped bit for ever", "truncated, Content-Length", "HTML page for ever"):
                run_cell(cell, place, client, tmp_path, range(4))
        end()
    cache = Cache(sources.cache_folder())
    assert len(cache.entries()) == 4  # the truncated ones, which were completed
    assert cache.check() == []
    assert all(path.stat().st_size == 0 for path in cache.folder.glob("parts/*.part"))


def test_killed_downloads_are_continued_by_the_same_call(tmp_path):
    rows = kill_trials(tmp_path, TRIALS)
    assert [row for row in rows if row["fault"]] == []
    assert sum(row["kills"] for row in rows) >= TRIALS / 2  # most kills fell into a download


def test_ten_random_cuts_cost_little(tmp_path):
    content = stand_in("cuts", 1_000_000)
    with Portal() as portal:
        url = portal.add("/encode_files/cuts.bigWig", content)
        for share in (0.3, 0.2, 0.11, 0.4, 0.25, 0.13, 0.5, 0.35, 0.18, 0.27):
            portal.fault("cuts", Fault(cut=share), 1)
        client, end = ours(portal.sources(tmp_path))
        row = lock_row(content, url)
        outcome, message = client(_Wish(row, content), tmp_path)
        end()
        assert (outcome, message) == ("identical", "")
        assert sum(seen.sent for seen in portal.log) <= 1.1 * len(content)


class _Wish:
    def __init__(self, row: LockRow, content: bytes):
        self.row, self.content = row, content


def test_few_downloads_at_once_from_one_host(tmp_path):
    """Two clients that share the cache, eight threads each: four downloads at a time, and all of them right."""
    with Portal() as portal:
        contents = {f"/encode_files/{number}.bigWig": stand_in(number, 20_000) for number in range(24)}
        rows = [lock_row(content, portal.add(path, content), file=path[14:]) for path, content in contents.items()]
        portal.fault("bigWig", Fault(bytes_per_s=100_000, piece=2000))
        sources = portal.sources(tmp_path)
        found = {}

        def fetch(mine: list[LockRow]) -> None:
            with Web(sources) as web:
                paths = download_many(mine, web, Cache(sources.cache_folder()), workers=8)
                found.update({row.md5: path.read_bytes() for row, path in zip(mine, paths)})

        threads = [threading.Thread(target=fetch, args=(rows[start::2],)) for start in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [found[row.md5] for row in rows] == list(contents.values())
        assert 2 <= peak_at_once(portal.log) <= sources.network.bodies_per_host


def test_peak_rate_stays_within_the_limit_while_a_host_fails(tmp_path, monkeypatch):
    """Threads that share the cache ask a failing host: each request waits its turn, no second has too many."""
    allowed, wait = [], Rates.wait

    def noted(rates: Rates, host: str) -> None:
        allowed.append(wait(rates, host))

    monkeypatch.setattr(Rates, "wait", noted)
    with Portal() as portal:
        portal.add("/encode/x/", {"a": 1})
        portal.fault("/encode/x/", Fault(status=503, headers={"Retry-After": "0"}), 20)
        sources = portal.sources(tmp_path, requests_per_s={"127.0.0.1": 20})

        def ask() -> None:
            with Web(sources) as web:
                for _ in range(10):
                    with contextlib.suppress(RemoteError):  # eight refusals in a row
                        web.json(f"{portal.url}/encode/x/")

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(portal.log) >= 40
        # The moments that were allowed, not those that the server saw: a busy machine holds requests back on their way.
        assert len(allowed) == len(portal.log)
        assert max(sum(start <= moment < start + 1 for moment in allowed) for start in allowed) <= 20
