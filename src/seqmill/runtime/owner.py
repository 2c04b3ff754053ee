"""Who a process is, in a way that survives reuse of process ids: host, boot, pid, start time."""

import os
import socket
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path


@cache
def boot_id() -> str:
    """Kernel boot id; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_time(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty if there is no such live process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if Path("/proc/self").exists():
            return ""
        try:  # no /proc (macOS): existence is all that can be asked
            os.kill(pid, 0)
            return "alive"
        except OSError:
            return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else rest[18]


@dataclass(frozen=True)
class Owner:
    """Identity of a process. Two owners are equal only if they are the very same process."""

    host: str
    boot: str
    pid: int
    started: str

    @staticmethod
    def of(pid: int | None = None) -> "Owner":
        """Identity of process ``pid``, by default this one."""
        pid = os.getpid() if pid is None else pid
        return Owner(socket.gethostname(), boot_id(), pid, start_time(pid))

    def same_machine(self) -> bool:
        return self.host == socket.gethostname()

    def is_dead(self) -> bool | None:
        """True or False if it can be proven from here, None for a process of another machine."""
        if not self.same_machine():
            return None
        if self.boot != boot_id():
            return True
        return start_time(self.pid) != self.started

    def as_dict(self) -> dict:
        return asdict(self)
