"""What a computation may use of the machine."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TYPE_CHECKING

from divmix.progress import Progress

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def single_blas_thread() -> AbstractContextManager:
    """BLAS on one thread from here on, until the context is left that this is: on more it sums in
    another order, and a result must not depend on the machine."""
    return _thread_pools("scipy.linalg" in sys.modules).limit(limits=1, user_api="blas")


@cache
def _thread_pools(_with_scipy: bool) -> "ThreadpoolController":
    """Those of the libraries loaded, of which SciPy brings one; a look at them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def limited_threads(threads: int | None, progress: Progress) -> Iterator[None]:
    """Kernels on `threads` threads (None: all this process may use), BLAS on one.

    Says so when kernels are compiled, which happens once.
    """
    import scipy.linalg  # noqa: F401  its BLAS can be bounded once it is loaded

    from divmix.kernels import compile as compiling

    compiling.set_threads(threads)
    compiling.on_compile(lambda: progress.stage("compiling kernels, once"))
    try:
        with single_blas_thread():
            yield
    finally:
        compiling.set_threads(None)
