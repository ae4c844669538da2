"""Rows as text: with separators, or as JSON, a line each."""

import json
import math
import re
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from divmix.tables import arrays
from divmix.tables.schema import is_text

# How text begins that a spreadsheet takes for a formula (OWASP, CSV injection). Numbers as they were
# written, -5 or +1.5e3, are none.
_FORMULA = re.compile(r"\A([=+\-@\t\r])")
_NUMBER = r"\A[+-]?[0-9.,]+([eE][+-]?[0-9]+)?\z"


class DelimitedWriter:
    """CSV, or TSV by another separator; all text is quoted, or with `sparing` what needs it.

    safe: whether text that a spreadsheet would take for a formula gets an apostrophe before it.

    A context manager, as Arrow's writers are.
    """

    def __init__(
        self, sink: Any, schema: pa.Schema, separator: str, *, sparing: bool, safe: bool = False
    ) -> None:
        from pyarrow import csv

        self._sink, self._separator, self._safe = sink, separator, safe
        names = schema.names
        if safe:
            names = ["'" + name if _FORMULA.match(name) else name for name in names]
        # Arrow would quote every name of the header, where other programs quote none.
        sink.write((separator.join(_name(name) for name in names) + "\n").encode())
        options = csv.WriteOptions(include_header=False, delimiter=separator)
        self._writer = None if sparing else csv.CSVWriter(sink, schema, write_options=options)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        if self._safe:
            batch = formulas_apart(batch)
        if self._writer is not None:
            self._writer.write_batch(batch)
            return
        columns = [self._cells(column) for column in batch.columns]
        lines = pc.binary_join_element_wise(
            *columns,
            arrays.texts([self._separator])[0],
            null_handling="replace",
            null_replacement="",
        )
        self._sink.write("".join(f"{line}\n" for line in lines.to_pylist()).encode())

    def _cells(self, column: pa.Array) -> pa.Array:
        if pa.types.is_nested(column.type):
            column = arrays.texts([_json(value) for value in column.to_pylist()])
        cells = pc.cast(column, pa.large_string())
        if not is_text(column.type):
            return cells
        needs = pc.match_substring_regex(cells, f'["\r\n{self._separator}]|^ | $')
        quote, nothing = arrays.texts(['"', ""])
        doubled = pc.replace_substring(cells, '"', '""')
        quoted = pc.binary_join_element_wise(quote, doubled, quote, nothing)
        return pc.if_else(needs, quoted, cells)

    def __enter__(self) -> Self:
        if self._writer is not None:
            self._writer.__enter__()
        return self

    def __exit__(self, *failure: Any) -> Any:
        return self._writer and self._writer.__exit__(*failure)


class JsonLinesWriter:
    """One JSON object a row; empty cells are null. A context manager, as Arrow's writers are."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        names = [json.dumps(name, ensure_ascii=False) for name in batch.schema.names]
        cells = [map(_json, column.to_pylist()) for column in batch.columns]
        for row in zip(*cells):
            told = ", ".join(f"{name}: {cell}" for name, cell in zip(names, row))
            self._sink.write(f"{{{told}}}\n".encode(errors="backslashreplace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        pass


def formulas_apart(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with an apostrophe before each text that a spreadsheet would execute."""
    columns = [
        pc.if_else(
            pc.match_substring_regex(column, _NUMBER),
            column,
            pc.replace_substring_regex(column, _FORMULA.pattern, r"'\1"),
        )
        if is_text(column.type) and not pa.types.is_dictionary(column.type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _json(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return json.dumps(value, ensure_ascii=False, default=str)


def _name(name: str) -> str:
    needs_quotes = any(sign in name for sign in ',;"\t\r\n') or name != name.strip() or not name
    return '"' + name.replace('"', '""') + '"' if needs_quotes else name
