"""How kernels are compiled, where the machine code is kept, and how many threads run it.

Kernels release the GIL and are run by plain Python threads (see `chunks`), not by one of Numba's
threading layers: no OpenMP runtime that a forked child would inherit broken, no abort when two
threads call a kernel at once, and a fraction of the compile time of ``parallel=True``.
"""

import errno
import functools
import hashlib
import os
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.core import event
from numba.core.caching import IndexDataCacheFile
from numba.extending import register_jitable

# Not "nnan" or "ninf": with those, LLVM may assume that no NaN exists and infinities lose meaning.
FAST_MATH = frozenset({"nsz", "arcp", "contract", "reassoc"})
EXACT_ORDER = FAST_MATH - {"reassoc"}  # for code whose order of operations keeps it accurate

_thread_count: int | None = None
_compile_callbacks: list[Callable[[], None]] = []


def _prefer_wide_vectors() -> None:
    """Let LLVM use 512-bit vectors where the CPU has them; its default of 256 is a third slower.

    Numba reads the setting when it first compiles anything, so this module must be imported
    before; otherwise kernels are right but slower. A user's own NUMBA_CPU_FEATURES goes first.
    """
    features = llvm.get_host_cpu_features()
    if numba.config.CPU_FEATURES is None and features.get("avx512f"):
        features["prefer-256-bit"] = False
        numba.config.CPU_FEATURES = features.flatten()


_prefer_wide_vectors()


def kernel(function: Callable | None = None, *, fastmath: frozenset[str] = FAST_MATH) -> Callable:
    """Compile `function` on its first call, keeping the machine code on disk where possible."""
    if function is None:
        return functools.partial(kernel, fastmath=fastmath)
    folder = cache_folder()
    options = _options(fastmath)
    if folder is None:
        return numba.njit(**options)(function)
    # Numba reads the folder when it decorates; other users of Numba keep their own setting.
    previous, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
    try:
        compiled = numba.njit(cache=True, **options)(function)
    finally:
        numba.config.CACHE_DIR = previous
    if not numba.config.DISABLE_JIT:
        _forgive(compiled._cache._cache_file)
    return compiled


def helper(function: Callable | None = None, *, fastmath: frozenset[str] = FAST_MATH) -> Callable:
    """Compile `function` with the kernels that call it, and for nothing else: without a way in from
    Python, where it runs as Python, a kernel that calls it is compiled sooner."""
    if function is None:
        return functools.partial(helper, fastmath=fastmath)
    return register_jitable(**_options(fastmath))(function)


def _options(fastmath: frozenset[str]) -> dict[str, Any]:
    """What kernels and helpers are compiled with."""
    return {
        "nogil": True,
        "fastmath": set(fastmath),
        "error_model": "numpy",  # a division by zero gives inf or NaN, as in NumPy, without a branch
        # A process that compiles has two copies of what a kernel calls, the callee's own and that
        # in the caller's machine code, and links to the first; one that loads has the second alone.
        # They round differently, so the callee is always inlined: the same bits in both.
        "forceinline": True,
        "no_cfunc_wrapper": True,  # a way in from C, which nobody takes and takes time to compile
    }


def _forgive(file: IndexDataCacheFile) -> None:
    """A cache file that is damaged counts as absent, so that it is written anew; one that cannot
    be written is left out. Numba lets both end the program."""

    def forgiving(method: Callable, otherwise: Callable[[], Any]) -> Callable:
        def run(*args: Any) -> Any:
            try:
                return method(*args)
            except Exception:  # whatever unpickling raises
                _warn_once(cache_folder())
                return otherwise()

        return run

    for name, otherwise in (("_load_index", dict), ("load", _nothing), ("save", _nothing)):
        setattr(file, name, forgiving(getattr(file, name), otherwise))


def _nothing() -> None:
    """What is loaded where there is nothing, and what saving returns."""


@functools.cache
def _warn_once(folder: Path | None) -> None:
    warnings.warn(
        f"compiled kernels in {folder} are damaged or cannot be written; they are compiled anew",
        RuntimeWarning,
        stacklevel=2,
    )


@functools.cache
def cache_folder() -> Path | None:
    """Folder of the compiled kernels, or None (with one warning) when nothing is writable.

    Named by a digest of all kernel sources: Numba's own check sees one file only, so a change in
    an imported kernel would go unnoticed and old code would run (numba#1833).
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    folder = _user_cache() / "divmix" / f"kernels-{digest.hexdigest()[:16]}"
    try:
        if not folder.is_absolute():  # no home: never into the working folder
            raise PermissionError(errno.EACCES, "there is no home folder")
        folder.mkdir(parents=True, exist_ok=True)
        _check_owner(folder.parent, folder)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        warnings.warn(
            f"cannot keep compiled kernels in {folder} ({error.strerror}); they are compiled "
            "anew by each process; set XDG_CACHE_HOME to a writable folder",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return folder


def _check_owner(*folders: Path) -> None:
    """Raise PermissionError where another user could have put code: what is loaded is executed.

    Write permission of others is taken away from new folders and refused in old ones.
    """
    for folder in folders:
        found = folder.stat()
        if found.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to another user")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            if any(path.is_file() for path in folder.iterdir()):
                raise PermissionError(errno.EPERM, "others may write there")
            folder.chmod(stat.S_IMODE(found.st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))


def _user_cache() -> Path:
    configured = os.environ.get("XDG_CACHE_HOME", "")
    # The specification asks to ignore relative paths.
    return Path(configured) if os.path.isabs(configured) else Path(os.path.expanduser("~/.cache"))


def on_compile(callback: Callable[[], None]) -> None:
    """Call `callback` once, just before the first kernel is compiled (never on a cache hit)."""
    _compile_callbacks.append(callback)


class _CompileListener(event.Listener):
    def on_start(self, event: event.Event) -> None:
        while _compile_callbacks:
            _compile_callbacks.pop()()

    def on_end(self, event: event.Event) -> None:
        pass


event.register("numba:compile", _CompileListener())


def set_threads(count: int | None) -> None:
    """Run kernels on `count` threads; None returns to the default."""
    if count is not None and count < 1:
        raise ValueError(f"threads must be at least 1, not {count}")
    global _thread_count
    _thread_count = count


def threads() -> int:
    """Threads that kernels run on: as set, else what affinity and the CPU quota allow."""
    return _thread_count if _thread_count is not None else _available_cpus()


@functools.cache
def _available_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = cpu_quota()
    return count if quota is None else min(count, max(1, int(quota)))


def cpu_quota() -> float | None:
    """CPUs that the container's quota allows, None where there is none."""
    try:
        # In microseconds, and its period: "200000 100000" or "max 100000".
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return None  # no cgroup v2, or no limit


def threading_layer() -> str:
    """What runs kernels in parallel."""
    return "python threads (kernels release the GIL)"
