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
    np.testing.assert_allclose(matrices.traces_of_solved(inverses, P), traces, rtol=1e-8)


def test_matrices_that_are_not_positive_definite_are_told():
    S = made(4, 3, 0)
    S[1, 2, 2], S[3, 0, 0] = -1.0, np.nan
    inverses, half_logs, fine = matrices.inverse_factors(S)
    np.testing.assert_array_equal(fine, [True, False, True, False])
    np.testing.assert_allclose(inverses[2], np.linalg.inv(np.linalg.cholesky(S[2])), rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_narrow_matrices_and_those_of_which_little_is_left(seed):
    S, T, floor = made(40, 3, seed), made(40, 3, seed + 10), np.array([0.2, 0.3, 0.4])
    lowest = np.linalg.eigvalsh(S - np.diag(floor))[:, 0]
    np.testing.assert_array_equal(matrices.are_wide(S, floor), lowest > 0)
    lowest = np.linalg.eigvalsh(S - 0.3 * T)[:, 0]
    np.testing.assert_array_equal(matrices.leave_enough(S, T, 0.3), lowest > 0)
    assert 0 < (lowest > 0).sum() < 40


def test_scatter_about_means_and_products():
    generator, S, G = np.random.default_rng(0), made(3, 4, 1), made(3, 4, 2)
    X, shares = generator.normal(size=(50, 4)), generator.random((50, 3))
    means, extra = generator.normal(size=(3, 4)), made(1, 4, 3)[0]
    second = np.einsum("nm,na,nb->mab", shares, X, X)
    found = matrices.scatters(second, shares.T @ X, shares.sum(axis=0), means, extra)
    apart = X[:, None] - means
    np.testing.assert_allclose(found, np.einsum("nm,nma,nmb->mab", shares, apart, apart) + extra)
    relative = np.array([0.1, 1.0, 3.0])
    np.testing.assert_allclose(
        matrices.between(S, G, relative), 2 * relative[:, None, None] * (S @ G @ S)
    )
