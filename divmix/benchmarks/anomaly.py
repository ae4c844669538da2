"""Anomaly scores of tables with known anomalies, beside detectors of other packages.

Every Parquet file with a column `label` (1 = anomaly), or else tables made of each kind of anomalies,
are fitted on all their rows, anomalies among them, with default settings and without labels, and
their rows are scored.
"""

import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa

from divmix.anomaly.detector import calibration_of, fit_density, score_itself
from divmix.anomaly.p_values import flags
from divmix.benchmarks import anomaly_peers
from divmix.benchmarks.families import FIRST_SEED
from divmix.benchmarks.labelled import LABEL, find_sets
from divmix.benchmarks.made_tables import anomalies
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
    "COPOD": anomaly_peers.copod,
    "GMM 4": anomaly_peers.gaussian_mixture(anomaly_peers.FEW),
}
NEEDS = {"ECOD": "pyod", "COPOD": "pyod"}
MEASURES = ("auroc", "average_precision", "precision_at_n")
RULE = DetectSettings().rule()  # the default one


def run(
    data: str | None = None,
    seeds: int = 3,
    sets: tuple[str, ...] | None = None,
    first_seed: int = FIRST_SEED,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """AUROC, average precision and precision at n on each set, means over `seeds`; and what the
    default rule of divmix flags: how many rows, the share of the anomalies among them, and the
    share of the flags that are none.

    Without `data` a set is a kind of made anomalies, `seeds` tables from `first_seed` on, each fitted
    once. Peers see the columns standardised. Raises InputError for a folder without labelled tables.
    """
    tables = _sets(data, sets, seeds, first_seed)
    title = "seeds" if data else f"made tables, seeds from {first_seed:,}"
    return measured(tables, f"mean of {seeds} {title}", progress)


def measured(
    sets: Iterable[tuple[str, list[tuple[int, pa.Table]]]],
    title: str,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The figures of `run` for sets: the name of each, and its tables with the seed of their fit."""
    progress = progress or Progress()
    left_out = [
        f"{name}: {NEEDS[name]} is not installed"
        for name in PEERS
        if name in NEEDS and not find_spec(NEEDS[name])
    ]
    peers = [name for name in PEERS if name not in NEEDS or find_spec(NEEDS[name])]
    rows, told, seconds = [], [], dict.fromkeys(["divmix", *peers], 0.0)
    for name, tables in sets:
        progress.stage(f"{name}: {len(tables)} tables")
        found: dict[str, list[dict[str, float]]] = {one: [] for one in seconds}
        flagged, n, anomalous = [], 0, 0
        for seed, table in tables:
            truth = np.asarray(table.column(LABEL)).astype(float) == 1
            table = table.drop_columns([LABEL])
            n, anomalous = n + len(truth), anomalous + int(truth.sum())
            for one in seconds:
                started = time.perf_counter()
                if one == "divmix":
                    scores, own_flags = own_scores(table, seed)
                    flagged.append(figures_of_flags(truth, own_flags))
                else:
                    scores = peer_scores(one, table, seed)
                seconds[one] += (time.perf_counter() - started) / len(tables)
                found[one].append(figures(truth, scores))
        for measure in MEASURES:
            rows.append(
                {"set": name, "rows": round(n / len(tables)), "measure": measure}
                | {one: _mean_of(each, measure) for one, each in found.items()}
            )
        told.append(
            {"set": name, "anomalies": round(anomalous / len(tables))}
            | {one: _mean_of(flagged, one) for one in flagged[0]}
        )
        progress.note(f"{name}: " + ", ".join(f"{one} {rows[-3][one]}" for one in seconds))
    return {
        "title": f"Anomaly scores, fitted on all rows without labels, {title}",
        "rows": rows,
        "means": [_mean(rows, measure, list(seconds)) for measure in MEASURES],
        "flags": told,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "left_out": left_out,
    }


def _sets(
    data: str | None, sets: tuple[str, ...] | None, seeds: int, first_seed: int
) -> Iterator[tuple[str, list[tuple[int, pa.Table]]]]:
    """Name of each set, and its tables with the seed of their fit."""
    if data is not None:
        for path in find_sets(data, sets):
            table = open_table([path]).read()
            yield path.stem, [(seed, table) for seed in range(seeds)]
        return
    for kind in sets or tuple(anomalies.KINDS):
        yield kind, [(0, anomalies.make(kind, first_seed + i)) for i in range(seeds)]


def figures(truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Of scores (n,): AUROC, average precision, and the precision among as many of the highest as
    there are anomalies."""
    known = anomaly_metrics(truth, scores)
    highest = np.argsort(-scores, kind="stable")[: truth.sum()]
    return {name: known[name] for name in MEASURES[:2]} | {
        "precision_at_n": float(truth[highest].mean())
    }


def figures_of_flags(truth: np.ndarray, flagged: np.ndarray) -> dict[str, float]:
    """How many rows are flagged, the share of the anomalies found, and of false ones among them."""
    return {
        "flags": float(flagged.sum()),
        "found": float(flagged[truth].mean()),
        "false": float((~truth[flagged]).mean()) if flagged.any() else 0.0,
    }


def _mean_of(each: list[dict[str, float]], name: str) -> float:
    return round(float(np.mean([one[name] for one in each])), 4)


def own_scores(table: pa.Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n,) and flags (n,) with default settings."""
    fitted = fit_density(table, DetectSettings(seed=seed), itself=True)
    scored = score_itself(fitted)
    known = calibration_of(fitted.mixture).scores
    return scored.score, flags(scored.score, scored.p_value, known, *RULE)


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
