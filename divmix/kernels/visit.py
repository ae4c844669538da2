"""One visit to the rows: log-densities, log-sum-exp, responsibilities and moments, fused.

Rows go through tile by tile, so no array of rows x components ever exists. Kernels take padded
arrays in the precision of the tile (see `tiles`) and add in float64.
"""

from collections.abc import Callable

import numpy as np

from divmix.kernels import tiles
from divmix.kernels.chunks import map_in_order, row_chunks
from divmix.kernels.compile import helper, kernel
from divmix.kernels.padding import aligned_zeros, round_up
from divmix.kernels.sums import Sums
from divmix.kernels.tiles import COLUMN_BLOCK, COMPONENT_BLOCK, TILE_ROWS

# Float32 tiles hold x, not x - mean, so a variance loses about 6e-8 times the square of x in units
# of the spread: 6e-5 at worst. Components that are further out or flatter get float64 tiles.
LARGEST_RATIO_32 = 32.0

AT_ONCE = 16  # products of two columns that are made before their moments are taken
NO_DOF = np.zeros(0)  # so that both families have one signature to compile
N_MASSES = 3  # sums of a component begin with mass, scaled mass, log scale


def diag(X, row_weights, offsets, means, scales, dof=None) -> Sums:
    """Sums over all rows for diagonal covariances; without dof, Gaussian."""
    m, d = means.shape
    base, *parameters = _diag_parameters(offsets, NO_DOF if dof is None else dof, means, scales)
    d_padded = parameters[-1].shape[1]
    tile_type = _tile_type(X, lambda: np.abs(parameters[-1]))
    log_likelihood, sums = _sum_chunks(
        _diag_chunk, X, row_weights, parameters, tile_type, 2 * d_padded, 2 * d_padded
    )
    log_likelihood += base * row_weights.sum()
    return Sums(log_likelihood, *_diag_parts(sums, m, d, d_padded))


def full(X, row_weights, offsets, means, factors, dof=None) -> Sums:
    """Sums over all rows for full covariances; without dof, Gaussian."""
    m, d = means.shape
    base, *parameters = _full_parameters(offsets, NO_DOF if dof is None else dof, means, factors)
    tile_type = _tile_type(X, lambda: _whitened_sizes(means, factors))
    width = round_up(d + d * (d + 1) // 2, COLUMN_BLOCK)
    log_likelihood, sums = _sum_chunks(
        _full_chunk,
        X,
        row_weights,
        parameters,
        tile_type,
        round_up(d, COLUMN_BLOCK) + AT_ONCE,
        width,
    )
    log_likelihood += base * row_weights.sum()
    return Sums(log_likelihood, *_full_parts(sums, m, d))


def diag_distances(X, means, scales) -> np.ndarray:
    """Squared Mahalanobis distances (n, m) of rows X (n, d) for diagonal covariances."""
    parameters = _diag_parameters(np.zeros(len(means)), NO_DOF, means, scales)[3:]
    return _distances(_diag_distances, X, len(means), parameters)


def full_distances(X, means, factors) -> np.ndarray:
    """As `diag_distances`, for full covariances."""
    parameters = _full_parameters(np.zeros(len(means)), NO_DOF, means, factors)[3:]
    return _distances(_full_distances, X, len(means), parameters)


def _distances(chunk_kernel, X, m, parameters):
    """Distances by columns, (m, n) transposed: what follows goes along the rows."""
    distances = np.empty((m, len(X)))
    d = parameters[1].shape[1]

    def visit(start: int, stop: int):
        scratch = aligned_zeros(d + COLUMN_BLOCK + len(parameters[1]), np.dtype(np.float64))
        chunk_kernel(_plain(X[start:stop]), start, *parameters, scratch, distances)

    for _ in map_in_order(visit, row_chunks(len(X), work_per_row=m * (d + 8))):
        pass
    return distances.T


def _sum_chunks(chunk_kernel, X, row_weights, parameters, tile_type, buffers, width):
    """Log-likelihood and sums (m, 3 + width) of all rows; `buffers` is the tile's own need."""
    parameters = [own.astype(tile_type, copy=False) for own in parameters]
    offsets, dof = parameters[:2]
    m = len(offsets)
    # a row for each quantity of `_responsibilities`, the densities, and what Student-t adds
    buffers += 3 + m + 2 * len(dof)

    def visit(start: int, stop: int):
        sums = np.zeros((m, N_MASSES + width))
        scratch = aligned_zeros(buffers, offsets.dtype)
        rows, weights = _plain(X[start:stop]), _plain(row_weights[start:stop])
        return chunk_kernel(rows, weights, *parameters, scratch, sums), sums

    parts = map_in_order(visit, row_chunks(len(X), work_per_row=m * (width + 8)))
    log_likelihood, sums = next(parts)
    for part_log_likelihood, part_sums in parts:
        log_likelihood += part_log_likelihood
        sums += part_sums
    return log_likelihood, sums


def _plain(array: np.ndarray) -> np.ndarray:
    """As the kernels are compiled for: another layout, or a read-only memory map, would be a
    signature of its own."""
    if array.flags.carray:
        return array
    return np.require(array, requirements=["C", "ALIGNED", "WRITEABLE"])


def _tile_type(X: np.ndarray, ratios: Callable[[], np.ndarray]) -> type:
    """Precision of the tiles; ratios() tells how large x is in units of the spread."""
    single = X.dtype == np.float32 and ratios().max() <= LARGEST_RATIO_32
    return np.float32 if single else np.float64


def _whitened_sizes(means: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Size of the terms that make up y = W (x - mu), (m, d); y itself is about 1."""
    deviations = np.sqrt((np.linalg.inv(factors) ** 2).sum(axis=2))
    sizes = np.abs(means) + deviations
    return np.sqrt(((factors * sizes[:, None, :]) ** 2).sum(axis=2))


@helper
def _laws(offsets, dof):
    """Offsets and dof for whole blocks of components, those added of weight 0; and the part taken
    out of the offsets, so that float32 loses no digits to it."""
    m, base = -(-len(offsets) // COMPONENT_BLOCK) * COMPONENT_BLOCK, -np.inf
    for j in range(len(offsets)):
        base = max(base, offsets[j])
    if not np.isfinite(base):
        base = 0.0
    relative, padded = np.full(m, -np.inf), np.ones(m if len(dof) else 0)
    # One by one: arrays assigned, whose shapes are compared, or max() take seconds to compile.
    for j in range(len(offsets)):
        relative[j] = offsets[j] - base
    for j in range(len(dof)):
        padded[j] = dof[j]
    return base, relative, padded


@kernel
def _diag_parameters(offsets, dof, means, scales):
    """As `_laws`, and slopes and shifts of y = slope x + shift, (m, d), padded with zeros."""
    m, d = means.shape
    base, relative, padded = _laws(offsets, dof)
    slopes = np.zeros((len(relative), d + d % 2))
    shifts = np.zeros_like(slopes)
    for j in range(m):
        for k in range(d):
            slopes[j, k], shifts[j, k] = scales[j, k], -means[j, k] * scales[j, k]
    return base, relative, padded, slopes, shifts


@kernel
def _full_parameters(offsets, dof, means, factors):
    """As `_laws`, and factors (m, d, d) and shifts (m, d) of y = W x + shift, padded with zeros."""
    m, d = means.shape
    base, relative, padded = _laws(offsets, dof)
    wide = -(-d // COLUMN_BLOCK) * COLUMN_BLOCK
    own, shifts = np.zeros((m, wide, wide)), np.zeros((m, wide))
    for j in range(m):
        for k in range(d):
            for l in range(k + 1):  # noqa: E741
                own[j, k, l] = factors[j, k, l]
                shifts[j, k] -= factors[j, k, l] * means[j, l]
    return base, relative, padded, own, shifts


@kernel
def _diag_parts(sums, m, d, d_padded):
    """Mass, scaled mass, first, second and log scale of m components, from what chunks add up."""
    mass, scaled_mass, log_scale = np.empty(m), np.empty(m), np.empty(m)
    first, second = np.empty((m, d)), np.empty((m, d))
    for j in range(m):
        mass[j], scaled_mass[j], log_scale[j] = sums[j, 0], sums[j, 1], sums[j, 2]
        for k in range(d):
            first[j, k] = sums[j, N_MASSES + k]
            second[j, k] = sums[j, N_MASSES + d_padded + k]
    return mass, scaled_mass, first, second, log_scale


@kernel
def _full_parts(sums, m, d):
    """As `_diag_parts`, of products x_k x_l, l <= k, without a gap."""
    mass, scaled_mass, log_scale = np.empty(m), np.empty(m), np.empty(m)
    first, second = np.empty((m, d)), np.empty((m, d, d))
    for j in range(m):
        mass[j], scaled_mass[j], log_scale[j] = sums[j, 0], sums[j, 1], sums[j, 2]
        at = N_MASSES + d
        for k in range(d):
            first[j, k] = sums[j, N_MASSES + k]
            for l in range(k + 1):  # noqa: E741
                second[j, k, l] = second[j, l, k] = sums[j, at]
                at += 1
    return mass, scaled_mass, first, second, log_scale


@kernel
def _diag_distances(X, first, slopes, shifts, scratch, distances):
    """Distances of rows X, of which the first is row `first` of all."""
    m, d = slopes.shape
    x, density = scratch[:d], scratch[d : d + m]
    for start in range(0, len(X), TILE_ROWS):
        rows = min(TILE_ROWS, len(X) - start)
        tiles.load(X, start, rows, x)
        tiles.diag_distances(x, slopes, shifts, density)
        _put(density, rows, first + start, distances)


@kernel
def _full_distances(X, first, factors, shifts, scratch, distances):
    """As `_diag_distances`."""
    m, d = shifts.shape
    x, y, density = scratch[:d], scratch[d : d + COLUMN_BLOCK], scratch[d + COLUMN_BLOCK :]
    for start in range(0, len(X), TILE_ROWS):
        rows = min(TILE_ROWS, len(X) - start)
        tiles.load(X, start, rows, x)
        tiles.full_distances(x, factors, shifts, y, density)
        _put(density, rows, first + start, distances)


@helper
def _put(density, rows, at, distances):
    for j in range(len(distances)):
        for i in range(rows):
            distances[j, at + i] = density[j, i]


@kernel
def _diag_chunk(X, w, offsets, dof, slopes, shifts, scratch, sums):
    """Adds the rows of X to sums (m, 3 + 2 d): masses, x, x^2; returns their log-likelihood."""
    m, d = slopes.shape
    columns, rest = scratch[: 2 * d], scratch[2 * d :]  # x; when weighted, x^2 below it
    share, density = rest[0], rest[3 : 3 + m]
    total = 0.0
    for start in range(0, len(X), TILE_ROWS):
        rows = min(TILE_ROWS, len(X) - start)
        tiles.load(X, start, rows, columns)
        tiles.diag_distances(columns[:d], slopes, shifts, density)
        total += _responsibilities(rest, offsets, dof, X.shape[1], w, start, rows, sums)
        for k in range(d):
            for i in range(TILE_ROWS):
                x = columns[k, i]
                columns[k, i] = x * share[i]
                columns[d + k, i] = x * share[i] * x
        tiles.moments(density, columns, 2 * d, sums, N_MASSES)
    return total


@kernel
def _full_chunk(X, w, offsets, dof, factors, shifts, scratch, sums):
    """Adds the rows of X to sums; returns their log-likelihood.

    Sums hold masses, x, then for each k the products x_k x_l, l <= k, without a gap.
    """
    m, d, width = len(offsets), factors.shape[1], X.shape[1]
    x, columns, rest = scratch[:d], scratch[d : d + AT_ONCE], scratch[d + AT_ONCE :]
    share, density = rest[0], rest[3 : 3 + m]
    total = 0.0
    for start in range(0, len(X), TILE_ROWS):
        rows = min(TILE_ROWS, len(X) - start)
        tiles.load(X, start, rows, x)
        tiles.full_distances(x, factors, shifts, columns, density)
        total += _responsibilities(rest, offsets, dof, X.shape[1], w, start, rows, sums)
        at, filled = N_MASSES, 0
        for k in range(-1, width):
            for l in range(width if k < 0 else k + 1):  # noqa: E741
                for i in range(TILE_ROWS):
                    columns[filled, i] = share[i] * x[l, i]
                if k >= 0:
                    for i in range(TILE_ROWS):
                        columns[filled, i] *= x[k, i]
                filled += 1
                last = k == width - 1 and l == k
                if filled == AT_ONCE or last:
                    count = (filled + COLUMN_BLOCK - 1) // COLUMN_BLOCK * COLUMN_BLOCK
                    columns[filled:count] = 0
                    tiles.moments(density, columns, count, sums, at)
                    at, filled = at + filled, 0
    return total


@helper
def _responsibilities(scratch, offsets, dof, d, w, start, rows, sums):
    """From distances to densities u p / exp(peak), and shares that make them w r u; masses."""
    m, student = len(offsets), len(dof) > 0
    share, peak, norm, density = scratch[0], scratch[1], scratch[2], scratch[3 : 3 + m]
    logs, shrink = scratch[3 + m : 3 + 2 * m], scratch[3 + 2 * m :]
    # Not -inf, so that a row infinitely far from all components has densities 0, not NaN.
    peak[:] = np.finfo(scratch.dtype).min
    width = scratch.dtype.type(d)
    if student:
        tiles.student_log_densities(density, offsets, dof, width, peak, logs, shrink)
    else:
        tiles.gaussian_log_densities(density, offsets, peak)
    tiles.exponentiate(density, peak, norm)
    log_likelihood = tiles.share_out(w, start, rows, peak, norm, share)
    if student:
        tiles.student_masses(density, share, dof, width, logs, shrink, sums)
    else:
        tiles.gaussian_masses(density, share, sums)
    return log_likelihood
