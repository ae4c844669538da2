"""How components move in one iteration: EM, the published update, and its local form."""

import numpy as np

from divmix.engine.loop import Move, Step
from divmix.families import Components, Gaussian
from divmix.families.structure import Base
from divmix.particles import directions as particle_step
from divmix.particles import optimizers as optimizer


def em_step(family: Gaussian, *, learn_weights: bool = True, base: Base | None = None) -> Step:
    """Expectation-maximisation: each component jumps to its M-step."""

    def step(components: Components, sums, memory) -> Move:
        updated = family.maximize(sums, components, learn_weights=learn_weights, base=base)
        entropy = weight_entropy(components.weights)
        return Move(updated, None, entropy, step_size(family, components, updated))

    return step


def published_step(
    family: Gaussian,
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
    advance = optimizer.OPTIMIZERS[optimizer_name]

    def step(components: Components, sums, memory) -> Move:
        theta = family.coordinates(components)
        mean_gradient = family.gradient(sums, components) / sums.mass.sum()
        gradient = components.count * mean_gradient
        if bandwidth == "median":
            h = particle_step.median_bandwidth(theta, generator)
        else:
            h = particle_step.local_bandwidth(theta) if bandwidth == "local" else float(bandwidth)
        direction = particle_step.published_direction(theta, gradient, alpha, h, kernel)
        increment, memory = advance(
            direction, memory or optimizer.start(theta.shape), learning_rate
        )
        entropy = particle_step.entropy(theta, components.weights, h, kernel)
        updated = family.from_coordinates(theta + increment, components)
        return Move(family.update_shared(sums, updated), memory, entropy, rms(increment))

    return step


def local_step(
    family: Gaussian, alpha: float, *, learn_weights: bool = True, base: Base | None = None
) -> Step:
    """The update preconditioned by each component's metric, kernel in the components' own scale."""

    def step(components: Components, sums, memory) -> Move:
        target = family.maximize(sums, components, learn_weights=learn_weights, base=base)
        shares = sums.mass / sums.mass.sum()
        increment = particle_step.local_step(family, components, target, shares, alpha)
        theta = family.coordinates(components) + increment
        kernel = particle_step.similarity(family, components)
        entropy = -float(components.weights @ np.log(kernel @ components.weights))
        return Move(family.from_coordinates(theta, target), None, entropy, rms(increment))

    return step


def weight_entropy(weights: np.ndarray) -> float:
    """-sum w log w, nats."""
    positive = weights[weights > 0]
    return float(-(positive * np.log(positive)).sum())


def step_size(family: Gaussian, before: Components, after: Components) -> float:
    return rms(family.coordinates(after) - family.coordinates(before))


def rms(increment: np.ndarray) -> float:
    """Root mean square of an increment (m, D)."""
    return float(np.sqrt(np.mean(increment**2)))
