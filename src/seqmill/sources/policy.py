"""When an attempt is repeated, and after how long: one policy for every request and every file."""

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from seqmill.config.portals import Network
from seqmill.runtime.errors import RemoteError

# What passes by waiting. Every other status is final.
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_SAID = {
    400: "refused as malformed",
    401: "needs credentials",
    403: "access refused",
    404: "not found",
    410: "gone for good",
    416: "range not satisfiable",
    429: "too many requests",
    503: "not available now",
}


class FailedAttempt(RemoteError):
    """One attempt failed.

    Attributes
    ----------
    again : whether another attempt may succeed. status : of the answer, None if there was none.
    wait_s : what the server asked to wait (``Retry-After``), None if it did not.
    """

    def __init__(
        self, where: str, message: str, *, again: bool, status: int | None = None, wait_s: float | None = None
    ):
        super().__init__(where, message)
        self.again, self.status, self.wait_s = again, status, wait_s

    def __reduce__(self):
        return _rebuild, (self.where, self.message, self.again, self.status, self.wait_s)


def _rebuild(where: str, message: str, again: bool, status: int | None, wait_s: float | None) -> FailedAttempt:
    return FailedAttempt(where, message, again=again, status=status, wait_s=wait_s)


def failed_status(where: str, status: int, headers: Mapping[str, str]) -> FailedAttempt:
    """The failure that an unwanted status is. ``headers`` must be found by lower-case names."""
    said = f", {_SAID[status]}" if status in _SAID else ""
    wait_s = retry_after(headers) if status in RETRIED else None
    return FailedAttempt(where, f"HTTP {status}{said}", again=status in RETRIED, status=status, wait_s=wait_s)


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds that ``Retry-After`` asks to wait (>= 0), None if it is absent or unreadable.

    Both forms of RFC 9110, section 10.2.3: seconds (fractions too, as Ensembl sends them) and a date, which counts
    from the answer's own ``Date`` where it has one, so that a wrong clock on either side does not matter.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    except ValueError:
        until = _date(text)
    if until is None:
        return None
    since = _date(headers.get("date", ""))
    return max(0.0, until - (now() if since is None else since))


def _date(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date."""
    try:
        when = parsedate_to_datetime(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


@dataclass(frozen=True)
class Retry:
    """The policy; see `seqmill.config.portals.Network` for the numbers. The last three fields are for tests."""

    attempts: int = 8
    backoff_s: float = 1.0
    max_backoff_s: float = 60.0
    max_retry_after_s: float = 600.0
    total_s: float = 1800.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random

    @classmethod
    def of(cls, network: Network) -> "Retry":
        return cls(
            network.attempts, network.backoff_s, network.max_backoff_s, network.max_retry_after_s, network.total_s
        )

    def wait_s(self, failures: int, asked_s: float | None = None) -> float:
        """Seconds to wait after ``failures`` failed attempts in a row (>= 1).

        Exponential back-off with full jitter: uniform between 0 and ``backoff_s * 2**(failures - 1)``, capped; never
        less than what the server asked for, up to ``max_retry_after_s``.
        """
        ceiling = min(self.max_backoff_s, self.backoff_s * 2 ** min(failures - 1, 60))
        return max(self.random() * ceiling, min(asked_s or 0.0, self.max_retry_after_s))

    def tries(self) -> "Tries":
        """Start counting the attempts at one answer or one file."""
        return Tries(self)


@dataclass
class Tries:
    """Attempts at one answer or one file."""

    policy: Retry
    failures: int = 0
    since: float = field(init=False)

    def __post_init__(self):
        self.since = self.policy.clock()

    def again(self, failed: FailedAttempt) -> None:
        """Wait before the next attempt. Raises RemoteError if there must be none."""
        self.failures += 1
        if not failed.again:
            raise failed
        if self.failures >= self.policy.attempts:
            raise self._over(failed, "") from None
        wait_s = self.policy.wait_s(self.failures, failed.wait_s)
        if self.policy.clock() + wait_s - self.since > self.policy.total_s:
            raise self._over(failed, f" within {self.policy.total_s:g} s") from None
        self.policy.sleep(wait_s)

    def progress(self) -> None:
        """New bytes were kept: what counts from here on is a new row of failures."""
        self.failures, self.since = 0, self.policy.clock()

    def _over(self, failed: FailedAttempt, within: str) -> RemoteError:
        count = "1 attempt" if self.failures == 1 else f"{self.failures} attempts"
        return FailedAttempt(
            failed.where, f"{failed.message} (given up after {count}{within})", again=False, status=failed.status
        )
