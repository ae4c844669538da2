"""Results beside the data: which columns of the input go with them, and in how many digits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from divmix.errors import UsageError
from divmix.tables import arrays
from divmix.tables.reading import TableReader
from divmix.tables.schema import unknown_column

ALL = ("all",)


@dataclass(frozen=True)
class Beside:
    """What stands beside results, as its file has it.

    keep : columns of the input, ("all",) for all of them. id : the column that labels rows instead
    of their number. digits : significant digits of the results' fractions, None for all.
    """

    keep: tuple[str, ...] = ()
    id: str | None = None
    digits: int | None = None

    def names(self, reader: TableReader) -> list[str]:
        """The columns to be read as written: that of the ids first. Raises InputError for a
        name that the table lacks."""
        there = reader.all_names
        kept = there if self.keep == ALL and "all" not in there else self.keep
        for name in (*kept, *([self.id] if self.id else ())):
            if name not in there:
                raise unknown_column(name, there)
        others = [name for name in dict.fromkeys(kept) if name != self.id]
        return [*([self.id] if self.id else ()), *others]

    def joined(
        self, results: pa.RecordBatch, written: pa.RecordBatch | None, names: Sequence[str]
    ) -> pa.RecordBatch:
        """`row` or the id, then the columns kept, then the results. Raises UsageError where two of
        them have one name."""
        columns = {name: self._rounded(results.column(name)) for name in results.schema.names}
        if not names or written is None:
            return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        kept = dict(zip(names, written.columns))
        row = {"row": columns.pop("row")} if "row" in columns else {}
        first = {self.id: kept.pop(self.id)} if self.id else row
        for name in kept.keys() & {*first, *columns} | first.keys() & columns.keys():
            raise UsageError(
                f"the table has a column '{name}', and so have the results",
                hint="name the columns to keep without it: --keep A,B",
            )
        together = {**first, **kept, **columns}
        return pa.RecordBatch.from_arrays(list(together.values()), names=list(together))

    def all_joined(
        self,
        results: Iterable[pa.RecordBatch],
        written: pa.Table | None,
        names: Sequence[str],
    ) -> Iterator[pa.RecordBatch]:
        """`joined` for batches of results and a table with all their rows."""
        done = 0
        for batch in results:
            part = None
            if written is not None:
                part = written.slice(done, len(batch)).combine_chunks().to_batches()
                part = part[0] if part else None
            yield self.joined(batch, part, names)
            done += len(batch)

    def _rounded(self, column: pa.Array) -> pa.Array:
        if self.digits is None or not pa.types.is_floating(column.type):
            return column
        rounded = arrays.floats(significant(arrays.to_floats(column), self.digits))
        empty = arrays.booleans(arrays.is_empty(column))
        return pc.if_else(empty, pa.nulls(1, pa.float64())[0], rounded)


NOTHING_BESIDE = Beside()


def significant(values: np.ndarray, digits: int) -> np.ndarray:
    """Numbers (n,) to so many significant digits."""
    size = np.abs(values)
    there = np.isfinite(size) & (size > 0)
    power = np.zeros(len(values))
    power[there] = digits - 1 - np.floor(np.log10(size[there]))
    # A power of ten is a number without rounding only where its exponent is positive.
    up, down = 10.0 ** np.clip(power, 0, 300), 10.0 ** np.clip(-power, 0, 300)
    with np.errstate(over="ignore"):
        rounded = np.round(values * up / down) * down / up
    return np.where(there & np.isfinite(rounded), rounded, values)


def parted(table: pa.Table | pa.RecordBatch, columns: int) -> tuple:
    """The first columns, which a model reads, and those as written, None where there is none."""
    if table.num_columns == columns:
        return table, None
    places = list(range(table.num_columns))
    return table.select(places[:columns]), table.select(places[columns:])
