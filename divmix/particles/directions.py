"""The O(m^2) step between components: a kernel-weighted drive, and a repulsion of weight alpha.

A component is a particle theta (D,). With g_j = m dF/dtheta_j the gradient of the first variation
of the log-likelihood F, the published direction (Wang and Liu 2019, eq. 8) is

    phi_i = mean_j [ g_j k(theta_j, theta_i) + alpha grad_{theta_j} k(theta_j, theta_i) ]

Alpha is the one of J = F + alpha H. The paper's algorithm writes dF/dtheta_j without the factor m,
so its alpha is ours divided by m.
"""

import numpy as np

from divmix.families import Components, Family

SMALLEST_BANDWIDTH = 1e-6  # in standardised units: coinciding particles still repel finitely


def median_bandwidth(theta: np.ndarray, generator: np.random.Generator) -> float:
    """Bandwidth h of exp(-|a - b|^2 / (2 h^2)) for particles theta (m, D).

    h = median / sqrt(2 log(m + 1)) of the distances between different particles, the rule of Liu
    and Wang (2016): then sum_j k(theta_i, theta_j) is about 1. h = 1 for a single particle.
    """
    from divmix.kernels import particles

    if len(theta) == 1:
        return 1.0
    median = particles.median_distance(theta, generator)
    return max(median / np.sqrt(2 * np.log(len(theta) + 1)), SMALLEST_BANDWIDTH)


def local_bandwidth(theta: np.ndarray) -> float:
    """Median distance from a particle to its nearest neighbour; 1 for a single particle."""
    from scipy.spatial import cKDTree

    if len(theta) == 1:
        return 1.0
    nearest = cKDTree(theta).query(theta, k=2)[0][:, 1]
    return max(float(np.median(nearest)), SMALLEST_BANDWIDTH)


def published_direction(
    theta: np.ndarray, gradient: np.ndarray, alpha: float, bandwidth: float, kernel: str = "rbf"
) -> np.ndarray:
    """phi (m, D) of particles theta (m, D) with gradients g (m, D)."""
    from divmix.kernels import particles

    return particles.direction(theta, gradient, alpha, bandwidth, kernel)


def entropy(theta: np.ndarray, weights: np.ndarray, bandwidth: float, kernel: str) -> float:
    """-sum_i w_i log sum_j w_j k(theta_i, theta_j), nats.

    The particle estimate of H up to a constant: 0 when all particles coincide, log m when m equal
    weights are far apart on the scale of the kernel.
    """
    from divmix.kernels import particles

    return particles.entropy(theta, weights, bandwidth, kernel)


def local_step(
    family: Family, components: Components, target: Components, shares: np.ndarray, alpha: float
) -> np.ndarray:
    """Increment (m, D) that moves each component along EM displacements, and apart from others.

    target are the components of the M-step, so the displacement is the natural gradient and a step
    of 1 is EM. The metric of component i, cov_i / share_i with share_i its share of the rows, is
    applied to the repulsion too, so alpha means the same in any unit of the data.
    """
    theta = family.coordinates(components)
    displacement = family.coordinates(target) - theta
    kernel = family.similarity(components)
    kernel /= kernel.sum(axis=1, keepdims=True)
    increment = kernel @ displacement
    d = components.means.shape[1]
    apart = components.means - kernel @ components.means
    relative = np.maximum(shares * components.count, 1.0)[:, None]
    increment[:, :d] += alpha * apart / relative
    return increment
