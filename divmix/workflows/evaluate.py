"""Compare clusters with known classes, and scores with known anomalies."""

from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from divmix.design.columns import as_text
from divmix.errors import InputError
from divmix.metrics import agreement, anomaly_metrics
from divmix.tables import arrays
from divmix.tables.reading import TableReader, open_table
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
    `source` may be a run folder: its assignments or scores, and the truth in the table that has them.
    The truth is looked for in `data` where that is given (the table the labels were made for, row
    by row), else in the same table; `encoding` is that of the one with the truth. The columns that count
    are read, in batches: of clusters nothing is held. Raises InputError.
    """
    if run_folder.is_run(source):
        source, data = run_folder.labels_of(source, data)
    labels = open_table([source], encoding=encoding if data is None else None)
    scored = prediction not in labels.names and {"score", "flagged"} <= set(labels.names)
    wanted = ["score", "flagged"] if scored else [prediction]
    as_text = [] if scored else [truth]  # as a fit has its classes
    if data is None and truth not in labels.names:
        error = unknown_column(truth, labels.names, labels.told)
        raise InputError(
            str(error), hint=f"{error.hint}; --data FILE names the table with the truth, row by row"
        )
    if data is None:
        labels = known = labels.among([truth, *wanted], as_text)
    else:
        known = open_table([data], columns=[truth], text_columns=as_text, encoding=encoding)
        labels = labels.among(wanted)
    if scored:
        parts = [
            (batch.select(["score", "flagged"]), classes.select([truth]))
            for batch, classes in _side_by_side(labels, known)
        ]
        table, classes = (pa.Table.from_batches(batches) for batches in zip(*parts))
        is_anomaly = anomalies(classes, truth, known.told, anomaly)
        return anomaly_metrics(
            is_anomaly, _numbers(table, "score"), _numbers(table, "flagged") == 1
        )
    agreement = Agreement()
    for batch, classes in _side_by_side(labels, known):
        agreement.update(classes.column(truth), batch.column(prediction))
    return agreement.metrics()


def _side_by_side(
    labels: TableReader, known: TableReader
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """The batches of both, of the same rows. Raises InputError where one has more."""
    if known is labels:
        yield from ((batch, batch) for batch in labels.batches())
        return
    rows = np.zeros(2, np.int64)
    for pair in zip_longest(labels.batches(), known.batches()):
        rows += [0 if batch is None else batch.num_rows for batch in pair]
        if rows[0] == rows[1]:
            yield pair
    if rows[0] != rows[1]:
        raise InputError(
            f"{labels.told} has {rows[0]:,} rows, {known.told} has {rows[1]:,}",
            hint="evaluate compares row by row: give the table that the labels were made for",
        )


class Agreement:
    """Rows of each class and cluster, counted batch by batch."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[Any, Any]] = Counter()

    def update(self, truth: pa.Array, cluster: pa.Array) -> None:
        """The rows that come next: their classes and their clusters. Where one is empty, the row does
        not count."""
        (codes, classes), (found, clusters) = _encoded(truth), _encoded(cluster)
        known = (codes >= 0) & (found >= 0)
        pairs, counts = np.unique(codes[known] * len(clusters) + found[known], return_counts=True)
        for pair, count in zip(pairs.tolist(), counts.tolist()):
            row, column = divmod(pair, len(clusters))
            self._counts[classes[row], clusters[column]] += count

    def metrics(self) -> dict[str, Any]:
        """As `clustering_metrics` of all rows."""
        if not self._counts:
            return {"rows": 0}
        places = [
            {value: place for place, value in enumerate(dict.fromkeys(values))}
            for values in zip(*self._counts)
        ]
        table = np.zeros([len(values) for values in places], np.int64)
        for pair, count in self._counts.items():
            table[tuple(own[value] for own, value in zip(places, pair))] = count
        return agreement(table)


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
