"""The O(m^2) step between Gaussian components: their overlap, its entropy, the entropy's gradient.

Components N(mu_i, S_i) of weights w_i, with the Bhattacharyya or probability product kernel
k_ij = integral sqrt(p_i p_j) (Jebara, Kondor and Howard 2004), which has no unit and no bandwidth:

    log k = 1/4 (log|S_i| + log|S_j|) - 1/2 log|S| - 1/8 u' S^-1 u,  S = (S_i + S_j) / 2
    H = -sum_i w_i log q_i,  q_i = sum_j w_j k_ij,  u = mu_i - mu_j

0 <= H <= log m, and exp(H) is the effective number of components. A Student-t has no such closed
form: it takes that of its location and scale. With c_ij = -(w_i w_j / q_i + w_i w_j / q_j) k_ij,
symmetric, the exact gradients are

    dH/dw_i = -log q_i - sum_l w_l k_li / q_l
    dH/dmu_i = sum_j c_ij dlog k_ij/dmu_i,  dlog k/dmu_i = -1/4 S^-1 u
    dH/dS_i = sum_j c_ij dlog k_ij/dS_i,  dlog k/dS_i = 1/4 S_i^-1 - 1/4 S^-1 + 1/16 S^-1 u u' S^-1

A spherical covariance is a diagonal one of equal entries; a tied one makes unit variances of the
coordinates L^-1 mu, S = L L'. So there are two kernels over pairs: diagonal and full.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.kernels.chunks import map_in_order
from divmix.kernels.compile import kernel as compiled
from divmix.kernels.elementary import exp
from divmix.kernels.matrices import inverse_factors, with_inverses
from divmix.kernels.registers import WIDE, subtract_lane_products

Floats = NDArray[np.float64]

# Similarities of all pairs are kept up to this many components (128 MiB); with more, a strip of
# rows of that size is made at a time, and made again for the gradient.
KEPT_UP_TO = 4096
# Fixed groups of rows whatever the number of threads; work is about 1 ns a unit.
GROUPS, LEAST_WORK = 8, 1 << 20
# Pairs that overlap less are left out of the gradients: H itself is not known to 1e-17.
NEGLIGIBLE = 1e-40
TINY = np.finfo(np.float64).tiny


class Gradient(NamedTuple):
    """Derivatives of H, each of the shape of what it is taken by."""

    weights: Floats  # (m,) as if weights were free: sum to 1 is the caller's business
    means: Floats  # (m, d)
    covariances: Floats  # spherical (m,), diag (m, d), tied (1, d, d), full (m, d, d)


class Overlap(NamedTuple):
    """Sums over all pairs (i, j), the pair of a component with itself included: k_ii = 1."""

    entropy: float  # H, nats
    weighted: Floats  # (m,) q_i = sum_j w_j k_ij
    row_sums: Floats  # (m,) sum_j k_ij
    shared: Floats  # (m, P) sum_j k_ij V_j
    gradient: Gradient | None


def overlap(
    means: Floats,
    covariances: Floats,
    weights: Floats,
    values: Floats | None = None,
    gradient: bool = True,
    factor: Floats | None = None,
) -> Overlap:
    """Entropy of components, shared `values` V (m, P), and the gradient of the entropy if wanted.

    means (m, d); covariances spherical (m,), diag (m, d), tied (1, d, d) or full (m, d, d);
    weights (m,), 0 allowed, sum 1. factor (m, m), symmetric and 1 on the diagonal, multiplies k:
    the overlap in columns that are independent of these; gradients are those with it.
    """
    means, covariances, weights = (
        np.ascontiguousarray(array, np.float64) for array in (means, covariances, weights)
    )
    values = np.zeros((len(means), 0)) if values is None else values
    if covariances.ndim < 3:
        variances = np.broadcast_to(covariances.reshape(len(means), -1), means.shape)
        result = _all_pairs(_Diagonal(means, variances), weights, values, gradient, factor)
        if covariances.ndim == 1 and result.gradient is not None:
            return _replaced(result, covariances=result.gradient.covariances.sum(axis=1))
        return result
    if len(covariances) == 1:
        return _tied(means, covariances[0], weights, values, gradient, factor)
    return _all_pairs(_Full(means, covariances), weights, values, gradient, factor)


def _tied(
    means: Floats,
    covariance: Floats,
    weights: Floats,
    values: Floats,
    gradient: bool,
    factor: Floats | None,
) -> Overlap:
    """`overlap` in coordinates y = L^-1 mu, where all covariances are the identity.

    With G = dH/dy: dH/dmu = G L^-1, and as dlog k/dS = 1/8 S^-1 u u' S^-1, summed over pairs,
    dH/dS = -1/2 L^-T y' G L^-1.
    """
    inverse = np.linalg.inv(np.linalg.cholesky(covariance))
    y = (means - means.mean(axis=0)) @ inverse.T
    result = _all_pairs(_Diagonal(y, np.ones_like(y)), weights, values, gradient, factor)
    if result.gradient is None:
        return result
    by_y = result.gradient.means
    by_covariance = -0.5 * inverse.T @ (y.T @ by_y) @ inverse
    by_covariance = 0.5 * (by_covariance + by_covariance.T)
    return _replaced(result, means=by_y @ inverse, covariances=by_covariance[None])


def _replaced(result: Overlap, **parts: Floats) -> Overlap:
    assert result.gradient is not None
    return result._replace(gradient=result.gradient._replace(**parts))


def _all_pairs(
    shape: "_Diagonal | _Full",
    weights: Floats,
    values: Floats,
    gradient: bool,
    factor: Floats | None,
) -> Overlap:
    m = len(weights)
    height = m if m <= KEPT_UP_TO else max(1, KEPT_UP_TO**2 // m)
    strips = [(start, min(start + height, m)) for start in range(0, m, height)]
    row_sums, weighted, shared = np.empty(m), np.empty(m), np.empty((m, values.shape[1]))

    def similarities(start: int, stop: int) -> Floats:
        k = shape.similarities(start, stop)
        return k if factor is None else k * factor[start:stop]

    for start, stop in strips:
        k = similarities(start, stop)
        row_sums[start:stop], weighted[start:stop] = _row_sums(k, weights)
        if values.size:
            shared[start:stop] = k @ values
    entropy, log_weighted, ratio = _entropy(weights, weighted)
    result = Overlap(entropy, weighted, row_sums, shared, None)
    if not gradient:
        return result

    parts = []
    for start, stop in strips:
        if len(strips) > 1:
            k = similarities(start, stop)
        parts.append(shape.gradients(k, start, weights, ratio))
    by_weights, by_means, by_covariances, totals = _added(parts)
    by_weights -= log_weighted + ratio  # k_ii = 1
    by_covariances = shape.completed(by_covariances, totals)
    return result._replace(gradient=Gradient(by_weights, by_means, by_covariances))


def _added(parts: list[tuple[Floats, ...]]) -> tuple[Floats, ...]:
    """Sums over parts, one at least, of each of their arrays."""
    return parts[0] if len(parts) == 1 else tuple(sum(part[1:], part[0]) for part in zip(*parts))


def _in_groups(
    visit: Callable[[int, int], tuple[Floats, ...]], rows: int, work: int
) -> list[tuple[Floats, ...]]:
    """visit(first, step), which takes rows first, first + step, ..., of all groups, in order."""
    groups = max(1, min(GROUPS, rows, work // LEAST_WORK))
    if groups == 1:
        return [visit(0, 1)]
    return list(map_in_order(visit, [(group, groups) for group in range(groups)]))


class _Diagonal:
    """Pairs of components of means (m, d) and variances (m, d)."""

    def __init__(self, means: Floats, variances: Floats) -> None:
        self.means, self.variances = means, np.ascontiguousarray(variances)
        self.scales = np.sqrt(self.variances)

    def similarities(self, start: int, stop: int) -> Floats:
        """k (stop - start, m): rows start .. stop."""
        m, d = self.means.shape
        k = np.empty((stop - start, m))

        def visit(first: int, step: int) -> tuple[Floats, ...]:
            _diag_similarities(self.means, self.variances, self.scales, start, first, step, k)
            return ()

        _in_groups(visit, stop - start, (stop - start) * m * (d + 10))
        return k

    def gradients(
        self, k: Floats, start: int, weights: Floats, ratio: Floats
    ) -> tuple[Floats, ...]:
        """By weights (m,) but for j = i, by means (m, d), by variances (m, d) but for 1/4 S_i^-1, and
        sum_j c_ij (m,)."""

        def visit(first: int, step: int) -> tuple[Floats, ...]:
            return _diag_gradients(
                self.means, self.variances, k, start, weights, ratio, first, step
            )

        return _added(_in_groups(visit, len(k), k.size * (self.means.shape[1] + 10)))

    def completed(self, by_variances: Floats, totals: Floats) -> Floats:
        """With the sum of c_ij 1/4 S_i^-1."""
        return by_variances + 0.25 * totals[:, None] / self.variances


class _Full:
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

        _in_groups(visit, stop - start, (stop - start) * m * (d**3 // 20 + d**2 + 10))
        return k

    def gradients(
        self, k: Floats, start: int, weights: Floats, ratio: Floats
    ) -> tuple[Floats, ...]:
        """As `_Diagonal.gradients`, covariances packed."""
        d = self.means.shape[1]

        def visit(first: int, step: int) -> tuple[Floats, ...]:
            return _full_gradients(self.means, self.packed, k, start, weights, ratio, first, step)

        return _added(_in_groups(visit, len(k), k.size * (d**3 // 10 + d**2 + 10)))

    def completed(self, by_packed: Floats, totals: Floats) -> Floats:
        """With the sum of c_ij 1/4 S_i^-1, and both triangles."""
        return with_inverses(by_packed, 0.25 * totals, self.inverse_factors)


@compiled
def _row_sums(k, weights):
    """sum_j k_ij and sum_j w_j k_ij of each row."""
    plain, weighted = np.empty(len(k)), np.empty(len(k))
    for i in range(len(k)):
        row, total, own = k[i], 0.0, 0.0
        for j in range(len(row)):
            total += row[j]
            own += weights[j] * row[j]
        plain[i], weighted[i] = total, own
    return plain, weighted


@compiled
def _entropy(weights, weighted):
    """H, and of each component log q and w / q; q is 0 for weight 0, far from all others."""
    entropy, logs, ratio = 0.0, np.empty(len(weights)), np.empty(len(weights))
    for i in range(len(weights)):
        q = max(weighted[i], TINY)
        logs[i], ratio[i] = np.log(q), weights[i] / q
        entropy -= weights[i] * logs[i]
    return entropy, logs, ratio


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
def _diag_similarities(means, variances, scales, start, first, step, k):
    """Rows first, first + step, ... of k, whose row 0 is component `start`.

    |S| / sqrt(|S_i| |S_j|) is a product of 1 + (a - b)^2 / (2 a b), a and b standard deviations:
    nothing cancels, and log k is never above 0. One logarithm serves 16 columns.
    """
    m, d = means.shape
    whole = len(k) == m
    for row in range(first, len(k), step):
        i = start + row
        for j in range(i if whole else 0, m):
            log_k = 0.0
            for at in range(0, d, 16):
                product, maha = 1.0, 0.0
                for c in range(at, min(at + 16, d)):
                    u, a, b = means[i, c] - means[j, c], scales[i, c], scales[j, c]
                    maha += u * u / (variances[i, c] + variances[j, c])
                    product *= 1.0 + 0.5 * (a - b) ** 2 / (a * b)
                log_k -= 0.25 * maha + 0.5 * np.log(product)
            value = exp(log_k)
            k[row, j] = value
            if whole:
                k[j, i] = value


@compiled
def _diag_gradients(means, variances, k, start, weights, ratio, first, step):
    """Gradients by weights, means and variances, and totals of c, of pairs (i, j > i), i in the rows."""
    m, d = means.shape
    by_weights, by_means, by_variances = np.zeros(m), np.zeros((m, d)), np.zeros((m, d))
    totals = np.zeros(m)
    for row in range(first, len(k), step):
        i = start + row
        for j in range(i + 1, m):
            by_weights[i] -= ratio[j] * k[row, j]
            by_weights[j] -= ratio[i] * k[row, j]
            c = -(ratio[i] * weights[j] + weights[i] * ratio[j]) * k[row, j]
            if c == 0.0 or k[row, j] < NEGLIGIBLE:
                continue
            totals[i] += c
            totals[j] += c
            mean_i, mean_j, variance_i, variance_j = means[i], means[j], variances[i], variances[j]
            by_mean_i, by_mean_j = by_means[i], by_means[j]
            by_variance_i, by_variance_j = by_variances[i], by_variances[j]
            for l in range(d):  # noqa: E741
                inverse = 2.0 / (variance_i[l] + variance_j[l])
                v = (mean_i[l] - mean_j[l]) * inverse
                by_mean_i[l] -= 0.25 * c * v
                by_mean_j[l] += 0.25 * c * v
                by_variance = c * (0.0625 * v * v - 0.25 * inverse)
                by_variance_i[l] += by_variance
                by_variance_j[l] += by_variance
    return by_weights, by_means, by_variances, totals


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


@compiled
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


@compiled
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


@compiled
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


@compiled
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
