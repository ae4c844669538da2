"""Rows with missing cells (NaN) under full covariances: distances of what is there, and moments of
the whole rows given it.

With K = S^-1, o the observed and u the missing columns of a row, z = x - mu, a component has

    E[z_u | z_o] = -K_uu^-1 K_uo z_o,  Cov[z_u | z_o] = K_uu^-1,  log|S_oo| = log|S| + log|K_uu|

and z_o' S_oo^-1 z_o = z' K z for the completed z. So what is factorised has the size of the gap.
That is done once for each run of rows that miss the same columns: `by_pattern` makes runs long. All
components go through it side by side, along the last axis of arrays (..., m), which LLVM turns into
vector operations. Rows go through in eights, by products of blocks that stay in registers.
"""

import numpy as np
from numpy.typing import NDArray

from divmix.kernels.compile import helper, kernel
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
    # The last rows are written as eight.
    squared, halves = np.empty((m, n + LANES)), np.empty((m, n + LANES))
    _distances(X, *_side_by_side(means, factors), log_factors, squared, halves)
    return squared[:, :n].T, halves[:, :n].T


def moments(
    X: Floats, shares: Floats, scaled: Floats, means: Floats, factors: Floats
) -> tuple[Floats, Floats]:
    """sum_i s_ij E[z | x_i], (m, d), and sum_i s_ij E[z | x_i] E[z | x_i]' + r_ij Cov[z | x_i],
    (m, d, d), for shares r and scaled shares s, (n, m) each; z is x less the component's mean."""
    n, (m, d) = len(X), means.shape
    beside, _, precisions = _side_by_side(means, factors)
    first, second = np.zeros((d, m)), np.zeros((d, d, m))
    of_scaled = scaled.T if m % ROWS == 0 else padded(scaled.T, (round_up(m, ROWS), n))
    of_scaled = np.ascontiguousarray(of_scaled)
    # Without scales the mass is a sum that is there.
    of_shares = of_scaled[:0] if scaled is shares else np.ascontiguousarray(shares.T)
    _moments(X, of_shares, of_scaled, beside, precisions, first, second)
    rows, columns = triangle(d)
    second[columns, rows] = second[rows, columns]
    return np.ascontiguousarray(first.T), np.ascontiguousarray(second.transpose(2, 0, 1))


def completed(X: Floats, shares: Floats, noise: Floats, means: Floats, factors: Floats) -> Floats:
    """X (n, d) with sum_j r_ij (E_j[x_u | x_o] + L_j^-T e_i) in its gaps, K_uu = L_j L_j'.

    shares r (n, m) sum to 1; with noise e (n, d) of zeros that is the conditional mean, with
    standard normal noise and one component to a row a draw from it.
    """
    filled = X.copy()
    beside, _, precisions = _side_by_side(means, factors)
    _fill(X, np.ascontiguousarray(shares.T), noise, beside, precisions, filled)
    return filled


def _side_by_side(means: Floats, factors: Floats) -> tuple[Floats, Floats, Floats]:
    """Means (d, m), factors W, their rows up to a multiple of ROWS, and K = W' W, (d, d, m)."""
    m, d = means.shape
    precisions = factors.transpose(0, 2, 1) @ factors
    beside = padded(factors.transpose(1, 2, 0), (round_up(d, ROWS), d, m))
    return (
        np.ascontiguousarray(means.T),
        beside,
        np.ascontiguousarray(precisions.transpose(1, 2, 0)),
    )


@kernel
def _distances(X, means, factors, precisions, log_factors, squared, halves):
    """As `distances`."""
    (d, m), wide = means.shape, len(factors)
    missing, there = np.empty(d, np.intp), np.empty(d, np.intp)
    factor, slopes, half = np.empty((d, d, m)), np.empty((d, d, m)), np.empty(m)
    whitening, x = np.zeros((wide, d, m)), np.zeros((TILE_ROWS // LANES, wide * LANES))
    shifts, ones = np.zeros((wide, m)), np.ones(max(wide, LANES))
    centred, y, total = np.zeros(wide * LANES), np.zeros(wide * LANES), np.zeros(ROWS * LANES)
    flat, flat_shifts = whitening.reshape(-1), shifts.reshape(-1)
    start = 0
    while start < len(X):
        stop = _run(X, start)
        count, tiles = _gaps(X[start], missing), (stop - start + LANES - 1) // LANES
        known = _others(missing, count, there, d)
        for tile in range(tiles):
            for lane in range(LANES):
                row = min(start + tile * LANES + lane, stop - 1)
                for k in range(known):
                    x[tile, k * LANES + lane] = X[row, there[k]]
        _regress(precisions, missing, count, there, known, factor, slopes, half)
        for j in range(m):
            half[j] = log_factors[j] - 0.5 * half[j]
        for k in range(known):
            for j in range(m):
                shifts[k, j] = -means[there[k], j]
        for a in range(d):
            for k in range(known):
                _copy(factors[a, there[k]], whitening[a, k])
                for u in range(count):
                    if missing[u] <= a:  # beyond the diagonal there is nothing
                        _add(factors[a, missing[u]], slopes[u, k], whitening[a, k])
        for j in range(m):
            for tile in range(tiles):
                _copy(x[tile], centred)
                for k in range(0, known, ROWS):
                    add_products(
                        flat_shifts, k * m + j, m, 1, ones, 0, 1, centred, k * LANES, LANES
                    )
                _clear(y)
                for a in range(0, d, ROWS):
                    depth = known if count else min(d, a + ROWS)
                    add_products(
                        flat, a * d * m + j, d * m, m, centred, 0, depth, y, a * LANES, LANES
                    )
                _square(y)
                _clear(total)
                add_products(ones, 0, 0, 1, y, 0, d, total, 0, LANES)
                first = start + tile * LANES
                for lane in range(LANES):
                    squared[j, first + lane] = total[lane]
            for row in range(start, stop):
                halves[j, row] = half[j]
        start = stop


@kernel
def _moments(X, shares, scaled, means, precisions, first, second):
    """As `moments`; shares (m, n), none where they are the scaled ones, which go with zeros up to a
    multiple of ROWS; first (d, m), second (d, d, m), of which lower triangles are filled.

    Of each run the moments of what is there, and then of the whole.
    """
    (d, m), n = means.shape, len(X)
    missing, there = np.empty(d, np.intp), np.empty(d, np.intp)
    factor, slopes, mass = np.empty((d, d, m)), np.empty((d, d, m)), np.empty(m)
    size = 1 + d + d * (d + 1) // 2
    wide = (size + LANES - 1) // LANES * LANES
    products, of_rows = np.zeros((wide // LANES, TILE_ROWS, LANES)), np.zeros((len(scaled), wide))
    flat_products, flat_scaled, flat_sums = (
        products.reshape(-1),
        scaled.reshape(-1),
        of_rows.reshape(-1),
    )
    sums, mean, square = np.empty((size, m)), np.empty((d, m)), np.empty((d, d, m))
    start = 0
    while start < n:
        stop = _run(X, start)
        count = _gaps(X[start], missing)
        known = _others(missing, count, there, d)
        used = _products(X, start, stop, there, known, products)
        _clear(flat_sums)
        for j in range(0, len(scaled), ROWS):
            for c in range(0, used, LANES):
                add_products(
                    flat_scaled, j * n + start, n, 1,
                    flat_products, c * TILE_ROWS, stop - start,
                    flat_sums, j * wide + c, wide,
                )  # fmt: skip
        for at in range(used):
            for j in range(m):
                sums[at, j] = of_rows[j, at]
        _centre(sums, means, there, known, mean, square)
        for a in range(known):
            _sum(mean[a], first[there[a]])
            for b in range(a + 1):
                _sum(square[a, b], second[there[a], there[b]])
        if count:
            _regress(precisions, missing, count, there, known, factor, slopes, mass)
            _expect(slopes, count, missing, there, known, mean, square, first, second)
            _copy(sums[0], mass)
            for j in range(len(shares)):
                mass[j] = 0.0
                for row in range(start, stop):
                    mass[j] += shares[j, row]
            _add_inverse(factor, missing, count, mass, second)
        start = stop


@helper
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


@helper
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


@helper
def _centre(sums, means, there, known, mean, square):
    """sum s z and sum s z z' of what is there, from sums of s, s x and s x x'; both triangles."""
    at = 1 + known
    for a in range(known):
        _copy(sums[1 + a], mean[a])
        _take(sums[0], means[there[a]], mean[a])
        for b in range(a + 1):
            _copy(sums[at], square[a, b])
            _take(means[there[a]], sums[1 + b], square[a, b])
            _take(means[there[b]], mean[a], square[a, b])
            if b < a:
                _copy(square[a, b], square[b, a])
            at += 1


@helper
def _expect(slopes, count, missing, there, known, mean, square, first, second):
    """Adds what is expected of the missing columns, and of their products with all others; slopes
    (count, known, m)."""
    by_slopes = np.empty_like(mean)
    for u in range(count):
        for a in range(known):
            _add(slopes[u, a], mean[a], first[missing[u]])
        for b in range(known):
            _clear(by_slopes[b])
            for a in range(known):
                _add(slopes[u, a], square[b, a], by_slopes[b])
            row, column = max(missing[u], there[b]), min(missing[u], there[b])
            _sum(by_slopes[b], second[row, column])
        for v in range(u + 1):
            for b in range(known):
                _add(slopes[v, b], by_slopes[b], second[missing[u], missing[v]])


# Loops over whole arrays, which LLVM turns into vector operations; over eight numbers it does not.


@helper
def _clear(values):
    for at in range(len(values)):
        values[at] = 0.0


@helper
def _copy(values, out):
    for at in range(len(out)):
        out[at] = values[at]


@helper
def _sum(values, out):
    for at in range(len(out)):
        out[at] += values[at]


@helper
def _add(one, other, out):
    for at in range(len(out)):
        out[at] += one[at] * other[at]


@helper
def _take(one, other, out):
    for at in range(len(out)):
        out[at] -= one[at] * other[at]


@helper
def _divide(values, out):
    for at in range(len(out)):
        out[at] /= values[at]


@helper
def _square(values):
    for at in range(len(values)):
        values[at] *= values[at]


@kernel
def _fill(X, shares, noise, means, precisions, filled):
    d, m = means.shape
    missing, there = np.empty(d, np.intp), np.empty(d, np.intp)
    factor, slopes, log_dets = np.empty((d, d, m)), np.empty((d, d, m)), np.empty(m)
    apart = np.empty(d)
    start = 0
    while start < len(X):
        stop = _run(X, start)
        count = _gaps(X[start], missing)
        known = _others(missing, count, there, d)
        _regress(precisions, missing, count, there, known, factor, slopes, log_dets)
        for row in range(start, stop):
            for u in range(count):
                filled[row, missing[u]] = 0.0
            for j in range(m if count else 0):
                share = shares[j, row]
                if share == 0.0:
                    continue
                for u in range(count - 1, -1, -1):
                    apart[u] = noise[row, missing[u]]
                    for a in range(u + 1, count):
                        apart[u] -= factor[a, u, j] * apart[a]
                    apart[u] /= factor[u, u, j]
                for u in range(count):
                    value = means[missing[u], j] + apart[u]
                    for k in range(known):
                        value += slopes[u, k, j] * (X[row, there[k]] - means[there[k], j])
                    filled[row, missing[u]] += share * value
        start = stop


@helper
def _run(X, start):
    """Where the rows end, a tile at most, that miss the same columns as the one at `start`."""
    stop, most = start + 1, min(start + TILE_ROWS, len(X))
    while stop < most:
        for k in range(X.shape[1]):
            if np.isnan(X[stop, k]) != np.isnan(X[start, k]):
                return stop
        stop += 1
    return stop


@helper
def _gaps(row, missing):
    """The columns a row misses, ascending, at the start of `missing`; their number."""
    count = 0
    for k in range(len(row)):
        if np.isnan(row[k]):
            missing[count] = k
            count += 1
    return count


@helper
def _regress(precisions, missing, count, there, known, factor, slopes, log_dets):
    """-K_uu^-1 K_uo, slopes (count, known, m), L of K_uu = L L', and log|K_uu|."""
    _clear(log_dets)
    for a in range(count):
        for b in range(a + 1):
            own = factor[a, b]
            _copy(precisions[missing[a], missing[b]], own)
            for c in range(b):
                _take(factor[a, c], factor[b, c], own)
            if b < a:
                _divide(factor[b, b], own)
            else:
                for j in range(len(own)):
                    log_dets[j] += np.log(own[j])
                    own[j] = np.sqrt(own[j])
        for k in range(known):
            own = slopes[a, k]
            for j in range(len(own)):
                own[j] = -precisions[missing[a], there[k], j]
            for b in range(a):
                _take(factor[a, b], slopes[b, k], own)
            _divide(factor[a, a], own)
    for a in range(count - 1, -1, -1):
        for k in range(known):
            for b in range(a + 1, count):
                _take(factor[b, a], slopes[b, k], slopes[a, k])
            _divide(factor[a, a], slopes[a, k])


@helper
def _add_inverse(factor, missing, count, mass, second):
    """second_uu += mass K_uu^-1, in the lower triangle; `factor` becomes its inverse."""
    product = np.empty_like(mass)
    for a in range(count):
        for b in range(a):
            _clear(product)
            for c in range(b, a):
                _take(factor[a, c], factor[c, b], product)
            _divide(factor[a, a], product)
            _copy(product, factor[a, b])
        for j in range(len(mass)):
            factor[a, a, j] = 1.0 / factor[a, a, j]
    for a in range(count):
        for b in range(a + 1):
            _clear(product)
            for c in range(a, count):
                _add(factor[c, a], factor[c, b], product)
            _add(mass, product, second[missing[a], missing[b]])
