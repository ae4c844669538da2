"""Scored rows as they are written: read once more, with reasons and beside columns as they were."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from divmix.anomaly.detector import Detection, Fitted, reasons_of
from divmix.design.design import Design
from divmix.errors import InputError
from divmix.families import AnyMatrix
from divmix.model.mixture import Mixture
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import TableReader
from divmix.workflows.beside import parted

Cells: TypeAlias = tuple[AnyMatrix, NDArray[np.bool_]]
"""Rows (b, d) or codes, and which cells of their columns are empty, (b, columns)."""

Part: TypeAlias = tuple[Callable[[], Cells], pa.RecordBatch | None]
"""A batch of rows: what makes their cells, and columns as written, None without such."""


class HeldRows(NamedTuple):
    """The rows of the table of the fit, and columns as written."""

    fitted: Fitted
    written: pa.Table | None

    def parts(self, made: bool) -> Iterator[Part]:
        """The rows once more, batch by batch."""
        for start in range(0, len(self.fitted.X), BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            written = None
            if self.written is not None:
                (written,) = self.written.slice(start, BATCH_ROWS).combine_chunks().to_batches()
            yield partial(self._cells, part), written

    def _cells(self, rows: slice) -> Cells:
        return self.fitted.of_columns(rows), self.fitted.empty[rows]


class RowsOfFiles:
    """Rows that are read anew each time; of a pipe, which can be read once, they are held."""

    def __init__(self, reader: TableReader, design: Design, names: Sequence[str]) -> None:
        self._reader, self._design, self._names = reader, design, names
        self._held = list(self._read()) if reader.pipe is not None else None
        self.rows = 0

    def _read(self) -> Iterator[pa.RecordBatch]:
        return self._reader.batches(BATCH_ROWS, self._names)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The columns that a model reads, for the first time."""
        for batch in self._held or self._read():
            self.rows += batch.num_rows
            yield parted(batch, len(self._reader.names))[0]

    def parts(self, made: bool) -> Iterator[Part]:
        """The rows once more, batch by batch: read again where a matrix is to be `made` or there are
        columns as written. Raises InputError where they are others now."""
        if not made and not self._names:
            for _ in range(0, self.rows, BATCH_ROWS):
                yield lambda: (np.zeros((0, 0)), np.zeros((0, 0), bool)), None
            return
        done = 0
        for whole in self._held or self._read():
            batch, written = parted(whole, len(self._reader.names))
            yield partial(self._cells, batch, done), written
            done += batch.num_rows
        if done != self.rows:
            raise InputError(
                f"{self._reader.told} had {self.rows:,} rows at first and {done:,} now",
                hint="the file changed while it was read: score a copy that stays as it is",
            )

    def _cells(self, batch: pa.RecordBatch, first_row: int) -> Cells:
        X = self._design.room(batch.num_rows, coded=True)
        self._design.fill(X, batch, "ignore", first_row, self._reader.locate)
        return X, self._design.empty_cells(batch)


def table_of(
    mixture: Mixture, found: Detection, rows: HeldRows | RowsOfFiles, only_flagged: bool = False
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
    """`row, score, p_value, flagged, because`, of all rows or of the flagged ones, batch by batch and
    beside columns as written; empty cells where nothing can be said. Raises InputError."""
    reasons, start = reasons_of(mixture), 0
    of_highest = dict(zip(found.highest.tolist(), found.because))
    for cells, written in rows.parts(bool(found.flagged.any())):
        part = slice(start, min(start + BATCH_ROWS, len(found.score)))
        flagged = found.flagged[part]
        because: list[str | None] = [None] * len(flagged)
        if flagged.any():
            X, empty = cells()
            told = reasons(X[flagged], empty[flagged])
            for row, text in zip(np.flatnonzero(flagged), told):
                because[row] = text
        for row, text in of_highest.items():
            if start <= row < part.stop:
                because[row - start] = text
        batch = _results(found, part, because)
        if only_flagged:
            batch = batch.filter(batch.column("flagged"))
            written = None if written is None else written.filter(arrays.booleans(flagged))
        yield batch, written
        start = part.stop


def _results(found: Detection, part: slice, because: Sequence[str | None]) -> pa.RecordBatch:
    known = ~np.isnan(found.score[part])
    columns = {"row": arrays.integers(np.arange(part.start, part.stop))}
    for name in ("score", "p_value"):
        columns[name] = arrays.where(known, arrays.floats(getattr(found, name)[part]))
    columns["flagged"] = arrays.booleans(found.flagged[part])
    told = np.array([text is not None for text in because], bool)
    texts = arrays.texts([text or "" for text in because]).cast(pa.string())
    columns["because"] = arrays.where(told, texts)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
