"""What it costs to join two clusters a and b, and what of the rows such a cost asks for.

`kl` suits clusters that are ellipses: two components become one Gaussian, their categories one
distribution. It is an upper bound of the KL divergence that this causes, B(a, b) = 1/2 [(w_a + w_b)
log|P_ab| - w_a log|P_a| - w_b log|P_b|], nats, P_ab the covariance of the two together (Runnalls, IEEE
Trans. Aerospace and Electronic Systems 43, 2007): the entropy that joining adds. Categories add
theirs, (w_a + w_b) h(P_ab) - w_a h(P_a) - w_b h(P_b) with h = -sum P log P over their columns.

`overlap` and `saddle` suit clusters of any shape, which stay unions of components: two that share
rows, or two whose densities no valley parts, belong to one cluster.

`overlap` is -log of the larger probability that a row of one of the two is taken for the other's,
P(b | a) = mean_x[r_a r_b] / w_a: a row of a, labelled at random by its responsibilities, goes to b. It
is the soft form of the directly estimated misclassification probability of Hennig, Advances in Data
Analysis and Classification 4 (2010); the shared mass of a union is the sum of its parts'.

`saddle` is how clearly a valley parts the two: the prominence of the lower peak over the saddle
(Chazal, Guibas, Oudot and Skraba, Journal of the ACM 60, 2013), a difference of log-densities, whose
standard error goes with one over the root of the rows that the lower cluster has: it is multiplied
by the root of its weight. Times sqrt(rows) it is in standard errors. Broad components between two
clusters do not join them, for the saddle of a union is its highest one and its peak the higher one.
"""

from typing import NamedTuple

import numpy as np

from divmix.families.family import Array
from divmix.kernels.merges import KL, OVERLAP, SADDLE, saddles_of

# Share of a row below which a component is not there: outliers alone would be its saddles.
PRESENT = 1e-12


CRITERIA = {"kl": KL, "overlap": OVERLAP, "saddle": SADDLE}


class Heights(NamedTuple):
    """Log-densities of c clusters where they are densest and where one passes into another.

    peaks    (c,)    largest log-density of each over the rows
    saddles  (c, c)  the largest at which both of two are dense at one row; -inf where no row has both
    """

    peaks: Array
    saddles: Array


def shared_mass(responsibilities: Array, row_weights: Array | None = None) -> Array:
    """Weighted mean over rows of r_a r_b, (m, m), from responsibilities (n, m)."""
    if row_weights is None:
        return responsibilities.T @ responsibilities / len(responsibilities)
    return (responsibilities * row_weights[:, None]).T @ responsibilities / row_weights.sum()


def heights_of(log_joint: Array) -> Heights:
    """Peaks and saddles of components over rows, from log w_j p(x|theta_j), (n, m)."""
    log_joint = np.ascontiguousarray(log_joint)
    return Heights(log_joint.max(axis=0), saddles_of(log_joint, np.log(PRESENT)))
