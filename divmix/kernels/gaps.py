"""Rows with missing cells (NaN) under full covariances: distances of what is there, and moments of
the whole rows given it.

With K = S^-1, o the observed and u the missing columns of a row, z = x - mu, a component has

    E[z_u | z_o] = -K_uu^-1 K_uo z_o,  Cov[z_u | z_o] = K_uu^-1,  log|S_oo| = log|S| + log|K_uu|

and z_o' S_oo^-1 z_o = z' K z for the completed z. So what is factorised has the size of the gap.
That is done once for each run of rows that miss the same columns: `by_pattern` makes runs long. Rows
go through in eights, by products of blocks that stay in registers.
"""

import numpy as np
from numpy.typing import NDArray

from divmix.kernels.compile import kernel
from divmix.kernels.padding import padded, round_up, triangle
from divmix.kernels.registers import LANES, ROWS, add_products
from divmix.kernels.tiles import TILE_ROWS

Floats = NDArray[np.float64]

CODES = 1 << 16  # of patterns: numbers of 16 bits are sorted in one pass over the rows


def has_gaps(X: NDArray) -> bool:
    """Whether a cell of X (n, d) is missing: then the sum of all squares is no number."""
    flat = X.reshape(-1)
    return bool(np.isnan(flat @ flat))


def by_pattern(missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """An order (n,) of rows in which those that miss the same columns, (n, d), follow each other.

    Patterns that happen to have one code make shorter runs, no other result.
    """
    codes = missing @ np.random.default_rng(0).random(missing.shape[1])
    return np.argsort((codes % 1 * CODES).astype(np.uint16), kind="stable")


def distances(
    X: Floats, means: Floats, factors: Floats, log_factors: Floats
) -> tuple[Floats, Floats]:
    """Squared Mahalanobis distances of the observed cells, (n, m), and log|S_oo^-1| / 2, (n, m).

    X (n, d), NaN where a cell is missing; factors W (m, d, d), lower triangular, K = W' W, and
    log|W| (m,).
    """
    n, m = len(X), len(means)
    means, factors, precisions = _in_blocks(means, factors)
    # The last rows are written as eight.
    squared, halves = np.empty((m, n + LANES)), np.empty((m, n + LANES))
    repeated = np.repeat(means, LANES, axis=1)
    _distances(X, repeated, factors, precisions, log_factors, squared, halves)
    return squared[:, :n].T, halves[:, :n].T


def moments(
    X: Floats, shares: Floats, scaled: Floats, means: Floats, factors: Floats
) -> tuple[Floats, Floats]:
    """sum_i s_ij E[z | x_i], (m, d), and sum_i s_ij E[z | x_i] E[z | x_i]' + r_ij Cov[z | x_i],
    (m, d, d), for shares r and scaled shares s, (n, m) each; z is x less the component's mean."""
    n, (m, d) = len(X), means.shape
    blocked, _, precisions = _in_blocks(means, factors)
    first, second = np.zeros((m, d)), np.zeros((m, d, d))
    of_shares = padded(shares.T, (round_up(m, ROWS), n))
    of_scaled = of_shares if scaled is shares else padded(scaled.T, of_shares.shape)
    _moments(X, of_shares, of_scaled, blocked, precisions, first, second)
    rows, columns = triangle(d)
    second[:, columns, rows] = second[:, rows, columns]
    return first, second


def completed(X: Floats, shares: Floats, noise: Floats, means: Floats, factors: Floats) -> Floats:
    """X (n, d) with sum_j r_ij (E_j[x_u | x_o] + L_j^-T e_i) in its gaps, K_uu = L_j L_j'.

    shares r (n, m) sum to 1; with noise e (n, d) of zeros that is the conditional mean, with
    standard normal noise and one component to a row a draw from it.
    """
    filled = X.copy()
    means, _, precisions = _in_blocks(means, factors)
    _fill(X, np.ascontiguousarray(shares.T), noise, means, precisions, filled)
    return filled


def _in_blocks(means: Floats, factors: Floats) -> tuple[Floats, Floats, Floats]:
    """Means, factors W and K = W' W, with zeros for columns up to a multiple of eight."""
    m, d = means.shape
    wide = round_up(d, LANES)
    precisions = factors.transpose(0, 2, 1) @ factors
    square = (m, wide, wide)
    return padded(means, (m, wide)), padded(factors, square), padded(precisions, square)


@kernel
def _distances(X, means, factors, precisions, log_factors, squared, halves):
    """As `distances`; means are repeated for eight rows, column by column."""
    m, wide, d = len(means), factors.shape[1], X.shape[1]
    size = wide * LANES
    missing, factor = np.empty(d, np.intp), np.empty((d, d))
    slopes, gathered = np.zeros((wide // LANES, d, LANES)), np.zeros(wide * d)
    whitening, x = np.zeros(wide * wide), np.zeros((TILE_ROWS // LANES, size))
    centred, y, ones = np.zeros(size), np.zeros(size), np.ones(wide)
    total, flat_slopes = np.zeros(ROWS * LANES), slopes.reshape(-1)
    start = 0
    while start < len(X):
        stop = _run(X, start)
        count, tiles = _gaps(X[start], missing), (stop - start + LANES - 1) // LANES
        for tile in range(tiles):
            for lane in range(LANES):
                row = min(start + tile * LANES + lane, stop - 1)
                for k in range(d):
                    x[tile, k * LANES + lane] = 0.0 if np.isnan(X[row, k]) else X[row, k]
        for j in range(m):
            half = log_factors[j]
            half -= 0.5 * _regress(precisions[j], missing, count, factor, slopes)
            _copy(factors[j].reshape(-1), whitening)
            # Rows are 0 where they have gaps, and then less their means: their columns are 0 too.
            for u in range(count):
                for a in range(missing[u], d):
                    gathered[a * d + u] = factors[j, a, missing[u]]
                    whitening[a * wide + missing[u]] = 0.0
                for a in range(missing[u]):
                    gathered[a * d + u] = 0.0
            for a in range(0, d if count else 0, ROWS):
                for c in range(0, wide, LANES):
                    add_products(
                        gathered, a * d, d, 1,
                        flat_slopes, c * d, count,
                        whitening, a * wide + c, wide,
                    )  # fmt: skip
            for tile in range(tiles):
                _subtract(x[tile], means[j], centred)
                _clear(y)
                for a in range(0, d, ROWS):
                    depth = d if count else min(d, a + ROWS)
                    add_products(
                        whitening, a * wide, wide, 1, centred, 0, depth, y, a * LANES, LANES
                    )
                _square(y)
                _clear(total)
                add_products(ones, 0, 0, 1, y, 0, d, total, 0, LANES)
                first = start + tile * LANES
                for lane in range(LANES):
                    squared[j, first + lane] = total[lane]
                    halves[j, first + lane] = half
        start = stop


@kernel
def _moments(X, shares, scaled, means, precisions, first, second):
    """As `moments`; shares (m, n), and zeros up to a multiple of ROWS. Lower triangles are filled.

    Of each run the moments of what is there, for all components at once, and then of the whole.
    """
    (m, d), n = first.shape, len(X)
    missing, there, factor = np.empty(d, np.intp), np.empty(d, np.intp), np.empty((d, d))
    slopes = np.zeros((means.shape[1] // LANES, d, LANES))
    wide = (1 + d + d * (d + 1) // 2 + LANES - 1) // LANES * LANES
    products, sums = np.zeros((wide // LANES, TILE_ROWS, LANES)), np.zeros((len(scaled), wide))
    flat_products, flat_scaled, flat_sums = (
        products.reshape(-1),
        scaled.reshape(-1),
        sums.reshape(-1),
    )
    mean, square = np.zeros(d), np.zeros((d, d))
    dense, by_slopes = np.zeros((d, d)), np.zeros((d, d))
    start = 0
    while start < n:
        stop = _run(X, start)
        count = _gaps(X[start], missing)
        known = _others(missing, count, there, d)
        size = _products(X, start, stop, there, known, products)
        _clear(flat_sums)
        for j in range(0, len(scaled), ROWS):
            for c in range(0, size, LANES):
                add_products(
                    flat_scaled, j * n + start, n, 1,
                    flat_products, c * TILE_ROWS, stop - start,
                    flat_sums, j * wide + c, wide,
                )  # fmt: skip
        for j in range(m):
            _regress(precisions[j], missing, count, factor, slopes)
            _centre(sums[j], means[j], there, known, mean, square)
            for a in range(known):
                first[j, there[a]] += mean[a]
                for b in range(a + 1):
                    second[j, there[a], there[b]] += square[a, b]
            for u in range(count):
                for a in range(known):
                    k = there[a]
                    dense[u, a] = slopes[k // LANES, u, k % LANES]
            _expect(
                dense, count, missing, there, known, mean, square, by_slopes, first[j], second[j]
            )
            mass = 0.0
            for row in range(start, stop):
                mass += shares[j, row]
            _add_inverse(factor, missing, count, mass, second[j])
        start = stop


@kernel
def _others(missing, count, there, d):
    """The columns that are not missing, ascending, at the start of `there`; their number."""
    known, u = 0, 0
    for k in range(d):
        if u < count and missing[u] == k:
            u += 1
        else:
            there[known] = k
            known += 1
    return known


@kernel
def _products(X, start, stop, there, known, products):
    """Of each row 1, the cells that are there and their products, by eights; how many these are."""
    for row in range(start, stop):
        products[0, row - start, 0] = 1.0
    at = 1
    for a in range(known):
        for row in range(start, stop):
            products[at // LANES, row - start, at % LANES] = X[row, there[a]]
        at += 1
    for a in range(known):
        for b in range(a + 1):
            for row in range(start, stop):
                value = X[row, there[a]] * X[row, there[b]]
                products[at // LANES, row - start, at % LANES] = value
            at += 1
    return at


@kernel
def _centre(sums, means, there, known, mean, square):
    """sum s z and sum s z z' of what is there, from sums of s, s x and s x x'; both triangles."""
    mass, at = sums[0], 1 + known
    for a in range(known):
        mean[a] = sums[1 + a] - mass * means[there[a]]
    for a in range(known):
        own = means[there[a]]
        for b in range(a + 1):
            other = means[there[b]]
            value = sums[at] - own * sums[1 + b] - other * mean[a]
            square[a, b] = square[b, a] = value
            at += 1


@kernel
def _expect(slopes, count, missing, there, known, mean, square, by_slopes, first, second):
    """Adds what is expected of the missing columns, and of their products with all others; slopes
    (count, known), by_slopes of that shape."""
    for u in range(count):
        total = 0.0
        for a in range(known):
            total += slopes[u, a] * mean[a]
        first[missing[u]] += total
        for b in range(known):
            total = 0.0
            for a in range(known):
                total += slopes[u, a] * square[b, a]
            by_slopes[u, b] = total
            row, column = max(missing[u], there[b]), min(missing[u], there[b])
            second[row, column] += total
        for v in range(u + 1):
            total = 0.0
            for b in range(known):
                total += slopes[v, b] * by_slopes[u, b]
            second[missing[u], missing[v]] += total


# Loops over whole arrays, which LLVM turns into vector operations; over eight numbers it does not.


@kernel
def _clear(values):
    for at in range(len(values)):
        values[at] = 0.0


@kernel
def _copy(values, out):
    for at in range(len(values)):
        out[at] = values[at]


@kernel
def _subtract(values, others, out):
    for at in range(len(values)):
        out[at] = values[at] - others[at]


@kernel
def _square(values):
    for at in range(len(values)):
        values[at] *= values[at]


@kernel
def _fill(X, shares, noise, means, precisions, filled):
    m, wide = means.shape
    d = X.shape[1]
    missing, factor, slopes = (
        np.empty(d, np.intp),
        np.empty((d, d)),
        np.zeros((wide // LANES, d, LANES)),
    )
    apart = np.empty(d)
    start = 0
    while start < len(X):
        stop = _run(X, start)
        count = _gaps(X[start], missing)
        for row in range(start, stop):
            for u in range(count):
                filled[row, missing[u]] = 0.0
        for j in range(m if count else 0):
            _regress(precisions[j], missing, count, factor, slopes)
            for row in range(start, stop):
                share = shares[j, row]
                if share == 0.0:
                    continue
                for u in range(count - 1, -1, -1):
                    apart[u] = noise[row, missing[u]]
                    for a in range(u + 1, count):
                        apart[u] -= factor[a, u] * apart[a]
                    apart[u] /= factor[u, u]
                for u in range(count):
                    value = means[j, missing[u]] + apart[u]
                    for k in range(d):
                        z = X[row, k] - means[j, k]
                        value += 0.0 if np.isnan(z) else slopes[k // LANES, u, k % LANES] * z
                    filled[row, missing[u]] += share * value
        start = stop


@kernel
def _run(X, start):
    """Where the rows end, a tile at most, that miss the same columns as the one at `start`."""
    stop, most = start + 1, min(start + TILE_ROWS, len(X))
    while stop < most:
        for k in range(X.shape[1]):
            if np.isnan(X[stop, k]) != np.isnan(X[start, k]):
                return stop
        stop += 1
    return stop


@kernel
def _gaps(row, missing):
    """The columns a row misses, ascending, at the start of `missing`; their number."""
    count = 0
    for k in range(len(row)):
        if np.isnan(row[k]):
            missing[count] = k
            count += 1
    return count


@kernel
def _regress(precision, missing, count, factor, slopes):
    """-K_uu^-1 K_uo, 0 for missing columns, in blocks of eight of them, slopes (blocks, d, 8), of
    which `count` rows are filled; and L of K_uu = L L'. Returns log|K_uu|."""
    log_det = 0.0
    for a in range(count):
        own = precision[missing[a]]
        for b in range(a + 1):
            value = own[missing[b]]
            for c in range(b):
                value -= factor[a, c] * factor[b, c]
            if b < a:
                factor[a, b] = value / factor[b, b]
            else:
                factor[a, a] = np.sqrt(value)
                log_det += np.log(value)
        for c in range(len(slopes)):
            for lane in range(LANES):
                slopes[c, a, lane] = -own[c * LANES + lane]
        for b in range(count):
            slopes[missing[b] // LANES, a, missing[b] % LANES] = 0.0
    for a in range(count):
        for b in range(a):
            _add_row(slopes, a, -factor[a, b], b)
        _scale_row(slopes, a, 1.0 / factor[a, a])
    for a in range(count - 1, -1, -1):
        for b in range(a + 1, count):
            _add_row(slopes, a, -factor[b, a], b)
        _scale_row(slopes, a, 1.0 / factor[a, a])
    return log_det


@kernel
def _add_row(slopes, a, weight, b):
    for c in range(len(slopes)):
        for lane in range(LANES):
            slopes[c, a, lane] += weight * slopes[c, b, lane]


@kernel
def _scale_row(slopes, a, weight):
    for c in range(len(slopes)):
        for lane in range(LANES):
            slopes[c, a, lane] *= weight


@kernel
def _add_inverse(factor, missing, count, mass, second):
    """second_uu += mass K_uu^-1, in the lower triangle; `factor` becomes its inverse."""
    for a in range(count):
        for b in range(a):
            value = 0.0
            for c in range(b, a):
                value -= factor[a, c] * factor[c, b]
            factor[a, b] = value / factor[a, a]
        factor[a, a] = 1.0 / factor[a, a]
    for a in range(count):
        for b in range(a + 1):
            value = 0.0
            for c in range(a, count):
                value += factor[c, a] * factor[c, b]
            second[missing[a], missing[b]] += mass * value
