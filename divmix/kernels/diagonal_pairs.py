"""Overlap of pairs of components with diagonal covariances, and the gradients of the entropy by them.

The mathematics stands in `components`.
"""

import numpy as np

from divmix.kernels.compile import kernel as compiled
from divmix.kernels.elementary import exp
from divmix.kernels.pair_groups import NEGLIGIBLE, Floats, added, in_groups


class DiagonalPairs:
    """Pairs of components of means (m, d) and variances (m, d)."""

    def __init__(self, means: Floats, variances: Floats) -> None:
        # A copy, as what is broadcast is read-only, which would be a signature of its own.
        self.means, self.variances = means, np.array(variances, order="C")
        self.scales = np.sqrt(self.variances)

    def similarities(self, start: int, stop: int) -> Floats:
        """k (stop - start, m): rows start .. stop."""
        m, d = self.means.shape
        k = np.empty((stop - start, m))

        def visit(first: int, step: int) -> tuple[Floats, ...]:
            _diag_similarities(self.means, self.variances, self.scales, start, first, step, k)
            return ()

        in_groups(visit, stop - start, (stop - start) * m * (d + 10))
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

        return added(in_groups(visit, len(k), k.size * (self.means.shape[1] + 10)))

    def completed(self, by_variances: Floats, totals: Floats) -> Floats:
        """With the sum of c_ij 1/4 S_i^-1."""
        return by_variances + 0.25 * totals[:, None] / self.variances


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
