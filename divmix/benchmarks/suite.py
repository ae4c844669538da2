"""Clusters against known classes on every labelled table of a folder, with default settings.

The number of clusters is the true one, as in the published labellings that stand beside: a file
`clustering_reference_ari.json` in the folder or its parent, {set: {method: ARI}}.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from divmix.benchmarks.labelled import COLUMNS, LabelledSet, find_sets, read_set, warm_up
from divmix.errors import InputError
from divmix.metrics import clustering_metrics
from divmix.progress import Progress
from divmix.settings import DiversifiedSettings
from divmix.workflows.fit import fit_table

REFERENCES = "clustering_reference_ari.json"
FIGURES = ("ari", "worst", "nmi", "accuracy", "seconds")
DIGITS = 4  # of the references; figures equal to that many are a tie


def run(
    data: str,
    seeds: int = 1,
    sets: tuple[str, ...] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fit every set in folder `data` with seeds 0, 1, ... and score the clusters.

    rows : for each set its size, mean and worst ARI over the seeds, mean NMI, accuracy and
        seconds of a fit, and the ARI of each reference (None where it has none).
    summary : means over all sets, and over those that every reference has; over the latter also
        the mean ARI of the worst seed, and how often each column is the best one, ties included.

    Raises InputError for a folder without such sets, or a broken file.
    """
    progress = progress or Progress()
    files = find_sets(data, sets)
    references = _references(Path(data))
    methods = list(dict.fromkeys(name for known in references.values() for name in known))
    warm_up()
    rows, by_seed = [], []
    for path in files:
        progress.stage(f"fitting {path.stem}")
        labelled = read_set(path)
        scores = [_score(labelled, seed) for seed in range(seeds)]
        known = references.get(labelled.name, {})
        rows.append(_row(labelled, scores) | {name: known.get(name) for name in methods})
        by_seed.append([score["ari"] for score in scores])
        progress.note(f"{labelled.name}: ARI {rows[-1]['ari']}, {rows[-1]['seconds']} s")
    return {
        "title": f"Clusters against classes: true k, default settings, {seeds} seed(s)",
        "references": methods,
        "rows": rows,
        "summary": _summary(rows, np.array(by_seed), methods),
    }


def _score(labelled: LabelledSet, seed: int) -> dict[str, Any]:
    started = time.perf_counter()
    settings = DiversifiedSettings(clusters=labelled.n_classes, seed=seed)
    cluster = fit_table(labelled.table, settings, COLUMNS).scores.cluster
    seconds = time.perf_counter() - started
    return clustering_metrics(labelled.classes, cluster) | {"seconds": seconds}


def _row(labelled: LabelledSet, scores: list[dict[str, Any]]) -> dict[str, Any]:
    def mean(name: str) -> float:
        return round(float(np.mean([score[name] for score in scores])), DIGITS)

    return {
        "set": labelled.name,
        "rows": labelled.table.num_rows,
        "columns": labelled.table.num_columns - 1,
        "k": labelled.n_classes,
        "ari": mean("ari"),
        "worst": round(min(score["ari"] for score in scores), DIGITS),
        "nmi": mean("nmi"),
        "accuracy": mean("accuracy"),
        "seconds": mean("seconds"),
    }


def _summary(
    rows: list[dict[str, Any]], by_seed: np.ndarray, methods: list[str]
) -> list[dict[str, Any]]:
    """Closing lines; by_seed (sets, seeds) is the ARI of each fit."""
    summary = [_means(f"mean of all {len(rows)}", rows, FIGURES)]
    compared = [i for i, row in enumerate(rows) if all(row[name] is not None for name in methods)]
    if not methods or not compared:
        return summary
    beside = [rows[i] for i in compared]
    summary.append(_means(f"mean of {len(beside)} with references", beside, (*FIGURES, *methods)))
    worst_seed = float(by_seed[compared].mean(axis=0).min())
    summary.append({"set": "worst seed of these", "ari": round(worst_seed, DIGITS)})
    columns = ("ari", *methods)
    table = np.array([[row[name] for name in columns] for row in beside])
    wins = (table == table.max(axis=1, keepdims=True)).sum(axis=0)
    return [*summary, {"set": "best of the row", **dict(zip(columns, wins.tolist(), strict=True))}]


def _means(title: str, rows: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, Any]:
    means = {name: round(float(np.mean([row[name] for row in rows])), DIGITS) for name in names}
    return {"set": title, **means}


def _references(folder: Path) -> dict[str, dict[str, float]]:
    """ARI by set and method, {} where there is no such file. Raises InputError."""
    places = [folder / REFERENCES, folder.resolve().parent / REFERENCES]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    hint = 'it should look like {"set": {"method": 0.95}}; move it away to score without it'
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: {method: float(ari) for method, ari in known.items()}
            for name, known in document.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read: {error}", hint=hint) from error
