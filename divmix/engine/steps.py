"""Steps that are taken as they come: nonlinear SVGD along plain gradients (Wang and Liu, ICML
2019), and EM on mini-batches."""

from typing import NamedTuple

import numpy as np

from divmix.engine.loop import Move, Step
from divmix.engine.objective import Objective
from divmix.families import Components, DifferentiableFamily
from divmix.families.family import Array
from divmix.kernels import particles
from divmix.kernels.sums import Sums
from divmix.particles import optimizers
from divmix.particles.bandwidths import bandwidth_of


class Published(NamedTuple):
    """The parts of the published update; the defaults are those of the authors' program.

    kernel        "rbf" or "imq"
    bandwidth     a rule of `particles.bandwidths`, or a number
    normalize     what the sum over particles is divided by: "rows", the sum of the kernel over
                  them, or "mean", their number, as in the paper's eq. 8
    optimizer     a name in `particles.optimizers`
    step          its learning rate
    """

    kernel: str = "rbf"
    bandwidth: str | float = "median"
    normalize: str = "rows"
    optimizer: str = "rmsprop"
    step: float = 0.05


def published_step(
    family: DifferentiableFamily,
    alphas: Array,
    how: Published,
    generator: np.random.Generator,
) -> Step:
    """theta_i <- theta_i + eps sum_j [g_j k(theta_j, theta_i) + alpha grad_j k(theta_j, theta_i)].

    g_j = m dF/dtheta_j, so alpha is that of J = F + alpha H and m times the authors' temperature.
    alphas (t,) are those of the first t steps; the last one stays. Weights stay as they are (1 / m).
    What components share (a tied covariance) or what is no coordinate (degrees of freedom) takes
    its EM update.
    """
    advance = optimizers.OPTIMIZERS[how.optimizer]

    def step(components: Components, sums: Sums, memory: optimizers.Memory | None) -> Move:
        theta = family.coordinates(components)
        memory = memory or optimizers.start(theta.shape)
        alpha = alphas[min(memory.steps, len(alphas) - 1)]
        gradient = components.count * family.gradient(sums, components) / sums.mass.sum()
        h = bandwidth_of(how.bandwidth, theta, generator)
        found = particles.pairs(theta, gradient, components.weights, alpha, h, how.kernel)
        rows = found.row_sums[:, None] if how.normalize == "rows" else components.count
        increment, memory = advance(found.pull / rows, memory, how.step)
        updated = family.from_coordinates(theta + increment, components)
        updated = family.update_shared(sums, updated)
        return Move(updated, memory, found.entropy, float(alpha), rms(increment))

    return step


def em_step(objective: Objective) -> Step:
    """Expectation-maximisation on whatever rows a visit sees: each component jumps to its M-step,
    and is moved on by what the objective gives diversity."""
    family = objective.family

    def step(components: Components, sums: Sums, memory: None) -> Move:
        look = objective.seen(components, sums, sums.mass.sum() + sums.outside)
        updated = objective.ascended(look)
        increment = family.coordinates(updated) - family.coordinates(components)
        return Move(updated, None, look.value.entropy, objective.alpha, rms(increment))

    return step


def annealed(start: float, end: float, steps: int) -> Array:
    """Weights of the entropy from `start` to `end` in equal ratios; 0 counts as a thousandth."""
    alphas = np.geomspace(start, end or 1e-3 * start, steps)
    alphas[-1] = end
    return alphas


def rms(increment: Array) -> float:
    """Root mean square of an increment (m, D)."""
    return float(np.sqrt(np.mean(increment**2)))
