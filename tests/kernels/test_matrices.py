"""Algebra of many small matrices against NumPy's."""

import numpy as np
import pytest

from divmix.kernels import matrices


def made(m, d, seed):
    """Positive definite matrices (m, d, d)."""
    factors = np.random.default_rng(seed).normal(size=(m, d, d))
    return factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(d)


@pytest.mark.parametrize("d", [1, 2, 5, 17])
def test_factors_logarithms_and_traces(d):
    S, P = made(4, d, d), made(1, d, 99)[0]
    inverses, half_logs, fine = matrices.inverse_factors(S)
    assert fine.all() and (np.triu(inverses, 1) == 0).all()
    np.testing.assert_allclose(inverses, np.linalg.inv(np.linalg.cholesky(S)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(2 * half_logs, np.linalg.slogdet(S)[1], rtol=1e-10, atol=1e-10)
    packed, shares = P[np.tril_indices(d)] * np.ones((4, 1)), np.arange(4.0)
    wanted = P + shares[:, None, None] * np.linalg.inv(S)
    found = matrices.with_inverses(packed, shares, inverses)
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-7)
    traces = np.trace(np.linalg.solve(S, P[None]), axis1=1, axis2=2)
    total, fine = matrices.log_volumes(S, P)
    assert fine and total == pytest.approx((np.linalg.slogdet(S)[1] + traces).sum(), rel=1e-8)


def test_matrices_that_are_not_positive_definite_are_told():
    S = made(4, 3, 0)
    S[1, 2, 2], S[3, 0, 0] = -1.0, np.nan
    inverses, half_logs, fine = matrices.inverse_factors(S)
    np.testing.assert_array_equal(fine, [True, False, True, False])
    np.testing.assert_allclose(inverses[2], np.linalg.inv(np.linalg.cholesky(S[2])), rtol=1e-9)
    assert not matrices.log_volumes(S, np.eye(3))[1]


@pytest.mark.parametrize("seed", range(3))
def test_narrow_matrices_are_told(seed):
    S, floor = made(40, 3, seed), np.array([0.2, 0.3, 0.4])
    lowest = np.linalg.eigvalsh(S - np.diag(floor))[:, 0]
    np.testing.assert_array_equal(matrices.are_wide(S, floor), lowest > 0)
    assert 0 < (lowest > 0).sum() < 40


def test_a_push_and_whether_it_leaves_enough():
    S, T, G = made(40, 3, 0), made(40, 3, 10), -made(40, 3, 20)
    relative = np.linspace(0.001, 0.3, 40)
    wanted = T + 2 * relative[:, None, None] * (S @ G @ S)
    found, enough = matrices.pushed(T, S, G, relative, 0.3)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
    lowest = np.linalg.eigvalsh(wanted - 0.3 * T)[:, 0]
    np.testing.assert_array_equal(enough, lowest > 0)
    assert 0 < enough.sum() < 40


@pytest.mark.parametrize("rows", [0.0, 7.0])
def test_estimates_about_means(rows):
    generator = np.random.default_rng(0)
    X, shares = generator.normal(size=(50, 4)), generator.random((50, 3))
    shares[:, 1] *= 1e-20  # no rows to speak of
    means, extra, previous = generator.normal(size=(3, 4)), made(1, 4, 3)[0], made(3, 4, 4)
    mass, first = shares.sum(axis=0), shares.T @ X
    second = np.einsum("nm,na,nb->mab", shares, X, X)
    apart = X[:, None] - means
    scatters = np.einsum("nm,nma,nmb->mab", shares, apart, apart)
    np.testing.assert_allclose(matrices.scatters(second, first, mass, means), scatters, atol=1e-12)
    wanted = (scatters + rows * extra) / (mass + rows)[:, None, None]
    if not rows:
        wanted[1] = previous[1]
    found = matrices.estimates(second, first, mass, mass, means, extra, rows, previous, 1e-12)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
    of_columns = (np.diagonal(each, axis1=1, axis2=2).copy() for each in (second, previous))
    square, before = of_columns
    found = matrices.diagonal_estimates(
        square, first, mass, mass, means, np.diag(extra).copy(), rows, before, 1e-12
    )
    diagonals = np.diagonal(wanted, axis1=1, axis2=2)
    np.testing.assert_allclose(found, diagonals, rtol=1e-9, atol=1e-9)
    found = matrices.per_mass(first, mass, means, 1e-12)
    np.testing.assert_allclose(found[[0, 2]], (first / mass[:, None])[[0, 2]])
    np.testing.assert_array_equal(found[1], means[1])
