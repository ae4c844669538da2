"""What this machine and this installation offer, for the eye and for a report of a fault."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from divmix import __version__
from divmix.kernels import compile


def diagnose() -> dict[str, Any]:
    """Versions, threads, compiled-kernel cache, CPU and extras, as JSON knows them."""
    packages = _packages()
    return {
        "divmix": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": packages.pop("", {}),
        "threads": {
            "used": compile.threads(),
            "affinity": len(os.sched_getaffinity(0)),
            "container_quota": compile.cpu_quota(),
            "layer": compile.threading_layer(),
        },
        "kernel_cache": {
            "folder": str(compile.cache_folder() or "") or None,
            "writable": compile.cache_folder() is not None,
        },
        "cpu": _cpu(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "extras": packages,
    }


def _packages() -> dict[str, dict[str, str | None]]:
    """Version (None: not installed) of each required package, by extra; '' is the core."""
    found: dict[str, dict[str, str | None]] = {}
    try:
        requirements = metadata.requires("divmix") or []
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        requirements = []
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([\w-]+)", requirement)
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = None
        found.setdefault(extra.group(1) if extra else "", {})[name] = version
    return found


def _cpu() -> dict[str, Any]:
    """Model and the vector instructions that kernels can use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {"model": platform.processor(), "vector": []}
    fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    flags = fields.get("flags", "").split()
    return {
        "model": fields.get("model name", platform.machine()),
        "vector": [name for name in ("avx", "avx2", "fma", "avx512f") if name in flags],
    }
