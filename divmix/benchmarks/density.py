"""Held-out log-likelihood: what alpha does for a rich mixture, beside scikit-learn's mixtures.

A mixture with more components than the rows ask for memorises them; the entropy of J, relative to
its base measure, is what smooths it. Every model sees the same 70 % of the rows, in columns
standardised by those rows, and is scored on the others in the same units: nats a row.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from divmix.benchmarks.labelled import LABEL, find_sets, read_set, warm_up
from divmix.benchmarks.peers import bayesian_mixture, gaussian_mixture_by_bic
from divmix.design.design import Design
from divmix.design.prepare import design_matrix
from divmix.design.preprocessing import Preprocessing
from divmix.progress import Progress
from divmix.settings import DiversifiedSettings, TableSettings
from divmix.workflows.fit import fit_table

ALPHAS: tuple[float | str, ...] = (0, 0.01, 0.03, 0.1, 0.3, 1, "auto")
COMPONENTS, ROWS_EACH = 30, 10  # of the rich mixture: so many, where each has so many rows
MOST_COMPONENTS = 20  # of the peers
TRAINING_SHARE = 0.7
MOST_ROWS = 10_000  # larger sets are left out


class Split(NamedTuple):
    """Training and test rows: as a table, and as design matrices (n, d) of the same columns."""

    training: pa.Table
    X: np.ndarray
    X_test: np.ndarray
    seed: int


def run(
    data: str,
    seeds: int = 5,
    sets: tuple[str, ...] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score every model on `seeds` random splits of every set of at most 10,000 rows in `data`.

    rows : for each set the mean held-out log-likelihood of each model, nats a row.
    summary : for each model the median over the sets, on how many of them it is better than alpha 0
        and than the best of the peers on that set, and the mean seconds of a fit.

    Raises InputError for a folder without labelled tables, or a broken file.
    """
    from threadpoolctl import threadpool_limits

    progress = progress or Progress()
    files = find_sets(data, sets)
    warm_up()
    rows, left_out = [], []
    seconds = dict.fromkeys(MODELS, 0.0)
    with threadpool_limits(1):
        for path in files:
            labelled = read_set(path)
            table = labelled.table.drop_columns([LABEL])
            if table.num_rows > MOST_ROWS:
                left_out.append(labelled.name)
                continue
            progress.stage(f"{labelled.name}: {seeds} splits")
            splits = [split(table, seed) for seed in range(seeds)]
            row = {"set": labelled.name, "rows": table.num_rows, "columns": table.num_columns}
            for name, model in MODELS.items():
                started = time.perf_counter()
                row[name] = round(float(np.mean([model(part) for part in splits])), 4)
                seconds[name] += (time.perf_counter() - started) / seeds
            rows.append(row)
            progress.note(f"{labelled.name}: " + ", ".join(f"{m} {row[m]}" for m in MODELS))
    return {
        "title": f"Held-out log-likelihood, nats a row, mean of {seeds} splits 70/30",
        "left_out": left_out,
        "rows": rows,
        "summary": [_summary(name, rows, seconds[name]) for name in MODELS] if rows else [],
    }


def split(table: pa.Table, seed: int) -> Split:
    """A random 70/30 split; columns that are constant in the training rows are left out."""
    order = np.random.default_rng(seed).permutation(table.num_rows)
    cut = int(TRAINING_SHARE * table.num_rows)
    training, test = table.take(np.sort(order[:cut])), table.take(np.sort(order[cut:]))
    varying = [name for name in table.column_names if pc.count_distinct(training[name]).as_py() > 1]
    training, test = training.select(varying), test.select(varying)
    design = Design(Preprocessing.learn(training, TableSettings()))
    X, X_test = (design_matrix(part, design, Progress()).X for part in (training, test))
    return Split(training, X, X_test, seed)


def _rich(alpha: float | str) -> Callable[[Split], float]:
    """Many diagonal components, each a cluster of its own, so that none are merged."""

    def score(part: Split) -> float:
        distinct = len(np.unique(part.X, axis=0))
        m = min(COMPONENTS, max(1, distinct // ROWS_EACH))
        settings = DiversifiedSettings(
            clusters=m, components=m, covariance="diag", alpha=alpha, seed=part.seed, threads=1
        )
        mixture = fit_table(part.training, settings).mixture
        return float(mixture.score(part.X_test).log_density.mean())

    return score


def _chosen(part: Split) -> float:
    """Both numbers chosen by the fit, as a user would who wants a density."""
    settings = DiversifiedSettings(clusters="auto", alpha="auto", seed=part.seed, threads=1)
    return float(fit_table(part.training, settings).mixture.score(part.X_test).log_density.mean())


def _classical(covariance: str) -> Callable[[Split], float]:
    def score(part: Split) -> float:
        model = gaussian_mixture_by_bic(part.X, MOST_COMPONENTS, covariance, part.seed)
        return float(model.score(part.X_test))

    return score


def _bayesian(part: Split) -> float:
    return float(bayesian_mixture(part.X, MOST_COMPONENTS, part.seed).score(part.X_test))


OURS = {f"alpha {alpha}": _rich(alpha) for alpha in ALPHAS} | {"k auto, alpha auto": _chosen}
PEERS = {
    "scikit-learn diag, BIC": _classical("diag"),
    "scikit-learn full, BIC": _classical("full"),
    "scikit-learn Bayesian": _bayesian,
}
MODELS = OURS | PEERS


def _summary(name: str, rows: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    own = np.array([row[name] for row in rows])
    plain = np.array([row["alpha 0"] for row in rows])
    best_peer = np.array([max(row[peer] for peer in PEERS) for row in rows])
    return {
        "model": name,
        "median": round(float(np.median(own)), 4),  # one degenerate fit would rule a mean
        "better than alpha 0": int((own > plain).sum()),
        "better than the best peer": int((own > best_peer).sum()),
        "of sets": len(rows),
        "seconds": round(seconds / len(rows), 3),
    }
