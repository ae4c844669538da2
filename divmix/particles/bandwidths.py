"""The bandwidth h of exp(-|a - b|^2 / (2 h^2)) between particles theta (m, D)."""

import numpy as np

from divmix.families.family import Array
from divmix.kernels import particles

SMALLEST = 1e-6  # in standardised units: coinciding particles still repel finitely


def bandwidth_of(rule: str | float, theta: Array, generator: np.random.Generator) -> float:
    """h by a rule: "median", "narrow", "local", or a number."""
    return RULES[rule](theta, generator) if isinstance(rule, str) else float(rule)


def median(theta: Array, generator: np.random.Generator) -> float:
    """That of the authors' programs: 2 h^2 is the median squared distance over all pairs, those of
    a particle with itself included."""
    squared = particles.median_squared_distance(theta, generator, include_self=True)
    if squared == 0.0:  # with two particles half of the pairs are of one with itself
        squared = particles.median_distance(theta, generator) ** 2
    return max(np.sqrt(squared / 2), SMALLEST)


def narrow(theta: Array, generator: np.random.Generator) -> float:
    """h = median / sqrt(2 log(m + 1)) of the distances between different particles (Liu and Wang
    2016): then sum_j k(theta_i, theta_j) is about 1. 1 for a single particle."""
    if len(theta) == 1:
        return 1.0
    distance = particles.median_distance(theta, generator)
    return max(distance / np.sqrt(2 * np.log(len(theta) + 1)), SMALLEST)


def local(theta: Array, generator: np.random.Generator) -> float:
    """Median distance from a particle to its nearest neighbour; 1 for a single particle."""
    from scipy.spatial import cKDTree

    if len(theta) == 1:
        return 1.0
    nearest = cKDTree(theta).query(theta, k=2)[0][:, 1]
    return max(float(np.median(nearest)), SMALLEST)


RULES = {"median": median, "narrow": narrow, "local": local}
