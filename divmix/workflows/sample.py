"""Draw new rows from a fitted mixture."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from divmix.model.mixture import Mixture
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS
from divmix.workflows.run_folder import write_table


def run_sample(
    model: str | Path,
    n: int,
    output: str,
    *,
    seed: int = 0,
    overwrite: bool = False,
    csv_safe: bool = False,
) -> dict[str, Any]:
    """Write n rows with the columns of the training table, and the cluster each was drawn from.

    `csv_safe`: see `TableWriter`.

    Raises ModelFileError, OutputError, and UsageError for a model of an embedding.
    """
    mixture = Mixture.load(model)
    generator = np.random.default_rng(seed)
    cluster_name = "cluster"
    while cluster_name in mixture.design.schema.names:
        cluster_name = "_" + cluster_name

    def drawn() -> Iterator[pa.RecordBatch]:
        for start in range(0, n, BATCH_ROWS):
            X, clusters = mixture.draw(min(BATCH_ROWS, n - start), generator)
            table = mixture.design.inverse(X).append_column(cluster_name, arrays.integers(clusters))
            yield from table.combine_chunks().to_batches()

    rows = write_table(output, drawn(), overwrite, csv_safe=csv_safe)
    return {"rows": rows, "seed": seed, "output": str(output)}
