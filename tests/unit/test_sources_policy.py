"""Which failures are repeated, how often, after how long: all with a clock, a sleep and dice of the test."""

import pickle
from dataclasses import replace

import pytest

from seqmill.config.portals import Network
from seqmill.runtime.errors import RemoteError
from seqmill.sources.policy import FailedAttempt, Retry, failed_status, retry_after


class Time:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now, self.waits = 1000.0, []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def policy(time: Time, dice: float = 1.0, **numbers) -> Retry:
    return replace(Retry.of(Network(**numbers)), clock=time.clock, sleep=time.sleep, random=lambda: dice)


def fail(retry: Retry, failed: FailedAttempt) -> tuple[int, RemoteError]:
    """Attempts until it is given up, and what is said."""
    tries, attempts = retry.tries(), 0
    while True:
        attempts += 1
        try:
            tries.again(failed)
        except RemoteError as error:
            return attempts, error


def test_the_waits_double_and_are_capped():
    time = Time()
    attempts, error = fail(policy(time), failed_status("https://a.org/x", 503, {}))
    assert attempts == 8
    assert time.waits == [1, 2, 4, 8, 16, 32, 60]
    assert str(error) == "https://a.org/x: HTTP 503, not available now (given up after 8 attempts)"
    assert Retry().wait_s(5000) <= 60


@pytest.mark.parametrize("dice", [0.0, 0.25, 0.999])
def test_the_jitter_is_full(dice):
    time = Time()
    fail(policy(time, dice, attempts=4), failed_status("a", 500, {}))
    assert time.waits == [dice * 1, dice * 2, dice * 4]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_statuses_that_pass(status):
    attempts, error = fail(policy(Time(), attempts=3), failed_status("a", status, {}))
    assert attempts == 3
    assert f"HTTP {status}" in str(error) and "given up after 3 attempts" in str(error)


@pytest.mark.parametrize("status", [204, 206, 300, 304, 400, 401, 402, 403, 404, 405, 410, 416, 418, 451, 501, 505])
def test_statuses_that_do_not(status):
    time = Time()
    attempts, error = fail(policy(time), failed_status("a", status, {"retry-after": "5"}))
    assert (attempts, time.waits) == (1, [])
    assert str(error).startswith(f"a: HTTP {status}")


def test_one_attempt_only():
    attempts, error = fail(policy(Time(), attempts=1), failed_status("a", 500, {}))
    assert attempts == 1
    assert str(error) == "a: HTTP 500 (given up after 1 attempt)"


def test_the_server_may_ask_to_wait_longer_but_not_for_ever():
    time = Time()
    fail(policy(time, 0.0, attempts=3), failed_status("a", 429, {"retry-after": "90"}))
    assert time.waits == [90, 90]
    time = Time()
    fail(policy(time, 0.0, attempts=2), failed_status("a", 429, {"retry-after": "86400"}))
    assert time.waits == [600]
    time = Time()
    fail(policy(time, 1.0, attempts=3), failed_status("a", 429, {"retry-after": "0.5"}))
    assert time.waits == [1, 2]  # never sooner than without


def test_the_whole_has_an_end():
    time = Time()
    attempts, error = fail(policy(time, 0.0, attempts=8), failed_status("a", 503, {"retry-after": "600"}))
    assert (attempts, time.waits) == (4, [600, 600, 600])  # a fourth wait would pass 1800 s
    assert str(error) == "a: HTTP 503, not available now (given up after 4 attempts within 1800 s)"


def test_progress_starts_a_new_row_of_failures():
    time, failed = Time(), FailedAttempt("a", "the answer broke off", again=True)
    tries = policy(time, attempts=3).tries()
    for _ in range(10):
        tries.again(failed)
        tries.again(failed)
        tries.progress()
    assert time.waits == [1, 2] * 10
    tries.again(failed)
    tries.again(failed)
    with pytest.raises(RemoteError, match="given up after 3 attempts"):
        tries.again(failed)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("0.25", 0.25),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("Thu, 01 Jan 1970 00:20:00 GMT", 200),
        ("Thursday, 01-Jan-70 00:20:00 GMT", 200),
        ("Thu Jan  1 00:20:00 1970", 200),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 32 Jan 1970 00:00:00 GMT", None),
        ("Thu, 01 Jan 9999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after(text, seconds):
    assert retry_after({"retry-after": text}, now=lambda: 1000.0) == seconds


def test_retry_after_counts_from_the_servers_own_clock():
    headers = {"retry-after": "Wed, 01 Jan 2020 00:00:30 GMT", "date": "Wed, 01 Jan 2020 00:00:00 GMT"}
    assert retry_after(headers, now=lambda: 4e9) == 30
    assert retry_after({}) is None


def test_a_failure_travels_between_processes():
    failed = FailedAttempt("a", "b", again=True, status=429, wait_s=3.0)
    same = pickle.loads(pickle.dumps(failed))
    assert (str(same), same.again, same.status, same.wait_s) == ("a: b", True, 429, 3.0)
    assert isinstance(same, RemoteError) and same.exit_code == 6
