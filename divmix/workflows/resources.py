"""What a computation may use of the machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from divmix.progress import Progress


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """BLAS on one thread: it sums in another order on another number of threads, and the result
    must not depend on the machine."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


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
