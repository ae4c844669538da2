"""Label new rows with a fitted mixture, in batches of constant memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import open_table
from divmix.workflows.beside import NOTHING_BESIDE, Beside, parted
from divmix.workflows.in_order import at_once, mapped
from divmix.workflows.resources import single_blas_thread
from divmix.workflows.run_folder import score_batch, write_table


def run_predict(
    model: str | Path,
    sources: Sequence[str],
    output: str,
    *,
    overwrite: bool = False,
    unknown: str = "error",
    probabilities: bool = False,
    beside: Beside = NOTHING_BESIDE,
    to: str = "csv",
    encoding: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write cluster, probability and log-density of each row of `sources` to `output`.

    `output` "-" is stdout, in the format `to`. `unknown` says what to do about categories that the
    fit did not see: "error" or "ignore". `probabilities` adds a column for each cluster, `beside`
    columns of the input. `encoding` is that of text tables.
    Returns the number of rows. Raises ModelFileError, InputError,
    UsageError, OutputError.
    """
    mixture = Mixture.load(model)
    rows = write_labels(
        mixture,
        sources,
        output,
        overwrite=overwrite,
        unknown=unknown,
        probabilities=probabilities,
        beside=beside,
        to=to,
        encoding=encoding,
        progress=progress,
    )
    return {"rows": rows, "output": str(output)}


def write_labels(
    mixture: Mixture,
    sources: Sequence[str],
    output: str | Path,
    *,
    overwrite: bool = False,
    unknown: str = "error",
    probabilities: bool = False,
    beside: Beside = NOTHING_BESIDE,
    to: str = "csv",
    encoding: str | None = None,
    progress: Progress | None = None,
) -> int:
    """Write what `mixture` says of each row of `sources`; returns their number.

    Raises InputError, UsageError, OutputError.
    """
    progress = progress or Progress()
    reader = open_table(sources, **mixture.design.reading_options(), encoding=encoding)
    names = beside.names(reader)

    def placed() -> Iterator[tuple[int, pa.RecordBatch]]:
        done = 0
        for whole in reader.batches(BATCH_ROWS, names):
            yield done, whole
            done += whole.num_rows

    def scored(place: tuple[int, pa.RecordBatch]) -> pa.RecordBatch:
        first_row, whole = place
        batch, written = parted(whole, len(reader.names))
        scores = mixture.score_batch(
            batch,
            unknown=unknown,
            posterior=probabilities,
            first_row=first_row,
            locate=reader.locate,
        )
        return beside.joined(score_batch(scores, first_row), written, names)

    def labelled() -> Iterator[pa.RecordBatch]:
        done = 0
        threads = at_once(BATCH_ROWS * mixture.design.preprocessing.n_features)
        for batch in mapped(scored, placed, threads):
            yield batch
            done += batch.num_rows
            progress.rows(done, reader.rows)

    with single_blas_thread():
        return write_table(
            output, labelled(), overwrite, to=to, sparing=bool(names), progress=progress
        )
