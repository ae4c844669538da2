"""What the phases of a run have in common, and the climbs they make on the sample of rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.engine.loop import Limits, ascend
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.families import AnyMatrix, Components, Family, Mixed, Prior
from divmix.families.coded import matrix_of, of_features
from divmix.families.family import Array
from divmix.families.mixed import scattered
from divmix.families.posterior import Posterior
from divmix.rows import MemoryRows
from divmix.settings.schedule import SCHEDULE, Schedule


class Model(NamedTuple):
    """A family, and a broad component beside those that are moved, or None."""

    family: Family
    noise: Components | None = None


class Searching(NamedTuple):
    """A search for k clusters among sample rows; everything in it stays as it is.

    merge: "kl" for clusters that are ellipses, "overlap" for unions, "auto" by AIC3. tol: a
    climb ends where an iteration brings less, nats per row, or less of all rows than `settled`.
    """

    sample: MemoryRows
    family: Family
    noise: Components | None
    monitor: Monitor
    k: int = 1
    alpha: float = 0.0
    merge: str = "auto"
    init: str = "kmeans++"
    tol: float = 1e-5
    schedule: Schedule = SCHEDULE

    @property
    def rows(self) -> int:
        """Rows of the sample."""
        return self.sample.visited

    @property
    def columns(self) -> int:
        """Columns of the rows; of a mixed table its numbers, and 1 where there is none."""
        if isinstance(self.family, Mixed):
            return max(1, len(self.family.categories.numeric))
        return self.sample.held.X.shape[1]

    @property
    def settled(self) -> float:
        """The gain of J, nats per row, below which a climb ends."""
        return max(self.tol, self.schedule.settled / self.rows)

    def objective(self, prior: Prior | None = None) -> Objective:
        """J of components on the sample."""
        return Objective(self.family, self.alpha, prior, self.noise)

    def climb(
        self,
        phase: str,
        components: Components,
        prior: Prior | None,
        max_iter: int,
        *,
        share: bool = False,
    ) -> Components:
        """Climb J on the sample; components that hold less than a row are dropped."""
        return self.alive(self.climbed(phase, components, prior, max_iter, share=share).moved)

    def climbed(
        self,
        phase: str,
        components: Components,
        prior: Prior | None,
        max_iter: int,
        *,
        share: bool = False,
    ) -> State:
        """Where the climb of J on the sample ends, with all components."""
        start = State(np.random.default_rng(0), components)  # a climb draws nothing
        limits = Limits(max_iter, self.settled)
        objective = self.objective(prior)
        return ascend(objective, self.sample, start, self.monitor, phase, limits, share=share)

    def alive(self, components: Components) -> Components:
        """Without the components that hold less than a row."""
        alive = components.weights * self.rows > 1
        if alive.all() or alive.sum() < self.k:
            return components
        kept = components.take(np.flatnonzero(alive))
        share = components.weights.sum() / kept.weights.sum()
        return kept._replace(weights=kept.weights * share)

    # priors on covariances while components are many

    def pooled(self, components: Components, share: float) -> Prior:
        """share n / m rows for each component, scattered as those within components are."""
        rows = share * self.sample.total_weight / components.count
        return Prior(rows, self.family.pooled(components))

    def weak(self, components: Components, share: float = 1.0) -> Prior:
        """share (d + 1) rows, scattered as those within components are."""
        return Prior(share * (self.columns + 1), self.family.pooled(components))

    def comparable(self, components: Components) -> Prior:
        """d + 2 rows, as in Fraley and Raftery's (2007) prior, scattered as those within components
        are: likelihoods of few and of many components stay comparable under it."""
        return Prior(self.columns + 2.0, self.family.pooled(components))

    def broad(self, count: int) -> Prior:
        """d + 2 rows as scattered as all rows, in m cells of space (Fraley and Raftery 2007)."""
        d, features = self.columns, scattered(self.family, self.sample.held.X.shape[1])
        if self.family.diagonal_only:
            spread = self.sample.summary().variances[features]
        else:
            spread = weighted_covariance(self.sample, features)
        return Prior(d + 2.0, spread * count ** (-2 / d))

    # what components say of the sample

    def log_likelihood(self, components: Components) -> float:
        """F, mean per row in nats."""
        return self.objective().log_likelihood(self.sample, components)

    def posterior(self, components: Components) -> Posterior:
        """log p(x), (n,), and responsibilities, (n, m)."""
        return self.objective().posterior(self.sample.held.X, components)

    def filled(self, components: Components) -> AnyMatrix:
        """The rows of the sample, their gaps filled by conditional means."""
        if not self.sample.has_gaps:
            return self.sample.held.X
        return self.family.filled(self.sample.matrix.X, components)

    def log_joint(self, components: Components) -> Array:
        """log w_j p(x|theta_j), (n, m); beside noise (n, m + 1)."""
        return self.objective().log_joint(self.sample.held.X, components)


def weighted_covariance(rows: MemoryRows, features: NDArray[np.int64]) -> Array:
    """Covariance (c, c) of these features of rows."""
    if rows.has_gaps:
        return rows.completed.covariance[np.ix_(features, features)]
    X, row_weights = rows.held
    own = matrix_of(of_features(X, features))
    return np.cov(own.T, aweights=row_weights, ddof=0).reshape(len(features), len(features))


def partition(searching: Searching, components: Components, clusters: NDArray) -> NDArray[np.int64]:
    """The cluster of each row of the sample, (n,)."""
    return searching.posterior(components).clusters(clusters)
