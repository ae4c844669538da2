"""A table that the workers of a Dask cluster visit: what travels to them, and what they do."""

import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import divmix
from divmix.design.cells import Batch
from divmix.design.design import Design
from divmix.design.prepare import prepared
from divmix.design.row_names import Locate, row_name
from divmix.errors import InputError, MissingExtraError, UsageError
from divmix.families.coded import Coded, of_features, stacked
from divmix.kernels import compile as compiling
from divmix.memory import available
from divmix.progress import Progress
from divmix.rows import AnyBlock, Block, DaskRows, StreamedRows
from divmix.rows.dask import Nodes, Visit, summed
from divmix.rows.segments import in_runs, segment_rows
from divmix.tables.reading import TableReader, open_table
from divmix.workflows.streamed import OnWorkers

if TYPE_CHECKING:
    from distributed import Client, Future

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
    features: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, paths: Sequence[str], options: dict[str, Any], design: Design) -> "TablePart":
        """Of files as they are now. Raises InputError."""
        files = tuple((path, *_state(path)) for path in map(os.path.abspath, paths))
        return cls(files, options, design, divmix.__version__, uuid.uuid4().hex)

    def among(self, features: NDArray[np.int64]) -> "TablePart":
        """With these of the features alone."""
        chosen = features if self.features is None else self.features[features]
        return replace(self, features=chosen, key=uuid.uuid4().hex)

    def visit(self, client: "Client", asked: Visit, where: dict[str, Any]) -> "Future":
        """Has a worker add up segments, as `Part` says."""
        return client.submit(self.summed, asked, pure=False, **where)

    def summed(self, asked: Visit) -> Nodes:
        """The sums of segments, on a worker. Raises InputError."""
        settle_process()
        self._check()
        kept = partial(_kept.get, self.key, read=self._read)
        return summed(map(kept, asked.segments), asked)

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

    def _read(self, number: int) -> AnyBlock:
        """The rows of one segment."""
        d = self.design.n_features if self.features is None else len(self.features)
        start = number * segment_rows(d)
        reader = open_table([path for path, *_ in self.files], **self.options)
        batches = reader.between(start, start + segment_rows(d))
        return block_of(batches, self.design, self.features, start, reader.locate)


def block_of(
    batches: Iterable[Batch],
    design: Design,
    features: NDArray[np.int64] | None,
    first_row: int = 0,
    locate: Locate = row_name,
) -> AnyBlock:
    """Rows of a table, from `first_row` on, as a worker sums them up: some features, None for all.
    Raises InputError."""
    blocks = list(prepared(batches, design, locate, first_row=first_row, coded=True))
    X = stacked([block.X for block in blocks])
    if features is not None:
        X = of_features(X, features)
    row_weights = np.concatenate([block.row_weights for block in blocks])
    return (
        AnyBlock(X, row_weights)
        if isinstance(X, Coded)
        else AnyBlock(*in_runs(Block(X, row_weights)))
    )


def on_workers(client: "Client", reader: TableReader) -> OnWorkers:
    """What has the workers sum up the rows of files. Raises UsageError for files that are not
    Parquet."""
    if not reader.is_parquet:
        raise UsageError(
            f"--dask reads Parquet, and {reader.told} is none",
            hint="store the table as Parquet, or use --stream",
        )

    def made(design: Design, rows: StreamedRows) -> DaskRows:
        return DaskRows(client, TablePart.of(reader.paths, reader.options, design), rows)

    return made


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
        self._table: str | None = None
        self._blocks: dict[int, AnyBlock] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, table: str, number: int, read: Callable[[int], AnyBlock]) -> AnyBlock:
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
def settle_process() -> None:
    """In the process of a worker: one thread for each task, as Dask runs as many tasks as a worker has
    threads."""
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
        check_workers(client, f"--dask {address}")
        progress.note(f"dashboard of the cluster: {client.dashboard_link}")
        yield client


def _workers(address: str, count: str) -> int:
    if not count and address == "local":
        return compiling.threads()
    if not count.isdecimal() or int(count) < 1:
        raise UsageError(f"--dask {address}: no number of workers", hint="such as local:2")
    return int(count)


def check_workers(client: "Client", told: str) -> None:
    """Raises UsageError where a worker lacks this version of divmix, or there is none; `told` is
    what the cluster is called."""
    try:
        found = client.run(_version)
    except Exception as error:
        raise UsageError(
            f"{told}: a worker cannot import divmix ({error})",
            hint=f"install divmix {divmix.__version__} where the workers run",
        ) from error
    if not found:
        raise UsageError(f"{told} has no workers", hint="start some: dask worker ADDRESS")
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
