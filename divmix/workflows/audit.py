"""What two tables share, before a score on one is believed: duplicates, leaks, novelties."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from divmix.errors import InputError
from divmix.metrics import anomaly_metrics
from divmix.sampling import mixed
from divmix.tables import arrays
from divmix.tables.reading import open_table
from divmix.tables.schema import is_number, unknown_column
from divmix.workflows.evaluate import anomalies

ROUNDED_DIGITS = 3  # significant digits of numbers in a rounded row


def run_audit(
    training: Sequence[str],
    new: Sequence[str],
    *,
    truth: str | None = None,
    anomaly: str | None = None,
    exclude: Sequence[str] = (),
    encoding: str | None = None,
) -> dict[str, Any]:
    """Compare a table with the one a model was, or will be, trained on.

    `truth` is a column of the new table with known classes and `anomaly` the value that stands for
    an anomaly: then it says how well a mere look-up of known rows finds the anomalies. `encoding` is
    that of both where they are text.
    Raises InputError.
    """
    left_out = {*exclude} if truth is None else {truth, *exclude}
    known, fresh = (
        open_table(one, encoding=encoding, text_columns=left_out).read() for one in (training, new)
    )
    there = [*known.column_names, *fresh.column_names]
    for name in sorted(left_out - set(there)):
        raise unknown_column(name, dict.fromkeys(there), ", ".join(map(str, training)))
    names = [
        name for name in known.column_names if name in fresh.column_names and name not in left_out
    ]
    if not names:
        raise InputError(
            "the two tables have no column in common",
            hint="the columns are matched by name: check the headers",
        )
    audit: dict[str, Any] = {
        "rows": {"training": known.num_rows, "new": fresh.num_rows},
        "columns": len(names),
        "missing_columns": [
            n for n in known.column_names if n not in fresh.column_names and n not in left_out
        ],
        "additional_columns": [
            n for n in fresh.column_names if n not in known.column_names and n not in left_out
        ],
    }
    digests = [row_digests(table, names) for table in (known, fresh)]
    rounded = [row_digests(table, names, ROUNDED_DIGITS) for table in (known, fresh)]
    leaked, similar = np.isin(digests[1], digests[0]), np.isin(rounded[1], rounded[0])
    audit["duplicates"] = {"training": _repeated(digests[0]), "new": _repeated(digests[1])}
    audit["new_rows_in_training"] = _count(leaked)
    audit[f"new_rows_in_training_at_{ROUNDED_DIGITS}_digits"] = _count(similar)
    audit["columns_that_differ"] = [
        {"column": name} | difference
        for name in names
        if (difference := compare(known.column(name), fresh.column(name)))
    ]
    if truth is not None:
        is_anomaly = anomalies(fresh, truth, ", ".join(map(str, new)), anomaly)
        audit["look_up_of_known_rows"] = {
            title: anomaly_metrics(is_anomaly, (~there).astype(float), ~there)
            for title, there in (("exact", leaked), ("rounded", similar))
        }
    return audit


def row_digests(table: pa.Table, names: Sequence[str], digits: int | None = None) -> np.ndarray:
    """(n,) uint64, equal for equal rows in these columns, whatever the types of their numbers.

    digits: numbers are rounded to so many significant digits. An empty cell equals another.
    """
    digest = np.zeros(table.num_rows, np.uint64)
    for name in names:
        column = table.column(name)
        if is_number(column.type) or pa.types.is_boolean(column.type):
            codes = _number_digests(column, digits)
        else:
            codes = _text_digests(column)
        digest = mixed(digest * np.uint64(1_000_003) ^ codes)
    return digest


def _text_digests(column: pa.ChunkedArray) -> np.ndarray:
    """(n,) uint64, equal for equal texts; each distinct one is hashed once."""
    texts = pc.fill_null(pc.cast(column, pa.large_string()), "").combine_chunks()
    encoded = pc.dictionary_encode(texts)
    distinct = [
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
        for text in encoded.dictionary.to_pylist()
    ]
    return np.array(distinct, np.uint64)[arrays.to_codes(encoded.indices)]


def _number_digests(column: pa.ChunkedArray, digits: int | None) -> np.ndarray:
    """(n,) uint64, equal for equal numbers, or for those equal in so many significant digits."""
    values = np.asarray(pc.cast(column, pa.float64()).to_numpy(), float) + 0.0  # no -0.0
    if digits is not None:
        size = np.abs(values)
        there = np.isfinite(size) & (size > 0)
        power = np.zeros(len(values))
        power[there] = digits - 1 - np.floor(np.log10(size[there]))
        values = np.round(values * 10.0**power) / 10.0**power
    values[np.isnan(values)] = np.nan  # of the many bit patterns that are no number, one
    return mixed(values.view(np.uint64))


def compare(known: pa.ChunkedArray, fresh: pa.ChunkedArray) -> dict[str, Any]:
    """What a column of the new table holds that the training table's did not; {} for nothing."""
    empty = {"empty": fresh.null_count} if fresh.null_count and not known.null_count else {}
    numbers = [is_number(column.type) for column in (known, fresh)]
    if numbers[0] != numbers[1]:
        return empty | {"type": f"{fresh.type}, was {known.type}"}
    if not numbers[0]:
        return empty | _new_categories(known, fresh)
    lowest, highest = (pc.min_max(known)[end].as_py() for end in ("min", "max"))
    if lowest is None:
        return empty
    below, above = (
        pc.sum(test).as_py() or 0 for test in (pc.less(fresh, lowest), pc.greater(fresh, highest))
    )
    if not below and not above:
        return empty
    if lowest == highest:
        return empty | {"constant": f"{lowest:g} in training", "rows": below + above}
    span = pc.min_max(fresh)
    return empty | {
        "range": f"{lowest:g} to {highest:g} in training, "
        f"{span['min'].as_py():g} to {span['max'].as_py():g} now",
        "rows": below + above,
    }


def _new_categories(known: pa.ChunkedArray, fresh: pa.ChunkedArray) -> dict[str, Any]:
    texts = pc.cast(fresh, pa.string())
    seen = pc.unique(pc.cast(known, pa.string()))
    novel = pc.and_(pc.invert(pc.is_in(texts, value_set=seen)), pc.is_valid(texts))
    if not pc.any(novel).as_py():
        return {}
    values = pc.unique(texts.filter(novel)).to_pylist()
    return {
        "new_values": values[:5],
        "new_values_count": len(values),
        "rows": pc.sum(novel).as_py(),
    }


def _repeated(digests: np.ndarray) -> dict[str, Any]:
    return {
        "rows": len(digests) - len(np.unique(digests)),
        "share": 1 - len(np.unique(digests)) / max(len(digests), 1),
    }


def _count(there: np.ndarray) -> dict[str, Any]:
    return {"rows": int(there.sum()), "share": float(there.mean()) if len(there) else 0.0}
