"""Sums over rows of numbers and categories, complete or with gaps."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from divmix.families.axis_aligned import AxisAligned
from divmix.families.coded import Coded
from divmix.families.components import Components
from divmix.families.family import Array
from divmix.families.gaps import expected_sums
from divmix.families.posterior import log_weights, posterior
from divmix.families.structure import CovarianceStructure
from divmix.kernels.gaps import has_gaps
from divmix.kernels.sums import Sums

if TYPE_CHECKING:
    from divmix.families.mixed import Mixed

BLOCK_ROWS = 4096  # rows x components at a time, whatever the number of threads
PACKED_COLUMNS = 24  # up to so many, products of pairs of columns are made once for all components


def sums_of(
    family: "Mixed", X: NDArray | Coded, row_weights: Array, components: Components
) -> Sums:
    """`Mixed.sums`."""
    numbers, probabilities = family.of_numbers(components), family.probabilities(components)
    total: Sums | None = None
    for start in range(0, max(len(X), 1), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        block = X[rows] if isinstance(X, Coded) else np.asarray(X[rows], np.float64)
        part = _block_sums(family, block, row_weights[rows], numbers, probabilities)
        total = part if total is None else total + part
    assert total is not None
    return total


def _block_sums(
    family: "Mixed",
    X: Array | Coded,
    row_weights: Array,
    numbers: Components,
    probabilities: Array,
) -> Sums:
    numeric, levels = family.categories.numeric, family.categories.varying
    N = family.numbers_of(X)
    if not isinstance(X, Coded) and has_gaps(X):
        return _expected_sums(family, X, N, row_weights, numbers, probabilities)
    seen = family.numbers.structure.seen(N, numbers)
    joint = family.numbers.log_densities_at(seen, numbers)
    joint += family.log_categories(X, probabilities) + log_weights(numbers.weights)
    log_density, shares = posterior(joint)
    shares *= row_weights[:, None]
    mass = shares.sum(axis=0)
    first = np.zeros((numbers.count, X.shape[1]))
    if isinstance(X, Coded):
        counts = levels.counts_by_codes(X.codes[:, family.categories.is_varying], shares)
        first[:, levels.features] = counts[:, levels.own] - mass[:, None] * levels.offsets
    else:
        first[:, levels.features] = shares.T @ X[:, levels.features]
    scales = family.numbers.row_scales(seen, numbers)
    if scales is None:
        scaled, log_scale = shares, -mass
    else:
        scaled = shares * scales
        logs = family.numbers.log_row_scales(scales, seen, numbers)
        log_scale = (shares * logs).sum(axis=0) - scaled.sum(axis=0)
    first[:, numeric] = scaled.T @ N
    second = second_moments(family.structure, N, row_weights, scaled)
    log_likelihood = float(row_weights @ log_density)
    return Sums(log_likelihood, mass, scaled.sum(axis=0), first, second, log_scale)


def _expected_sums(
    family: "Mixed",
    X: Array,
    N: Array,
    row_weights: Array,
    numbers: Components,
    probabilities: Array,
) -> Sums:
    """`_block_sums` of rows with missing cells: a category that is not there counts by its
    probabilities in each component."""
    numeric, levels = family.categories.numeric, family.categories.varying
    log_categories = family.log_categories(X, probabilities)
    sums, shares = expected_sums(family.numbers, N, row_weights, numbers, log_categories)
    first = np.zeros((numbers.count, X.shape[1]))
    first[:, numeric] = sums.first
    own = X[:, levels.features]
    missing = np.isnan(own)
    first[:, levels.features] = shares.T @ np.where(missing, 0.0, own)
    first[:, levels.features] += (shares.T @ missing) * levels.means(probabilities)
    return sums._replace(first=first)


def second_moments(
    structure: CovarianceStructure, N: Array, row_weights: Array, scaled: Array
) -> Array:
    """Second moments of numbers N (n, c) by shares (n, m), in the shape of the structure."""
    columns = N.shape[1]
    if structure.shared:
        return (N * row_weights[:, None]).T @ N
    if isinstance(structure, AxisAligned):
        return scaled.T @ N**2
    if columns > PACKED_COLUMNS:
        return np.stack([(N * own[:, None]).T @ N for own in scaled.T])
    a, b = np.tril_indices(columns)
    second = np.empty((scaled.shape[1], columns, columns))
    second[:, a, b] = second[:, b, a] = scaled.T @ (N[:, a] * N[:, b])
    return second
