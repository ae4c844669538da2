"""JSON Lines: one object a line, read by Arrow."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from divmix.errors import InputError
from divmix.tables import arrays
from divmix.tables.columnar_file import TypedFile, cast, plain_type
from divmix.tables.foreign import refuse_foreign
from divmix.tables.sources import Source

BLOCK = 1 << 24  # bytes parsed at a time; no line is longer


def looks_like_json_lines(source: Source) -> bool:
    """Whether a file starts with an object that ends where its line does."""
    head = source.head(1 << 16).removeprefix(b"\xef\xbb\xbf").lstrip()
    line = head.partition(b"\n")[0].rstrip()
    return head.startswith(b"{") and (line.endswith(b"}") or len(line) > 1 << 15)


class JsonLinesFile(TypedFile):
    """One file or stream of JSON objects, a line each; missing keys are empty cells.

    The first block tells which columns there are and what they hold; numbers are float64, and
    what is nested stays so.
    """

    format = "JSON Lines"

    def __init__(self, source: Source, *, forced: Mapping[str, pa.DataType]) -> None:
        from pyarrow import json

        super().__init__(source)
        head = source.head(BLOCK)
        if len(head) == BLOCK:
            head = head[: head.rfind(b"\n") + 1]
        if not head:
            raise self._too_long()
        options = json.ReadOptions(block_size=BLOCK, use_threads=False)
        try:
            sample = json.read_json(pa.BufferReader(arrays.owned(head)), read_options=options)
        except pa.ArrowInvalid as error:
            if not head.strip().endswith(b"}"):
                refuse_foreign(source, head)
            raise self._unreadable(error) from error
        found = {field.name: _kind(field.type) for field in sample.schema}
        found |= {name: kind for name, kind in forced.items() if name in found}
        self.schema = pa.schema(list(found.items()))

    def batches(
        self, schema: pa.Schema, rows: int = 0, as_written: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """The columns of `schema` with its types, a block of lines at a time, and then those
        `as_written` with the file's. Raises InputError for what is not JSON or not of its type."""
        from pyarrow import json

        names = list(dict.fromkeys([*schema.names, *as_written]))
        read_as = pa.schema([(name, _read_as(self.schema.field(name).type)) for name in names])
        options = json.ParseOptions(explicit_schema=read_as, unexpected_field_behavior="ignore")
        reading = json.ReadOptions(block_size=BLOCK, use_threads=False)
        with self.source.open() as stream:
            rest = b""
            while chunk := stream.read(BLOCK):
                lines, end, rest = (rest + chunk).rpartition(b"\n")
                if len(rest) > BLOCK:
                    raise self._too_long()
                if lines:
                    yield from self._parsed(lines + end, options, reading, schema, as_written)
            if rest.strip():
                yield from self._parsed(rest, options, reading, schema, as_written)

    def _parsed(
        self, lines: bytes, options: Any, reading: Any, schema: pa.Schema, as_written: Collection
    ) -> Iterator[pa.RecordBatch]:
        from pyarrow import json

        try:
            table = json.read_json(
                pa.BufferReader(arrays.owned(lines)), parse_options=options, read_options=reading
            )
            for batch in table.combine_chunks().to_batches():
                yield cast(_texts_as_text(batch, schema), schema, as_written)
        except pa.ArrowInvalid as error:
            raise self._unreadable(error) from error

    def _too_long(self) -> InputError:
        return InputError(
            f"{self.name}: a line is longer than {BLOCK:,} bytes",
            hint="write one object a line; what is so long is no value to fit",
            instead=self.source.again(),
        )

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(
            f"{self.name} is not readable as JSON Lines: {str(error).splitlines()[0]}",
            hint="write one object a line, with the same kind of value for a key in all of them",
            instead=self.source.again(),
        )


def _kind(found: pa.DataType) -> pa.DataType:
    """Numbers are float64; a moment, which Arrow sees in text, is text as in a CSV file."""
    if types.is_integer(found):
        return pa.float64()
    return pa.large_string() if types.is_temporal(found) else plain_type(found)


def _read_as(kind: pa.DataType) -> pa.DataType:
    return pa.string() if kind == pa.large_string() else kind


def _texts_as_text(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Numbers and truth values as text where the schema says text."""
    columns = [
        pc.cast(column, pa.string())
        if name in schema.names and schema.field(name).type == pa.large_string()
        else column
        for name, column in zip(batch.schema.names, batch.columns)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
