"""The toy problem of Wang and Liu (2019), section 5.1: five far modes, a start that sees one.

Five unit Gaussians on a line, 2,000 points each, centres from -20 to 20; particles are means of
unit Gaussians with equal weights and start in U(-5, 5), near the middle mode. "then EM" takes the
particles as a start for maximum likelihood, which tells what diversity is worth as a start.
"""

from typing import Any

import numpy as np

from divmix.engine.loop import Limits, Step, climb
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.engine.steps import em_step, published_step
from divmix.families import Components, Family, make_family
from divmix.progress import Progress
from divmix.rows import MemoryRows

CENTERS = np.linspace(-20.0, 20.0, 5)
POINTS = 2_000
ITERATIONS = 400
LEARNING_RATE = 0.2
FOUND_WITHIN = 1.0  # a mode is found when a particle is within one standard deviation of it
NO_SHARING = 1e-9  # a bandwidth at which the kernel is the identity
ALPHAS = (0.1, 1.0, 10.0, 100.0)


def run(
    seeds: int = 100, particles: int = len(CENTERS), progress: Progress | None = None
) -> dict[str, Any]:
    """Run every method from the same `seeds` starts; returns the table as rows of figures."""
    progress = progress or Progress()
    outcomes: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        X = (np.repeat(CENTERS, POINTS) + generator.standard_normal(5 * POINTS))[:, None]
        start = generator.uniform(-5.0, 5.0, (particles, 1))
        family = make_family("gaussian", "known", np.ones(1))
        rows = MemoryRows(X)
        for name, steps in _methods(family, seed):
            outcomes.setdefault(name, []).append(_outcome(family, steps, start, rows))
        progress.rows(seed + 1, seeds)
    rows = [_summary(name, np.array(values)) for name, values in outcomes.items()]
    return {
        "title": f"Five modes from a start in U(-5, 5): {particles} particles, {seeds} seeds",
        "rows": rows,
    }


def _methods(family, seed: int) -> list[tuple[str, list[tuple[Step, float]]]]:
    """Name, and the steps that follow one another with the alpha of each."""

    def particles(alpha: float, bandwidth: str | float) -> tuple[Step, float]:
        step = published_step(
            family,
            alpha,
            kernel="rbf",
            bandwidth=bandwidth,
            optimizer_name="adam",
            learning_rate=LEARNING_RATE,
            generator=np.random.default_rng(seed),
        )
        return step, alpha

    em = em_step(Objective(family), learn_weights=False), 0.0
    return [
        ("EM", [em]),
        ("gradient ascent", [particles(0.0, NO_SHARING)]),
        ("kernel, no repulsion", [particles(0.0, "median")]),
        *((f"nsvgd, alpha {alpha:g}", [particles(alpha, "median")]) for alpha in ALPHAS),
        *(
            (f"nsvgd, alpha {alpha:g}, then EM", [particles(alpha, "median"), em])
            for alpha in ALPHAS
        ),
        ("nsvgd, local bandwidth, alpha 1", [particles(1.0, "local")]),
        ("nsvgd, local bandwidth, alpha 1, then EM", [particles(1.0, "local"), em]),
    ]


def _outcome(
    family: Family, steps: list[tuple[Step, float]], start: np.ndarray, rows: MemoryRows
) -> tuple[float, float, float]:
    """Whether all modes are found, mean distance to the nearest particle, log-likelihood."""
    m = len(start)
    components = Components(np.full(m, 1 / m), start, np.ones((m, 1)))
    for step, alpha in steps:
        objective = Objective(family, alpha)
        state = State(np.random.default_rng(0), components)
        limits = Limits(ITERATIONS, 1e-9)
        components = climb(step, objective, rows, state, Monitor(), "toy", limits).moved
    distance = np.abs(CENTERS[:, None] - components.means[:, 0]).min(axis=1)
    log_likelihood = Objective(family).log_likelihood(rows, components)
    return float((distance < FOUND_WITHIN).all()), distance.mean(), log_likelihood


def _summary(name: str, values: np.ndarray) -> dict[str, Any]:
    found, distance, log_likelihood = values.mean(axis=0)
    return {
        "method": name,
        "all modes found": round(float(found), 3),
        "distance to nearest": round(float(distance), 3),
        "log-likelihood": round(float(log_likelihood), 4),
    }
