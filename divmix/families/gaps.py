"""Rows with missing cells: the likelihood of the cells that are there, and EM over the others.

A row of a pattern of missing cells (NaN) has the marginal density of the rest. The E-step puts the
expectations of what is missing, given the component and what is there, in place of the complete
rows' sums (Ghahramani and Jordan, NIPS 1994; for the Student-t Liu and Rubin, Statistica Sinica
1995): so the M-step, and all that is made of sums, is the same with gaps and without.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from divmix.families.components import Components
from divmix.families.family import Array
from divmix.families.posterior import log_weights, posterior
from divmix.families.structure import Seen
from divmix.kernels.chunks import map_in_order
from divmix.kernels.gaps import by_pattern, has_gaps
from divmix.kernels.sums import Sums

if TYPE_CHECKING:
    from divmix.families.location_scale import LocationScale

# Rows times components of a block, whatever the number of threads; and its rows at least.
BLOCK_CELLS, BLOCK_ROWS = 1 << 17, 4096


def in_runs(X: Array, look: Callable[[Array], Seen]) -> Seen:
    """look(X), by rows in the order in which it costs least."""
    if not has_gaps(X):
        return look(X)
    order = by_pattern(np.isnan(X))
    back = np.argsort(order)
    return Seen(*(part[back] for part in look(X[order])))


def sums_beside_gaps(
    family: "LocationScale", X: Array, row_weights: Array, components: Components
) -> Sums:
    """Log-likelihood and expected sums of rows X (n, d) with gaps, which cost least where those that
    miss the same columns follow each other."""
    size = max(BLOCK_ROWS, BLOCK_CELLS // components.count)

    def visit(start: int, stop: int) -> Sums:
        block = np.asarray(X[start:stop], np.float64)
        return expected_sums(family, block, row_weights[start:stop], components)[0]

    bounds = [(start, min(start + size, len(X))) for start in range(0, len(X), size)]
    parts = list(map_in_order(visit, bounds))
    return sum(parts[1:], parts[0])


def expected_sums(
    family: "LocationScale",
    X: Array,
    row_weights: Array,
    components: Components,
    log_others: Array | float = 0.0,
) -> tuple[Sums, Array]:
    """Sums of rows X (n, d) with gaps, and their responsibilities times weights, (n, m).

    log_others (n, m): log-densities of what else is known of the rows.
    """
    seen = family.structure.seen_beside_gaps(X, components)
    joint = family.log_densities_at(seen, components)
    joint += log_weights(components.weights)
    joint += log_others
    log_density, shares = posterior(joint)
    shares *= row_weights[:, None]
    mass, scaled = shares.sum(axis=0), shares
    scales = family.row_scales(seen, components)
    log_scale = -mass
    if scales is not None:
        scaled = shares * scales
        logs = family.log_row_scales(scales, seen, components)
        log_scale = (shares * logs).sum(axis=0) - scaled.sum(axis=0)
    first, second = family.structure.completed(X, shares, scaled, components)
    log_likelihood = float(row_weights @ log_density)
    sums = Sums(log_likelihood, mass, scaled.sum(axis=0), first, second, log_scale)
    return sums, shares


def one_each(shares: Array, generator: np.random.Generator) -> Array:
    """One component for each row, drawn by its shares (n, m), as ones and zeros (n, m)."""
    below = np.cumsum(shares, axis=1)
    heights = generator.random(len(shares)) * below[:, -1]
    chosen = np.minimum((below <= heights[:, None]).sum(axis=1), shares.shape[1] - 1)
    return np.eye(shares.shape[1])[chosen]
