"""A table over the number of clusters, with the choice marked and its reason in a sentence."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from divmix.choosing import clusters as selection
from divmix.design.prepare import prepare
from divmix.design.row_names import Locate, row_name
from divmix.engine.monitor import Monitor
from divmix.errors import UsageError
from divmix.progress import Progress
from divmix.search.starts import count_distinct
from divmix.settings import FitSettings, TableSettings
from divmix.tables.reading import open_table, reading_options
from divmix.tables.writing import check_output
from divmix.workflows.fit import choose_family, floor_of, splinter
from divmix.workflows.resources import limited_threads
from divmix.workflows.run_folder import write_table

ROWS_PER_CLUSTER = 240  # rows looked at of a long table; BIC finds too few clusters on few rows
SPLITS = 3  # into halves; the mixtures of each half are tried on the other


def run_select(
    sources: Sequence[str],
    lowest: int,
    highest: int,
    settings: FitSettings,
    tables: TableSettings,
    output: str | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Compare lowest .. highest clusters and write the table to `output` (None: nowhere).

    Returns the document of `select_table`, or None when `should_stop` ended the work: then nothing
    is written. Raises InputError, UsageError, FitError, OutputError.
    """
    progress = progress or Progress()
    if output not in (None, "-"):
        check_output(output, overwrite=overwrite)
    progress.stage("reading " + ", ".join(str(source) for source in sources))
    reader = open_table(sources, **reading_options(tables))
    table = reader.read()
    for note in reader.notes:
        progress.note(note)
    document = select_table(
        table,
        lowest,
        highest,
        settings,
        tables,
        locate=reader.locate,
        progress=progress,
        should_stop=should_stop,
    )
    if document is not None and output is not None:
        write_table(output, [pa.RecordBatch.from_pylist(document["rows"])], overwrite)
    return document


def select_table(
    table: pa.Table,
    lowest: int,
    highest: int,
    settings: FitSettings,
    tables: TableSettings | None = None,
    *,
    locate: Locate = row_name,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Compare lowest .. highest clusters of a table in memory.

    rows : for each number of clusters the criteria on the rows looked at: log_likelihood and
        held_out (nats per row, in the data's own units), bic and icl (lower is better), stability
        (adjusted Rand index between the clusters of two halves of the rows), and whether it is
        chosen. A number that the rows cannot carry is left out.
    clusters, covariance, reason : the choice and why.

    None when `should_stop` ended the work. Raises InputError, UsageError, FitError.
    """
    tables, progress = tables or TableSettings(), progress or Progress()
    with limited_threads(settings.threads, progress):
        generator = np.random.default_rng(settings.seed)
        design, rows = prepare(table, tables, generator, progress, locate)
    settings = replace(settings, family=choose_family(settings.family, design.far_rows))
    floor = floor_of(rows, design, settings)
    offset = float(rows.row_weights @ rows.log_jacobian / rows.row_weights.sum())
    monitor = Monitor(None, should_stop, progress, offset)
    generator = np.random.default_rng(settings.seed)
    size = max(selection.SAMPLES[0], ROWS_PER_CLUSTER * highest)
    terms = selection.candidate_terms(settings, rows, floor)
    drawn = selection.draw_rows(terms[0], size, generator)
    _check_range(rows.X[drawn], lowest, highest)
    with limited_threads(settings.threads, progress):
        progress.stage(f"from many components to {lowest}")
        paths = []
        for term in terms:
            paths.append(selection.Path(term.of(drawn), generator, monitor))
            paths[-1].cover(lowest, highest)
        path = min(paths, key=lambda path: path.best.bic)
        held_out, stability = _resample(path, lowest, highest, generator, monitor, progress)
    if monitor.stop_reason():
        return None
    n, chosen = len(drawn), selection.count_clusters(path.chosen, splinter(design.far_rows))
    return {
        "clusters": chosen,
        "covariance": path.sample.family.structure.name,
        "reason": selection.explain(path, chosen),
        "rows_looked_at": n,
        "rows": [
            {
                "clusters": k,
                "log_likelihood": candidate.log_likelihood + offset,
                "held_out": _mean(held_out.get(k), offset),
                "bic": candidate.bic - 2 * n * offset,
                "icl": candidate.icl - 2 * n * offset,
                "stability": _mean(stability.get(k)),
                "chosen": k == chosen,
            }
            for k, candidate in sorted(path.candidates.items())
        ],
    }


def _resample(path, lowest, highest, generator, monitor, progress):
    """For each k the log-likelihoods of held-out halves and the agreements of two halves."""
    from sklearn.metrics import adjusted_rand_score

    sample = path.sample
    held_out: dict[int, list[float]] = {}
    stability: dict[int, list[float]] = {}
    for split in range(SPLITS):
        progress.stage(f"halves of the rows, split {split + 1} of {SPLITS}")
        half = generator.permutation(sample.rows) % 2
        labels: list[dict[int, np.ndarray]] = []
        for own in (half == 0, half == 1):
            part = selection.Path(sample.of(own), generator, monitor)
            part.cover(lowest, highest)
            labels.append({})
            for k, candidate in part.candidates.items():
                log_density, responsibilities = selection.densities(candidate.components, sample)
                others = np.average(log_density[~own], weights=sample.row_weights[~own])
                held_out.setdefault(k, []).append(float(others))
                labels[-1][k] = responsibilities.argmax(axis=1)
        for k in labels[0].keys() & labels[1].keys():
            agreement = adjusted_rand_score(labels[0][k], labels[1][k])
            stability.setdefault(k, []).append(float(agreement))
    return held_out, stability


def _mean(values: list[float] | None, offset: float = 0.0) -> float | None:
    return float(np.mean(values)) + offset if values else None


def _check_range(X: np.ndarray, lowest: int, highest: int) -> None:
    most = count_distinct(X) // 4  # half of the rows must still have two distinct ones for each
    if not 1 <= lowest <= highest:
        raise UsageError(
            f"-k {lowest}:{highest}: not a range", hint="give the fewest and the most: -k 2:20"
        )
    if highest > most:
        raise UsageError(
            f"-k {lowest}:{highest}: the rows allow {most:,} clusters at most",
            hint=f"give a range up to {most}",
        )
