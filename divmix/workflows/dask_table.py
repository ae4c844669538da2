"""A table that the workers of a Dask cluster visit: what travels to them, and what they do."""

import os
import threading
import uuid
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import divmix
from divmix.design.design import Design
from divmix.design.prepare import prepared
from divmix.errors import InputError, MissingExtraError, UsageError
from divmix.families import Components, Family
from divmix.kernels import compile as compiling
from divmix.memory import available
from divmix.progress import Progress
from divmix.rows import Block
from divmix.rows.dask import Nodes
from divmix.rows.segments import Tree, in_runs, segment_rows
from divmix.tables.reading import open_table

if TYPE_CHECKING:
    from distributed import Client

# Of a worker's memory, what may hold rows from one visit to the next.
KEPT = 0.4
CONNECT = 10  # seconds until a scheduler has answered


@dataclass(frozen=True)
class TablePart:
    """Files and how they are prepared; a worker opens them by their paths.

    files : path, size and time of the last change of each. options : of `open_table`. key : its own.
    features : those of the design that are visited, None for all.
    """

    files: tuple[tuple[str, int, int], ...]
    options: dict[str, Any]
    design: Design
    version: str
    key: str
    features: tuple[int, ...] | None = None

    @classmethod
    def of(cls, paths: Sequence[str], options: dict[str, Any], design: Design) -> "TablePart":
        """Of files as they are now. Raises InputError."""
        files = tuple((path, *_state(path)) for path in map(os.path.abspath, paths))
        return cls(files, options, design, divmix.__version__, uuid.uuid4().hex)

    def among(self, features: NDArray[np.int64]) -> "TablePart":
        """With these of the features alone."""
        chosen = range(self.design.n_features) if self.features is None else self.features
        return replace(self, features=tuple(chosen[j] for j in features))

    def visit(self, segments: range, family: Family, components: Components, coarse: bool) -> Nodes:
        """The sums of a range of segments, as nodes of a `Tree`. Raises InputError."""
        _settle_process()
        self._check()
        tree = Tree()
        for number in segments:
            X, row_weights = _kept.get((self.key, self.features), number, self._read)
            X = X.astype(np.float32) if coarse else X
            tree.add(family.sums(X, row_weights, components))
        return tree.nodes

    def _check(self) -> None:
        """Raises InputError where a file is another one now, and where divmix is."""
        if divmix.__version__ != self.version:
            raise _other_version("a worker", divmix.__version__, self.version)
        for path, *known in self.files:
            if list(_state(path)) != known:
                raise InputError(
                    f"{path} changed while it was read",
                    hint="fit a copy that stays as it is",
                )

    def _read(self, number: int) -> Block:
        """The rows of one segment."""
        d = self.design.n_features if self.features is None else len(self.features)
        start = number * segment_rows(d)
        reader = open_table([path for path, *_ in self.files], **self.options)
        batches = reader.between(start, start + segment_rows(d))
        blocks = list(prepared(batches, self.design, reader.locate, first_row=start))
        X = np.concatenate([block.X for block in blocks])
        if self.features is not None:
            X = np.ascontiguousarray(X[:, list(self.features)])
        return in_runs(Block(X, np.concatenate([block.row_weights for block in blocks])))


def _state(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}",
            hint="the workers read the table by its path: it must be the same on each of them",
        ) from error
    return found.st_size, found.st_mtime_ns


class Kept:
    """Segments that a worker process keeps from one visit to the next, of the table it visited last:
    a cache and never the truth."""

    def __init__(self) -> None:
        self._table: Hashable = None
        self._blocks: dict[int, Block] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, table: Hashable, number: int, read: Callable[[int], Block]) -> Block:
        """A segment of a table: what is kept, or else what `read` yields, which is then kept."""
        with self._lock:
            if table != self._table:
                self._table, self._blocks, self._bytes = table, {}, 0
            if number in self._blocks:
                return self._blocks[number]
        block = read(number)
        size, most = block.X.nbytes + block.row_weights.nbytes, _most_bytes()
        with self._lock:
            unchanged = table == self._table and number not in self._blocks
            if unchanged and self._bytes + size <= most:
                self._blocks[number] = block
                self._bytes += size
        return block


_kept = Kept()


@cache
def _most_bytes() -> int:
    """What rows may take of the memory of this worker."""
    from distributed import get_worker

    limit = get_worker().memory_manager.memory_limit or available() or 0
    return int(KEPT * limit)


@cache
def _settle_process() -> None:
    """One thread for each task: Dask runs as many tasks as a worker has threads."""
    import scipy.linalg  # noqa: F401  its BLAS can be bounded once it is loaded
    from threadpoolctl import threadpool_limits

    compiling.set_threads(1)
    threadpool_limits(1, user_api="blas")


@contextmanager
def cluster(address: str, progress: Progress) -> Iterator["Client"]:
    """A client of the scheduler at `address`, or of a cluster on this machine for "local" and
    "local:N", N its workers.

    Raises MissingExtraError, UsageError where no scheduler answers, or a worker lacks this version
    of divmix.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingExtraError(
            "--dask needs the package distributed", hint="pip install 'divmix[dask]'"
        ) from error
    kind, _, count = address.partition(":")
    with ExitStack() as stack:
        if kind == "local":
            workers = _workers(address, count)
            made = stack.enter_context(
                LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0")
            )
            client = stack.enter_context(Client(made))
        else:
            try:
                client = stack.enter_context(Client(address, timeout=CONNECT))
            except (OSError, TimeoutError, ValueError) as error:
                raise UsageError(
                    f"--dask {address}: no scheduler answers there",
                    hint="give the address that dask scheduler prints, such as "
                    "tcp://127.0.0.1:8786, or local:2",
                ) from error
        _check_workers(client, address)
        progress.note(f"dashboard of the cluster: {client.dashboard_link}")
        yield client


def _workers(address: str, count: str) -> int:
    if not count and address == "local":
        return compiling.threads()
    if not count.isdecimal() or int(count) < 1:
        raise UsageError(f"--dask {address}: no number of workers", hint="such as local:2")
    return int(count)


def _check_workers(client: "Client", address: str) -> None:
    try:
        found = client.run(_version)
    except Exception as error:
        raise UsageError(
            f"--dask {address}: a worker cannot import divmix ({error})",
            hint=f"install divmix {divmix.__version__} where the workers run",
        ) from error
    if not found:
        raise UsageError(f"--dask {address} has no workers", hint="start some: dask worker ADDRESS")
    for worker, version in found.items():
        if version != divmix.__version__:
            raise _other_version(f"the worker {worker}", version, divmix.__version__)


def _other_version(worker: str, version: str, own: str) -> UsageError:
    return UsageError(
        f"{worker} has divmix {version}, this machine {own}",
        hint="install the same version everywhere",
    )


def _version() -> str:
    return divmix.__version__
