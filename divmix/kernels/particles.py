"""The O(m^2) update between particles: kernel-weighted drive and repulsion (eq. 8 of the paper)."""

import numpy as np

from divmix.kernels import tiles
from divmix.kernels.chunks import map_in_order
from divmix.kernels.compile import kernel as compiled
from divmix.kernels.elementary import exp
from divmix.kernels.padding import aligned_zeros, padded, round_up
from divmix.kernels.tiles import COLUMN_BLOCK, TILE_ROWS

EXACT_MEDIAN_UP_TO = 512
MEDIAN_PAIRS = 10_000

# Particles on the other side of a tile: 16 rows of values stay in the first-level cache.
BLOCK = 16
# Work, in multiply-adds, is in fixed groups whatever the number of threads: about 8 of them, but
# none so small (1 ms) that starting it counts nor so large (50 ms) that Ctrl-C has to wait.
GROUPS, LEAST_WORK, MOST_WORK = 8, 1 << 23, 1 << 28
# Where padding is put, in bandwidths: exp makes 0 of it, and for "imq" 1e-100 adds no bit.
FAR = 1e100


def direction(
    theta: np.ndarray,
    drive: np.ndarray,
    alpha: float,
    bandwidth: float,
    kernel: str = "rbf",
) -> np.ndarray:
    """phi_i = mean_j [ drive_j k(theta_j, theta_i) + alpha grad_{theta_j} k(theta_j, theta_i) ].

    theta and drive are (m, D); so is the result. k is exp(-s) for "rbf" and (1 + s)^(-1/2) for
    "imq", with s = |theta_j - theta_i|^2 / (2 bandwidth^2).
    """
    if kernel not in ("rbf", "imq"):
        raise ValueError(f"kernel must be 'rbf' or 'imq', not {kernel!r}")
    m, dims = theta.shape
    scaled = (theta - theta.mean(axis=0)) / bandwidth
    repulsion = alpha / bandwidth * scaled
    # With slope = -dk/ds, equal to k for "rbf", the mean over j is that of
    # k drive_j - slope repulsion_j, plus repulsion_i times that of slope.
    shape = round_up(m, TILE_ROWS), round_up(dims, COLUMN_BLOCK)
    positions = padded(scaled, shape)
    positions[m:] = FAR
    if kernel == "rbf":
        values, slopes = padded(drive - repulsion, shape), np.zeros((0, 0))
    else:
        values, slopes = padded(drive, shape), padded(-repulsion, shape)

    n_tiles = shape[0] // TILE_ROWS
    work = shape[0] ** 2 * shape[1]
    groups = min(n_tiles, max(1, min(GROUPS, work // LEAST_WORK), work // MOST_WORK))

    def visit(first: int, step: int):
        pull, sums = np.zeros(shape), np.zeros(shape[0])
        scratch = aligned_zeros(5 * shape[1] + 2 * BLOCK, pull.dtype)
        _visit_tiles(positions, values, slopes, first, step, scratch, pull, sums)
        return pull, sums

    parts = map_in_order(visit, [(group, groups) for group in range(groups)])
    pull, sums = next(parts)
    for part_pull, part_sums in parts:
        pull += part_pull
        sums += part_sums
    repulsion *= sums[:m, None]
    repulsion += pull[:m, :dims]
    return repulsion / m


@compiled
def _visit_tiles(positions, values, slopes, first, step, scratch, pull, sums):
    """Adds to pull and sums what all pairs with one particle in tiles first, first + step, ... do.

    A pair of different tiles is visited once and serves both its sides, as k is symmetric.
    """
    m, d = positions.shape
    imq = len(slopes) > 0
    ones = np.ones((BLOCK, d))
    x, v, g = scratch[:d], scratch[d : 2 * d], scratch[2 * d : 3 * d]
    row_pull, row_sums = scratch[3 * d : 4 * d], scratch[4 * d]
    k = scratch[5 * d : 5 * d + BLOCK]
    slope = scratch[5 * d + BLOCK : 5 * d + 2 * BLOCK] if imq else k
    for start in range(first * TILE_ROWS, m, step * TILE_ROWS):
        tiles.load(positions, start, TILE_ROWS, x)
        tiles.load(values, start, TILE_ROWS, v)
        if imq:
            tiles.load(slopes, start, TILE_ROWS, g)
        row_pull[:] = 0
        row_sums[:] = 0
        for at in range(start, m, BLOCK):
            block = slice(at, at + BLOCK)
            # |a|^2 + |b|^2 - 2 a b would be a tenth faster, and wrong where the bandwidth is far
            # smaller than the spread of the particles.
            tiles.diag_distances(x, ones, -positions[block], k)
            _kernel_values(k, slope, imq, row_sums, sums[block])
            tiles.moments(k, v, d, pull[block], 0)
            if imq:
                tiles.moments(slope, g, d, pull[block], 0)
            if at >= start + TILE_ROWS:
                _add_product(k, values[block], row_pull)
                if imq:
                    _add_product(slope, slopes[block], row_pull)
            elif at == start + TILE_ROWS - BLOCK:
                row_sums[:] = 0  # within the tile each pair came up from both sides
        for i in range(TILE_ROWS):
            sums[start + i] += row_sums[i]
            for c in range(d):
                pull[start + i, c] += row_pull[c, i]


@compiled
def _kernel_values(k, slope, imq, row_sums, sums):
    """From squared distances in k, in place: k, slope = -dk/ds, and the sums of slope."""
    for j in range(len(k)):
        if imq:
            for i in range(TILE_ROWS):
                k[j, i] = 1.0 / np.sqrt(1.0 + 0.5 * k[j, i])
                slope[j, i] = 0.5 * k[j, i] ** 3
        else:
            for i in range(TILE_ROWS):
                k[j, i] = exp(-0.5 * k[j, i])
        total = 0.0
        for i in range(TILE_ROWS):
            total += slope[j, i]
            row_sums[i] += slope[j, i]
        sums[j] += total


@compiled
def _add_product(k, values, out):
    """out (d, 256) += values.T (d, b) @ k (b, 256), in blocks of 4 x 4."""
    for c in range(0, len(out), COLUMN_BLOCK):
        out0, out1, out2, out3 = out[c], out[c + 1], out[c + 2], out[c + 3]
        for j in range(0, len(k), 4):
            k0, k1, k2, k3 = k[j], k[j + 1], k[j + 2], k[j + 3]
            v0, v1, v2, v3 = values[j], values[j + 1], values[j + 2], values[j + 3]
            a0, b0, c0, d0 = v0[c], v1[c], v2[c], v3[c]
            a1, b1, c1, d1 = v0[c + 1], v1[c + 1], v2[c + 1], v3[c + 1]
            a2, b2, c2, d2 = v0[c + 2], v1[c + 2], v2[c + 2], v3[c + 2]
            a3, b3, c3, d3 = v0[c + 3], v1[c + 3], v2[c + 3], v3[c + 3]
            for i in range(TILE_ROWS):
                p, q, r, s = k0[i], k1[i], k2[i], k3[i]
                out0[i] += a0 * p + b0 * q + c0 * r + d0 * s
                out1[i] += a1 * p + b1 * q + c1 * r + d1 * s
                out2[i] += a2 * p + b2 * q + c2 * r + d2 * s
                out3[i] += a3 * p + b3 * q + c3 * r + d3 * s


def median_distance(theta: np.ndarray, generator: np.random.Generator) -> float:
    """Median distance between two different particles of theta (m, D); 1.0 for a single one.

    Exact up to 512 particles, else over 10,000 pairs drawn from `generator`.
    """
    m = len(theta)
    if m == 1:
        return 1.0
    if m <= EXACT_MEDIAN_UP_TO:
        i, j = np.triu_indices(m, 1)
    else:
        i = generator.integers(m, size=MEDIAN_PAIRS)
        j = (i + generator.integers(1, m, size=MEDIAN_PAIRS)) % m
    return float(np.median(np.linalg.norm(theta[i] - theta[j], axis=1)))
