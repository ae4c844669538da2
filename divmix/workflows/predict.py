"""Label new rows with a fitted mixture, in batches of constant memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import open_table
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
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write cluster, probability and log-density of each row of `sources` to `output`.

    `output` "-" is CSV on stdout. `unknown` says what to do about categories that the fit did not
    see: "error" or "ignore". `probabilities` adds a column for each cluster.
    Returns the number of rows. Raises ModelFileError, InputError, OutputError.
    """
    mixture = Mixture.load(model)
    rows = write_labels(
        mixture,
        sources,
        output,
        overwrite=overwrite,
        unknown=unknown,
        probabilities=probabilities,
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
    progress: Progress | None = None,
) -> int:
    """Write what `mixture` says of each row of `sources`; returns their number.

    Raises InputError, OutputError.
    """
    progress = progress or Progress()
    reader = open_table(sources, **mixture.design.reading_options())

    def labelled() -> Iterator[pa.RecordBatch]:
        done = 0
        for batch in reader.batches(BATCH_ROWS):
            scores = mixture.score_batch(
                batch,
                unknown=unknown,
                posterior=probabilities,
                first_row=done,
                locate=reader.locate,
            )
            yield score_batch(scores, done)
            done += batch.num_rows
            progress.rows(done, reader.rows)

    with single_blas_thread():
        return write_table(output, labelled(), overwrite)
