"""The parameters of components in the units of the table, in the shapes of scikit-learn."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from divmix.design.columns import CategoricalColumn, NumericColumn
from divmix.design.date_column import DateColumn
from divmix.design.design import Design
from divmix.families import Mixed
from divmix.model.mixture import Mixture


class Parameters(NamedTuple):
    """Means (m, f) and covariances of m components over f features.

    kind is the shape of the covariances: full (m, f, f), tied (f, f), diag (m, f), spherical (m,).
    A feature is a column of numbers (its logarithm where that was taken), a category, of which the
    mean is a share, or a feature of an embedding. Of Student-t components they are the scales.
    """

    means: np.ndarray
    covariances: np.ndarray
    kind: str


def parameters(mixture: Mixture) -> Parameters:
    """Those of a mixture's components.

    Spherical components of columns that were scaled apart are no spheres in the table's units, but
    ellipsoids along its axes: `diag`.
    """
    family, components = mixture.family, mixture.components
    center, scale = units(mixture.design)
    means = components.means * scale + center
    kind, covariances = family.structure.name, components.covariances
    if isinstance(family, Mixed):
        return Parameters(means, *_mixed(mixture, family, scale))
    if kind == "full":
        return Parameters(means, covariances * np.outer(scale, scale), kind)
    if kind == "tied":
        return Parameters(means, covariances[0] * np.outer(scale, scale), kind)
    if kind == "spherical" and (scale == scale[0]).all():
        return Parameters(means, covariances * scale[0] ** 2, kind)
    return Parameters(means, family.variances(components) * scale**2, "diag")


def _mixed(mixture: Mixture, family: Mixed, scale: np.ndarray) -> tuple[np.ndarray, str]:
    """Covariances of numbers and categories, which are independent in a component."""
    variances = family.variances(mixture.components) * scale**2
    numeric = family.categories.numeric
    if family.numbers.axis_aligned or not len(numeric):
        return variances, "diag"
    numbers = family.numbers.moments(family.of_numbers(mixture.components)).covariances
    whole = variances[:, :, None] * np.eye(len(scale))
    whole[:, numeric[:, None], numeric] = numbers * np.outer(scale[numeric], scale[numeric])
    return whole, "full"


def units(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """What a feature z of the design stands for: z * scale + center; two arrays (f,)."""
    if design.is_embedding:
        return np.zeros(design.n_features), np.ones(design.n_features)
    center: list[float] = []
    scale: list[float] = []
    for column in design.preprocessing.columns:
        if isinstance(column, NumericColumn | DateColumn):
            parts = column.columns if isinstance(column, DateColumn) else (column,)
            center.extend(part.center for part in parts)
            scale.extend(part.scale for part in parts)
        else:
            shares = column.shares if isinstance(column, CategoricalColumn) else (column.share,)
            center.extend(shares)
            scale.extend([1.0] * len(shares))
    return np.array(center), np.array(scale)


def precisions_cholesky(found: Parameters) -> np.ndarray:
    """Factors P of the inverse covariances, P P^T, upper triangular; of diag and spherical ones
    the inverse standard deviations. Infinite for a category that a component has in all rows."""
    if found.kind in ("diag", "spherical"):
        with np.errstate(divide="ignore"):
            return 1 / np.sqrt(found.covariances)
    if found.kind == "tied":
        return _factor(found.covariances)
    return np.stack([_factor(covariance) for covariance in found.covariances])


def _factor(covariance: np.ndarray) -> np.ndarray:
    lower = np.linalg.cholesky(covariance)
    return solve_triangular(lower, np.eye(len(lower)), lower=True).T


def precisions(found: Parameters) -> np.ndarray:
    """The inverse covariances, in the shape of the covariances."""
    factors = precisions_cholesky(found)
    if found.kind in ("diag", "spherical"):
        return factors**2
    return factors @ np.swapaxes(factors, -1, -2)
