"""Compare clusters with known classes, and scores with known anomalies."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from divmix.design.columns import as_text
from divmix.errors import InputError
from divmix.metrics import anomaly_metrics, clustering_metrics
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
) -> dict[str, Any]:
    """Metrics of column `prediction` of the table `source` against column `truth`.

    A table from detect, with columns `score` and `flagged`, is measured by these instead; then
    `anomaly` is the value of the truth that stands for an anomaly, by default 1 or true.
    `source` may be a run folder: its assignments, and the truth in the table that was fitted.
    The truth is looked for in `data` where that is given (the table the labels were made for, row
    by row), else in the same table. Raises InputError.
    """
    if run_folder.is_run(source):
        source, data = run_folder.labels_of(source, data)
    table = open_table([source]).read()
    known = table if data is None else open_table([data]).read()
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


def evaluate_clusters(
    table: pa.Table, truth: str | None, cluster: np.ndarray
) -> dict[str, Any] | None:
    """Metrics of clusters (n,) against column `truth` of their table; None without such.

    Rows of noise count as a cluster of their own.
    """
    if truth is None:
        return None
    counted = np.where(cluster == NOISE, cluster.max(initial=-1) + 1, cluster)
    return clustering_metrics(_codes(table, truth, "table"), counted)


def _codes(table: pa.Table, name: str, where: str) -> np.ndarray:
    """Values of a column as int codes (n,), -1 where a cell is empty."""
    if name not in table.schema.names:
        raise unknown_column(name, table.schema.names, where)
    column = table.column(name).combine_chunks()
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    return np.asarray(pc.fill_null(column.indices, -1)).astype(np.int64)


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
