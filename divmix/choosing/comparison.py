"""Numbers of clusters side by side: criteria, held-out log-likelihood, stability over halves."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from divmix.choosing.clusters import Path
from divmix.engine.monitor import Monitor
from divmix.errors import UsageError
from divmix.rows import MemoryRows, Rows
from divmix.search.run import Model, Searching
from divmix.search.starts import count_distinct

LEAST_ROWS = 8_000  # looked at of a long table
ROWS_PER_CLUSTER = 240  # the same, for each cluster: BIC finds too few clusters on few rows
SPLITS = 3  # into halves; the mixtures of each half are tried on the other


class Comparison(NamedTuple):
    """The path with the lowest BIC, and for each number of clusters k two means over halves:
    held-out log-likelihoods (per row in nats) and agreements (adjusted Rand indices)."""

    path: Path
    held_out: dict[int, float]
    stability: dict[int, float]


def compare(
    rows: Rows,
    models: Sequence[Model],
    lowest: int,
    highest: int,
    generator: np.random.Generator,
    monitor: Monitor,
) -> Comparison:
    """Compare lowest .. highest clusters on a sample of the rows. Raises UsageError, FitError."""
    sample = rows.sample(max(LEAST_ROWS, ROWS_PER_CLUSTER * highest), generator)
    _check_range(sample, lowest, highest)
    monitor.progress.stage(f"from many components to {lowest}")
    paths = []
    for model in models:
        paths.append(Path(Searching(sample, *model, monitor), generator))
        paths[-1].cover(lowest, highest)
    path = min(paths, key=lambda path: path.best.bic)
    return Comparison(path, *_on_halves(path.searching, lowest, highest, generator))


def _on_halves(
    searching: Searching, lowest: int, highest: int, generator: np.random.Generator
) -> tuple[dict[int, float], dict[int, float]]:
    """For each k how well one half describes the other, and how well their clusters agree."""
    from sklearn.metrics import adjusted_rand_score

    sample = searching.sample
    held_out: dict[int, list[float]] = {}
    stability: dict[int, list[float]] = {}
    for split in range(SPLITS):
        searching.monitor.progress.stage(f"halves of the rows, split {split + 1} of {SPLITS}")
        half = generator.permutation(searching.rows) % 2
        labels: list[dict[int, np.ndarray]] = []
        for own in (half == 0, half == 1):
            part = Path(searching._replace(sample=sample.take(own)), generator)
            part.cover(lowest, highest)
            labels.append({})
            for k, candidate in part.candidates.items():
                log_density, responsibilities = searching.posterior(candidate.components)
                weights = sample.matrix.row_weights[~own]
                others = np.average(log_density[~own], weights=weights)
                held_out.setdefault(k, []).append(float(others))
                labels[-1][k] = responsibilities.argmax(axis=1)
        for k in labels[0].keys() & labels[1].keys():
            agreement = adjusted_rand_score(labels[0][k], labels[1][k])
            stability.setdefault(k, []).append(float(agreement))
    return _means(held_out), _means(stability)


def _means(values: dict[int, list[float]]) -> dict[int, float]:
    return {k: float(np.mean(each)) for k, each in values.items()}


def _check_range(sample: MemoryRows, lowest: int, highest: int) -> None:
    most = count_distinct(sample) // 4  # half of the rows must still have two distinct ones each
    if not 1 <= lowest <= highest:
        raise UsageError(
            f"-k {lowest}:{highest}: not a range", hint="give the fewest and the most: -k 2:20"
        )
    if highest > most:
        raise UsageError(
            f"-k {lowest}:{highest}: the rows allow {most:,} clusters at most",
            hint=f"give a range up to {most}",
        )
