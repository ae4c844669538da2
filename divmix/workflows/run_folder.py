"""The run folder: what a fit leaves on disk. run.json comes last, so it marks a complete run."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from os.path import exists  # of a name that no system takes too
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from divmix.errors import InputError, ModelFileError
from divmix.model.mixture import Mixture
from divmix.model.scores import INCOMPLETE, Scores
from divmix.progress import Progress, TraceRow
from divmix.report import figures as drawing
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.folders import ClaimedFolder, claimed_folder
from divmix.tables.writing import TableWriter, write_json
from divmix.workflows import run_document

if TYPE_CHECKING:
    from divmix.workflows.fitted import Fit

# All that a run folder may hold.
NAMES = (
    "model.divmix",
    "assignments.csv",
    "assignments.parquet",
    "components.csv",
    "trace.csv",
    "clusters.png",
    "clusters.svg",
    "means.png",
    "means.svg",
    "trace.png",
    "trace.svg",
    "report.html",
    "scores.csv",
    "criteria.csv",
    "online.json",
    "run.json",
)

CHECKPOINT = "checkpoint.divmix"  # only while a fit is unfinished


@contextmanager
def claimed(folder: Path, overwrite: bool) -> Iterator[ClaimedFolder]:
    """A run folder that no other run may write meanwhile. Raises OutputError as it does."""
    with claimed_folder(folder, NAMES, overwrite=overwrite, meanwhile=[CHECKPOINT]) as place:
        yield place


def write(
    folder: Path, fit: "Fit", document: dict[str, Any], figures: str | None, csv_safe: bool = False
) -> None:
    """Write all files of the run beside its assignments, run.json the last."""
    fit.mixture.save(folder / "model.divmix")
    write_table(folder / "components.csv", [component_table(fit.mixture)], False, csv_safe=csv_safe)
    write_table(folder / "trace.csv", [trace_table(fit.trace)], False)
    if figures:
        picture = folder / f"clusters.{figures}"
        drawing.clusters_figure(fit.mixture, fit.X, fit.scores.cluster, picture, overwrite=False)
        drawing.means_figure(fit.mixture, folder / f"means.{figures}", overwrite=False)
        drawing.trace_figure(fit.trace, folder / f"trace.{figures}", overwrite=False)
    write_json(folder / "run.json", document)


def read_document(folder: Path) -> dict[str, Any]:
    """The run.json of a run folder. Raises ModelFileError where there is none, or a damaged one."""
    try:
        document: dict[str, Any] = json.loads((folder / "run.json").read_bytes())
        run_document.check(document)
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ModelFileError(
            f"{folder} is no run folder, or its run.json is damaged: {why}",
            hint="give the folder that divmix fit -o, cut -o, detect --run or select --run wrote",
        ) from error
    return document


def is_run(path: str | Path) -> bool:
    """Whether a path is a folder that a run has left."""
    return (Path(path) / "run.json").is_file()


def digest_of(path: str | Path) -> str | None:
    """The SHA-256 of the table that a run was made of; None where the path is no run, or the run
    does not tell. Raises ModelFileError where run.json is damaged."""
    if not is_run(path):
        return None
    digest = read_document(Path(path)).get("input", {}).get("sha256")
    return None if digest is None else str(digest)


def labels_of(folder: str | Path, data: str | None) -> tuple[str, str]:
    """The assignments or the scores in a run folder, and `data` or else the table that has them.

    Raises InputError for a run without either, or one of several tables or a pipe, and ModelFileError
    where run.json is damaged.
    """
    there = [*Path(folder).glob("assignments.*"), Path(folder) / "scores.csv"]
    found = [path for path in there if path.is_file()]
    if not found:
        raise InputError(
            f"{folder} holds no assignments and no scores",
            hint="name the folder of a fit or of detect, or a table of labels",
        )
    document = read_document(Path(folder))
    names = (document.get("scored") or document.get("input", {})).get("names", [])
    if data is None and (len(names) != 1 or not exists(names[0])):
        raise InputError(f"the table of {folder} is not there", hint="--data FILE names it")
    return str(found[0]), data or names[0]


def write_table(
    path: str | Path,
    batches: Iterable[pa.RecordBatch],
    overwrite: bool,
    *,
    to: str = "csv",
    sparing: bool = False,
    csv_safe: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write batches (at least one) to `path`, or to stdout for "-"; returns the rows.

    `to`, `sparing` and `csv_safe` as for a TableWriter; `progress` is told before rows go to stdout.
    """
    batches = iter(batches)
    first = next(batches)
    done = 0
    if path == "-" and progress is not None:
        progress.output()
    with TableWriter(
        path, first.schema, overwrite, to=to, sparing=sparing, csv_safe=csv_safe
    ) as writer:
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
    known = scores.cluster != INCOMPLETE
    if not known.all():
        for name in list(columns)[1:]:
            columns[name] = arrays.where(known, columns[name])
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def component_table(mixture: Mixture) -> pa.RecordBatch:
    """One line for each component: weight, then mean and spread of each column, own units."""
    components = mixture.components
    summary = mixture.design.column_summary(components.means, mixture.family.variances(components))
    columns = {
        "component": arrays.integers(np.arange(components.count)),
        "cluster": arrays.integers(mixture.clusters),
        "weight": arrays.floats(components.weights),
    }
    if components.dof is not None:
        columns["degrees_of_freedom"] = arrays.floats(components.dof)
    for name, mean, spread in zip(summary.names, summary.mean.T, summary.spread.T):
        columns[f"{name}_mean"] = arrays.floats(mean)
        columns[f"{name}_spread"] = arrays.floats(spread)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def trace_table(trace: list[TraceRow]) -> pa.RecordBatch:
    """One line for each iteration."""
    columns, fields = [], TraceRow._fields
    by_column = zip(*trace) if trace else [()] * len(fields)
    for name, kind, values in zip(fields, trace_schema().types, by_column):
        if name == "phase":
            columns.append(arrays.texts(values).cast(kind))
        elif name == "gap":
            known = np.array([value is not None for value in values], bool)
            gaps = arrays.floats(np.array([value or 0.0 for value in values]))
            columns.append(arrays.where(known, gaps))
        else:
            column = arrays.integers if kind == pa.int64() else arrays.floats
            columns.append(column(np.array(values)))
    return pa.RecordBatch.from_arrays(columns, schema=trace_schema())


def trace_schema() -> pa.Schema:
    """The columns of trace.csv."""
    return pa.schema(
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
