"""Categories by their codes: what a row's own levels say, looked up; shares of rows, counted."""

import numpy as np
from numpy.typing import NDArray

from divmix.kernels.compile import kernel

Floats = NDArray[np.float64]


@kernel
def add_values(codes: NDArray, starts: NDArray[np.int64], values: Floats, out: Floats) -> None:
    """out[i] += sum_q values[starts[q] + codes[i, q]], of codes (n, q), values (T, m), out (n, m)."""
    n, columns = codes.shape
    m = values.shape[1]
    for i in range(n):
        for q in range(columns):
            own = starts[q] + np.int64(codes[i, q])
            for j in range(m):
                out[i, j] += values[own, j]


@kernel
def add_counts(codes: NDArray, starts: NDArray[np.int64], shares: Floats, counts: Floats) -> None:
    """counts[starts[q] + codes[i, q]] += shares[i], of codes (n, q), shares (n, m), counts (T, m)."""
    n, columns = codes.shape
    m = shares.shape[1]
    for i in range(n):
        for q in range(columns):
            own = starts[q] + np.int64(codes[i, q])
            for j in range(m):
                counts[own, j] += shares[i, j]
