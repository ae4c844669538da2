"""J[rho] = F[rho] + alpha H[rho]: what a climb goes up, and what the trace prints.

F is the log-likelihood, mean per row in nats; H the entropy of the components (see
`particles.directions`); a prior on covariances, where there is one, acts in the M-step.
"""

from typing import NamedTuple

from divmix.families import Components, Family, Prior
from divmix.families.family import Array
from divmix.families.noise import with_noise, without_last
from divmix.families.posterior import Posterior, log_weights, posterior
from divmix.kernels.sums import Sums
from divmix.rows import Rows


class Objective(NamedTuple):
    """A family, the weight of the entropy, a prior, and a broad component beside the moved ones."""

    family: Family
    alpha: float = 0.0
    prior: Prior | None = None
    noise: Components | None = None

    def sums(self, rows: Rows, components: Components, *, coarse: bool = False) -> Sums:
        """Log-likelihood and statistics of the components, the noise beside them."""
        if self.noise is None:
            return rows.sums(self.family, components, coarse=coarse)
        beside = with_noise(components, self.noise)
        return without_last(rows.sums(self.family, beside, coarse=coarse))

    def log_likelihood(self, rows: Rows, components: Components) -> float:
        """F, mean per row in nats."""
        return self.sums(rows, components).log_likelihood / rows.total_weight

    def log_joint(self, X: Array, components: Components) -> Array:
        """log w_j p(x|theta_j) of rows X (n, d), (n, m); beside noise (n, m + 1)."""
        beside = with_noise(components, self.noise)
        return log_weights(beside.weights) + self.family.log_densities(X, beside)

    def posterior(self, X: Array, components: Components) -> Posterior:
        """log p(x), (n,), and the responsibilities of the components, (n, m), noise left out."""
        log_density, responsibilities = posterior(self.log_joint(X, components))
        return Posterior(log_density, responsibilities[:, : components.count])
