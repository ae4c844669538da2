"""How components move in one iteration: EM, the published update, and its local form."""

import numpy as np

from divmix.engine.loop import Move, Step
from divmix.engine.objective import Objective
from divmix.families import Components, DifferentiableFamily, Family
from divmix.families.family import Array
from divmix.kernels.sums import Sums
from divmix.particles import directions, optimizers


def em_step(objective: Objective, *, learn_weights: bool = True) -> Step:
    """Expectation-maximisation: each component jumps to its M-step."""
    family, prior = objective.family, objective.prior

    def step(components: Components, sums: Sums, memory: None) -> Move:
        updated = family.maximize(sums, components, learn_weights=learn_weights, prior=prior)
        entropy = weight_entropy(components.weights)
        return Move(updated, None, entropy, step_size(family, components, updated))

    return step


def published_step(
    family: DifferentiableFamily,
    alpha: float,
    *,
    kernel: str,
    bandwidth: str | float,
    optimizer_name: str,
    learning_rate: float,
    generator: np.random.Generator,
) -> Step:
    """Nonlinear SVGD as published: g_j = m dF/dtheta_j, direction phi, optimiser step.

    bandwidth "median", "local" or a number. Weights stay as they are (1 / m). What components
    share (a tied covariance) or what is no coordinate (degrees of freedom) takes its EM update.
    """
    advance = optimizers.OPTIMIZERS[optimizer_name]

    def step(components: Components, sums: Sums, memory: optimizers.Memory | None) -> Move:
        theta = family.coordinates(components)
        mean_gradient = family.gradient(sums, components) / sums.mass.sum()
        gradient = components.count * mean_gradient
        if bandwidth == "median":
            h = directions.median_bandwidth(theta, generator)
        else:
            h = directions.local_bandwidth(theta) if bandwidth == "local" else float(bandwidth)
        direction = directions.published_direction(theta, gradient, alpha, h, kernel)
        increment, memory = advance(
            direction, memory or optimizers.start(theta.shape), learning_rate
        )
        entropy = directions.entropy(theta, components.weights, h, kernel)
        updated = family.from_coordinates(theta + increment, components)
        return Move(family.update_shared(sums, updated), memory, entropy, rms(increment))

    return step


def local_step(objective: Objective, *, learn_weights: bool = True) -> Step:
    """The update preconditioned by each component's metric, kernel in the components' own scale."""
    family, alpha, prior = objective.family, objective.alpha, objective.prior

    def step(components: Components, sums: Sums, memory: None) -> Move:
        target = family.maximize(sums, components, learn_weights=learn_weights, prior=prior)
        shares = sums.mass / sums.mass.sum()
        increment = directions.local_step(family, components, target, shares, alpha)
        theta = family.coordinates(components) + increment
        kernel = family.similarity(components)
        entropy = -float(components.weights @ np.log(kernel @ components.weights))
        return Move(family.from_coordinates(theta, target), None, entropy, rms(increment))

    return step


def weight_entropy(weights: Array) -> float:
    """-sum w log w, nats."""
    positive = weights[weights > 0]
    return float(-(positive * np.log(positive)).sum())


def step_size(family: Family, before: Components, after: Components) -> float:
    """Root mean square of the change in the coordinates."""
    return rms(family.coordinates(after) - family.coordinates(before))


def rms(increment: Array) -> float:
    """Root mean square of an increment (m, D)."""
    return float(np.sqrt(np.mean(increment**2)))
