"""Components to go on from, given in the units and shapes of scikit-learn."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from divmix.design.design import Design
from divmix.errors import UsageError
from divmix.estimators.parameters import units
from divmix.families import Components, Family, Gaussian
from divmix.rows import Rows
from divmix.search import starts

if TYPE_CHECKING:
    from divmix.estimators.mixture import DiversifiedMixture


class Start(NamedTuple):
    """What is known of m components over f features, in the units of the table: weights (m,), means
    (m, f), and precisions of the shape `kind`, as scikit-learn has them. The rest, None, is that of
    the start `init` with this seed.
    """

    m: int
    weights: Any
    means: Any
    precisions: Any
    kind: str
    init: str
    seed: int

    def components(self, design: Design, family: Family, rows: Rows) -> Components:
        """The components as a fit has them. Raises UsageError."""
        if design.categories is not None or design.is_embedding or not isinstance(family, Gaussian):
            raise UsageError(
                "components to start from are for Gaussians of columns of numbers",
                hint="leave weights_init, means_init, precisions_init and warm_start out",
            )
        m, f = self.m, design.n_features
        center, scale = units(design)
        made = starts.start(family, rows, m, self.init, np.random.default_rng(self.seed))
        if self.weights is not None:
            made = made._replace(weights=_weights(self.weights, m))
        if self.means is not None:
            means = _of_shape("means", self.means, (m, f))
            made = made._replace(means=(means - center) / scale)
        if self.precisions is not None:
            own = _covariances(self.precisions, self.kind, m, f) / np.outer(scale, scale)
            own = np.diagonal(own, axis1=1, axis2=2) if family.diagonal_only else own
            made = made._replace(covariances=family.structure.from_full(own))
        return made


def start_of(asked: "DiversifiedMixture", seed: int) -> Start | None:
    """What the parameters of a mixture, or its last fit, tell of the components to go on from; None
    where they are searched for. Raises UsageError."""
    m = 1 if asked.n_components is None else asked.n_components
    given = (asked.weights_init, asked.means_init, asked.precisions_init)
    kind = asked.covariance_type
    if asked.warm_start and hasattr(asked, "n_iter_"):  # a fit of this estimator
        given = (asked.weights_, asked.means_, asked.precisions_)
        m, kind = len(asked.weights_), asked.covariance_type_
    elif all(part is None for part in given):
        return None
    if asked.n_clusters is not None:
        raise UsageError(
            "components to start from are those of n_components",
            hint="leave n_clusters out, or weights_init, means_init, precisions_init and warm_start",
        )
    return Start(m, *given, kind, asked.init_params, seed)


def _of_shape(name: str, given: Any, expected: tuple[int, ...]) -> np.ndarray:
    values = np.array(given, float)
    if values.shape != expected:
        raise UsageError(
            f"The parameter '{name}' should have the shape of {expected}, but got {values.shape}",
            hint="one for each component and feature",
        )
    return values


def _weights(given: Any, m: int) -> np.ndarray:
    weights = _of_shape("weights", given, (m,))
    if weights.min() < 0 or weights.max() > 1:
        raise UsageError(
            "The parameter 'weights' should be in the range [0, 1], but got max value "
            f"{weights.max():.5f}, min value {weights.min():.5f}",
            hint="give shares of the rows",
        )
    if not np.isclose(weights.sum(), 1.0):
        raise UsageError(
            f"The parameter 'weights' should be normalized, but got sum(weights) = {weights.sum():.5f}",
            hint="divide them by their sum",
        )
    return weights


def _covariances(given: Any, kind: str, m: int, f: int) -> np.ndarray:
    """The inverses (m, f, f) of precisions of the shape `kind`."""
    shapes = {"full": (m, f, f), "tied": (f, f), "diag": (m, f), "spherical": (m,)}
    if kind not in shapes:
        raise UsageError(
            f"precisions_init with covariance_type {kind!r}",
            hint="name the shape that they have: full, tied, diag or spherical",
        )
    values = _of_shape(f"{kind} precision", given, shapes[kind])
    if kind in ("diag", "spherical"):
        if (values <= 0).any():
            raise UsageError(f"'{kind} precision' should be positive", hint="give 1 / variance")
        return (1 / values).reshape(m, -1, 1) * np.eye(f)
    if (
        not np.allclose(values, np.swapaxes(values, -1, -2))
        or np.linalg.eigvalsh(values).min() <= 0
    ):
        raise UsageError(
            f"'{kind} precision' should be symmetric, positive-definite",
            hint="give inverses of covariances",
        )
    return np.broadcast_to(np.linalg.inv(values), (m, f, f))
