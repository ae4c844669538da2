"""One visit to the rows: log-densities, log-sum-exp, responsibilities and moments, fused.

Rows go through in tiles of 256, transposed so that rows lie along the SIMD axis; no array of
rows x components ever exists.
"""

import numpy as np

from divmix.kernels.chunks import TILE_ROWS, map_in_order, row_chunks
from divmix.kernels.compile import kernel
from divmix.kernels.sums import Sums

_GAUSSIAN = np.zeros(0)  # stands for "no degrees of freedom": one signature for both families


def diag(X, row_weights, offsets, means, scales, dof) -> Sums:
    """Sums over all rows for diagonal covariances; dof None means Gaussian."""
    return _visit(_diag_chunk, X, row_weights, offsets, means, scales, dof, means.shape)


def full(X, row_weights, offsets, means, factors, dof) -> Sums:
    """Sums over all rows for full covariances; dof None means Gaussian."""
    sums = _visit(_full_chunk, X, row_weights, offsets, means, factors, dof, factors.shape)
    return sums


def _visit(chunk_kernel, X, row_weights, offsets, means, scales, dof, second_shape) -> Sums:
    n, d = X.shape
    m = len(offsets)
    dof = _GAUSSIAN if dof is None else dof

    def task(start: int, stop: int) -> Sums:
        mass, scaled_mass, log_scale = np.zeros(m), np.zeros(m), np.zeros(m)
        first, second = np.zeros((m, d)), np.zeros(second_shape)
        log_likelihood = chunk_kernel(
            X[start:stop], row_weights[start:stop], offsets, means, scales, dof,
            mass, scaled_mass, first, second, log_scale,
        )  # fmt: skip
        return Sums(log_likelihood, mass, scaled_mass, first, second, log_scale)

    work_per_row = m * (d + 8) if len(second_shape) == 2 else m * (d * d + 8)
    parts = map_in_order(task, row_chunks(n, work_per_row))
    total = next(parts)
    for part in parts:
        total = total + part
    return total


@kernel
def _diag_chunk(X, w, offsets, means, scales, dof, mass, scaled_mass, first, second, log_scale):
    n, d = X.shape
    m = len(offsets)
    x = np.zeros((d, TILE_ROWS))
    resp = np.zeros((m, TILE_ROWS))
    maha = np.zeros((m, TILE_ROWS))
    total = 0.0
    for start in range(0, n, TILE_ROWS):
        rows = min(TILE_ROWS, n - start)
        _load(X, start, rows, x)
        for j in range(m):
            for i in range(TILE_ROWS):
                maha[j, i] = 0.0
            for k in range(d):
                for i in range(TILE_ROWS):
                    y = (x[k, i] - means[j, k]) * scales[j, k]
                    maha[j, i] += y * y
        total += _responsibilities(maha, offsets, dof, d, w, start, rows, resp, mass,
                                   scaled_mass, log_scale)  # fmt: skip
        for j in range(m):
            for k in range(d):
                s1 = 0.0
                s2 = 0.0
                for i in range(TILE_ROWS):
                    a = resp[j, i] * x[k, i]
                    s1 += a
                    s2 += a * x[k, i]
                first[j, k] += s1
                second[j, k] += s2
    return total


@kernel
def _full_chunk(X, w, offsets, means, factors, dof, mass, scaled_mass, first, second, log_scale):
    n, d = X.shape
    m = len(offsets)
    x = np.zeros((d, TILE_ROWS))
    resp = np.zeros((m, TILE_ROWS))
    maha = np.zeros((m, TILE_ROWS))
    y = np.zeros(TILE_ROWS)
    total = 0.0
    for start in range(0, n, TILE_ROWS):
        rows = min(TILE_ROWS, n - start)
        _load(X, start, rows, x)
        for j in range(m):
            for i in range(TILE_ROWS):
                maha[j, i] = 0.0
            for k in range(d):
                for i in range(TILE_ROWS):
                    y[i] = 0.0
                for l in range(k + 1):
                    for i in range(TILE_ROWS):
                        y[i] += (x[l, i] - means[j, l]) * factors[j, k, l]
                for i in range(TILE_ROWS):
                    maha[j, i] += y[i] * y[i]
        total += _responsibilities(maha, offsets, dof, d, w, start, rows, resp, mass,
                                   scaled_mass, log_scale)  # fmt: skip
        for j in range(m):
            for k in range(d):
                s1 = 0.0
                for i in range(TILE_ROWS):
                    y[i] = resp[j, i] * x[k, i]
                    s1 += y[i]
                first[j, k] += s1
                for l in range(k + 1):
                    s2 = 0.0
                    for i in range(TILE_ROWS):
                        s2 += y[i] * x[l, i]
                    second[j, k, l] += s2
                    if l < k:
                        second[j, l, k] += s2
    return total


@kernel
def _load(X, start, rows, x):
    """Rows start .. start + rows of X, transposed; what is left of the tile becomes zero."""
    for k in range(X.shape[1]):
        for i in range(rows):
            x[k, i] = X[start + i, k]
        for i in range(rows, TILE_ROWS):
            x[k, i] = 0.0


@kernel
def _responsibilities(maha, offsets, dof, d, w, start, rows, resp, mass, scaled_mass, log_scale):
    """Weighted responsibilities w r u of a tile from Mahalanobis distances; its log-likelihood."""
    m = len(offsets)
    student = len(dof) > 0
    total = 0.0
    for j in range(m):
        for i in range(rows):
            if student:
                power = 0.5 * (dof[j] + d)
                resp[j, i] = offsets[j] - power * np.log1p(maha[j, i] / dof[j])
            else:
                resp[j, i] = offsets[j] - 0.5 * maha[j, i]
    for i in range(rows):
        peak = -1e300
        for j in range(m):
            peak = max(peak, resp[j, i])
        norm = 0.0
        for j in range(m):
            resp[j, i] = np.exp(resp[j, i] - peak)
            norm += resp[j, i]
        if w[start + i] > 0.0:
            total += w[start + i] * (peak + np.log(norm))
        share = w[start + i] / norm if norm > 0.0 else 0.0
        for j in range(m):
            resp[j, i] *= share
    for j in range(m):
        for i in range(rows, TILE_ROWS):
            resp[j, i] = 0.0
        for i in range(rows):
            mass[j] += resp[j, i]
            u = 1.0
            if student:
                u = (dof[j] + d) / (dof[j] + maha[j, i])
                log_scale[j] += resp[j, i] * (np.log(u) - u)
            else:
                log_scale[j] -= resp[j, i]
            resp[j, i] *= u
            scaled_mass[j] += resp[j, i]
    return total
