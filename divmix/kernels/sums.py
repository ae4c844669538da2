"""What a visit to the rows leaves: sums over rows, so partial sums add."""

from typing import NamedTuple

import numpy as np


class Sums(NamedTuple):
    """Sums over rows i with row weight w_i, responsibility r_ij and scale weight u_ij.

    u_ij is 1 for a Gaussian and (dof + d) / (dof + maha_ij) for a Student-t. All in float64.
    """

    log_likelihood: float  # sum_i w_i log sum_j exp(log p_ij), nats
    mass: np.ndarray  # (m,) sum_i w_i r_ij
    scaled_mass: np.ndarray  # (m,) sum_i w_i r_ij u_ij
    first: np.ndarray  # (m, d) sum_i w_i r_ij u_ij x_i
    second: np.ndarray  # (m, d) or (m, d, d): the same with x_i^2, or x_i x_i^T
    log_scale: np.ndarray  # (m,) sum_i w_i r_ij (log u_ij - u_ij)
    outside: float = 0.0  # mass that belongs to none of the m components

    def __add__(self, other: "Sums") -> "Sums":  # type: ignore[override]  # adds, not appends
        return Sums(
            self.log_likelihood + other.log_likelihood,
            self.mass + other.mass,
            self.scaled_mass + other.scaled_mass,
            self.first + other.first,
            self.second + other.second,
            self.log_scale + other.log_scale,
            self.outside + other.outside,
        )
