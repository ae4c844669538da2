"""Overlap of pairs of components with full covariances, and the gradients of the entropy by them.

The mathematics stands in `components`. 16 pairs go side by side, each in a lane.
"""

import numpy as np

from divmix.kernels.compile import helper
from divmix.kernels.compile import kernel as compiled
from divmix.kernels.elementary import exp
from divmix.kernels.matrices import inverse_factors, with_inverses
from divmix.kernels.pair_groups import NEGLIGIBLE, Floats, added, in_groups
from divmix.kernels.registers import WIDE, subtract_lane_products


class FullPairs:
    """Pairs of components of means (m, d) and covariances (m, d, d)."""

    def __init__(self, means: Floats, covariances: Floats) -> None:
        self.means, self.covariances = means, covariances
        self.packed = _packed(covariances)
        self.inverse_factors, self.half_logs, _ = inverse_factors(covariances)

    def similarities(self, start: int, stop: int) -> Floats:
        """k (stop - start, m): rows start .. stop."""
        m, d = self.means.shape
        k = np.empty((stop - start, m))

        def visit(first: int, step: int) -> tuple[Floats, ...]:
            _full_similarities(self.means, self.packed, self.half_logs, start, first, step, k)
            return ()

        in_groups(visit, stop - start, (stop - start) * m * (d**3 // 20 + d**2 + 10))
        return k

    def gradients(
        self, k: Floats, start: int, weights: Floats, ratio: Floats
    ) -> tuple[Floats, ...]:
        """As `DiagonalPairs.gradients`, covariances packed."""
        d = self.means.shape[1]

        def visit(first: int, step: int) -> tuple[Floats, ...]:
            return _full_gradients(self.means, self.packed, k, start, weights, ratio, first, step)

        return added(in_groups(visit, len(k), k.size * (d**3 // 10 + d**2 + 10)))

    def completed(self, by_packed: Floats, totals: Floats) -> Floats:
        """With the sum of c_ij 1/4 S_i^-1, and both triangles."""
        return with_inverses(by_packed, 0.25 * totals, self.inverse_factors)


@compiled
def _packed(matrices):
    """Lower triangles packed by rows, (m, d (d + 1) / 2), of matrices (m, d, d)."""
    m, d = matrices.shape[:2]
    result = np.empty((m, d * (d + 1) // 2))
    for j in range(m):
        at = 0
        for a in range(d):
            for b in range(a + 1):
                result[j, at] = matrices[j, a, b]
                at += 1
    return result


@compiled
def _full_similarities(means, packed, half_logs, start, first, step, k):
    """As `_diag_similarities`, of lower triangles packed by rows (m, d (d + 1) / 2).

    half_logs (m,) is 1/2 log|S_i|. 16 pairs go side by side.
    """
    m, d = means.shape
    whole = len(k) == m
    factor, z = np.empty(WIDE * packed.shape[1]), np.empty(WIDE * d)
    inverse_diagonal, log_k = np.empty(WIDE * d), np.empty(WIDE)
    ones, others = np.zeros(WIDE, np.intp), np.zeros(WIDE, np.intp)
    row, j = first, first + 1 if whole else 0
    while row < len(k):
        count = 0
        while row < len(k) and count < WIDE:
            if j < m:
                ones[count], others[count] = start + row, j
                count, j = count + 1, j + 1
            else:
                row += step
                j = row + 1 if whole else 0
        _factorise(means, packed, ones, others, factor, inverse_diagonal, z)
        _log_similarities(factor, z, half_logs, ones, others, log_k)
        for lane in range(WIDE):
            log_k[lane] = exp(log_k[lane])
        for lane in range(count):
            k[ones[lane] - start, others[lane]] = log_k[lane]
            if whole:
                k[others[lane], ones[lane]] = log_k[lane]
    for row in range(first, len(k), step):
        k[row, start + row] = 1.0


@helper
def _factorise(means, packed, ones, others, factor, inverse_diagonal, z):
    """Of S = (S_i + S_j) / 2 for each pair i, j: L, 1 / its diagonal, and z = L^-1 (mu_i - mu_j).

    Arrays are flat with 16 lanes innermost, L a triangle packed by rows.
    """
    d, size = means.shape[1], packed.shape[1]
    for lane in range(WIDE):
        i, j = ones[lane], others[lane]
        for at in range(size):
            factor[at * WIDE + lane] = 0.5 * (packed[i, at] + packed[j, at])
        for r in range(d):
            z[r * WIDE + lane] = means[i, r] - means[j, r]
    for r in range(d):
        start = r * (r + 1) // 2 * WIDE
        for c in range(r + 1):
            at, column = start + c * WIDE, c * (c + 1) // 2 * WIDE
            subtract_lane_products(factor, start, factor, column, c, factor, at)
            if c < r:
                for lane in range(WIDE):
                    factor[at + lane] *= inverse_diagonal[c * WIDE + lane]
            else:
                for lane in range(WIDE):
                    factor[at + lane] = np.sqrt(factor[at + lane])
                    inverse_diagonal[r * WIDE + lane] = 1.0 / factor[at + lane]
        subtract_lane_products(factor, start, z, 0, r, z, r * WIDE)
        for lane in range(WIDE):
            z[r * WIDE + lane] *= inverse_diagonal[r * WIDE + lane]


@helper
def _log_similarities(factor, z, half_logs, ones, others, log_k):
    """log k of each lane; one logarithm serves 8 columns. Rounding must not raise k above 1."""
    d = len(z) // WIDE
    product = np.ones(WIDE)
    for lane in range(WIDE):
        log_k[lane] = 0.5 * (half_logs[ones[lane]] + half_logs[others[lane]])
    for r in range(d):
        diagonal = (r * (r + 1) // 2 + r) * WIDE
        for lane in range(WIDE):
            product[lane] *= factor[diagonal + lane]
            log_k[lane] -= 0.125 * z[r * WIDE + lane] ** 2
        if r % 8 == 7 or r == d - 1:
            for lane in range(WIDE):
                log_k[lane] -= np.log(product[lane])
                product[lane] = 1.0
    for lane in range(WIDE):
        log_k[lane] = min(log_k[lane], 0.0)


@compiled
def _full_gradients(means, packed, k, start, weights, ratio, first, step):
    """As `_diag_gradients`; by covariances packed like them. Pairs of no weight are left out."""
    m, d = means.shape
    size = packed.shape[1]
    by_weights, by_means, by_packed = np.zeros(m), np.zeros((m, d)), np.zeros((m, size))
    totals = np.zeros(m)
    factor, inverse = np.empty(WIDE * size), np.empty(WIDE * size)
    product, inverse_diagonal = np.empty(WIDE * size), np.empty(WIDE * d)
    z, v = np.empty(WIDE * d), np.empty(WIDE * d)
    ones, others = np.zeros(WIDE, np.intp), np.zeros(WIDE, np.intp)
    pair_weights = np.empty(WIDE)
    row, j = first, start + first + 1
    while row < len(k):
        count = 0
        while row < len(k) and count < WIDE:
            i = start + row
            if j >= m:
                row += step
                j = start + row + 1
                continue
            by_weights[i] -= ratio[j] * k[row, j]
            by_weights[j] -= ratio[i] * k[row, j]
            c = -(ratio[i] * weights[j] + weights[i] * ratio[j]) * k[row, j]
            if c != 0.0 and k[row, j] >= NEGLIGIBLE:
                ones[count], others[count], pair_weights[count] = i, j, c
                totals[i] += c
                totals[j] += c
                count += 1
            j += 1
        if count > 0:
            _factorise(means, packed, ones, others, factor, inverse_diagonal, z)
            _invert(factor, inverse_diagonal, z, inverse, product, v)
            pair_weights[count:] = 0.0
            _add_pairs(product, v, pair_weights, ones, others, count, by_means, by_packed)
    return by_weights, by_means, by_packed, totals


@helper
def _invert(factor, inverse_diagonal, z, inverse, product, v):
    """From L and z = L^-1 u: -S^-1 = -L^-T L^-1, a triangle packed by rows, and v = -S^-1 u.

    inverse is L^-1 packed by columns, so that every sum runs through neighbours.
    """
    d = len(z) // WIDE
    inverse[:], product[:], v[:] = 0, 0, 0
    for c in range(d):
        column = (c * d - c * (c - 1) // 2) * WIDE  # of element (c, c)
        for lane in range(WIDE):
            inverse[column + lane] = inverse_diagonal[c * WIDE + lane]
        for r in range(c + 1, d):
            at, row = column + (r - c) * WIDE, (r * (r + 1) // 2 + c) * WIDE
            subtract_lane_products(factor, row, inverse, column, r - c, inverse, at)
            for lane in range(WIDE):
                inverse[at + lane] *= inverse_diagonal[r * WIDE + lane]
        subtract_lane_products(inverse, column, z, c * WIDE, d - c, v, c * WIDE)
        for b in range(c + 1):
            other = (b * d - b * (b - 1) // 2 + c - b) * WIDE  # of element (c, b)
            at = (c * (c + 1) // 2 + b) * WIDE
            subtract_lane_products(inverse, column, inverse, other, d - c, product, at)


@helper
def _add_pairs(product, v, pair_weights, ones, others, count, by_means, by_packed):
    """Adds c dlog k to both components of each of `count` pairs; product and v are overwritten."""
    d = len(v) // WIDE
    for r in range(d):
        for s in range(r + 1):
            at = (r * (r + 1) // 2 + s) * WIDE
            for lane in range(WIDE):
                outer = v[r * WIDE + lane] * v[s * WIDE + lane]
                value = 0.0625 * outer + 0.25 * product[at + lane]
                product[at + lane] = pair_weights[lane] * value
    for at in range(d * WIDE):
        v[at] *= 0.25 * pair_weights[at % WIDE]
    for lane in range(count):
        i, j = ones[lane], others[lane]
        for r in range(d):
            by_means[i, r] += v[r * WIDE + lane]
            by_means[j, r] -= v[r * WIDE + lane]
        for at in range(by_packed.shape[1]):
            by_packed[i, at] += product[at * WIDE + lane]
            by_packed[j, at] += product[at * WIDE + lane]
