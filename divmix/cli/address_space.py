"""Whether the process may have the address space that its libraries reserve."""

import os
import resource

from divmix.errors import InputError

# Measured as VmPeak of fits: 2.0 GB on one thread, most of it set aside by Arrow's allocator and
# never touched, and for each thread more its stacks, heaps and BLAS buffers. Where it cannot be
# had, OpenBLAS ends the process, and threads that cannot start leave others waiting for ever.
LIBRARIES = 2100 << 20
EACH_CPU = 160 << 20


def check() -> None:
    """Raise InputError, before any library is loaded, where a limit leaves too little."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    needed = LIBRARIES + cpus * EACH_CPU
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise InputError(
            f"out of memory: address space is limited to {limit >> 20:,} MB, and divmix needs "
            f"{needed >> 20:,} MB on {cpus} CPUs",
            hint="ulimit -v unlimited; most of it is reserved and never used, so bound memory by a "
            "control group (systemd-run -p MemoryMax=1G)",
        )
