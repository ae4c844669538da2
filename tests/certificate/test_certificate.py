"""The bound: known by theory, by brute force, and never below what a better mixture gains."""

import numpy as np
import pytest
from scipy.special import logsumexp

from divmix.certificate.bound import certify, starts_at_rows
from divmix.families import Components, make_family


def log_density(X, family, components):
    return logsumexp(family.log_densities(X, components) + np.log(components.weights), axis=1)


def searched(X, family, components, row_weights=None, steps=30, seed=0):
    row_weights = np.ones(len(X)) if row_weights is None else row_weights
    density = log_density(X, family, components)
    generator = np.random.default_rng(seed)
    starts = starts_at_rows(X, row_weights, density, family, generator, rows=30)
    return certify(X, row_weights, density, family, starts, steps=steps)


def blobs(seed, covariance):
    """Rows of three groups, the mixture that knows two of them, and the one that knows all."""
    generator = np.random.default_rng(seed)
    centres = np.array([[0.0, 0], [5, 0], [0, 5]])
    X = np.repeat(centres, 100, axis=0) + generator.normal(0, 0.5, (300, 2))
    family = make_family("gaussian", covariance, np.full(2, 0.05))

    def mixture(k):
        return family.start(np.full(k, 1 / k), centres[:k], 0.25 * np.eye(2))

    return X, family, mixture(2), mixture(3)


@pytest.mark.parametrize("covariance", ["spherical", "diag", "full"])
def test_gap_is_zero_at_the_optimum_known_by_theory(covariance):
    # Points at +-a with a below the smallest standard deviation: one component at 0 is the best
    # mixture of all (two normals closer than 2 sd have one mode), so nothing can be gained.
    X = np.array([[-0.8], [0.8]])
    family = make_family("gaussian", covariance, np.ones(1))
    best = family.start(np.ones(1), np.zeros((1, 1)), np.zeros((1, 1)))
    found = searched(X, family, best, steps=200)
    assert found.ratio == pytest.approx(1, abs=1e-9)
    assert found.gap == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(found.component.means, 0, atol=1e-4)


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_ratio_is_the_maximum_of_a_grid_in_one_dimension(covariance):
    generator = np.random.default_rng(3)
    X = np.concatenate([generator.normal(-3, 0.5, (40, 1)), generator.normal(2, 1, (60, 1))])
    family = make_family("gaussian", covariance, np.full(1, 0.04))
    one = family.start(np.ones(1), X.mean(axis=0)[None], np.cov(X.T).reshape(1, 1))
    density = log_density(X, family, one)
    means, deviations = np.meshgrid(np.linspace(-5, 5, 401), np.geomspace(0.2, 5, 100))
    log_p = -0.5 * ((X[:, :, None] - means) / deviations) ** 2 - np.log(deviations)
    ratios = np.exp(log_p - 0.5 * np.log(2 * np.pi) - density[:, None, None]).mean(axis=0)
    assert searched(X, family, one, steps=60).ratio == pytest.approx(ratios.max(), rel=1e-3)


@pytest.mark.parametrize("covariance", ["diag", "full"])
@pytest.mark.parametrize("seed", range(3))
def test_no_better_mixture_gains_more_than_the_gap(covariance, seed):
    X, family, two, three = blobs(seed, covariance)
    gain = np.mean(log_density(X, family, three) - log_density(X, family, two))
    found = searched(X, family, two)
    assert 0 < gain <= found.gap <= found.ratio - 1


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_the_maximiser_is_where_a_component_is_missing(covariance):
    X, family, two, three = blobs(0, covariance)
    found = searched(X, family, two)
    assert found.component.count == 1
    # Far rows weigh exponentially more, so it lies on the outer side of the missing group.
    assert np.linalg.norm(found.component.means[0] - [0, 5]) < 3
    assert searched(X, family, three).gap < 0.2 * found.gap


def test_an_ascent_never_lowers_the_ratio():
    X, family, two, _ = blobs(1, "full")
    ratios = [searched(X, family, two, steps=steps).ratio for steps in (0, 1, 2, 5)]
    assert np.all(np.diff(ratios) >= -1e-12 * np.array(ratios[1:]))


def test_row_weights_equal_repeats():
    X, family, two, _ = blobs(2, "diag")
    counts = np.random.default_rng(0).integers(0, 3, len(X))
    density = log_density(X, family, two)
    starts = starts_at_rows(X, np.ones(len(X)), density, family, np.random.default_rng(0))
    weighted = certify(X, counts.astype(float), density, family, starts)
    repeated = np.repeat(np.arange(len(X)), counts)
    ones = np.ones(len(repeated))
    plain = certify(X[repeated], ones, density[repeated], family, starts)
    assert weighted.ratio == pytest.approx(plain.ratio, rel=1e-9)


def test_starts_hold_the_rarest_row_and_every_size():
    X, family, two, _ = blobs(0, "full")
    density = log_density(X, family, two)
    ones = np.ones(len(X))
    starts = starts_at_rows(X, ones, density, family, np.random.default_rng(0), rows=10, scales=3)
    assert starts.count == 30
    assert (starts.means == X[density.argmin()]).all(axis=1).any()
    sizes = np.linalg.det(starts.covariances).reshape(3, 10)
    assert (np.diff(sizes[:, 0]) < 0).all()


def test_few_rows_and_one_component_are_enough():
    family = make_family("gaussian", "full", np.full(2, 0.1))
    X = np.array([[0.0, 0.0], [1.0, 1.0]])
    one = family.start(np.ones(1), np.zeros((1, 2)), np.eye(2))
    found = searched(X, family, one)
    assert isinstance(found.component, Components)
    assert np.isfinite(found.ratio)
