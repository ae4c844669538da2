"""Compare clusters with known classes, and scores with known anomalies."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from divmix.design.columns import as_text
from divmix.errors import InputError
from divmix.metrics import agreement, anomaly_metrics, clustering_metrics
from divmix.model.scores import NOISE
from divmix.tables import arrays
from divmix.tables.reading import open_table
from divmix.tables.schema import unknown_column
from divmix.workflows import run_folder


def run_evaluate(
    source: str,
    truth: str,
    *,
    prediction: str = "cluster",
    data: str | None = None,
    anomaly: str | None = None,
    encoding: str | None = None,
) -> dict[str, Any]:
    """Metrics of column `prediction` of the table `source` against column `truth`.

    A table from detect, with columns `score` and `flagged`, is measured by these instead; then
    `anomaly` is the value of the truth that stands for an anomaly, by default 1 or true.
    `source` may be a run folder: its assignments, and the truth in the table that was fitted.
    The truth is looked for in `data` where that is given (the table the labels were made for, row
    by row), else in the same table; `encoding` is that of the one with the truth. Raises InputError.
    """
    if run_folder.is_run(source):
        source, data = run_folder.labels_of(source, data)
    table = open_table([source], encoding=encoding if data is None else None).read()
    known = table if data is None else open_table([data], encoding=encoding).read()
    if known.num_rows != table.num_rows:
        raise InputError(
            f"{source} has {table.num_rows:,} rows, {data} has {known.num_rows:,}",
            hint="evaluate compares row by row: give the table that the labels were made for",
        )
    if prediction not in table.schema.names and {"score", "flagged"} <= set(table.schema.names):
        return anomaly_metrics(
            anomalies(known, truth, data or source, anomaly),
            _numbers(table, "score"),
            _numbers(table, "flagged") == 1,
        )
    return clustering_metrics(
        _codes(known, truth, data or source), _codes(table, prediction, source)
    )


class Agreement:
    """Rows of each class and cluster, counted batch by batch: k - 1 clusters, and noise as one more."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._counts: dict[Any, np.ndarray] = {}

    def update(self, truth: pa.Array, cluster: np.ndarray) -> None:
        """The rows that come next: their classes, and their clusters (n,)."""
        codes, values = _encoded(truth)
        cluster = np.where(cluster == NOISE, self._k - 1, cluster)
        known = (codes >= 0) & (cluster >= 0)
        counts = np.zeros((len(values), self._k), np.int64)
        np.add.at(counts, (codes[known], cluster[known]), 1)
        for value, own in zip(values, counts):
            self._counts[value] = self._counts.get(value, 0) + own

    def metrics(self) -> dict[str, Any]:
        """As `clustering_metrics` of all rows."""
        table = np.array(list(self._counts.values())).reshape(-1, self._k)
        table = table[table.any(axis=1)][:, table.any(axis=0)]
        return agreement(table) if table.size else {"rows": 0}


def _codes(table: pa.Table, name: str, where: str) -> np.ndarray:
    """Values of a column as int codes (n,), -1 where a cell is empty."""
    if name not in table.schema.names:
        raise unknown_column(name, table.schema.names, where)
    return _encoded(table.column(name).combine_chunks())[0]


def _encoded(column: pa.Array) -> tuple[np.ndarray, list[Any]]:
    """Values of a column as int codes (n,), -1 where a cell is empty, and what these stand for."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    codes = np.asarray(pc.fill_null(column.indices, -1)).astype(np.int64)
    return codes, column.dictionary.to_pylist()


def anomalies(table: pa.Table, name: str, where: str, anomaly: str | None) -> np.ndarray:
    """Which rows (n,) are anomalies by column `name`."""
    if name not in table.schema.names:
        raise unknown_column(name, table.schema.names, where)
    texts = as_text(table.column(name).combine_chunks())
    values = set(pc.unique(texts).to_pylist())
    wanted = {anomaly} if anomaly is not None else {"1", "true"}
    if not values & wanted:
        some = ", ".join(sorted(map(str, values))[:5])
        raise InputError(
            f"{where}: column '{name}' is {some}, never {' or '.join(sorted(wanted))}",
            hint="--anomaly VALUE says which value stands for an anomaly",
        )
    found = pc.is_in(texts, value_set=pa.array(sorted(wanted), pa.large_string()))
    return np.asarray(found).astype(bool)


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    """A column as floats, NaN where it is empty."""
    column = table.column(name).combine_chunks()
    return arrays.to_floats(column)
