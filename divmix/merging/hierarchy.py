"""The way from many components to few: its levels, and the merge tree of a fit, from which any number
of clusters can be read without a fit."""

from typing import NamedTuple

import numpy as np

from divmix.families import Components, Family
from divmix.merging.tree import MergeTree
from divmix.progress import TraceRow


class Level(NamedTuple):
    """A mixture on the way from many components to k, and its AIC3 (per row, halved, nats)."""

    components: Components
    aic3: float


class Way(NamedTuple):
    """A way from many components to k that is gone: the relaxed and diversified mixture, the levels
    from it to k components, the richest first, and the trace of all.

    Without levels it was gone so far alone.
    """

    relaxed: Components
    levels: tuple[Level, ...]
    trace: tuple[TraceRow, ...] = ()

    def reshaped(self, own: Family, other: Family) -> "Way":
        """The relaxed mixture of one family as one of another."""
        trace = tuple(row for row in self.trace if row.phase in ("relax", "diversify"))
        return Way(other.from_moments(own.moments(self.relaxed)), (), trace)


class Hierarchy(NamedTuple):
    """How the components of a rich mixture join, and by which criterion.

    With `kl` the rich mixture is `relaxed`, and clusters that join become one component. With
    `saddle` it is the fitted mixture itself (relaxed is None) and clusters are unions.
    """

    criterion: str
    tree: MergeTree
    relaxed: Components | None = None

    @property
    def count(self) -> int:  # type: ignore[override]  # no one counts values in this tuple
        """Components of the rich mixture: the most clusters that can be read."""
        return len(self.tree.costs) + 1

    def reordered(self, order: np.ndarray) -> "Hierarchy":
        """The hierarchy after the fitted mixture's components were taken in `order` (m,)."""
        if self.relaxed is not None:
            return self
        numbers = np.arange(2 * self.count - 1)
        numbers[order] = np.arange(self.count)
        pairs = np.sort(numbers[self.tree.pairs], axis=1)
        return self._replace(tree=self.tree._replace(pairs=pairs))

    def check(self, own: Components) -> None:
        """Raise ValueError where the tree is none over the relaxed or the mixture's own parts."""
        if (self.criterion == "kl") != (self.relaxed is not None):
            raise ValueError("its merge tree does not say which components join")
        m = (self.relaxed or own).count
        pairs, costs = self.tree
        tree = (
            pairs.shape == (m - 1, 2)
            and costs.shape == (m - 1,)
            and np.isfinite(costs).all()
            and np.array_equal(np.sort(pairs, axis=None), np.arange(2 * m - 2))
            and (pairs.max(axis=1, initial=0) < np.arange(m, 2 * m - 1)).all()
        )
        if not tree:
            raise ValueError("its merge tree is not a tree")
