"""The O(m^2) step between particles: drive, repulsion and entropy in one pass over all pairs.

Particles theta (m, D) with kernel k of bandwidth h, s = |theta_j - theta_i|^2 / (2 h^2):

    "rbf"  k = exp(-s),          "imq"  k = (1 + s)^(-1/2)

What a particle gets from all others (eq. 8 of Wang and Liu 2019), and the particle estimate of the
entropy, up to a constant (Leinster and Cobbold 2012: exp(H) is an effective number):

    pull_i = sum_j [ drive_j k(theta_j, theta_i) + alpha grad_{theta_j} k(theta_j, theta_i) ]
    H = -sum_i w_i log q_i,    q_i = sum_j w_j k(theta_i, theta_j)

Pairs come in tiles small enough for the first-level cache; a pair of tiles is visited once and
serves both its sides, as k is symmetric. Which tiles a group of work has depends on the shape of
the problem only, and groups are added in order: the same bits at any number of threads.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.kernels.chunks import map_in_order
from divmix.kernels.compile import helper
from divmix.kernels.compile import kernel as compiled
from divmix.kernels.elementary import exp
from divmix.kernels.padding import round_up
from divmix.kernels.registers import LANES, ROWS, add_products, square_differences

Floats = NDArray[np.float64]

EXACT_MEDIAN_UP_TO = 512
MEDIAN_PAIRS = 10_000

LARGEST_TILE = 64  # its similarities take 32 KiB, a usual first-level cache
# Work, in multiply-adds, is in fixed groups whatever the number of threads: about 8 of them, but
# none so small (1 ms) that starting it counts nor so large (50 ms) that Ctrl-C has to wait.
GROUPS, LEAST_WORK, MOST_WORK = 8, 1 << 23, 1 << 28
# Where padding is put, in bandwidths: exp makes 0 of it, and for "imq" 1e-100 adds no bit.
FAR = 1e100
# Up to this largest |theta_i|^2 / (2 h^2), about the mean, s = |a|^2 + |b|^2 - 2 a b is right to
# 1e-12 and takes half the operations; beyond, differences are squared.
REACH_OF_PRODUCTS = 1000.0

PLAIN, WEIGHTED, SLOPE, UNUSED = range(4)  # rows of sums: k_ij, w_j k_ij, -dk/ds


class Pairs(NamedTuple):
    """Sums over all pairs (i, j), the pair of a particle with itself included."""

    pull: Floats  # (m, D) sum_j [drive_j k_ij + alpha grad_{theta_j} k(theta_j, theta_i)]
    row_sums: Floats  # (m,) sum_j k_ij
    weighted: Floats  # (m,) q_i = sum_j w_j k_ij
    entropy: float  # -sum_i w_i log q_i, nats


def pairs(
    theta: Floats,
    drive: Floats | None,
    weights: Floats,
    alpha: float,
    bandwidth: float,
    kernel: str = "rbf",
) -> Pairs:
    """What particles theta (m, D) of weights (m,), sum 1, get from `drive` (m, D) and repulsion.

    Without a drive there is no pull: (m, 0). The published direction is pull / m; the authors'
    programs have pull / row_sums.
    """
    if kernel not in ("rbf", "imq"):
        raise ValueError(f"kernel must be 'rbf' or 'imq', not {kernel!r}")
    theta = np.ascontiguousarray(theta, np.float64)
    weights = np.ascontiguousarray(weights, np.float64)
    drive = np.empty((len(theta), 0)) if drive is None else np.ascontiguousarray(drive, np.float64)
    m, dims = theta.shape
    columns = drive.shape[1]
    n_tiles = -(-m // LARGEST_TILE)
    tile = round_up(-(-m // n_tiles), LANES)
    rows, imq = n_tiles * tile, kernel == "imq"
    packed = _pack(theta, drive, alpha, bandwidth, imq, rows)
    padded_weights = np.zeros(rows)
    padded_weights[:m] = weights

    work = rows**2 * (dims + 2 * columns) // 2
    groups = min(n_tiles, max(1, min(GROUPS, work // LEAST_WORK), work // MOST_WORK))

    def visit(first: int, step: int) -> tuple[Floats, Floats]:
        return _visit_tiles(*packed, padded_weights, dims, imq, tile, first, step)

    if groups == 1:
        pull, sums = visit(0, 1)
    else:
        parts = map_in_order(visit, [(group, groups) for group in range(groups)])
        pull, sums = next(parts)
        for part_pull, part_sums in parts:
            pull += part_pull
            sums += part_sums
    slopes = sums[SLOPE if imq else PLAIN]
    return Pairs(*_unpack(theta, columns, weights, alpha, bandwidth, pull, sums, slopes))


def direction(
    theta: Floats, drive: Floats, alpha: float, bandwidth: float, kernel: str = "rbf"
) -> Floats:
    """phi_i = mean_j [ drive_j k(theta_j, theta_i) + alpha grad_{theta_j} k(theta_j, theta_i) ].

    theta and drive are (m, D); so is the result.
    """
    m = len(theta)
    return pairs(theta, drive, np.full(m, 1 / m), alpha, bandwidth, kernel).pull / m


def entropy(theta: Floats, weights: Floats, bandwidth: float, kernel: str = "rbf") -> float:
    """H = -sum_i w_i log sum_j w_j k(theta_i, theta_j), nats, of theta (m, D), weights (m,)."""
    return pairs(theta, None, weights, 0.0, bandwidth, kernel).entropy


@helper
def _centred(theta, scale):
    """scale (theta - mean)."""
    m, dims = theta.shape
    result = np.empty((m, dims))
    for c in range(dims):
        mean = 0.0
        for i in range(m):
            mean += theta[i, c]
        mean /= m
        for i in range(m):
            result[i, c] = scale * (theta[i, c] - mean)
    return result


@compiled
def _pack(theta, drive, alpha, bandwidth, imq, rows):
    """Positions, -2 positions, their squared lengths, and values: flat, padded, in panels of 8.

    Positions are panels (rows / 8, D, 8), scaled so that s is a squared distance; the two arrays
    after it are empty where s has to come from differences. Values are panels
    (columns / 8, rows, 8). With slope = -dk/ds, equal to k for "rbf", the pull is the sum over j
    of k drive_j - slope repulsion_j, plus repulsion_i times that of slope; so values hold
    drive - repulsion for "rbf", and for "imq" drive, and after it -repulsion.
    """
    m, dims = theta.shape
    columns = drive.shape[1]
    scaled = _centred(theta, np.sqrt(0.5) / bandwidth)
    positions, lengths = np.full(rows * dims, FAR), np.full(rows, FAR * FAR * dims)
    near = True
    for i in range(m):
        at, length = i // LANES * LANES * dims + i % LANES, 0.0
        for c in range(dims):
            positions[at + LANES * c] = scaled[i, c]
            length += scaled[i, c] ** 2
        lengths[i] = length
        near = near and length <= REACH_OF_PRODUCTS
    size = -(-columns // LANES) * LANES * rows
    values = np.zeros(2 * size if imq else size)
    second = size if imq else 0
    strength = alpha * np.sqrt(2.0) / bandwidth
    for i in range(m):
        for c in range(columns):
            at = c // LANES * LANES * rows + LANES * i + c % LANES
            values[at] = drive[i, c]
            values[second + at] -= strength * scaled[i, c]
    doubled = -2.0 * positions if near else np.zeros(0)
    return positions, doubled, lengths if near else np.zeros(0), values


@compiled
def _visit_tiles(positions, doubled, lengths, values, weights, dims, imq, tile, first, step):
    """pull, in panels as values, and sums (4, rows), of tiles first, first + step, ... with later.

    A pair of different tiles is visited once, for both its sides.
    """
    rows = len(weights)
    size = len(values) // 2 if imq else len(values)
    pull, sums = np.zeros(size), np.zeros((4, rows))
    k = np.empty(tile * tile)
    slope = np.empty(tile * tile) if imq else k
    for a in range(first * tile, rows, step * tile):
        for b in range(a, rows, tile):
            if len(doubled) > 0:
                _products_to_distances(positions, doubled, lengths, dims, tile, a, b, k)
            else:
                _distances(positions, dims, tile, a, b, k)
            _kernel_values(k, slope, imq)
            _add_sums(k, weights, tile, a, b, sums[PLAIN], sums[WEIGHTED])
            _add_pull(k, values[:size], rows, tile, a, b, pull)
            if imq:
                _add_sums(slope, weights, tile, a, b, sums[SLOPE], sums[UNUSED])
                _add_pull(slope, values[size:], rows, tile, a, b, pull)
    return pull, sums


@helper
def _distances(positions, dims, tile, a, b, s):
    """s (tile, tile) between particles b + j, in rows, and a + i, in columns, by differences."""
    for i in range(0, tile, LANES):
        for j in range(0, tile, ROWS):
            left = (b + j) // LANES * LANES * dims + j % LANES
            square_differences(
                positions, left, 1, LANES, positions, (a + i) * dims, dims, s, j * tile + i, tile
            )


@helper
def _products_to_distances(positions, doubled, lengths, dims, tile, a, b, s):
    """As `_distances`, by |a|^2 + |b|^2 - 2 a b, which rounding can leave just below 0."""
    for j in range(tile):
        for i in range(tile):
            s[j * tile + i] = lengths[b + j] + lengths[a + i]
    for i in range(0, tile, LANES):
        for j in range(0, tile, ROWS):
            left = (b + j) // LANES * LANES * dims + j % LANES
            add_products(
                doubled, left, 1, LANES, positions, (a + i) * dims, dims, s, j * tile + i, tile
            )


@helper
def _kernel_values(k, slope, imq):
    """From s in k, in place: k, and slope = -dk/ds, which for "rbf" is the same array."""
    if imq:
        for at in range(len(k)):
            s = k[at]
            k[at] = 1.0 / np.sqrt(1.0 + (0.0 if s < 0.0 else s))
            slope[at] = 0.5 * k[at] ** 3
    else:
        # four quarters side by side: one chain of operations alone leaves the processor waiting
        b = len(k) // 4
        c, d = 2 * b, 3 * b
        for at in range(b):
            s, t, u, v = k[at], k[at + b], k[at + c], k[at + d]
            # not max(s, 0), which would make 0 of NaN
            k[at], k[at + b] = exp(0.0 if s < 0.0 else -s), exp(0.0 if t < 0.0 else -t)
            k[at + c], k[at + d] = exp(0.0 if u < 0.0 else -u), exp(0.0 if v < 0.0 else -v)


@helper
def _add_sums(k, weights, tile, a, b, plain, weighted):
    """Adds sums of k and of weights k to both sides of a tile; to one where they are the same."""
    plain_a, weighted_a = plain[a : a + tile], weighted[a : a + tile]
    weights_a = weights[a : a + tile]
    for j in range(tile):
        row, weight = k[j * tile : j * tile + tile], weights[b + j]
        total = share = 0.0
        for i in range(tile):
            total += row[i]
            share += weights_a[i] * row[i]
        if a != b:
            for i in range(tile):
                plain_a[i] += row[i]
                weighted_a[i] += weight * row[i]
        plain[b + j] += total
        weighted[b + j] += share


@helper
def _add_pull(k, values, rows, tile, a, b, pull):
    """Adds k values to pull, for both sides of a tile; for one where they are the same."""
    for panel in range(0, len(values), LANES * rows):
        from_a, from_b = panel + LANES * a, panel + LANES * b
        for j in range(0, tile, ROWS):
            add_products(
                k, j * tile, tile, 1, values, from_a, tile, pull, from_b + LANES * j, LANES
            )
        if a != b:
            for i in range(0, tile, ROWS):
                add_products(k, i, 1, tile, values, from_b, tile, pull, from_a + LANES * i, LANES)


@compiled
def _unpack(theta, columns, weights, alpha, bandwidth, pull, sums, slopes):
    """pull (m, columns), complete; row sums, q and H."""
    m = len(theta)
    rows = sums.shape[1]
    result = np.empty((m, columns))
    scaled = _centred(theta, alpha / bandwidth**2)
    for i in range(m):
        for c in range(columns):
            at = c // LANES * LANES * rows + LANES * i + c % LANES
            result[i, c] = pull[at] + scaled[i, c] * slopes[i]
    entropy = 0.0
    for i in range(m):
        # a particle of weight 0 that is far from all others has q = 0
        if weights[i] > 0:
            entropy -= weights[i] * np.log(sums[WEIGHTED, i])
    return result, sums[PLAIN, :m].copy(), sums[WEIGHTED, :m].copy(), entropy


def median_distance(theta: Floats, generator: np.random.Generator) -> float:
    """Median distance between two different particles of theta (m, D); 1.0 for a single one.

    Exact up to 512 particles, else over 10,000 pairs drawn from `generator`.
    """
    if len(theta) == 1:
        return 1.0
    # of roots, not the root of the median: that of an even count is the mean of two
    return _median(np.sqrt(_squared_distances(theta, generator, include_self=False)))


def median_squared_distance(
    theta: Floats, generator: np.random.Generator, include_self: bool = True
) -> float:
    """Median of |theta_i - theta_j|^2 over all m^2 pairs of theta (m, D), or those with i != j.

    With each particle's pair with itself it is the rule of the authors' programs, for
    k = exp(-|a - b|^2 / h). Exact up to 512 particles, else over 10,000 pairs from `generator`.
    """
    return _median(_squared_distances(theta, generator, include_self))


def _squared_distances(theta: Floats, generator: np.random.Generator, include_self: bool) -> Floats:
    """|theta_i - theta_j|^2 of all pairs, or of a sample; of i != j each pair once."""
    m = len(theta)
    if m <= EXACT_MEDIAN_UP_TO:
        i, j = _exact_pairs(m, include_self)
    else:
        i = generator.integers(m, size=MEDIAN_PAIRS)
        apart = generator.integers(0 if include_self else 1, m, size=MEDIAN_PAIRS)
        j = (i + apart) % m
    return ((theta[i] - theta[j]) ** 2).sum(axis=1)


@functools.lru_cache(maxsize=8)
def _exact_pairs(m: int, include_self: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not include_self:
        return np.triu_indices(m, 1)
    i, j = np.indices((m, m)).reshape(2, -1)
    return i, j


def _median(values: Floats) -> float:
    """As NumPy's, in a third of its time for the few pairs of few particles."""
    ordered = np.sort(values)
    n = len(ordered)
    return float(0.5 * (ordered[(n - 1) // 2] + ordered[n // 2]))
