"""What happens to one tile of rows: distances, responsibilities, moments.

A tile holds 256 rows with rows along the SIMD axis: x (d, 256), one array (m, 256) for each
quantity of rows and components. Loops over rows are innermost and work on blocks of 4 components
x 2 or 4 columns, so that a loaded value is used several times (16 multiply-adds for 6 loads).
Hence components come padded to a multiple of 4 (offset -inf, so responsibility 0) and columns to
a multiple of 2 or 4 (zeros).
"""

import numpy as np

from divmix.kernels.compile import helper
from divmix.kernels.elementary import exp, log1p

TILE_ROWS = 256
COMPONENT_BLOCK = 4
COLUMN_BLOCK = 4


@helper
def load(X, start, rows, x):
    """x (columns, 256) = rows start .. start + rows of X, transposed; the rest of x stays."""
    for k in range(X.shape[1]):
        for i in range(rows):
            x[k, i] = X[start + i, k]


@helper
def diag_distances(x, slopes, shifts, maha):
    """maha[j] = sum_k (slopes[j, k] x[k] + shifts[j, k])^2."""
    for j in range(0, len(maha), COMPONENT_BLOCK):
        maha[j : j + COMPONENT_BLOCK] = 0
        m0, m1, m2, m3 = maha[j], maha[j + 1], maha[j + 2], maha[j + 3]
        for k in range(0, len(x), 2):
            xa, xb = x[k], x[k + 1]
            a0, a1, a2, a3 = slopes[j, k], slopes[j + 1, k], slopes[j + 2, k], slopes[j + 3, k]
            b0, b1, b2, b3 = shifts[j, k], shifts[j + 1, k], shifts[j + 2, k], shifts[j + 3, k]
            l = k + 1  # noqa: E741
            c0, c1, c2, c3 = slopes[j, l], slopes[j + 1, l], slopes[j + 2, l], slopes[j + 3, l]
            d0, d1, d2, d3 = shifts[j, l], shifts[j + 1, l], shifts[j + 2, l], shifts[j + 3, l]
            for i in range(TILE_ROWS):
                u, v = xa[i], xb[i]
                m0[i] += (u * a0 + b0) ** 2 + (v * c0 + d0) ** 2
                m1[i] += (u * a1 + b1) ** 2 + (v * c1 + d1) ** 2
                m2[i] += (u * a2 + b2) ** 2 + (v * c2 + d2) ** 2
                m3[i] += (u * a3 + b3) ** 2 + (v * c3 + d3) ** 2


@helper
def full_distances(x, factors, shifts, y, maha):
    """maha[j] = |y|^2 with y = factors[j] x + shifts[j], factors[j] lower triangular."""
    for j in range(len(factors)):
        w, s, total = factors[j], shifts[j], maha[j]
        for i in range(TILE_ROWS):
            total[i] = 0
        for k in range(0, len(x), 4):
            y0, y1, y2, y3 = y[0], y[1], y[2], y[3]
            for l in range(0, k, 4):  # noqa: E741
                _add_block(x, w, k, l, y0, y1, y2, y3)
            # On the diagonal the block is a triangle, and y is not needed any more.
            xa, xb, xc, xd = x[k], x[k + 1], x[k + 2], x[k + 3]
            s0, s1, s2, s3 = s[k], s[k + 1], s[k + 2], s[k + 3]
            a0, a1, a2, a3 = w[k, k], w[k + 1, k], w[k + 2, k], w[k + 3, k]
            b1, b2, b3 = w[k + 1, k + 1], w[k + 2, k + 1], w[k + 3, k + 1]
            c2, c3, d3 = w[k + 2, k + 2], w[k + 3, k + 2], w[k + 3, k + 3]
            for i in range(TILE_ROWS):
                u, v, p, q = s0, s1, s2, s3
                if k > 0:
                    u, v, p, q = u + y0[i], v + y1[i], p + y2[i], q + y3[i]
                a, b, c = xa[i], xb[i], xc[i]
                u += a * a0
                v += a * a1 + b * b1
                p += a * a2 + b * b2 + c * c2
                q += a * a3 + b * b3 + c * c3 + xd[i] * d3
                total[i] += u * u + v * v + p * p + q * q


@helper
def _add_block(x, w, k, l, y0, y1, y2, y3):  # noqa: E741
    """y = w[k : k + 4, l : l + 4] x[l : l + 4], added to what is there but for l = 0."""
    xa, xb, xc, xd = x[l], x[l + 1], x[l + 2], x[l + 3]
    a0, b0, c0, d0 = w[k, l], w[k, l + 1], w[k, l + 2], w[k, l + 3]
    a1, b1, c1, d1 = w[k + 1, l], w[k + 1, l + 1], w[k + 1, l + 2], w[k + 1, l + 3]
    a2, b2, c2, d2 = w[k + 2, l], w[k + 2, l + 1], w[k + 2, l + 2], w[k + 2, l + 3]
    a3, b3, c3, d3 = w[k + 3, l], w[k + 3, l + 1], w[k + 3, l + 2], w[k + 3, l + 3]
    if l == 0:
        for i in range(TILE_ROWS):
            y0[i] = y1[i] = y2[i] = y3[i] = 0
    for i in range(TILE_ROWS):
        y0[i] += xa[i] * a0 + xb[i] * b0 + xc[i] * c0 + xd[i] * d0
        y1[i] += xa[i] * a1 + xb[i] * b1 + xc[i] * c1 + xd[i] * d1
        y2[i] += xa[i] * a2 + xb[i] * b2 + xc[i] * c2 + xd[i] * d2
        y3[i] += xa[i] * a3 + xb[i] * b3 + xc[i] * c3 + xd[i] * d3


@helper
def gaussian_log_densities(maha, offsets, peak):
    """In place of maha: log p; peak becomes the largest of each row."""
    half = maha.dtype.type(0.5)
    for j in range(len(maha)):
        for i in range(TILE_ROWS):
            value = offsets[j] - half * maha[j, i]
            maha[j, i] = value
            peak[i] = value if value > peak[i] else peak[i]


@helper
def student_log_densities(maha, offsets, dof, d, peak, logs, shrink):
    """In place of maha: log p; with logs = log1p(maha / dof) and shrink = u."""
    one = maha.dtype.type(1)
    for j in range(len(maha)):
        power, ratio = (dof[j] + d) * maha.dtype.type(0.5), (dof[j] + d) / dof[j]
        inverse = one / dof[j]
        for i in range(TILE_ROWS):
            scaled = maha[j, i] * inverse
            logs[j, i] = log1p(scaled)
            shrink[j, i] = ratio / (one + scaled)
        for i in range(TILE_ROWS):
            value = offsets[j] - power * logs[j, i]
            maha[j, i] = value
            peak[i] = value if value > peak[i] else peak[i]


@helper
def exponentiate(log_density, peak, norm):
    """In place of log p: p / exp(peak); norm becomes its sum over components."""
    for i in range(TILE_ROWS):
        norm[i] = 0
    for j in range(len(log_density)):
        for i in range(TILE_ROWS):
            value = exp(log_density[j, i] - peak[i])
            log_density[j, i] = value
            norm[i] += value


@helper
def share_out(w, start, rows, peak, norm, share):
    """share = w / norm, which makes responsibilities of densities; the tile's log-likelihood.

    A row infinitely far from all components has norm 0: it belongs to none, its log-likelihood
    is -inf. Rows past the end of the tile, and rows of weight 0, count nothing.
    """
    zero, one = peak.dtype.type(0), peak.dtype.type(1)
    for i in range(TILE_ROWS):
        share[i] = zero
    for i in range(rows):
        share[i] = w[start + i] / norm[i] if norm[i] > zero else zero
    for i in range(TILE_ROWS):
        # norm >= 1 unless it is 0: the largest density is 1
        peak[i] = peak[i] + log1p(norm[i] - one) if norm[i] > zero else -np.inf
    total = 0.0
    for i in range(rows):
        total += w[start + i] * np.float64(peak[i]) if w[start + i] > 0 else 0.0
    return total


@helper
def gaussian_masses(density, share, sums):
    """Adds the tile to sums[:, :3]: mass, scaled mass, log scale (u = 1)."""
    for j in range(len(density)):
        mass = share.dtype.type(0)
        for i in range(TILE_ROWS):
            mass += density[j, i] * share[i]
        sums[j, 0] += mass
        sums[j, 1] += mass
        sums[j, 2] -= mass


@helper
def student_masses(density, share, dof, d, logs, shrink, sums):
    """As `gaussian_masses`, with u = shrink; density becomes density u."""
    for j in range(len(density)):
        log_ratio = np.log((dof[j] + d) / dof[j])
        mass = scaled = log_scale = share.dtype.type(0)
        for i in range(TILE_ROWS):
            r = density[j, i] * share[i]
            mass += r
            scaled += r * shrink[j, i]
            log_scale += r * (log_ratio - logs[j, i] - shrink[j, i])
            density[j, i] *= shrink[j, i]
        sums[j, 0] += mass
        sums[j, 1] += scaled
        sums[j, 2] += log_scale


@helper
def moments(density, columns, count, out, at):
    """out[:, at : at + count] += density @ columns[:count].T, in float64; count in blocks of 4."""
    zero = columns.dtype.type(0)
    for j in range(0, len(density), COMPONENT_BLOCK):
        r0, r1, r2, r3 = density[j], density[j + 1], density[j + 2], density[j + 3]
        for k in range(0, count, COLUMN_BLOCK):
            xa, xb, xc, xd = columns[k], columns[k + 1], columns[k + 2], columns[k + 3]
            a0 = b0 = c0 = d0 = a1 = b1 = c1 = d1 = zero
            a2 = b2 = c2 = d2 = a3 = b3 = c3 = d3 = zero
            for i in range(TILE_ROWS):
                a, b, c, d = xa[i], xb[i], xc[i], xd[i]
                r = r0[i]
                a0, b0, c0, d0 = a0 + r * a, b0 + r * b, c0 + r * c, d0 + r * d
                r = r1[i]
                a1, b1, c1, d1 = a1 + r * a, b1 + r * b, c1 + r * c, d1 + r * d
                r = r2[i]
                a2, b2, c2, d2 = a2 + r * a, b2 + r * b, c2 + r * c, d2 + r * d
                r = r3[i]
                a3, b3, c3, d3 = a3 + r * a, b3 + r * b, c3 + r * c, d3 + r * d
            _add_row(out[j], at + k, a0, b0, c0, d0)
            _add_row(out[j + 1], at + k, a1, b1, c1, d1)
            _add_row(out[j + 2], at + k, a2, b2, c2, d2)
            _add_row(out[j + 3], at + k, a3, b3, c3, d3)


@helper
def _add_row(out, at, a, b, c, d):
    out[at] += a
    out[at + 1] += b
    out[at + 2] += c
    out[at + 3] += d
