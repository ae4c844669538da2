"""What a run folder keeps of its rows, and the rows themselves from the table of the run."""

from collections.abc import Sequence
from os.path import exists  # of a name that no system takes too
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from divmix.errors import InputError, ModelFileError
from divmix.model.mixture import Mixture
from divmix.model.scores import INCOMPLETE
from divmix.progress import Progress, TraceRow
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import TableReader, open_table
from divmix.tables.sources import expand
from divmix.workflows.run_folder import trace_schema

FEW_ROWS = BATCH_ROWS // 8  # read at a time: of most batches only some rows are kept


class Assigned(NamedTuple):
    """Of n rows cluster, probability and log-density, NaN for incomplete ones."""

    cluster: np.ndarray
    probability: np.ndarray
    log_density: np.ndarray


class Scored(NamedTuple):
    """Of n rows score and p-value, NaN for incomplete ones, and whether they are flagged."""

    score: np.ndarray
    p_value: np.ndarray
    flagged: np.ndarray


def names_of_input(source: dict[str, Any], folder: Path) -> tuple[str, ...]:
    """The files of a run as it named them, from where one stands or else from beside its folder.

    source: what run.json tells of the table.
    """
    names = source.get("names", ())
    beside = [folder.resolve().parent / name for name in names]
    if not all(map(exists, names)) and all(map(exists, beside)):
        return tuple(map(str, beside))
    return tuple(names)


def why_lacking(source: dict[str, Any], names: Sequence[str]) -> str | None:
    """Why the rows of a run cannot be shown; None where they can."""
    if not names:
        return "The run does not tell its rows."
    if not all(map(exists, names)):
        return f"{names[0]} is not there any more: --data FILE says where the rows are."
    if sum(Path(file.name).stat().st_size for file in expand(names)) != source["bytes"]:
        return f"{names[0]} has changed since the run, so its rows are not shown."
    return None


def assignments_of(folder: Path) -> Assigned | None:
    """The assignments in a run folder, None where there are none. Raises ModelFileError."""
    names = list(Assigned._fields)
    try:
        if (folder / "assignments.parquet").is_file():
            file = parquet.ParquetFile(folder / "assignments.parquet")
            batches = file.iter_batches(columns=names)
        elif (folder / "assignments.csv").is_file():
            options = csv.ConvertOptions(include_columns=names)
            batches = csv.open_csv(folder / "assignments.csv", convert_options=options)
        else:
            return None
        parts = [_assigned(batch) for batch in batches]
        return Assigned(*(np.concatenate(part) for part in zip(*parts)))
    except (pa.ArrowException, KeyError) as error:
        raise ModelFileError(
            f"{folder}: its assignments cannot be read: {error}", hint="fit again with --force"
        ) from error


def _assigned(batch: pa.RecordBatch) -> Assigned:
    cluster, *others = (batch.column(name) for name in Assigned._fields)
    return Assigned(
        np.where(arrays.is_empty(cluster), INCOMPLETE, arrays.to_codes(cluster)),
        *(arrays.to_floats(other).copy() for other in others),  # without the batch behind them
    )


def scored_of(folder: Path) -> Scored | None:
    """The scores in the run folder of a detection, None where there are none. Raises ModelFileError."""
    if not (folder / "scores.csv").is_file():
        return None
    options = csv.ConvertOptions(
        include_columns=list(Scored._fields),
        column_types={"score": pa.float64(), "p_value": pa.float64(), "flagged": pa.bool_()},
    )
    try:
        table = csv.read_csv(folder / "scores.csv", convert_options=options)
        score, p_value = (arrays.to_floats(table.column(name)) for name in ("score", "p_value"))
        return Scored(score, p_value, np.asarray(table.column("flagged"), bool))
    except (pa.ArrowException, KeyError) as error:
        raise ModelFileError(
            f"{folder}: its scores cannot be read: {error}", hint="detect again with --force"
        ) from error


def trace_of(folder: Path) -> list[TraceRow]:
    """The trace in a run folder, empty where there is none. Raises ModelFileError."""
    path = folder / "trace.csv"
    if not path.is_file():
        return []
    options = csv.ConvertOptions(include_columns=TraceRow._fields, column_types=trace_schema())
    try:
        rows = csv.read_csv(path, convert_options=options).to_pylist()
    except (pa.ArrowException, KeyError) as error:
        raise ModelFileError(
            f"{path} cannot be read: {error}", hint="remove it: only pictures of the climb need it"
        ) from error
    return [TraceRow(**row) for row in rows]


def open_rows(
    mixture: Mixture, sources: Sequence[str], encoding: str | None, truth: str | None = None
) -> TableReader:
    """The table of a run, with the columns that its mixture takes and that of known classes."""
    options = mixture.design.reading_options()
    if truth is not None:
        options["columns"] = [*options["columns"], truth]
        options["text_columns"] = [*options["text_columns"], truth]
    return open_table(sources, encoding=encoding, **options)


def rows_at(
    mixture: Mixture,
    reader: TableReader,
    wanted: np.ndarray,
    truth: str | None,
    n: int,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray, pa.ChunkedArray | None]:
    """Rows `wanted` (ascending) of the design matrix, which cells of them were empty, and the classes of
    all rows; a batch at a time."""
    parts, empty, classes, done = [], [], [], 0
    for batch in reader.batches(FEW_ROWS):
        own = wanted[np.searchsorted(wanted, done) : np.searchsorted(wanted, done + batch.num_rows)]
        chosen = batch.take(arrays.integers(own - done))
        parts.append(mixture.design.transform(chosen, unknown="ignore", locate=reader.locate).X)
        empty.append(mixture.design.empty_cells(chosen))
        if truth is not None:
            classes.append(pc.dictionary_encode(batch.column(truth)))
        done += batch.num_rows
        progress.rows(done, reader.rows)
    if done != n:
        raise InputError(
            f"the table has {done:,} rows, the run {n:,}", hint="give the table of the run"
        )
    X = mixture.filled(np.concatenate(parts))
    return X, np.concatenate(empty), pa.chunked_array(classes) if classes else None
