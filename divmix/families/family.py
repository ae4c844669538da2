"""What a fit asks of a family of component densities."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from divmix.families.components import Components
from divmix.kernels.components import Gradient, Overlap
from divmix.kernels.sums import Sums

Array = NDArray[np.float64]


class Moments(NamedTuple):
    """Weights (m,), means (m, d) and covariances (m, d, d) of components.

    Axis-aligned components of a wide table have variances (m, d) for covariances.

    probabilities (m, L) of the levels of their categories, or None; means and covariances are
    then those of the numbers.
    """

    weights: Array
    means: Array
    covariances: Array
    probabilities: Array | None = None


class Prior(NamedTuple):
    """A conjugate prior on covariances, as rows that each component has seen beforehand.

    `rows` of them, scattered like `covariance`, (d, d) or variances (d,), of a mixed table that of
    its numbers alone; Fraley and Raftery (2007) take the pooled covariance.
    """

    rows: float
    covariance: Array


class Push(NamedTuple):
    """alpha times the gradient of H: by how much an M-step of J goes beyond that of the likelihood."""

    alpha: float
    gradient: Gradient


class Family(Protocol):
    """Component densities p(x|theta), and what follows from their sufficient statistics.

    All that em and the default method need. `floor` (d,) is the smallest variance of each column,
    which keeps the likelihood bounded.
    """

    @property
    def name(self) -> str: ...

    @property
    def floor(self) -> Array: ...

    @property
    def diagonal_only(self) -> bool:
        """Whether it asks for variances (d,) of the columns and never for covariances (d, d)."""
        ...

    def start(self, weights: Array, means: Array, covariance: Array) -> Components:
        """Components at `means` (m, d), all as scattered as `covariance` tells: (d, d), or
        variances (d,) where the family is `diagonal_only`; of a mixed table of the numbers alone."""
        ...

    def n_parameters(self, m: int, d: int) -> int:
        """Free parameters of a mixture of m components in d columns, weights among them."""
        ...

    def log_densities(self, X: Array, components: Components) -> Array:
        """log p(x|theta_j) of rows X (n, d), (n, m), nats; of one with missing cells (NaN), of the
        others alone."""
        ...

    def filled(
        self, X: Array, components: Components, generator: np.random.Generator | None = None
    ) -> Array:
        """Rows X (n, d) with missing cells (NaN) filled in: by conditional means under the mixture,
        or with a generator by draws from their distribution given the others."""
        ...

    def sums(self, X: NDArray[Any], row_weights: Array, components: Components) -> Sums:
        """Log-likelihood and sufficient statistics of rows X (n, d) of weights (n,); where cells are
        missing (NaN), their expectations given the others."""
        ...

    def maximize(
        self,
        sums: Sums,
        components: Components,
        *,
        learn_weights: bool = True,
        prior: Prior | None = None,
        push: Push | None = None,
    ) -> Components:
        """The M-step: the components that the expected log-likelihood (log-posterior) is largest
        for; with a push, moved on by alpha grad H in the metric of that step."""
        ...

    def moments(self, components: Components) -> Moments:
        """Means and covariances, for the merge tree."""
        ...

    def from_moments(self, moments: Moments) -> Components:
        """Components with these weights, means and covariances, as far as the family has them."""
        ...

    def joined(self, components: Components, labels: NDArray[np.int64]) -> Components:
        """One component for each label 0 .. k - 1 of labels (m,), with the moments of its union."""
        ...

    def overlap(
        self, components: Components, values: Array | None = None, *, gradient: bool = True
    ) -> Overlap:
        """Entropy H of the components, and sums over their pairs; the gradient of H where the
        family has one, else None: then H is told, but not climbed."""
        ...

    def log_prior(self, components: Components, prior: Prior | None) -> float:
        """log of the prior of the components, nats, up to a constant; 0 without one."""
        ...

    def pooled(self, components: Components) -> Array:
        """Covariance within the components, (d, d), or variances (d,)."""
        ...

    def coordinates(self, components: Components) -> Array:
        """theta (m, D): unconstrained numbers, in which a component is a particle."""
        ...

    def from_coordinates(self, theta: Array, components: Components) -> Components:
        """Components at theta (m, D); what is no coordinate stays as in `components`."""
        ...


class DifferentiableFamily(Family, Protocol):
    """A family whose components can also be moved along plain gradients (`nsvgd`)."""

    def gradient(self, sums: Sums, components: Components) -> Array:
        """Gradient of the summed log-likelihood in the coordinates, (m, D)."""
        ...

    def update_shared(self, sums: Sums, components: Components) -> Components:
        """EM update of the parameters that are no coordinates of a particle."""
        ...
