"""Numbers that have one normal density in all components, beside those that the components know.

A mixture of the numbers that are compared becomes one of all columns: in the others each component
has the table's mean and variance, and no covariance. By these a row is as likely under one
component as under the next, so that it has the same cluster with and without them.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from divmix.families.axis_aligned import Diag, Spherical
from divmix.families.categories import Categories
from divmix.families.components import Components
from divmix.families.family import Array
from divmix.families.gaussian import Gaussian
from divmix.families.mixed import Mixed
from divmix.families.structure import CovarianceStructure


@dataclass(frozen=True)
class CommonNumbers:
    """Which of d features are compared, and what the others are like.

    compared    (c,) places of the features that components know of
    common      (d - c,) places of the others, all of them numbers
    mean, variance, floor  (d - c,) of the others
    categories  of the d features, None where there are none
    there       (d - c,) share of the rows that have the cell, None where all have
    """

    compared: NDArray[np.int64]
    common: NDArray[np.int64]
    mean: Array
    variance: Array
    floor: Array
    categories: Categories | None = None
    there: Array | None = None

    @classmethod
    def of(
        cls, family: Gaussian | Mixed, components: Components, common: NDArray[np.int64]
    ) -> "CommonNumbers":
        """Those at the places `common` of a mixture of all features."""
        categories = family.categories if isinstance(family, Mixed) else None
        compared = np.setdiff1d(np.arange(len(family.floor)), common)
        mean, variance = components.means[0, common], family.variances(components)[0, common]
        return cls(compared, common, mean, variance, family.floor[common], categories)

    def after(self, weight: float, mean: Array, variance: Array, new: float) -> "CommonNumbers":
        """The same numbers after rows of weight `new` with this mean and variance, where these
        ones have `weight` (Chan, Golub and LeVeque 1983)."""
        share = new / (weight + new)
        gap = mean - self.mean
        variance = (1 - share) * self.variance + share * variance + share * (1 - share) * gap**2
        return replace(
            self, mean=self.mean + share * gap, variance=np.maximum(variance, self.floor)
        )

    def compared_alone(self, family: Gaussian | Mixed, structure: str) -> Gaussian | Mixed:
        """The family of the features that are compared, from that of all: what `family` was made
        of, with covariances of this `structure`."""
        own = Spherical() if structure == Spherical.name else family.structure
        floor = family.floor[self.compared]
        if not isinstance(family, Mixed):
            return Gaussian(own, floor)
        categories = family.categories.among(self.compared)
        return Mixed(Gaussian(own, floor[categories.numeric]), categories, floor)

    def components_alone(
        self, family: Gaussian | Mixed, own: Gaussian | Mixed, components: Components
    ) -> Components:
        """Components of `own`, of the features that are compared, from those of all."""
        numeric = np.arange(len(family.floor))
        if isinstance(family, Mixed):
            numeric = family.categories.numeric
        kept = np.flatnonzero(np.isin(numeric, self.compared))
        covariances = family.structure.marginal(components.covariances, kept)
        if isinstance(own.structure, Spherical):
            covariances = own.structure.from_full(covariances)
        return components._replace(
            means=np.ascontiguousarray(components.means[:, self.compared]),
            covariances=np.ascontiguousarray(covariances),
        )

    @property
    def log_likelihood(self) -> float:
        """That of the common numbers, mean per row in nats."""
        of_columns = np.log(2 * np.pi * self.variance) + 1
        return -0.5 * float((of_columns if self.there is None else self.there * of_columns).sum())

    def family(self, own: Gaussian | Mixed) -> Gaussian | Mixed:
        """The family of all features; where `own` is spherical its numbers are diagonal."""
        floor = np.empty(len(self.compared) + len(self.common))
        floor[self.compared], floor[self.common] = own.floor, self.floor
        if not isinstance(own, Mixed):
            return Gaussian(_widened(own.structure), floor)
        assert self.categories is not None and isinstance(own.numbers, Gaussian)
        categories = self.categories.with_common([one.common for one in own.categories.columns])
        numbers = Gaussian(_widened(own.structure), floor[categories.numeric])
        return Mixed(numbers, categories, floor)

    def components(self, own: Gaussian | Mixed, components: Components) -> Components:
        """Components of all features, of `family(own)`."""
        m, d = components.count, len(self.compared) + len(self.common)
        means = np.empty((m, d))
        means[:, self.compared], means[:, self.common] = components.means, self.mean
        numeric = np.arange(len(self.compared))
        if isinstance(own, Mixed):
            numeric = own.categories.numeric
        known, others = self.compared[numeric], self.common
        places = np.sort(np.concatenate([known, others]))
        known, others = np.searchsorted(places, known), np.searchsorted(places, others)
        columns = len(known) + len(others)
        full = np.zeros((m, columns, columns))
        own_full = own.structure.as_full(components.covariances, m, len(known))
        full[:, known[:, None], known] = own_full
        full[:, others, others] = self.variance
        covariances = _widened(own.structure).from_full(full)
        return components._replace(means=means, covariances=covariances)


def _widened(structure: CovarianceStructure) -> CovarianceStructure:
    """The structure that holds what this one does beside columns of other variances."""
    return Diag() if isinstance(structure, Spherical) else structure
