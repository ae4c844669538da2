"""How far components of numbers and categories are apart: the overlap of independent columns."""

from typing import TYPE_CHECKING

import numpy as np

from divmix.families.components import Components
from divmix.families.family import Array
from divmix.kernels.components import TINY, Gradient, Overlap, overlap
from divmix.kernels.pair_groups import NEGLIGIBLE

if TYPE_CHECKING:
    from divmix.families.mixed import Mixed


def overlap_of(
    family: "Mixed", components: Components, values: Array | None, gradient: bool
) -> Overlap:
    """`Mixed.overlap`."""
    m, levels = components.count, family.categories.varying
    weights = components.weights / components.weights.sum()
    probabilities = family.probabilities(components)
    factor = np.ones((m, m))
    for _, own in levels.similarities(probabilities):
        factor *= np.minimum(own, 1.0)
    numbers = family.of_numbers(components)
    if not len(family.categories.numeric):  # one column, in which all are the same
        numbers = numbers._replace(means=np.zeros((m, 1)), covariances=np.ones((m, 1)))
    wanted = np.zeros((m, 0)) if values is None else values
    asked = np.hstack([wanted, np.eye(m)]) if gradient else wanted
    found = overlap(numbers.means, numbers.covariances, weights, asked, gradient, factor)
    found, k = (
        found._replace(shared=found.shared[:, : wanted.shape[1]]),
        found.shared[:, wanted.shape[1] :],
    )
    if found.gradient is None:
        return found
    ratio = weights / np.maximum(found.weighted, TINY)
    pairs = -(np.outer(ratio, weights) + np.outer(weights, ratio)) * k
    pairs[k < NEGLIGIBLE] = 0.0
    np.fill_diagonal(pairs, 0.0)
    roots, by_levels = np.sqrt(probabilities), np.empty_like(probabilities)
    for part, own in levels.similarities(probabilities):  # anew: those of all columns are many
        by_levels[:, part] = 0.5 * (pairs / own) @ roots[:, part] / roots[:, part]
    means = np.zeros_like(components.means)
    if len(family.categories.numeric):
        means[:, family.categories.numeric] = found.gradient.means
    by_features = by_levels.copy()
    by_features[:, levels.no + 1] -= by_levels[:, levels.no]
    means[:, levels.features] = by_features[:, levels.own]
    covariances = found.gradient.covariances
    if not len(family.categories.numeric):
        covariances = np.zeros_like(components.covariances)
    return found._replace(gradient=Gradient(found.gradient.weights, means, covariances))
