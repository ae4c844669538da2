"""How much memory this process may still take."""

import os
import resource
from pathlib import Path

GROUP = Path("/sys/fs/cgroup")


def available() -> int | None:
    """Bytes that this process may still take; None where the system does not tell."""
    told = (_of_machine(), _of_group(), _of_process())
    free = [number for number in told if number is not None]
    return min(free) if free else None


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvail"))
    except (OSError, ValueError, StopIteration):
        return None


def _of_group() -> int | None:
    """What the container's limit leaves, None where there is none."""
    try:
        limit, used = (int((GROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        reclaimable = next(
            int(line.split()[1])
            for line in (GROUP / "memory.stat").read_text().splitlines()
            if line.startswith("inactive_file")
        )
        return max(limit - used + reclaimable, 0)
    except (OSError, ValueError, StopIteration):
        return None


def _of_process() -> int | None:
    """What the limit of its address space (ulimit -v) leaves, None where there is none."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return None
    if limit == resource.RLIM_INFINITY:
        return None
    return max(limit - pages * os.sysconf("SC_PAGE_SIZE"), 0)
