"""What a computation may use of the machine."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from divmix.progress import Progress
from divmix.threads import one_thread


def single_blas_thread() -> AbstractContextManager:
    """BLAS on one thread from here on, until the context is left that this is."""
    return one_thread("blas")


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
