"""Numbers of clusters side by side: criteria, held-out log-likelihood, stability over halves."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from divmix.choosing.bootstrap import resample_paths
from divmix.choosing.clusters import SAMPLES, Candidate, MadeNoise, Path, choose_clusters
from divmix.engine.monitor import Monitor
from divmix.errors import UsageError
from divmix.rows import MemoryRows, Rows
from divmix.search.run import Model, Searching
from divmix.search.starts import count_distinct

SPLITS = 3  # into halves; the mixtures of each half are tried on the other
HALVES = 3  # marks the random numbers of a split

ByNumber: TypeAlias = tuple[tuple[int, float], ...]
"""Numbers of clusters, and a criterion of each."""


class Comparison(NamedTuple):
    """Numbers of clusters side by side.

    path       candidates of all of them, on the rows looked at
    chosen     the choice: that of `choose_clusters` where it is among them
    unlimited  that choice, whatever it is
    held_out, stability  for each number two means over halves: log-likelihood, per row in nats,
        and agreement, an adjusted Rand index
    jaccard    for each number similarities (r, k) of its clusters over r resamples; empty where none
        were asked for
    """

    path: Path
    chosen: Candidate
    unlimited: Candidate
    held_out: dict[int, float]
    stability: dict[int, float]
    jaccard: dict[int, NDArray[np.float64]]


def compare(
    rows: Rows,
    models: Sequence[Model],
    lowest: int,
    highest: int,
    generator: np.random.Generator,
    monitor: Monitor,
    noise: MadeNoise | None = None,
    resamples: int = 0,
    seed: int = 0,
) -> Comparison:
    """Compare lowest .. highest clusters, on the rows and along the path that the choice without
    limits takes; what it leaves out is filled in.

    Each split and each resample has random numbers of its own, so one that is done is remembered.
    Raises UsageError, FitError, and Interrupted.
    """
    _check_range(rows.sample(SAMPLES[0], np.random.default_rng(0)), lowest, highest)
    path = choose_clusters(rows, models, generator, monitor, noise)
    unlimited = path.chosen
    monitor.progress.stage(f"from many components to {lowest}")
    others = Path(path.searching, generator)
    others.cover(lowest, highest)
    for k, candidate in others.candidates.items():
        path.candidates.setdefault(k, candidate)
    for k in [k for k in path.candidates if not lowest <= k <= highest]:
        del path.candidates[k]
    chosen = unlimited if unlimited.k in path.candidates else path.chosen
    halves = _on_halves(path.searching, lowest, highest, seed)
    jaccard = resample_paths(path, lowest, highest, resamples, seed)
    return Comparison(path, chosen, unlimited, *halves, jaccard)


def _on_halves(
    searching: Searching, lowest: int, highest: int, seed: int
) -> tuple[dict[int, float], dict[int, float]]:
    """For each k how well one half describes the other, and how well their clusters agree."""
    monitor = searching.monitor
    held_out: dict[int, list[float]] = {}
    stability: dict[int, list[float]] = {}
    for number in range(SPLITS):
        monitor.progress.stage(f"halves of the rows, split {number + 1} of {SPLITS}")
        generator = np.random.default_rng([seed, HALVES, number])
        split = partial(_split, searching, lowest, highest, generator)
        for mean_of, found in zip((held_out, stability), monitor.once(f"split {number}", split)):
            for k, value in found:
                mean_of.setdefault(k, []).append(value)
    return _means(held_out), _means(stability)


def _split(
    searching: Searching, lowest: int, highest: int, generator: np.random.Generator
) -> tuple[ByNumber, ByNumber]:
    """Held-out log-likelihoods of both halves, and the agreement of their clusters."""
    from sklearn.metrics import adjusted_rand_score

    sample = searching.sample
    half = generator.permutation(searching.rows) % 2
    held_out: list[tuple[int, float]] = []
    labels: list[dict[int, np.ndarray]] = []
    for own in (half == 0, half == 1):
        part = Path(searching._replace(sample=sample.take(own)), generator)
        part.cover(lowest, highest)
        labels.append({})
        for k, candidate in part.candidates.items():
            log_density, responsibilities = searching.posterior(candidate.components)
            weights = sample.held.row_weights[~own]
            held_out.append((k, float(np.average(log_density[~own], weights=weights))))
            labels[-1][k] = responsibilities.argmax(axis=1)
    one, other = labels
    both = sorted(one.keys() & other.keys())
    return tuple(held_out), tuple((k, float(adjusted_rand_score(one[k], other[k]))) for k in both)


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


def told(comparison: Comparison) -> str:
    """What the other criteria say, in half a sentence."""
    votes = {"BIC": comparison.path.best.k}
    for name, values in (
        ("held-out log-likelihood", comparison.held_out),
        ("stability", comparison.stability),
    ):
        if values:
            votes[name] = max(values, key=values.__getitem__)
    chosen = comparison.chosen.k
    against = [f"{name} is best at {k}" for name, k in votes.items() if k != chosen]
    agree = [name for name, k in votes.items() if k == chosen]
    parts = [", ".join(agree) + (" agrees" if len(agree) == 1 else " agree")] if agree else []
    return "; ".join(parts + against)
