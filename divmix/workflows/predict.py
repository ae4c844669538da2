"""Label new rows with a fitted mixture, in batches of constant memory."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from divmix.errors import UsageError
from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import open_table
from divmix.workflows.beside import ALL, NOTHING_BESIDE, Beside, parted
from divmix.workflows.fill import filled_in
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
    missing: str | None = None,
    fill: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write cluster, probability and log-density of each row of `sources` to `output`.

    `output` "-" is stdout, in the format `to`. `unknown` says what to do about categories that the
    fit did not see: "error" or "ignore". `probabilities` adds a column for each cluster, `beside`
    columns of the input. `encoding` is that of text tables. `missing` says what to do about empty
    cells, "error", "model" or "drop", None as in the fit; with `fill` "mean" or "draw" the model's
    columns are written too, their empty cells filled in by conditional means or by draws, which
    start from `seed`.
    Returns the number of rows. Raises ModelFileError, InputError,
    UsageError, OutputError.
    """
    mixture = Mixture.load(model)
    if fill is not None:
        if mixture.design.is_embedding:
            raise UsageError(
                "--fill is not available for a model of an embedding",
                hint="fit without --encoder to fill in cells",
            )
        missing = "model"
    if missing is not None:
        mixture = replace(mixture, design=mixture.design.with_missing(missing))
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
        fill=fill,
        seed=seed,
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
    fill: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> int:
    """Write what `mixture` says of each row of `sources`; returns their number. `fill` is for a
    design that leaves cells empty.

    Raises InputError, UsageError, OutputError.
    """
    progress = progress or Progress()
    reader = open_table(sources, **mixture.design.reading_options(), encoding=encoding)
    if fill is not None and beside.keep != ALL:
        beside = replace(beside, keep=(*mixture.design.schema.names, *beside.keep))
    names = beside.names(reader)

    def placed() -> Iterator[tuple[int, pa.RecordBatch]]:
        done = 0
        for whole in reader.batches(BATCH_ROWS, names):
            yield done, whole
            done += whole.num_rows

    def scored(place: tuple[int, pa.RecordBatch]) -> pa.RecordBatch:
        first_row, whole = place
        batch, written = parted(whole, len(reader.names))
        where: Any = {"unknown": unknown, "first_row": first_row, "locate": reader.locate}
        if fill is None:
            scores = mixture.score_batch(batch, posterior=probabilities, **where)
        else:
            rows = mixture.design.transform(batch, **where)
            scores = mixture.score_rows(rows, posterior=probabilities)
            generator = np.random.default_rng([seed, first_row]) if fill == "draw" else None
            filled = mixture.filled(rows.X, generator)
            written = filled_in(
                mixture.design, rows.X, filled, batch, written, names, beside.digits
            )
        return beside.joined(score_batch(scores, first_row), written, names)

    def labelled() -> Iterator[pa.RecordBatch]:
        done = 0
        design = mixture.design
        row = design.of_columns.room(1, coded=True)  # what an encoder is given, too
        threads = at_once(BATCH_ROWS * row.nbytes // 8 + 1)
        for batch in mapped(scored, placed, threads):
            yield batch
            done += batch.num_rows
            progress.rows(done, reader.rows)

    with single_blas_thread():
        return write_table(
            output, labelled(), overwrite, to=to, sparing=bool(names), progress=progress
        )
