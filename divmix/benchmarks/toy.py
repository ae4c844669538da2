"""The toy problem of Wang and Liu (2019), section 5.1, in the protocol of the authors' program.

Five unit Gaussians on a line, centres from -20 to 20. Five particles, each a mean and the logarithm
of a variance, clipped to [-3, 3], start near the middle: means in U(-5, 5), variances 1. Then
20,000 steps of RMSProp (.05, decay .9), each on 512 fresh rows; kernel exp(-|a - b|^2 / h), h the
median squared distance of all pairs; sums over particles divided by the row sum of the kernel. T is
the authors' temperature; alpha, the weight of the entropy in J, is T times the number of particles.

Each ablation leaves out or replaces one part. "annealed" is a shorter road to the same end: 400 of
the same steps on all of 10,000 rows, four times as long, alpha from 10 to .01, then EM.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.engine.loop import Limits, ascend, follow
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.engine.steps import Published, annealed, published_step
from divmix.families import Components, Family, Gaussian
from divmix.families.axis_aligned import Known, Spherical
from divmix.families.family import Array
from divmix.kernels.sums import Sums
from divmix.progress import Progress
from divmix.rows import Block, Features, MemoryRows, Summary

CENTERS = np.linspace(-20.0, 20.0, 5)
BATCH, STEPS = 512, 20_000
FULL_ROWS, FULL_STEPS = 10_000, 400
TEMPERATURES = (0.0, 0.01, 0.05, 0.1, 0.5, 1.0)
TEMPERATURE = 0.05  # of the ablations, the authors' own
FOUND_WITHIN = 1.0  # a mode is found when a particle is within one standard deviation of it
NO_SHARING = 1e-9  # a bandwidth at which the kernel is the identity
CLIP = 3.0  # of the log-variance
ANNEAL, ANNEALED_STEP = (10.0, 0.01), 0.2  # chosen on other seeds, from 1,000


class Clipped(Spherical):
    """One variance, its logarithm clipped."""

    name = "spherical"

    def from_coordinates(self, theta: Array, previous: Array, floor: Array) -> Array:
        return np.exp(np.clip(theta[:, 0], -CLIP, CLIP))


class FreshRows:
    """Rows of the mixture, new ones at each visit."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    features = Features(np.zeros(1, bool))
    total_weight = float(BATCH)
    visited = BATCH

    def draw(self, count: int) -> Array:
        """`count` rows, (count, 1)."""
        centers = CENTERS[self.generator.integers(len(CENTERS), size=count)]
        return (centers + self.generator.standard_normal(count))[:, None]

    def sums(self, family: Family, components: Components, *, coarse: bool = False) -> Sums:
        """Those of new rows."""
        return family.sums(self.draw(BATCH), np.ones(BATCH), components)

    def sample(self, size: int | None, generator: np.random.Generator) -> MemoryRows:
        """New rows."""
        return MemoryRows(self.draw(size or BATCH))

    def among(self, features: NDArray[np.int64]) -> MemoryRows:
        """Some rows, with these features alone."""
        return self.sample(None, self.generator).among(features)

    def blocks(self) -> Iterator[Block]:
        """Those of a new sample."""
        return self.sample(None, self.generator).blocks()

    def summary(self) -> Summary:
        """That of a new sample."""
        return self.sample(None, self.generator).summary()


class Problem(NamedTuple):
    """What a method starts from: a generator, fresh rows, as many fixed ones as `full`, means."""

    generator: np.random.Generator
    fresh: FreshRows
    full: MemoryRows
    means: Array


Method = Callable[[Problem], Components]


def run(seeds: int = 50, steps: int = STEPS, progress: Progress | None = None) -> dict[str, Any]:
    """Every method from the same `seeds` starts, `steps` long; the table as rows of figures.

    found: share of the seeds in which each mode has a particle within a standard deviation.
    distance: of a mode to its nearest particle, mean. mean_error: squared error of the mean of the
    mixture. variance_ratio: variance of the mixture over the true one. se: of found.
    """
    progress = progress or Progress()
    rows = []
    for name, method in methods(steps).items():
        progress.stage(name)
        started = time.perf_counter()
        outcomes = np.array([outcome(method, seed) for seed in range(seeds)])
        rows.append(_summary(name, outcomes, time.perf_counter() - started))
        progress.note(f"{name}: all modes in {rows[-1]['found']:.0%}")
    return {
        "title": f"Five modes from a start in U(-5, 5): {seeds} seeds, {steps:,} steps",
        "rows": rows,
    }


def methods(steps: int) -> dict[str, Method]:
    """Name -> components from a problem."""
    five = len(CENTERS)

    def published(temperature: float = TEMPERATURE, **how: Any) -> Method:
        return lambda problem: particles(problem, np.array([five * temperature]), steps, **how)

    own = {f"T {T:g} (alpha {five * T:g})": published(T) for T in TEMPERATURES}
    return own | {
        "unit variance": published(unit=True),
        "Adam": published(optimizer="adam"),
        "full batch": published(full=True),
        "divided by the number, not the row sum": published(normalize="mean"),
        "narrow kernel": published(bandwidth="narrow"),
        "no kernel": published(0.0, bandwidth=NO_SHARING),
        "EM": em,
        "annealed, then EM": annealed_then_em,
    }


def particles(
    problem: Problem,
    alphas: Array,
    steps: int,
    *,
    unit: bool = False,
    full: bool = False,
    **how: Any,
) -> Components:
    """The published update."""
    family, rows = _family(unit), problem.full if full else problem.fresh
    step = published_step(family, alphas, Published(**how), problem.generator)
    state = State(problem.generator, _start(problem, unit))
    objective = Objective(family, float(alphas[-1]))
    return follow(step, objective, rows, state, Quiet(), "toy", Limits(steps, 0.0)).moved


def em(problem: Problem, start: Components | None = None) -> Components:
    """Expectation-maximisation on all rows, equal weights."""
    objective = Objective(_family(unit=False), learn_weights=False)
    state = State(problem.generator, start or _start(problem, unit=False))
    limits = Limits(FULL_STEPS, 1e-9)
    return ascend(objective, problem.full, state, Quiet(), "toy", limits).moved


def annealed_then_em(problem: Problem) -> Components:
    """Alpha from large to small, then maximum likelihood."""
    alphas = annealed(*ANNEAL, FULL_STEPS)
    found = particles(problem, alphas, FULL_STEPS, full=True, step=ANNEALED_STEP)
    return em(problem, found)


class Quiet(Monitor):
    """Keeps no trace of 20,000 steps."""

    def record(self, *args: Any, **limits: Any) -> None:
        """Nothing."""


def outcome(method: Method, seed: int) -> tuple[float, float, float, float]:
    """Found or not, distance, squared error of the mean, ratio of variances."""
    generator = np.random.default_rng(seed)
    fresh = FreshRows(generator)
    full = MemoryRows(fresh.draw(FULL_ROWS))
    means = generator.uniform(-5.0, 5.0, (len(CENTERS), 1))
    end = method(Problem(generator, fresh, full, means))
    distance = np.abs(CENTERS[:, None] - end.means[:, 0]).min(axis=1)
    variances = np.broadcast_to(end.covariances.reshape(-1), len(end.means))
    mean = float(end.means.mean())
    variance = float((variances + (end.means[:, 0] - mean) ** 2).mean())
    truth = 1.0 + float((CENTERS**2).mean())
    return float((distance < FOUND_WITHIN).all()), distance.mean(), mean**2, variance / truth


def _family(unit: bool) -> Gaussian:
    floor = np.full(1, np.exp(-CLIP))
    return Gaussian(Known() if unit else Clipped(), floor)


def _start(problem: Problem, unit: bool) -> Components:
    m = len(problem.means)
    return Components(np.full(m, 1 / m), problem.means, np.ones((m, 1)) if unit else np.ones(m))


def _summary(name: str, outcomes: np.ndarray, seconds: float) -> dict[str, Any]:
    found, distance, error, ratio = outcomes.mean(axis=0)
    return {
        "method": name,
        "found": round(float(found), 3),
        "se": round(float(np.sqrt(found * (1 - found) / len(outcomes))), 3),
        "distance": round(float(distance), 3),
        "mean_error": round(float(error), 3),
        "variance_ratio": round(float(ratio), 3),
        "seconds": round(seconds / len(outcomes), 3),
    }
