"""Anomaly scores of tables with known anomalies, beside detectors of other packages.

Every Parquet file with a column `label` (1 = anomaly) is fitted on all its rows, anomalies among
them, with default settings and without labels, and its rows are scored.
"""

import time
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa

from divmix.anomaly.detector import fit_density, score_itself
from divmix.benchmarks import anomaly_peers
from divmix.benchmarks.labelled import LABEL, find_sets
from divmix.design.design import Design
from divmix.design.prepare import design_matrix
from divmix.design.preprocessing import Preprocessing
from divmix.metrics import anomaly_metrics
from divmix.progress import Progress
from divmix.settings import DetectSettings, TableSettings
from divmix.tables.reading import open_table

PEERS = {
    "isolation forest": anomaly_peers.isolation_forest,
    "LOF": anomaly_peers.local_outlier_factor,
    "k-NN": anomaly_peers.nearest_neighbours,
    "ECOD": anomaly_peers.ecod,
    "GMM 1": anomaly_peers.gaussian_mixture(anomaly_peers.FEW),
    "GMM 8": anomaly_peers.gaussian_mixture(anomaly_peers.SEVERAL),
}
NEEDS = {"ECOD": "pyod"}


def run(
    data: str,
    seeds: int = 3,
    sets: tuple[str, ...] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """AUROC and average precision on each set, means over `seeds`.

    Peers see the columns standardised. Raises InputError for a folder without labelled tables.
    """
    progress = progress or Progress()
    left_out = [
        f"{name}: {NEEDS[name]} is not installed"
        for name in PEERS
        if name in NEEDS and not find_spec(NEEDS[name])
    ]
    peers = [name for name in PEERS if name not in NEEDS or find_spec(NEEDS[name])]
    rows, seconds = [], dict.fromkeys(["divmix", *peers], 0.0)
    for path in find_sets(data, sets):
        progress.stage(f"{path.stem}: {seeds} seeds")
        table = open_table([path]).read()
        truth = np.asarray(table.column(LABEL)).astype(float) == 1
        table = table.drop_columns([LABEL])
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in seconds}
        for seed in range(seeds):
            for name in seconds:
                started = time.perf_counter()
                scores = (
                    own_scores(table, seed)
                    if name == "divmix"
                    else (peer_scores(name, table, seed))
                )
                seconds[name] += (time.perf_counter() - started) / seeds
                found[name].append(anomaly_metrics(truth, scores))
        for measure in ("auroc", "average_precision"):
            rows.append(
                {"set": path.stem, "rows": table.num_rows, "measure": measure}
                | {
                    name: round(float(np.mean([one[measure] for one in each])), 4)
                    for name, each in found.items()
                }
            )
        progress.note(f"{path.stem}: " + ", ".join(f"{n} {rows[-2][n]}" for n in seconds))
    return {
        "title": f"Anomaly scores, fitted on all rows without labels, mean of {seeds} seeds",
        "rows": rows,
        "means": [
            _mean(rows, measure, list(seconds)) for measure in ("auroc", "average_precision")
        ],
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "left_out": left_out,
    }


def own_scores(table: pa.Table, seed: int) -> np.ndarray:
    """Scores (n,) with default settings."""
    fitted = fit_density(table, DetectSettings(seed=seed), itself=True)
    return score_itself(fitted, ("fdr", 0.05)).score


def peer_scores(name: str, table: pa.Table, seed: int) -> np.ndarray:
    """Scores (n,) of another detector on standardised columns."""
    design = Design(Preprocessing.learn(table, TableSettings()))
    X = design_matrix(table, design, Progress()).X
    return PEERS[name](X, seed)(X)


def _mean(rows, measure: str, names: list[str]) -> dict[str, Any]:
    of_measure = [row for row in rows if row["measure"] == measure]
    return {"measure": measure, "sets": len(of_measure)} | {
        name: round(float(np.mean([row[name] for row in of_measure])), 4) for name in names
    }
