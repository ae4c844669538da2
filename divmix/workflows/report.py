"""The page and the pictures of a run, from its folder and, where it is still there, its table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from divmix.anomaly import surprisal
from divmix.anomaly.pool import Pool
from divmix.anomaly.reasons import Reasons
from divmix.errors import InputError, UsageError
from divmix.model.mixture import Mixture
from divmix.model.scores import INCOMPLETE, NOISE, Scores
from divmix.progress import Progress, TraceRow
from divmix.report import anomalies, charts, choice, page
from divmix.report.contents import Contents, Outlier, Truth
from divmix.tables import arrays
from divmix.tables.writing import atomic_file, check_output
from divmix.workflows import anomaly_contents
from divmix.workflows.command_line import command_of
from divmix.workflows.resources import single_blas_thread
from divmix.workflows.run_folder import read_document
from divmix.workflows.run_rows import (
    Assigned,
    assignments_of,
    names_of_input,
    open_rows,
    rows_at,
    scored_of,
    trace_of,
    why_lacking,
)
from divmix.workflows.summary import what_sets_apart

MOST_DRAWN = 20_000  # rows of the picture; more only cover each other
MOST_OUTLIERS = 10
TYPICAL_ROWS = 500  # rows that tell what surprisal of a column is usual
MOST_CLASSES = 250


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
    document = read_document(Path(run))
    check_output(output, overwrite=overwrite)
    if document["command"] == "select":
        if sources:
            raise UsageError("a run of select draws no rows", hint="leave --data out")
        text = choice.page(Path(run).resolve().name, document, command_of(document))
        return _write(text, 0, output, overwrite)
    contents = contents_of(run, sources, progress or Progress())
    return write_page(contents, output, overwrite=overwrite)


def write_page(
    contents: Contents, output: str | Path, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the page; returns `output`, its bytes and how many rows are drawn. Raises OutputError."""
    kind = anomalies if contents.document["command"] == "detect" else page
    drawn = 0 if contents.X is None else len(contents.X)
    return _write(kind.page(contents), drawn, output, overwrite)


def _write(text: str, drawn: int, output: str | Path, overwrite: bool) -> dict[str, Any]:
    content = text.encode(errors="backslashreplace")
    with atomic_file(output, overwrite=overwrite) as file:
        file.write(content)
    return {"output": str(output), "bytes": len(content), "rows_drawn": drawn}


def contents_of(run: str | Path, sources: Sequence[str], progress: Progress) -> Contents:
    """What the page of a run tells. Raises ModelFileError, InputError."""
    folder = Path(run)
    document = read_document(folder)
    if document["command"] == "select":
        raise InputError(f"{run} is a run of select and has no mixture", hint="give a run of fit")
    mixture = Mixture.load(folder)
    document = {"settings": mixture.about["settings"]} | document
    contents = Contents(
        folder.resolve().name, mixture, document, command_of(document),
        what_sets_apart(mixture), trace_of(folder),
    )  # fmt: skip
    source = document.get("scored") or document.get("input", {})
    named = tuple(sources) or names_of_input(source, folder)
    scored = scored_of(folder) if document["command"] == "detect" else None
    assigned = assignments_of(folder) if scored is None else None
    if scored is not None:
        contents = contents._replace(p_values=charts.twentieths(scored.p_value))
    elif assigned is not None:
        contents = contents._replace(certainty=charts.twentieths(assigned.probability))
    else:
        return contents._replace(lacking="The run keeps nothing of its rows.")
    lacking = None if sources else why_lacking(source, named)
    if lacking is not None:
        return contents._replace(lacking=lacking)
    progress.stage("reading " + ", ".join(map(str, named)))
    with single_blas_thread():
        if scored is not None:
            return anomaly_contents.with_rows(contents, named, scored, progress)
        assert assigned is not None
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
        certainty=charts.twentieths(assigned.probability),
    )  # fmt: skip
    drawn, lowest = _chosen(assigned)
    with single_blas_thread():
        chosen = table.take(arrays.integers(np.concatenate([drawn, lowest])))
        X = mixture.filled(mixture.design.transform(chosen, unknown="ignore").X)
        empty = mixture.design.empty_cells(chosen)[len(drawn) :]
        shown, low = X[: len(drawn)], X[len(drawn) :]
        outliers = _explained(mixture, low, empty, shown, lowest, assigned)
    return contents._replace(X=shown, clusters=scores.cluster[drawn], outliers=outliers)


def _chosen(assigned: Assigned) -> tuple[np.ndarray, np.ndarray]:
    """The rows to draw, evenly taken, and those of lowest density; of the complete ones."""
    there = np.flatnonzero(assigned.cluster != INCOMPLETE)
    drawn = there[np.linspace(0, len(there) - 1, min(len(there), MOST_DRAWN)).astype(int)]
    return drawn, there[np.argsort(assigned.log_density[there], kind="stable")[:MOST_OUTLIERS]]


def _with_rows(
    contents: Contents, sources: Sequence[str], assigned: Assigned, progress: Progress
) -> Contents:
    """The contents with rows to draw, outliers and known classes."""
    mixture, truth = contents.mixture, contents.document["settings"].get("truth")
    drawn, lowest = _chosen(assigned)
    encoding = contents.document["settings"].get("encoding")
    reader = open_rows(mixture, sources, encoding, truth)
    wanted = np.union1d(drawn, lowest)
    X, empty, classes = rows_at(mixture, reader, wanted, truth, len(assigned.cluster), progress)
    own, low = X[np.searchsorted(wanted, drawn)], np.searchsorted(wanted, lowest)
    outliers = _explained(mixture, X[low], empty[low], own, lowest, assigned)
    return contents._replace(
        X=own,
        clusters=assigned.cluster[drawn],
        outliers=outliers,
        truth=_truth(truth, classes, drawn, assigned.cluster, mixture),
    )


def _explained(
    mixture: Mixture,
    X: np.ndarray,
    empty: np.ndarray,
    known: np.ndarray,
    rows: np.ndarray,
    assigned: Assigned,
) -> list[Outlier]:
    """The outliers X (c, d) with the columns that make them so, but for cells that are `empty`
    (c, columns), held against `known` rows."""
    sample = known[np.linspace(0, len(known) - 1, min(len(known), TYPICAL_ROWS)).astype(int)]
    single = Pool(mixture.family, mixture.components, np.zeros(mixture.components.count, np.int64))
    typical = np.median(surprisal.by_column(single, sample, mixture.design.blocks), axis=0)
    unseen = mixture.design.unseen_values(X)
    X = np.where(mixture.design.features_of(empty), np.nan, X)
    reasons = Reasons(single, mixture.design, typical).of(X, unseen)
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
