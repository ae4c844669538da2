"""J[rho] = F[rho] + alpha H[rho]: what a climb goes up, and what the trace prints.

F is the log-likelihood, mean per row in nats; H = -sum_i w_i log sum_j w_j k(theta_i, theta_j) the
entropy of the components, k their overlap (`kernels.components`): 0 where all are one, log m where
m are apart. A prior on covariances, where there is one, is a part of J.
"""

from typing import NamedTuple

import numpy as np

from divmix.families import AnyMatrix, Components, Family, Prior
from divmix.families.family import Array, Push
from divmix.families.mixed import as_seen
from divmix.families.noise import with_noise, without_last
from divmix.families.posterior import Posterior, log_weights, posterior
from divmix.kernels.components import Overlap
from divmix.kernels.sums import Sums
from divmix.progress import Value
from divmix.rows import Rows


class Look(NamedTuple):
    """Components and all that one visit to the rows and to their pairs tells of them.

    displacement (m, D) is that of the M-step in the coordinates and overlap.shared its
    kernel-weighted sum, where the drive is shared; else None. coarse: whether the visit was.
    """

    components: Components
    sums: Sums
    displacement: Array | None
    overlap: Overlap
    value: Value
    coarse: bool = False

    @property
    def shared(self) -> bool:
        """Whether the drive is shared."""
        return self.displacement is not None

    @property
    def J(self) -> float:
        """The objective, nats per row."""
        return self.value.objective


class Objective(NamedTuple):
    """A family, the weight of the entropy, a prior, and a broad component beside the moved ones."""

    family: Family
    alpha: float = 0.0
    prior: Prior | None = None
    noise: Components | None = None
    learn_weights: bool = True

    def look(
        self, rows: Rows, components: Components, *, coarse: bool = False, share: bool = False
    ) -> Look:
        """J and what its steps need. share: also the kernel-weighted sum of displacements."""
        sums = self.sums(rows, components, coarse=coarse)
        seen = self.seen(components, sums, rows.total_weight, share=share)
        return seen._replace(coarse=coarse)

    def seen(
        self, components: Components, sums: Sums, total_weight: float, *, share: bool = False
    ) -> Look:
        """`look` by the sums of a visit to rows of this total weight."""
        family, alpha = self.family, self.alpha
        displacement = None
        if share:
            target = self.m_step(components, sums)
            displacement = family.coordinates(target) - family.coordinates(components)
        overlap = family.overlap(components, displacement, gradient=alpha > 0)
        value = Value(
            sums.log_likelihood / total_weight,
            overlap.entropy,
            alpha,
            family.log_prior(components, self.prior) / total_weight,
        )
        return Look(components, sums, displacement, overlap, value)

    def ascended(self, look: Look) -> Components:
        """The M-step of J: that of the likelihood, and alpha grad H in the metric of EM."""
        gradient = look.overlap.gradient
        if self.alpha == 0 or gradient is None:
            return self.m_step(look.components, look.sums)
        return self.m_step(look.components, look.sums, Push(self.alpha, gradient))

    def m_step(self, components: Components, sums: Sums, push: Push | None = None) -> Components:
        """The M-step of the likelihood and the prior; with a push that of J."""
        learned, prior = self.learn_weights, self.prior
        return self.family.maximize(sums, components, learn_weights=learned, prior=prior, push=push)

    def shared(self, look: Look, target: Components) -> Components:
        """`target` with the M-step's displacements replaced by their kernel-weighted means."""
        family, overlap = self.family, look.overlap
        assert look.displacement is not None
        drive = overlap.shared / overlap.row_sums[:, None]
        theta = family.coordinates(target) - look.displacement + drive
        return family.from_coordinates(theta, target)

    def beyond(self, look: Look, target: Components, reach: float) -> Components:
        """`reach` times as far as `target`, in the coordinates and in the logarithms of weights."""
        family, here = self.family, look.components
        theta = family.coordinates(here)
        theta += reach * (family.coordinates(target) - theta)
        alive = (here.weights > 0) & (target.weights > 0)
        ratios = np.divide(target.weights, here.weights, out=np.zeros(here.count), where=alive)
        weights = here.weights * ratios**reach
        weights *= target.weights.sum() / weights.sum()
        return family.from_coordinates(theta, target)._replace(weights=weights)

    def sums(self, rows: Rows, components: Components, *, coarse: bool = False) -> Sums:
        """Log-likelihood and statistics of the components, the noise beside them."""
        if self.noise is None:
            return rows.sums(self.family, components, coarse=coarse)
        beside = with_noise(components, self.noise)
        return without_last(rows.sums(self.family, beside, coarse=coarse))

    def log_likelihood(self, rows: Rows, components: Components) -> float:
        """F, mean per row in nats."""
        return self.sums(rows, components).log_likelihood / rows.total_weight

    def log_joint(self, X: AnyMatrix, components: Components) -> Array:
        """log w_j p(x|theta_j) of rows X (n, d), (n, m); beside noise (n, m + 1)."""
        beside = with_noise(components, self.noise)
        seen = as_seen(X, self.family)
        return log_weights(beside.weights) + self.family.log_densities(seen, beside)

    def posterior(self, X: AnyMatrix, components: Components) -> Posterior:
        """log p(x), (n,), and the responsibilities of the components, (n, m), noise left out."""
        log_density, responsibilities = posterior(self.log_joint(X, components))
        return Posterior(log_density, responsibilities[:, : components.count])
