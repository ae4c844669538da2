"""Pairs of components in fixed groups of rows, and sums over what the groups give."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from divmix.kernels.chunks import map_in_order

Floats = NDArray[np.float64]

# Fixed groups of rows whatever the number of threads; work is about 1 ns a unit.
GROUPS, LEAST_WORK = 8, 1 << 20
# Pairs that overlap less are left out of the gradients: H itself is not known to 1e-17.
NEGLIGIBLE = 1e-40


def added(parts: list[tuple[Floats, ...]]) -> tuple[Floats, ...]:
    """Sums over parts, one at least, of each of their arrays."""
    return parts[0] if len(parts) == 1 else tuple(sum(part[1:], part[0]) for part in zip(*parts))


def in_groups(
    visit: Callable[[int, int], tuple[Floats, ...]], rows: int, work: int
) -> list[tuple[Floats, ...]]:
    """visit(first, step), which takes rows first, first + step, ..., of all groups, in order."""
    groups = max(1, min(GROUPS, rows, work // LEAST_WORK))
    if groups == 1:
        return [visit(0, 1)]
    return list(map_in_order(visit, [(group, groups) for group in range(groups)]))
