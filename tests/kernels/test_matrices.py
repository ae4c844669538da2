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
    for logs in (2 * half_logs, matrices.log_dets(S)):
        np.testing.assert_allclose(logs, np.linalg.slogdet(S)[1], rtol=1e-10, atol=1e-10)
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
