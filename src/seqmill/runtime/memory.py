"""Memory that this process may use."""

import os
from pathlib import Path


def host_memory_bytes(cgroup: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory of the machine, or the smallest limit that a control group sets to this process (Slurm, containers).

    Parameters
    ----------
    cgroup : lists the groups of this process. root : where their files lie, of version 2 or 1.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        lines = cgroup.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            top, name = (root, "memory.max") if not controllers else (root / "memory", "memory.limit_in_bytes")
            group = top / path.lstrip("/")
            # Inside a container the path is that of the host and may not be there: its own top folder tells then.
            limits += [limit for place in {group, *group.parents, top} if (limit := _limit(place / name)) is not None]
    return min(limits)


def _limit(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max": no limit
        return None
