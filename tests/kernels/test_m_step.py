"""The parts of the M-step against NumPy's."""

import numpy as np
import pytest

from divmix.kernels import m_step
from tests.kernels.test_matrices import made


@pytest.mark.parametrize("shape", ["full", "one for all", "variances"])
@pytest.mark.parametrize("learned", [True, False])
def test_weights_and_means_follow_the_gradient_in_the_metric_of_em(shape, learned):
    generator, m, d, alpha, left, rows = np.random.default_rng(0), 4, 3, 0.3, 0.1, 0.05
    spread = made(m, d, 1)
    spread = {"full": spread, "one for all": spread[:1], "variances": generator.random((m, 1, d))}[
        shape
    ]
    own, shares, weights = generator.dirichlet(np.ones(m), 3)
    shares[2] = own[2] / 20  # so few that the push is held back
    by_weights, by_means = 9 * generator.normal(size=m), generator.normal(size=(m, d))
    means = generator.normal(size=(m, d))
    found = m_step.pushed_locations(
        alpha, by_weights, by_means, spread, shares, own, weights, means, rows, left, learned
    )
    full = spread[:, 0, :, None] * np.eye(d) if shape == "variances" else spread
    least = left * own
    steps = (alpha / np.maximum(shares, least))[:, None]
    moved = weights
    if learned:
        moved = weights + alpha * own * (by_weights - own @ by_weights / own.sum())
        assert (moved < left * weights).any()
        moved = np.maximum(moved, left * weights)
    np.testing.assert_allclose(found[0], moved * weights.sum() / moved.sum())
    np.testing.assert_allclose(found[1], means + steps * (full @ by_means[:, :, None])[:, :, 0])
    np.testing.assert_allclose(found[2], alpha / np.maximum(shares + rows, least))


def test_a_push_and_whether_it_leaves_enough():
    S, T, G = made(40, 3, 0), made(40, 3, 10), -made(40, 3, 20)
    relative, floor = np.linspace(0.0, 0.02, 40), np.array([0.1, 0.15, 0.2])
    wanted = T + 2 * relative[:, None, None] * (S @ G @ S)
    found, _ = m_step.pushed(T, S, G, relative, 0.3, floor)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
    enough = np.linalg.eigvalsh(wanted - 0.3 * T)[:, 0] > 0
    wide = np.linalg.eigvalsh(wanted - np.diag(floor))[:, 0] > 0
    for j in range(40):
        one = slice(j, j + 1)
        _, fine = m_step.pushed(T[one], S[one], G[one], relative[one], 0.3, floor)
        assert fine == (enough[j] and wide[j])
    assert 0 < (enough & wide).sum() < enough.sum() < 40


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
    np.testing.assert_allclose(m_step.scatters(second, first, mass, means), scatters, atol=1e-12)
    wanted = (scatters + rows * extra) / (mass + rows)[:, None, None]
    if not rows:
        wanted[1] = previous[1]
    lowest = np.linalg.eigvalsh(wanted).min()
    for share in (0.9, 1.1):
        floor = np.full(4, share * lowest)
        found, wide = m_step.estimates(
            second, first, mass, mass, means, extra, rows, previous, 1e-12, floor
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
        assert wide == (share < 1)
    of_columns = (np.diagonal(each, axis1=1, axis2=2).copy() for each in (second, previous))
    square, before = of_columns
    found = m_step.diagonal_estimates(
        square, first, mass, mass, means, np.diag(extra).copy(), rows, before, 1e-12
    )
    diagonals = np.diagonal(wanted, axis1=1, axis2=2)
    np.testing.assert_allclose(found, diagonals, rtol=1e-9, atol=1e-9)
    found = m_step.per_mass(first, mass, means, 1e-12)
    np.testing.assert_allclose(found[[0, 2]], (first / mass[:, None])[[0, 2]])
    np.testing.assert_array_equal(found[1], means[1])
