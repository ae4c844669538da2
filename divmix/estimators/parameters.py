"""The parameters of components in the units of the table, in the shapes of scikit-learn."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from divmix.design.columns import CategoricalColumn, NumericColumn
from divmix.design.date_column import DateColumn
from divmix.design.design import Design
from divmix.families import Mixed
from divmix.model.mixture import Mixture


class Covariances(NamedTuple):
    """Covariances of m components over f features.

    kind is the shape of the covariances: full (m, f, f), tied (f, f), diag (m, f), spherical (m,).
    A feature is a column of numbers (its logarithm where that was taken), a category, of which the
    mean is a share, or a feature of an embedding. Of Student-t components they are the scales.
    """

    covariances: np.ndarray
    kind: str


def means(mixture: Mixture) -> np.ndarray:
    """Those of a mixture's components, (m, f)."""
    center, scale = units(mixture.design)
    return mixture.components.means * scale + center


def kind_of(mixture: Mixture) -> str:
    """The shape of the covariances.

    Spherical components of columns that were scaled apart are no spheres in the table's units, but
    ellipsoids along its axes: `diag`. Numbers and categories are independent in a component, which a
    matrix tells where numbers are not: `full`.
    """
    family = mixture.family
    if isinstance(family, Mixed):
        alone = family.numbers.axis_aligned or not len(family.categories.numeric)
        return "diag" if alone else "full"
    _, scale = units(mixture.design)
    kind = family.structure.name
    if kind in ("full", "tied") or (kind == "spherical" and (scale == scale[0]).all()):
        return kind
    return "diag"


def covariances(mixture: Mixture) -> np.ndarray:
    """Those of a mixture's components, in the shape of `kind_of`."""
    family, components, kind = mixture.family, mixture.components, kind_of(mixture)
    _, scale = units(mixture.design)
    if kind == "diag":
        return family.variances(components) * scale**2
    if kind == "spherical":
        return components.covariances * scale[0] ** 2
    if isinstance(family, Mixed):
        numeric, numbers = family.categories.numeric, family.of_numbers(components)
        whole = (family.variances(components) * scale**2)[:, :, None] * np.eye(len(scale))
        own = family.numbers.moments(numbers).covariances
        whole[:, numeric[:, None], numeric] = own * np.outer(scale[numeric], scale[numeric])
        return whole
    own = components.covariances[0] if kind == "tied" else components.covariances
    return own * np.outer(scale, scale)


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


def precisions_cholesky(found: Covariances) -> np.ndarray:
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


def precisions(found: Covariances) -> np.ndarray:
    """The inverse covariances, in the shape of the covariances."""
    factors = precisions_cholesky(found)
    if found.kind in ("diag", "spherical"):
        return factors**2
    return factors @ np.swapaxes(factors, -1, -2)
