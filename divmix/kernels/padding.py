"""Arrays as the compiled loops want them: whole blocks, at a cache line."""

import functools

import numpy as np

from divmix.kernels.tiles import TILE_ROWS

CACHE_LINE = 64


@functools.cache
def triangle(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the lower triangle of a matrix (d, d), row by row."""
    return np.tril_indices(d)


def round_up(count: int, block: int) -> int:
    return -(-count // block) * block


def padded(array: np.ndarray, shape: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
    """`array` in the corner of zeros of `shape`."""
    result: np.ndarray = np.zeros(shape, dtype)
    result[tuple(slice(length) for length in array.shape)] = array
    return result


def aligned_zeros(rows: int, dtype: np.dtype) -> np.ndarray:
    """Zeros (rows, 256) that begin at a cache line, so that no 512-bit load crosses one."""
    size = rows * TILE_ROWS * dtype.itemsize
    memory = np.zeros(size + CACHE_LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(rows, TILE_ROWS)
