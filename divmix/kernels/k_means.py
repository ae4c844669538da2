"""k-means from one start (Lloyd 1982) and its start, greedy k-means++ (Arthur and Vassilvitskii 2007).

A search makes ten of them on a sample, and it is their calls that cost in scikit-learn. Rows of
weight 0 count nothing.
"""

import numpy as np
from numpy.typing import NDArray

from divmix.kernels.compile import helper, kernel
from divmix.kernels.padding import round_up
from divmix.kernels.places import first_above, lowest
from divmix.kernels.registers import LANES, ROWS, square_differences

Floats = NDArray[np.float64]

MOST_ITERATIONS = 300
SETTLED = 1e-4  # of the mean variance of a column: squared way of all centres in the last iteration


def k_means(
    X: Floats, weights: Floats, m: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Clusters (n,) 0 .. m - 1 of rows X (n, d) with weights (n,), which sum to more than 0."""
    rows = _padded(X)
    centers = X[_spread(rows, X.shape[1], weights, draws(m, generator))]
    share = weights / weights.sum()
    variance = share @ (X - share @ X) ** 2
    return _lloyd(rows, weights, centers, SETTLED * variance.mean())


def spread(X: Floats, weights: Floats, m: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """m rows (m,) of X (n, d), far from each other: the next is drawn by its weight times the squared
    distance to the nearest before, some times, and the best draw is kept."""
    return _spread(_padded(X), X.shape[1], weights, draws(m, generator))


def nearest(X: Floats, centers: Floats) -> NDArray[np.int64]:
    """The nearest of centers (m, d) to each row of X (n, d), (n,), the first where several are."""
    labels = np.empty(len(X), np.int64)
    _nearest(_padded(X), np.ascontiguousarray(centers), labels, np.empty(len(X)))
    return labels


def _padded(X: Floats) -> Floats:
    """Rows X (n, d), flat, and rows of zeros up to whole blocks."""
    n, d = X.shape
    rows = np.zeros(round_up(n, ROWS) * d)
    rows[: n * d] = X.ravel()
    return rows


def draws(m: int, generator: np.random.Generator) -> Floats:
    """Even random numbers in [0, 1) for m places, (m, tries)."""
    return generator.random((m, min(2 + int(np.log(m)), LANES)))


@kernel
def _spread(rows, d, weights, draws):
    n, (m, tries) = len(weights), draws.shape
    chosen, drawn, potentials = np.empty(m, np.int64), np.empty(LANES, np.int64), np.empty(LANES)
    closest, below = np.ones(n), np.empty(n)  # at first all rows are as far
    panel, distances = np.zeros(d * LANES), np.empty((len(rows) // d) * LANES)
    for place in range(m):
        total = 0.0
        for i in range(n):
            total += weights[i] * closest[i]
            below[i] = total
        for lane in range(LANES):
            drawn[lane] = min(first_above(below, draws[place, lane % tries] * total), n - 1)
            for c in range(d):
                panel[c * LANES + lane] = rows[drawn[lane] * d + c]
        for at in range(0, len(rows) // d, ROWS):
            square_differences(rows, at * d, d, 1, panel, 0, d, distances, at * LANES, LANES)
        if place == 0:
            closest[:] = np.inf
        potentials[:] = 0.0
        for i in range(n):
            for lane in range(LANES):
                potentials[lane] += weights[i] * min(closest[i], distances[i * LANES + lane])
        # The first is any row: the best of several is central, and leaves the next an outlier.
        best = lowest(potentials) % tries if place > 0 else 0
        chosen[place] = drawn[best]
        for i in range(n):
            closest[i] = min(closest[i], distances[i * LANES + best])
    return chosen


@kernel
def _nearest(rows, centers, labels, closest):
    """The nearest of centers (m, d) to each row, and its squared distance; how many are others
    than before."""
    n, (m, d) = len(labels), centers.shape
    panels = -(-m // LANES)
    packed, distances = np.zeros(panels * d * LANES), np.empty(ROWS * LANES)
    for j in range(m):
        for c in range(d):
            packed[(j // LANES * d + c) * LANES + j % LANES] = centers[j, c]
    changed, best, least = 0, np.empty(ROWS, np.int64), np.empty(ROWS)
    for at in range(0, n, ROWS):
        least[:] = np.inf
        best[:] = 0
        for panel in range(panels):
            square_differences(
                rows, at * d, d, 1, packed, panel * d * LANES, d, distances, 0, LANES
            )
            for r in range(ROWS):
                for lane in range(min(LANES, m - panel * LANES)):
                    if distances[r * LANES + lane] < least[r]:
                        least[r], best[r] = distances[r * LANES + lane], panel * LANES + lane
        for r in range(min(ROWS, n - at)):
            changed += labels[at + r] != best[r]
            labels[at + r], closest[at + r] = best[r], least[r]
    return changed


@kernel
def _lloyd(rows, weights, centers, settled):
    n = len(weights)
    labels, closest, way, moves = np.full(n, -1), np.empty(n), np.inf, 0
    # One call of each in the text: what is called is compiled with the caller at each place.
    while (
        _nearest(rows, centers, labels, closest) > 0 and way > settled and moves < MOST_ITERATIONS
    ):
        way, moves = _move(rows, weights, labels, closest, centers), moves + 1
    return labels


@helper
def _move(rows, weights, labels, closest, centers):
    """Centers (m, d) to the means of their rows, one without rows to the row farthest from its own;
    the squared way of all."""
    n, (m, d) = len(weights), centers.shape
    total, sums, way = np.zeros(m), np.zeros((m, d)), 0.0
    for i in range(n):
        total[labels[i]] += weights[i]
        for c in range(d):
            sums[labels[i], c] += weights[i] * rows[i * d + c]
    for j in range(m):
        far = -1 if total[j] > 0 else _farthest(weights, closest)
        for c in range(d):
            new = sums[j, c] / total[j] if far < 0 else rows[far * d + c]
            way += (new - centers[j, c]) ** 2
            centers[j, c] = new
    return way


@helper
def _farthest(weights, closest):
    """The row of positive weight that is farthest from its center, which is now at one."""
    far = 0
    for i in range(len(weights)):
        if weights[i] > 0 and (closest[i] > closest[far] or weights[far] <= 0):
            far = i
    closest[far] = 0.0
    return far
