"""The run folder: what a fit leaves on disk. run.json comes last, so it marks a complete run."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from divmix import report
from divmix.model.mixture import Mixture
from divmix.model.scores import INCOMPLETE, Scores
from divmix.progress import TraceRow
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.folders import ClaimedFolder, claimed_folder
from divmix.tables.writing import TableWriter, write_json

if TYPE_CHECKING:
    from divmix.workflows.fit import Fit

# All that a run folder may hold.
NAMES = (
    "model.divmix",
    "assignments.csv",
    "assignments.parquet",
    "components.csv",
    "trace.csv",
    "clusters.png",
    "clusters.svg",
    "trace.png",
    "trace.svg",
    "run.json",
)


@contextmanager
def claimed(folder: Path, overwrite: bool) -> Iterator[ClaimedFolder]:
    """A run folder that no other run may write meanwhile. Raises OutputError as it does."""
    with claimed_folder(folder, NAMES, overwrite=overwrite) as place:
        yield place


def write(
    place: ClaimedFolder,
    fit: "Fit",
    document: dict[str, Any],
    assignments_format: str,
    figures: str | None,
    csv_safe: bool = False,
) -> None:
    """Write all files of the run; those of a former run are replaced together."""
    with place.built() as folder:
        fit.mixture.save(folder / "model.divmix")
        write_table(folder / f"assignments.{assignments_format}", assignments(fit.scores), False)
        table = component_table(fit.mixture)
        write_table(folder / "components.csv", [table], False, csv_safe=csv_safe)
        write_table(folder / "trace.csv", [trace_table(fit.trace)], False)
        if figures:
            picture = folder / f"clusters.{figures}"
            report.clusters_figure(fit.X, fit.scores.cluster, picture, overwrite=False)
            report.trace_figure(fit.trace, folder / f"trace.{figures}", overwrite=False)
        write_json(folder / "run.json", document)


def write_table(
    path: str | Path,
    batches: Iterable[pa.RecordBatch],
    overwrite: bool,
    *,
    csv_safe: bool = False,
) -> int:
    """Write batches (at least one) to `path`, or as CSV to stdout for "-"; returns the rows.

    csv_safe: see `TableWriter`.
    """
    batches = iter(batches)
    first = next(batches)
    done = 0
    with TableWriter(path, first.schema, overwrite, csv_safe=csv_safe) as writer:
        for batch in chain([first], batches):
            writer.write(batch)
            done += batch.num_rows
    return done


def assignments(scores: Scores, first_row: int = 0) -> Iterator[pa.RecordBatch]:
    """`row, cluster, probability, log_density` for each row; empty cells for incomplete rows.

    Cluster -1 is noise.
    """
    n = len(scores.cluster)
    for start in range(0, max(n, 1), BATCH_ROWS):
        rows = slice(start, min(start + BATCH_ROWS, n))
        yield score_batch(scores.part(rows), first_row + start)


def score_batch(scores: Scores, first_row: int) -> pa.RecordBatch:
    """One batch of the assignments; `probability_J` of each cluster where posteriors are given."""
    columns = {
        "row": arrays.integers(np.arange(first_row, first_row + len(scores.cluster))),
        "cluster": arrays.integers(scores.cluster),
        "probability": arrays.floats(scores.probability),
        "log_density": arrays.floats(scores.log_density),
    }
    if scores.posterior is not None:
        for j, probability in enumerate(scores.posterior.T):
            columns[f"probability_{j}"] = arrays.floats(probability)
    if (scores.cluster == INCOMPLETE).any():
        known = arrays.booleans(scores.cluster != INCOMPLETE)
        for name in list(columns)[1:]:
            empty = pa.nulls(len(known), columns[name].type)
            columns[name] = pc.if_else(known, columns[name], empty)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def component_table(mixture: Mixture) -> pa.RecordBatch:
    """One line for each component: weight, then mean and spread of each column, own units."""
    components = mixture.components
    summary = mixture.design.column_summary(components.means, mixture.family.variances(components))
    columns = {
        "component": pa.array(np.arange(components.count)),
        "cluster": pa.array(mixture.clusters),
        "weight": pa.array(components.weights),
    }
    if components.dof is not None:
        columns["degrees_of_freedom"] = pa.array(components.dof)
    for name, mean, spread in zip(summary.names, summary.mean.T, summary.spread.T):
        columns[f"{name}_mean"] = pa.array(np.ascontiguousarray(mean))
        columns[f"{name}_spread"] = pa.array(np.ascontiguousarray(spread))
    return pa.RecordBatch.from_pydict(columns)


def trace_table(trace: list[TraceRow]) -> pa.RecordBatch:
    """One line for each iteration."""
    schema = pa.schema(
        [
            ("iteration", pa.int64()),
            ("phase", pa.string()),
            ("components", pa.int64()),
            *(
                (name, pa.int64() if name == "rows" else pa.float64())
                for name in TraceRow._fields[3:]
            ),
        ]
    )
    rows = [row._asdict() for row in trace]
    return pa.RecordBatch.from_pylist(rows, schema=schema)
