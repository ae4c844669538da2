"""What the phases of a run have in common, and the climbs they make on the sample of rows."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.engine.loop import Limits, climb
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.engine.steps import em_step, local_step
from divmix.families import Components, Family, Prior
from divmix.families.family import Array
from divmix.families.posterior import Posterior
from divmix.rows import MemoryRows
from divmix.search.schedule import SCHEDULE, Schedule


class Model(NamedTuple):
    """A family, and a broad component beside those that are moved, or None."""

    family: Family
    noise: Components | None = None


class Searching(NamedTuple):
    """A search for k clusters among sample rows; everything in it stays as it is.

    merge: "kl" for clusters that are ellipses, "overlap" for unions, "auto" by BIC.
    """

    sample: MemoryRows
    family: Family
    noise: Components | None
    monitor: Monitor
    k: int = 1
    alpha: float = 0.0
    merge: str = "auto"
    schedule: Schedule = SCHEDULE

    @property
    def rows(self) -> int:
        """Rows of the sample."""
        return len(self.sample.matrix.X)

    @property
    def columns(self) -> int:
        """Columns of the rows."""
        return self.sample.matrix.X.shape[1]

    def objective(self, prior: Prior | None = None, alpha: float = 0.0) -> Objective:
        """The log-likelihood of the sample, with what weight the entropy has."""
        return Objective(self.family, alpha, prior, self.noise)

    def climb(
        self, phase: str, components: Components, prior: Prior | None, max_iter: int
    ) -> Components:
        """EM on the sample; components that hold less than a row are dropped."""
        objective = self.objective(prior)
        return self._climb(phase, em_step(objective), objective, components, max_iter)

    def particle_climb(self, components: Components, prior: Prior, max_iter: int) -> Components:
        """Particle steps on the sample: shared drive, and repulsion of weight alpha."""
        objective = self.objective(prior, self.alpha)
        return self._climb("diversify", local_step(objective), objective, components, max_iter)

    def _climb(
        self,
        phase: str,
        step: Callable,
        objective: Objective,
        components: Components,
        max_iter: int,
    ) -> Components:
        start = State(np.random.default_rng(0), components)  # these steps draw nothing
        limits = Limits(max_iter, self.schedule.settled)
        end = climb(step, objective, self.sample, start, self.monitor, phase, limits)
        return self.alive(end.moved)

    def alive(self, components: Components) -> Components:
        """Without the components that hold less than a row."""
        alive = components.weights * self.rows > 1
        if alive.all() or alive.sum() < self.k:
            return components
        kept = components.take(np.flatnonzero(alive))
        share = components.weights.sum() / kept.weights.sum()
        return kept._replace(weights=kept.weights * share)

    # priors on covariances while components are many

    def pooled(self, count: int, share: float) -> Prior:
        """share n / m rows for each of m = count components, scattered as those within them."""
        return Prior(share * self.sample.total_weight / count)

    def broad(self, count: int) -> Prior:
        """d + 2 rows as scattered as all rows, in m cells of space (Fraley and Raftery 2007)."""
        d = self.columns
        return Prior(d + 2, weighted_covariance(self.sample) * count ** (-2 / d))

    # what components say of the sample

    def log_likelihood(self, components: Components) -> float:
        """F, mean per row in nats."""
        return self.objective().log_likelihood(self.sample, components)

    def posterior(self, components: Components) -> Posterior:
        """log p(x), (n,), and responsibilities, (n, m)."""
        return self.objective().posterior(self.sample.matrix.X, components)

    def log_joint(self, components: Components) -> Array:
        """log w_j p(x|theta_j), (n, m); beside noise (n, m + 1)."""
        return self.objective().log_joint(self.sample.matrix.X, components)


def weighted_covariance(rows: MemoryRows) -> Array:
    """Covariance (d, d) of rows."""
    X, row_weights = rows.matrix
    return np.atleast_2d(np.cov(X.T, aweights=row_weights, ddof=0))


def partition(searching: Searching, components: Components, clusters: NDArray) -> NDArray[np.int64]:
    """The cluster of each row of the sample, (n,)."""
    shares = searching.posterior(components).responsibilities
    return (shares @ np.eye(clusters.max() + 1)[clusters]).argmax(axis=1)
