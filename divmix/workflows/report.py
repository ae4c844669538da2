"""The page and the pictures of a run, from its folder and, where it is still there, its table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from divmix.anomaly import surprisal
from divmix.anomaly.detector import detect, score_rows
from divmix.anomaly.pool import Pool
from divmix.anomaly.reasons import Reasons
from divmix.errors import InputError, ModelFileError
from divmix.model.mixture import Mixture
from divmix.model.scores import INCOMPLETE, NOISE, Scores
from divmix.progress import Progress, TraceRow
from divmix.report.contents import Contents, Outlier, Truth
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import TableReader, open_table
from divmix.tables.writing import atomic_file, check_output
from divmix.workflows.command_line import command_of
from divmix.workflows.resources import single_blas_thread
from divmix.workflows.run_folder import read_document
from divmix.workflows.summary import what_sets_apart

MOST_DRAWN = 20_000  # rows of the picture; more only cover each other
MOST_OUTLIERS = 10
TYPICAL_ROWS = 500  # rows that tell what surprisal of a column is usual
TWENTIETHS = 20
FEW_ROWS = BATCH_ROWS // 8  # read at a time: of most batches only some rows are kept
MOST_CLASSES = 250


class Assigned(NamedTuple):
    """Of n rows cluster, probability and log-density, NaN for incomplete ones."""

    cluster: np.ndarray
    probability: np.ndarray
    log_density: np.ndarray


def run_report(
    run: str | Path,
    output: str | Path,
    *,
    sources: Sequence[str] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the page of a run folder to `output`, one HTML file that needs nothing else.

    sources: the table of the run, where it is no longer under the name that the run knows.
    Returns `output`, its bytes and how many rows are drawn. Raises ModelFileError, InputError,
    OutputError.
    """
    check_output(output, overwrite=overwrite)
    contents = contents_of(run, sources, progress or Progress())
    return write_page(contents, output, overwrite=overwrite)


def write_page(
    contents: Contents, output: str | Path, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the page; returns `output`, its bytes and how many rows are drawn. Raises OutputError."""
    from divmix.report.page import page

    content = page(contents).encode(errors="backslashreplace")
    with atomic_file(output, overwrite=overwrite) as file:
        file.write(content)
    drawn = 0 if contents.X is None else len(contents.X)
    return {"output": str(output), "bytes": len(content), "rows_drawn": drawn}


def contents_of(run: str | Path, sources: Sequence[str], progress: Progress) -> Contents:
    """What the page of a run tells. Raises ModelFileError, InputError."""
    folder = Path(run)
    document = read_document(folder)
    mixture = Mixture.load(folder)
    document = {"settings": mixture.about["settings"]} | document
    contents = Contents(
        folder.resolve().name, mixture, document, command_of(document),
        what_sets_apart(mixture), trace_of(folder),
    )  # fmt: skip
    assigned = assignments_of(folder)
    named = tuple(sources) or names_of_input(document, folder)
    lacking = None if sources else why_lacking(document, named, assigned is not None)
    if assigned is not None:
        contents = contents._replace(certainty=_certainty(assigned))
    if lacking is not None:
        return contents._replace(lacking=lacking)
    progress.stage("reading " + ", ".join(map(str, named)))
    with single_blas_thread():
        if document["command"] == "detect":
            return _with_anomalies(contents, named)
        if assigned is None:
            return contents
        return _with_rows(contents, named, assigned, progress)


def contents_of_fit(
    title: str,
    mixture: Mixture,
    table: pa.Table,
    scores: Scores,
    *,
    trace: Sequence[TraceRow],
    result: dict[str, Any],
    notes: Sequence[str],
) -> Contents:
    """What the page tells of a mixture in memory and the rows of a table (n rows), with their scores.

    result: what is known of the fit, as in run.json. Raises InputError.
    """
    assigned = Assigned(scores.cluster, scores.probability, scores.log_density)
    k = mixture.n_clusters
    own = scores.cluster[scores.cluster > NOISE]
    sizes = np.bincount(own, minlength=k)
    sure = np.bincount(own, scores.probability[scores.cluster > NOISE], k) / np.maximum(sizes, 1)
    clusters = [
        {
            "cluster": c,
            "size": int(sizes[c]),
            "share": float(sizes[c] / max(len(own), 1)),
            "mean_probability": float(sure[c]) if sizes[c] else None,
        }
        for c in range(k)
    ]
    settings = mixture.about["settings"]
    document = {
        "divmix": mixture.about.get("divmix"),
        "command": "fit",
        "settings": settings,
        "result": result | {"clusters": clusters},
        "notes": list(notes),
    }
    contents = Contents(
        title, mixture, document, command_of(document), what_sets_apart(mixture), list(trace),
        certainty=_certainty(assigned),
    )  # fmt: skip
    drawn, lowest = _chosen(assigned)
    with single_blas_thread():
        X = mixture.design.transform(
            table.take(arrays.integers(np.concatenate([drawn, lowest]))), unknown="ignore"
        ).X
        shown, low = X[: len(drawn)], X[len(drawn) :]
        outliers = _explained(mixture, low, shown, lowest, assigned)
    return contents._replace(X=shown, clusters=scores.cluster[drawn], outliers=outliers)


def _chosen(assigned: Assigned) -> tuple[np.ndarray, np.ndarray]:
    """The rows to draw, evenly taken, and those of lowest density; of the complete ones."""
    there = np.flatnonzero(assigned.cluster != INCOMPLETE)
    drawn = there[np.linspace(0, len(there) - 1, min(len(there), MOST_DRAWN)).astype(int)]
    return drawn, there[np.argsort(assigned.log_density[there], kind="stable")[:MOST_OUTLIERS]]


def names_of_input(document: dict[str, Any], folder: Path) -> tuple[str, ...]:
    """The files of a run as it named them, from where one stands or else from beside its folder."""
    names = document.get("input", {}).get("names", ())
    beside = [folder.resolve().parent / name for name in names]
    if not all(Path(name).is_file() for name in names) and all(path.is_file() for path in beside):
        return tuple(map(str, beside))
    return tuple(names)


def why_lacking(document: dict[str, Any], names: Sequence[str], assigned: bool) -> str | None:
    """Why the rows of a run cannot be shown; None where they can."""
    if document["command"] == "detect":
        return "A run of detect does not name its table: divmix report RUN --data TABLE shows its rows."
    if not names or not assigned:
        return "The run does not tell its rows."
    if not all(Path(name).is_file() for name in names):
        return f"{names[0]} is not there any more: --data FILE says where the rows are."
    if sum(Path(name).stat().st_size for name in names) != document["input"]["bytes"]:
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


def trace_of(folder: Path) -> list[TraceRow]:
    """The trace in a run folder, empty where there is none."""
    path = folder / "trace.csv"
    if not path.is_file():
        return []
    return [TraceRow(**row) for row in csv.read_csv(path).to_pylist()]


def _certainty(assigned: Assigned) -> np.ndarray:
    known = assigned.probability[~np.isnan(assigned.probability)]
    return np.histogram(known, TWENTIETHS, (0.0, 1.0))[0]


def _with_rows(
    contents: Contents, sources: Sequence[str], assigned: Assigned, progress: Progress
) -> Contents:
    """The contents with rows to draw, outliers and known classes."""
    mixture, truth = contents.mixture, contents.document["settings"].get("truth")
    drawn, lowest = _chosen(assigned)
    reader = _open(mixture, sources, truth)
    wanted = np.union1d(drawn, lowest)
    X, classes = _rows(mixture, reader, wanted, truth, len(assigned.cluster), progress)
    own = X[np.searchsorted(wanted, drawn)]
    outliers = _explained(mixture, X[np.searchsorted(wanted, lowest)], own, lowest, assigned)
    return contents._replace(
        X=own,
        clusters=assigned.cluster[drawn],
        outliers=outliers,
        truth=_truth(truth, classes, drawn, assigned.cluster, mixture),
    )


def _open(mixture: Mixture, sources: Sequence[str], truth: str | None) -> TableReader:
    options = mixture.design.reading_options()
    if truth is not None:
        options["columns"] = [*options["columns"], truth]
        options["text_columns"] = [*options["text_columns"], truth]
    return open_table(sources, **options)


def _rows(
    mixture: Mixture,
    reader: TableReader,
    wanted: np.ndarray,
    truth: str | None,
    n: int,
    progress: Progress,
) -> tuple[np.ndarray, pa.ChunkedArray | None]:
    """Rows `wanted` (ascending) of the design matrix, and the classes of all rows; a batch at a time."""
    parts, classes, done = [], [], 0
    for batch in reader.batches(FEW_ROWS):
        own = wanted[np.searchsorted(wanted, done) : np.searchsorted(wanted, done + batch.num_rows)]
        chosen = batch.take(arrays.integers(own - done))
        parts.append(mixture.design.transform(chosen, unknown="ignore", locate=reader.locate).X)
        if truth is not None:
            classes.append(pc.dictionary_encode(batch.column(truth)))
        done += batch.num_rows
        progress.rows(done, reader.rows)
    if done != n:
        raise InputError(
            f"the table has {done:,} rows, the run {n:,}", hint="give the table of the run"
        )
    return np.concatenate(parts), pa.chunked_array(classes) if classes else None


def _explained(
    mixture: Mixture, X: np.ndarray, known: np.ndarray, rows: np.ndarray, assigned: Assigned
) -> list[Outlier]:
    """The outliers X (c, d) with the columns that make them so, held against `known` rows."""
    sample = known[np.linspace(0, len(known) - 1, min(len(known), TYPICAL_ROWS)).astype(int)]
    single = Pool(mixture.family, mixture.components, np.zeros(mixture.components.count, np.int64))
    typical = np.median(surprisal.by_column(single, sample, mixture.design.blocks), axis=0)
    reasons = Reasons(single, mixture.design, typical).of(X, mixture.design.unseen_values(X))
    return [
        Outlier(int(row), int(assigned.cluster[row]), float(assigned.log_density[row]), reason)
        for row, reason in zip(rows, reasons)
    ]


def _truth(
    name: str | None,
    classes: pa.ChunkedArray | None,
    drawn: np.ndarray,
    clusters: np.ndarray,
    mixture: Mixture,
) -> Truth | None:
    if name is None or classes is None:
        return None
    encoded = classes.unify_dictionaries().combine_chunks()
    names = [str(value) for value in encoded.dictionary.to_pylist()] + ["(empty)"]
    codes = arrays.to_codes(encoded.indices)
    codes = np.where(codes < 0, len(names) - 1, codes)
    order = sorted(range(len(names)), key=lambda j: (j == len(names) - 1, names[j]))
    codes = np.argsort(order)[codes]
    names = [names[j] for j in order]
    if not (codes == len(names) - 1).any():
        names.pop()
    if len(names) > MOST_CLASSES:
        return None
    table = np.zeros((mixture.n_clusters, len(names)), np.int64)
    own = clusters > NOISE
    np.add.at(table, (clusters[own], codes[own]), 1)
    return Truth(name, names, codes[drawn], table)


def _with_anomalies(contents: Contents, sources: Sequence[str]) -> Contents:
    """The contents of a run of detect with the scores of a table."""
    mixture, rule = contents.mixture, contents.document["rule"]
    level = (rule["name"], rule["level"])
    reader = _open(mixture, sources, None)
    rows, done = [], 0
    table = list(reader.batches(BATCH_ROWS))
    for batch in table:
        step = max(1, sum(part.num_rows for part in table) // MOST_DRAWN)
        chosen = np.arange(-done % step, batch.num_rows, step)
        done += batch.num_rows
        own = mixture.design.transform(batch.take(arrays.integers(chosen)), unknown="ignore")
        rows.append(own.X[own.complete])
    scored = score_rows(mixture, table, level, locate=reader.locate)
    found = detect(mixture, scored, level)
    flagged = np.flatnonzero(found.flagged)
    worst = flagged[np.argsort(-found.score[flagged], kind="stable")[:MOST_OUTLIERS]]
    X = np.concatenate(rows)
    known = found.p_value[~np.isnan(found.p_value)]
    return contents._replace(
        X=X,
        clusters=mixture.score(X).cluster,
        outliers=[
            Outlier(int(row), NOISE, -float(found.score[row]), found.because[row] or "")
            for row in worst
        ],
        p_values=np.histogram(known, TWENTIETHS, (0.0, 1.0))[0],
    )
