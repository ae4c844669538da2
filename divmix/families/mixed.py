"""Components of tables with categories: numbers by a location and a scale, categories by probabilities.

Given the component all of these are independent (the model of Everitt, Statistics and Probability
Letters 1988; Hunt and Jorgensen 1999):

    log p(x|theta_j) = log p(numbers|mu_j, S_j) + sum_columns log P_j(category)

Probabilities have a Dirichlet prior that counts like PRIOR_ROWS rows of a column in each component,
distributed like the table's. It is a part of J with any other prior or none: P_j is the mode of the
posterior, and no category is impossible.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from divmix.families.categories import SMALLEST_PROBABILITY, Categories
from divmix.families.coded import AnyMatrix, Coded, matrix_of
from divmix.families.components import Components
from divmix.families.family import Array, Family, Moments, Prior, Push
from divmix.families.gaps import one_each
from divmix.families.gaussian import Gaussian
from divmix.families.mixed_overlap import overlap_of
from divmix.families.mixed_sums import sums_of
from divmix.families.moments import moment_match
from divmix.families.posterior import log_weights, posterior
from divmix.families.structure import LEAST_LEFT
from divmix.families.student import Student
from divmix.kernels.components import Overlap
from divmix.kernels.sums import Sums

PRIOR_ROWS = 1.0  # of the Dirichlet prior, for each column of a component
# Of a start: the smallest share of the table's distribution in that of a component. At the rows of
# a cluster by k-means a category that is missing is not thereby impossible.
LEAST_MIXED = 0.1
# Of starts by k-means: the distance of two rows of other categories, in sqrt(2) standard deviations
# of a number. By trials without the test of relevance (four tables, one and five random text columns):
# .25 and .5 cost .02 of mean ARI at most, 1 cost .05 and .11.
CATEGORY_SCALE = 0.5


@dataclass(frozen=True)
class Mixed:
    """Gaussian or Student-t numbers, and categories by their probabilities.

    numbers     the family of the numbers, of their columns alone
    categories  which of the d features are categories, and the table's shares
    floor       (d,) smallest variance; nothing hangs on that of the categories' features

    `Components.means` (m, d) are means of all features, so a category's is its probability less its
    share; `Components.covariances` are those of the numbers, in the shape of their structure:
    those of the categories follow from their means.
    """

    numbers: Gaussian | Student
    categories: Categories
    floor: Array

    @property
    def name(self) -> str:
        """That of the numbers' family."""
        return self.numbers.name

    @property
    def structure(self):
        """The covariance structure of the numbers."""
        return self.numbers.structure

    @property
    def axis_aligned(self) -> bool:
        """Whether the scale matrices of the numbers are diagonal."""
        return self.numbers.axis_aligned

    @property
    def diagonal_only(self) -> bool:
        """Whether variances (c,) of the numbers are asked for and never covariances (c, c)."""
        return self.numbers.diagonal_only

    # components in parts

    def of_numbers(self, components: Components) -> Components:
        """The components of the numbers alone."""
        means = np.ascontiguousarray(components.means[:, self.categories.numeric])
        return components._replace(means=means)

    def probabilities(self, components: Components) -> Array:
        """Probability of each level of the columns that vary, (m, L)."""
        levels = self.categories.varying
        return levels.probabilities(components.means[:, levels.features])

    def _made(self, numbers: Components, probabilities: Array) -> Components:
        """The components of these numbers and probabilities (m, L)."""
        levels = self.categories.varying
        means = np.zeros((numbers.count, self.categories.d))
        means[:, self.categories.numeric] = numbers.means
        means[:, levels.features] = levels.means(probabilities)
        return numbers._replace(means=means)

    def _sums_of_numbers(self, sums: Sums) -> Sums:
        return sums._replace(first=np.ascontiguousarray(sums.first[:, self.categories.numeric]))

    # what a fit asks

    def start(self, weights: Array, means: Array, covariance: Array) -> Components:
        """Components at `means` (m, d), whose numbers are all as scattered as `covariance` tells:
        (c, c), or variances (c,) where the family is `diagonal_only`."""
        numeric, levels = self.categories.numeric, self.categories.varying
        numbers = self.numbers.start(weights, means[:, numeric], covariance)
        own = levels.normalised(levels.probabilities(means[:, levels.features]))
        return self._made(numbers, own)

    def n_parameters(self, m: int, d: int) -> int:
        """Free parameters of a mixture of m components, weights among them: those of the numbers,
        and for each column that varies one less than its levels, in each component. What is common
        to all components is the table's, and no mixture's."""
        varying = self.categories.varying
        of_numbers = self.numbers.n_parameters(m, len(self.categories.numeric))
        return of_numbers + m * (len(varying) - varying.count)

    def spared(self, components: Components, n: int) -> float:
        """What BIC of n rows falls by, at least, where each column has one distribution in all
        components if BIC is then lower.

        That saves (m - 1) (levels - 1) parameters and costs a log-likelihood of no more than
        G = n sum_j w_j KL(P_j, shares), by Jensen's inequality as in a step of EM.
        """
        levels, probabilities = self.categories.varying, self.probabilities(components)
        shares = np.maximum(levels.shares, SMALLEST_PROBABILITY)
        divergences = levels.totals(probabilities * np.log(probabilities / shares))
        lost = 2 * n * (components.weights @ divergences)
        sizes = levels.totals(np.ones((1, len(levels))))[0]
        saved = (components.count - 1) * (sizes - 1) * np.log(n)
        return float(np.maximum(saved - lost, 0.0).sum())

    def log_densities(self, X: Array | Coded, components: Components) -> Array:
        """log p(x|theta_j) of rows X (n, d), (n, m), nats; of categories, of probability."""
        own = self.numbers.log_densities(self.numbers_of(X), self.of_numbers(components))
        return own + self.log_categories(X, self.probabilities(components))

    def numbers_of(self, X: Array | Coded) -> Array:
        """The numbers of rows X (n, d), (n, c)."""
        if isinstance(X, Coded):
            return X.numbers
        return np.ascontiguousarray(X[:, self.categories.numeric])

    def log_categories(self, X: Array | Coded, probabilities: Array) -> Array:
        """log-probability (n, m) of the categories of rows X (n, d) by probabilities (m, L)."""
        varying, common = self.categories.varying, self.categories.common
        shares = np.maximum(common.shares, SMALLEST_PROBABILITY)[None]
        if isinstance(X, Coded):
            own = self.categories.is_varying
            found = varying.log_densities_by_codes(X.codes[:, own], probabilities)
            of_all = common.log_densities_by_codes(X.codes[:, ~own], shares)
        else:
            found = varying.log_densities(X[:, varying.features], probabilities)
            of_all = common.log_densities(X[:, common.features], shares)
        return found + of_all if common.count else found

    def log_marginal(self, X: Array, components: Components, columns: NDArray[np.int64]) -> Array:
        """log p of these features alone, (n, m), of rows X (n, d); a column's are whole."""
        categories = self.categories.among(columns)
        part = Mixed(self.numbers, categories, self.floor[columns])
        kept = np.flatnonzero(np.isin(self.categories.numeric, columns))
        numbers = self.numbers.marginal(self.of_numbers(components), kept)
        means = components.means[:, columns]
        return part.log_densities(X[:, columns], numbers._replace(means=means))

    def is_independent(self, columns: NDArray[np.int64]) -> bool:
        """Whether the density of a component is that of these columns times that of the others."""
        return (
            self.numbers.columns_independent or not np.isin(columns, self.categories.numeric).any()
        )

    def sums(self, X: NDArray | Coded, row_weights: Array, components: Components) -> Sums:
        """Log-likelihood, masses and moments summed over rows X (n, d), in blocks of BLOCK_ROWS.

        `second` is that of the numbers alone, in the shape of their structure.
        """
        return sums_of(self, X, row_weights, components)

    def expected(self, components: Components, weight: float) -> Sums:
        """What rows of this total weight leave on average that the mixture itself has drawn, less
        the rows of the prior of probabilities: their M-step, which has these, is these components."""
        levels, numeric = self.categories.varying, self.categories.numeric
        numbers = self.numbers.expected(self.of_numbers(components), weight)
        mass = numbers.mass[:, None]
        own = (mass + PRIOR_ROWS) * self.probabilities(components) - PRIOR_ROWS * levels.shares
        own = mass * levels.normalised(np.maximum(own, 0.0))
        first = np.zeros_like(components.means)
        first[:, numeric] = numbers.first
        first[:, levels.features] = own[:, levels.own] - mass * levels.offsets
        return numbers._replace(first=first)

    def residuals(self, X: Array, shares: Array, components: Components) -> Array:
        """As of the numbers; of the features of categories without a weight u, (n, d)."""
        numeric = self.categories.numeric
        found = shares.sum(axis=1)[:, None] * X - shares @ components.means
        numbers = self.of_numbers(components)
        found[:, numeric] = self.numbers.residuals(X[:, numeric], shares, numbers)
        return found

    def maximize(
        self,
        sums: Sums,
        components: Components,
        *,
        learn_weights: bool = True,
        prior: Prior | None = None,
        push: Push | None = None,
    ) -> Components:
        """The M-step: for the numbers theirs, for probabilities the mode of their posterior.

        A push moves probabilities on by their natural gradient alpha / p_j P_jc (dH/dP_jc -
        sum_b P_jb dH/dP_jb), p_j the share of the rows, the prior's among them. One keeps a tenth
        of the M-step's.
        """
        numeric, levels = self.categories.numeric, self.categories.varying
        of_numbers = None
        if push is not None:
            means = np.ascontiguousarray(push.gradient.means[:, numeric])
            of_numbers = push._replace(gradient=push.gradient._replace(means=means))
        numbers = self.numbers.maximize(
            self._sums_of_numbers(sums),
            self.of_numbers(components),
            learn_weights=learn_weights,
            prior=prior,
            push=of_numbers,
        )
        counts = levels.counts(sums.first[:, levels.features], sums.mass)
        probabilities = levels.normalised(counts + PRIOR_ROWS * levels.shares)
        if push is not None:
            probabilities = self._pushed(probabilities, sums, components, push)
        return self._made(numbers, probabilities)

    def _pushed(self, wanted: Array, sums: Sums, components: Components, push: Push) -> Array:
        """The probabilities (m, L) of an M-step, moved on."""
        levels = self.categories.varying
        shares = (sums.mass + PRIOR_ROWS) / (sums.mass.sum() + sums.outside)
        own = self.probabilities(components)
        slopes = np.zeros_like(own)
        slopes[:, levels.own] = push.gradient.means[:, levels.features]
        slopes -= levels.spread(levels.totals(own * slopes))
        least = np.maximum(shares, LEAST_LEFT * components.weights)
        moved = wanted + (push.alpha / least)[:, None] * own * slopes
        return levels.normalised(np.maximum(moved, LEAST_LEFT * wanted))

    def log_prior(self, components: Components, prior: Prior | None) -> float:
        """That of the numbers, and PRIOR_ROWS sum_c share_c log P_jc of each column, nats, up to a
        constant; of the categories also without a `prior`."""
        own = self.numbers.log_prior(self.of_numbers(components), prior)
        logs = np.log(self.probabilities(components))
        return own + PRIOR_ROWS * float((logs @ self.categories.varying.shares).sum())

    def moments(self, components: Components) -> Moments:
        """Of the numbers, and the probabilities."""
        own = self.numbers.moments(self.of_numbers(components))
        return own._replace(probabilities=self.probabilities(components))

    def from_moments(self, moments: Moments) -> Components:
        """Components with these moments of the numbers and probabilities; or, where there are no
        probabilities, with the means (m, d) of all features. Frequencies are then mixed with the
        table's shares, since what a few rows lack is not impossible."""
        numeric, levels = self.categories.numeric, self.categories.varying
        probabilities = moments.probabilities
        if probabilities is None:
            own = levels.normalised(levels.probabilities(moments.means[:, levels.features]))
            probabilities = (1 - LEAST_MIXED) * own + LEAST_MIXED * levels.shares
            moments = moments._replace(means=moments.means[:, numeric])
        return self._made(
            self.numbers.from_moments(moments._replace(probabilities=None)), probabilities
        )

    def joined(self, components: Components, labels: NDArray[np.int64]) -> Components:
        """One component for each label, with the moments of those it stands for: the mean of
        their probabilities."""
        numbers = self.numbers.joined(self.of_numbers(components), labels)
        probabilities = moment_match(self.moments(components), labels).probabilities
        assert probabilities is not None
        return self._made(numbers, probabilities)

    def pooled(self, components: Components) -> Array:
        """Covariance of the numbers within the components, (c, c), or variances (c,)."""
        return self.numbers.pooled(self.of_numbers(components))

    def overlap(
        self, components: Components, values: Array | None = None, *, gradient: bool = True
    ) -> Overlap:
        """Entropy H of the components by k = k_numbers prod_columns sum_c sqrt(P_ic P_jc), the
        overlap of independent columns, and its exact gradient: by means of the categories'
        features it is that by their probabilities, as if these were free."""
        return overlap_of(self, components, values, gradient)

    def variances(self, components: Components) -> Array:
        """Variance of each feature in each component, (m, d): P (1 - P) of a category."""
        result = np.empty(components.means.shape)
        result[:, self.categories.numeric] = self.numbers.variances(self.of_numbers(components))
        for levels in (self.categories.varying, self.categories.common):
            own = components.means[:, levels.features] + levels.offsets
            result[:, levels.features] = np.clip(own * (1 - own), 0.0, None)
        return result

    def draw(
        self, components: Components, labels: NDArray[np.int64], generator: np.random.Generator
    ) -> Array:
        """One row (d,) from each component in labels (n,): numbers and one category a column."""
        X = np.empty((len(labels), self.categories.d))
        numbers = self.of_numbers(components)
        X[:, self.categories.numeric] = self.numbers.draw(numbers, labels, generator)
        varying, common = self.categories.varying, self.categories.common
        drawn = varying.drawn(self.probabilities(components), labels, generator)
        X[:, varying.features] = drawn
        drawn = common.drawn(common.shares[None], np.zeros(len(labels), np.int64), generator)
        X[:, common.features] = drawn
        return X

    def filled(
        self, X: Array, components: Components, generator: np.random.Generator | None = None
    ) -> Array:
        """X (n, d) with its missing cells filled in: numbers by conditional means, categories by
        their probabilities; or with a generator both by draws."""
        numeric, numbers = self.categories.numeric, self.of_numbers(components)
        varying, common = self.categories.varying, self.categories.common
        N, probabilities = np.ascontiguousarray(X[:, numeric]), self.probabilities(components)
        seen = self.numbers.structure.seen(N, numbers)
        joint = self.numbers.log_densities_at(seen, numbers) + log_weights(components.weights)
        shares = posterior(joint + self.log_categories(X, probabilities)).responsibilities
        values = np.zeros(X.shape)
        if generator is None:
            values[:, varying.features] = shares @ varying.means(probabilities)
        else:
            shares = one_each(shares, generator)
            own = shares.argmax(axis=1)
            values[:, varying.features] = varying.drawn(probabilities, own, generator)
            nothing = np.zeros(len(X), np.int64)
            values[:, common.features] = common.drawn(common.shares[None], nothing, generator)
        values[:, numeric] = self.numbers.filled_by(N, shares, seen, numbers, generator)
        return np.where(np.isnan(X), values, X)

    # coordinates: those of the numbers, and log P of each level

    def coordinates(self, components: Components) -> Array:
        """theta (m, D): those of the numbers, then log P of each level."""
        of_numbers = self.numbers.coordinates(self.of_numbers(components))
        return np.hstack([of_numbers, np.log(self.probabilities(components))])

    def from_coordinates(self, theta: Array, components: Components) -> Components:
        """Components at theta (m, D); exp theta of the levels is divided by its sum."""
        levels = self.categories.varying
        at = theta.shape[1] - len(levels)
        numbers = self.numbers.from_coordinates(theta[:, :at], self.of_numbers(components))
        logs = theta[:, at:]
        if levels.count:
            logs = logs - levels.spread(np.maximum.reduceat(logs, levels.starts, axis=1))
        return self._made(numbers, levels.normalised(np.exp(logs)))

    def gradient(self, sums: Sums, components: Components) -> Array:
        """Gradient of the summed log-likelihood in the coordinates, (m, D)."""
        numbers = self.numbers.gradient(self._sums_of_numbers(sums), self.of_numbers(components))
        levels = self.categories.varying
        counts = levels.counts(sums.first[:, levels.features], sums.mass)
        by_levels = counts - sums.mass[:, None] * self.probabilities(components)
        return np.hstack([numbers, by_levels])

    def update_shared(self, sums: Sums, components: Components) -> Components:
        """As that of the numbers."""
        numbers = self.numbers.update_shared(
            self._sums_of_numbers(sums), self.of_numbers(components)
        )
        return numbers._replace(means=components.means)

    def comparable(self, X: Array) -> Array:
        """Features of rows X (n, d) in which distances may be compared, for starts by k-means:
        numbers, and categories that vary, scaled."""
        numeric, levels = self.categories.numeric, self.categories.varying
        return np.hstack([X[:, numeric], self.category_scale * X[:, levels.features]])

    @property
    def category_scale(self) -> float:
        """What features of categories are multiplied by where distances are compared."""
        return CATEGORY_SCALE if len(self.categories.numeric) else 1.0


def as_seen(X: AnyMatrix, family: Family) -> Any:
    """Rows as `family` sees them: by codes if it knows categories, else with all of their features."""
    return X if isinstance(family, Mixed) else matrix_of(X)


def scattered(family: Family, d: int) -> NDArray[np.int64]:
    """Which of d features a family's covariances are of: the numbers of a mixed table, else all."""
    return family.categories.numeric if isinstance(family, Mixed) else np.arange(d)


def of_scattered(family: Family, X: Any) -> Array:
    """These features of rows X (n, d) as `family` sees them, (n, c)."""
    return family.numbers_of(X) if isinstance(family, Mixed) else X
