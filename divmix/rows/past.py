"""Rows that a mixture stands for: what they would leave in another visit, without them.

A mixture fitted to rows that are gone is continued with new rows by the statistics of both. Those of
the past are, at the mixture itself, what its rows left there: the M-step of them is the mixture
(incremental EM: Neal and Hinton 1998; Cappe and Moulines 2009). Kept as they are they would hold
each past row in its component for ever, as if its cluster had been seen, and the past would weigh
more than its rows did. So they follow components that move: rows drawn from the mixture are visited
like others, and tell how the statistics differ from those at the mixture,

    S(theta) = S(theta_0) + S_drawn(theta) - S_drawn(theta_0),

which has no error of sampling at theta_0 and little near it (variance reduction of stochastic EM:
Chen, Zhu, Teh and Zhang 2018).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from divmix.families import AnyFamily, Components, Family
from divmix.families.family import Array
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.kernels.sums import Sums
from divmix.rows.memory import MemoryRows
from divmix.rows.protocol import Block, Features, Rows
from divmix.rows.summary import Summary

DRAWN_ROWS, DRAWN_NUMBERS = 40_000, 8_000_000  # of the past, at most
LEAST_DRAWN = 20  # for each component, times d + 2: no scatter of fewer is anything to go by


class Past:
    """What a mixture stands for: rows of a total weight, with a mean log-likelihood at the mixture.

    family, components: the mixture, a noise component the last of them. log_likelihood: mean per
    row, nats, in the units of the design matrix.
    """

    def __init__(
        self,
        family: AnyFamily,
        components: Components,
        weight: float,
        log_likelihood: float,
        generator: np.random.Generator,
    ) -> None:
        self.weight = weight
        self._shared = family.structure.shared
        self.drawn = drawn_rows(family, components, weight, generator)
        self._start = self.drawn.sums(family, components)
        expected = family.expected(components, weight)
        self._expected = expected._replace(log_likelihood=weight * log_likelihood)

    def sums(self, family: Family, components: Components) -> Sums:
        """What the rows of the past would leave at `components`, as many as the mixture's."""
        now, start, exact = self.drawn.sums(family, components), self._start, self._expected
        # A component that leaves its rows to others takes the error of their statistics along.
        kept = np.minimum(now.mass / np.maximum(start.mass, SMALLEST_WEIGHT), 1.0)

        def corrected(own: Array, before: Array, known: Array) -> Array:
            share = kept.reshape(-1, *[1] * (own.ndim - 1))
            return own + (known - before) * share

        second = now.second + exact.second - start.second
        if not self._shared:
            second = corrected(now.second, start.second, exact.second)
        return Sums(
            now.log_likelihood + exact.log_likelihood - start.log_likelihood,
            np.maximum(corrected(now.mass, start.mass, exact.mass), 0.0),
            np.maximum(corrected(now.scaled_mass, start.scaled_mass, exact.scaled_mass), 0.0),
            corrected(now.first, start.first, exact.first),
            second,
            corrected(now.log_scale, start.log_scale, exact.log_scale),
        )


def drawn_rows(
    family: AnyFamily, components: Components, weight: float, generator: np.random.Generator
) -> MemoryRows:
    """Rows of this total weight drawn from a mixture, some for each component however small."""
    m, d = components.means.shape
    shares = components.weights / components.weights.sum()
    rows = min(DRAWN_ROWS, DRAWN_NUMBERS // d)
    counts = np.ceil(np.maximum(rows * shares, min(LEAST_DRAWN * (d + 2), rows / m))).astype(int)
    labels = np.repeat(np.arange(m), counts)
    X = family.draw(components, labels, generator)
    return MemoryRows(X, (weight * shares / counts)[labels])


class RowsAfterPast:
    """New rows after a past: what is known of them is that of the new rows, and sums of all."""

    def __init__(self, rows: Rows, past: Past) -> None:
        self._rows, self._past = rows, past

    @property
    def features(self) -> Features:
        """What is known of the columns."""
        return self._rows.features

    @property
    def total_weight(self) -> float:
        """That of the past and of the new rows."""
        return self._past.weight + self._rows.total_weight

    @property
    def visited(self) -> int:
        """New rows, and those that stand for the past."""
        return self._rows.visited + self._past.drawn.visited

    def summary(self) -> Summary:
        """That of the new rows."""
        return self._rows.summary()

    def sums(self, family: Family, components: Components, *, coarse: bool = False) -> Sums:
        """Log-likelihood and sufficient statistics, of the past and of all new rows."""
        return self._past.sums(family, components) + self._rows.sums(
            family, components, coarse=coarse
        )

    def sample(self, size: int | None, generator: np.random.Generator) -> MemoryRows:
        """From the new rows."""
        return self._rows.sample(size, generator)

    def among(self, features: NDArray[np.int64]) -> Rows:
        """The new rows with these features alone."""
        return self._rows.among(features)

    def blocks(self) -> Iterator[Block]:
        """All new rows."""
        return self._rows.blocks()
