"""Frames of Dask: read partition by partition, summed up and labelled where the partitions are."""

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from divmix.design.design import Design
from divmix.design.learning import in_batches
from divmix.design.row_names import row_name
from divmix.engine.checkpoint import Journal
from divmix.errors import InputError, UsageError
from divmix.estimators import frames
from divmix.estimators.validation import check_names
from divmix.families import Components, Family
from divmix.progress import Progress
from divmix.rows import AnyBlock, DaskRows, Rows, StreamedRows
from divmix.rows.dask import Nodes, Visit, summed
from divmix.rows.segments import segment_rows
from divmix.settings import FitSettings, TableSettings
from divmix.tables.reading import rechunk
from divmix.workflows.dask_table import block_of, check_workers, settle_process
from divmix.workflows.fitted import Fit, numbered
from divmix.workflows.resources import limited_threads
from divmix.workflows.streamed import StreamedTable

if TYPE_CHECKING:
    from distributed import Client, Future


def fit_frame(
    frame: Any,
    sample_weight: Any,
    settings: FitSettings,
    tables: TableSettings,
    start: Callable[[Design, Family, Rows], Components] | None,
    progress: Progress,
) -> Fit:
    """Fit a mixture to a frame of Dask, with the bits of a fit to its rows in memory.

    With a client of a cluster, its workers hold the partitions and make the sums; the first look
    at the rows, and their numbers of clusters, pass through this process. Raises as `fit_table`.
    """
    frame, tables = _weighted(frame, sample_weight, tables)
    client = _client()
    table = DaskTable(frame, client)
    on_workers = None if client is None else table.on_workers
    streamed = StreamedTable(table, settings, tables, progress, on_workers=on_workers)

    def label(fit: Fit, tally: Any) -> None:
        for _ in streamed.labels(fit, (), tally):
            pass

    with limited_threads(settings.threads, progress):
        fit = streamed.fitted(lambda: False, Journal(), start)
        return numbered(fit, tables, label, in_order=start is None)


def _weighted(frame: Any, sample_weight: Any, tables: TableSettings) -> tuple[Any, TableSettings]:
    """The frame with a column of weights, and settings that name it."""
    if sample_weight is None:
        return frame, tables
    if not hasattr(sample_weight, "npartitions"):
        raise UsageError(
            "sample_weight of a frame of Dask has no partitions",
            hint="give a Dask series with the partitions of the frame, such as one of its columns",
        )
    name = frames.unused_name("sample_weight", frame.columns)
    return frame.assign(**{name: sample_weight}), replace(tables, weight=name)


def _client() -> "Client | None":
    """The client of a cluster that frames of Dask are computed by, None for this process."""
    try:
        from distributed import default_client

        client = default_client()
    except (ImportError, ValueError):
        return None
    check_workers(client, "the cluster of the Dask client")
    return client


class DaskTable:
    """A frame of Dask as a table that is read anew, as `StreamedTable` asks for one.

    With a client its partitions are results that the workers hold, of which Dask computes again what
    is lost; without one each is computed in this process whenever it is its turn.
    """

    told = "the frame"
    pipe: str | None = None
    rows: int | None = None  # only a look at all partitions tells
    notes: tuple[str, ...] = ()

    def __init__(self, frame: Any, client: "Client | None") -> None:
        self._client = client
        # What Dask knows of the types holds for each partition, also for one that is empty.
        self.schema = _plain(frames.to_arrow(frame._meta_nonempty)).schema
        self.names: list[str] = self.schema.names
        self._partitions = frame.to_delayed()
        if client is not None:
            self._partitions = client.compute(self._partitions)
            lengths = client.gather(client.map(len, self._partitions))
            self._starts = [0, *accumulate(lengths)]

    def batches(self, rows: int, as_written: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """The frame in batches of exactly `rows` rows, the last one shorter. Raises InputError."""
        seen = False
        for batch in rechunk(self._batches(), rows):
            seen = True
            yield batch
        if not seen:
            raise InputError(
                "the frame has columns but no rows", hint="a table needs at least one row"
            )

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for partition in self._partitions:
            if self._client is None:
                table = _as_table(partition.compute(), self.schema)
            else:
                table = self._client.submit(_as_table, partition, self.schema).result()
            yield from table.to_batches()

    def locate(self, row: int) -> str:
        """Name a row, counted from 0."""
        return row_name(row)

    def on_workers(self, design: Design, rows: StreamedRows) -> DaskRows:
        """Rows of which the workers make the sums."""
        assert self._client is not None
        return DaskRows(self._client, FramePart(self, design), rows)

    def between(self, start: int, stop: int) -> tuple[int, list["Future"]]:
        """Partitions that have the rows start .. stop - 1 of the frame, and the first row of these."""
        first, last = bisect_right(self._starts, start) - 1, bisect_left(self._starts, stop)
        return self._starts[first], self._partitions[first:last]


class FramePart:
    """Some features of a frame. Its segments are results too, made once where they are first visited:
    Dask brings later visits to them, writes to disk what memory lacks, and makes anew what is lost."""

    def __init__(
        self, table: DaskTable, design: Design, features: NDArray[np.int64] | None = None
    ) -> None:
        self._table, self._design, self._features = table, design, features
        self._size = segment_rows(design.n_features if features is None else len(features))
        self._segments: dict[int, Future] = {}

    def visit(self, client: "Client", asked: Visit, where: dict[str, Any]) -> "Future":
        """Has a worker add up segments, as `Part` says."""
        blocks = [self._segment(client, number, where) for number in asked.segments]
        return client.submit(_summed, blocks, asked, pure=False, **where)

    def among(self, features: NDArray[np.int64]) -> "FramePart":
        """With these of the features alone."""
        chosen = features if self._features is None else self._features[features]
        return FramePart(self._table, self._design, chosen)

    def _segment(self, client: "Client", number: int, where: dict[str, Any]) -> "Future":
        if number not in self._segments:
            start, stop = number * self._size, (number + 1) * self._size
            first, partitions = self._table.between(start, stop)
            rows = slice(start - first, stop - first)
            how = self._table.schema, self._design, self._features
            self._segments[number] = client.submit(
                _segment, partitions, rows, *how, pure=False, **where
            )
        return self._segments[number]


def _segment(
    partitions: Sequence[Any],
    rows: slice,
    schema: pa.Schema,
    design: Design,
    features: NDArray[np.int64] | None,
) -> AnyBlock:
    """Some rows of partitions that follow each other, on a worker."""
    settle_process()
    table = pa.concat_tables(_as_table(partition, schema) for partition in partitions)
    part = table.slice(rows.start, rows.stop - rows.start)
    return block_of(in_batches(part), design, features)


def _summed(blocks: Sequence[AnyBlock], asked: Visit) -> Nodes:
    settle_process()
    return summed(blocks, asked)


def _as_table(partition: Any, schema: pa.Schema) -> pa.Table:
    """A partition, a frame of pandas, with the types of all of them. Raises InputError."""
    table = _plain(frames.to_arrow(partition))
    try:
        return table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise InputError(
            f"a partition of the frame has other types than Dask knows: {error}",
            hint="frame.astype({COLUMN: TYPE}) gives each partition the same",
        ) from error


def _plain(table: pa.Table) -> pa.Table:
    """Categories with codes of their own in each partition, as codes of one type."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(place).cast(pa.large_string()).dictionary_encode()
            table = table.set_column(place, field.name, column)
    return table


def by_partition(name: str | None, kind: type = float) -> Callable[[Any], Any]:
    """A method of an estimator that tells a number of each row: of a frame of Dask it is called on
    each partition, and gives a Dask series of this name and kind, or for None a Dask frame with
    the columns of `predict_proba`; computed where the estimator is to give arrays."""

    def decorated(method: Any) -> Any:
        @functools.wraps(method)
        def called(self: Any, X: Any) -> Any:
            if not frames.is_dask(X):
                return method(self, X)
            check_is_fitted(self)
            check_names(self, X, training=False)
            made = copy(self)
            made.output = "same"
            for of_the_fit in ("labels_", "decision_scores_", "trace_", "lower_bounds_"):
                made.__dict__.pop(of_the_fit, None)
            empty: np.ndarray = np.empty(0, kind)
            if name is None:
                names = self.get_feature_names_out()
                meta: Any = pd.DataFrame(dict.fromkeys(names, empty))
            else:
                meta = pd.Series(empty, name=name)
            from dask import delayed

            told = X.map_partitions(_told, delayed(made), method.__name__, meta, meta=meta)
            return told if self.output == "same" else told.compute().to_numpy()

        return called

    return decorated


def _told(
    partition: Any, estimator: Any, method: str, empty: Any, partition_info: Any = None
) -> Any:
    """What the estimator says of the rows of a partition."""
    if _on_worker():
        settle_process()
    if not len(partition):
        return empty
    try:
        return getattr(estimator, method)(partition)
    except ValueError as error:
        number = partition_info["number"] if partition_info else 0
        raise ValueError(f"partition {number}: {error}") from error


def _on_worker() -> bool:
    try:
        from distributed import get_worker

        get_worker()
    except (ImportError, ValueError):
        return False
    return True
