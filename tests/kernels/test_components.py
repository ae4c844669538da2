import numpy as np
import pytest

from divmix.kernels import compile as compiling
from divmix.kernels import components, pair_groups
from tests import reference

SHAPES = ["spherical", "diag", "tied", "full"]


def mixture(shape, m, d, seed=0, spread=1.0):
    """means (m, d), covariances of the shape, weights (m,)."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(m, d, d)) * 0.4
    full = factors @ factors.transpose(0, 2, 1) + np.eye(d) * (0.3 + rng.random((m, 1, 1)))
    covariances = {
        "spherical": full[:, 0, 0], "diag": np.einsum("mkk->mk", full).copy(),
        "tied": full[:1], "full": full,
    }[shape]  # fmt: skip
    return spread * rng.normal(size=(m, d)), covariances, rng.dirichlet(np.ones(m))


def entropy(means, covariances, weights):
    return components.overlap(means, covariances, weights, gradient=False).entropy


def slope(function, at, along, step=1e-5):
    return (function(at + step * along) - function(at - step * along)) / (2 * step)


@pytest.fixture(autouse=True)
def default_threads():
    yield
    compiling.set_threads(None)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("m", "d"), [(1, 2), (2, 1), (5, 3), (17, 2), (18, 9), (20, 18)])
def test_overlap_equals_twin(m, d, shape):
    means, covariances, weights = mixture(shape, m, d)
    values = np.random.default_rng(1).normal(size=(m, 3))
    actual = components.overlap(means, covariances, weights, values)
    k = reference.bhattacharyya(means, covariances)
    np.testing.assert_allclose(actual.weighted, k @ weights, rtol=1e-12)
    np.testing.assert_allclose(actual.row_sums, k.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(actual.shared, k @ values, rtol=1e-11, atol=1e-12)
    expected = float(-weights @ np.log(k @ weights))
    assert actual.entropy == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_kernel_is_the_integral_of_the_root_of_two_densities():
    x = np.linspace(-30, 30, 60_001)[:, None]
    means, variances = np.array([0.3, 1.5]), np.array([0.5, 2.0])
    densities = np.exp(-((x - means) ** 2) / 2 / variances) / np.sqrt(2 * np.pi * variances)
    integral = np.sqrt(densities.prod(axis=1)).sum() * (x[1, 0] - x[0, 0])
    weights = np.array([0.25, 0.75])
    result = components.overlap(means[:, None], variances, weights)
    np.testing.assert_allclose(result.row_sums, 1 + integral, rtol=1e-9)
    np.testing.assert_allclose(result.weighted, weights + weights[::-1] * integral, rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_by_weights_equals_finite_differences(shape):
    means, covariances, weights = mixture(shape, 7, 3)
    gradient = components.overlap(means, covariances, weights).gradient.weights
    for along in np.eye(7):
        numeric = slope(lambda w: entropy(means, covariances, w), weights, along)
        assert along @ gradient == pytest.approx(numeric, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("m", "d"), [(2, 1), (7, 3), (19, 4)])
def test_gradient_by_means_equals_finite_differences(m, d, shape):
    means, covariances, weights = mixture(shape, m, d)
    gradient = components.overlap(means, covariances, weights).gradient.means
    for i, c in [(0, 0), (m - 1, d - 1), (m // 2, d // 2)]:
        along = np.zeros((m, d))
        along[i, c] = 1
        numeric = slope(lambda mu: entropy(mu, covariances, weights), means, along)
        assert gradient[i, c] == pytest.approx(numeric, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("m", "d"), [(2, 1), (7, 3), (19, 4)])
def test_gradient_by_covariances_equals_finite_differences(m, d, shape):
    means, covariances, weights = mixture(shape, m, d)
    gradient = components.overlap(means, covariances, weights).gradient.covariances
    assert gradient.shape == covariances.shape
    rng = np.random.default_rng(2)
    for _ in range(4):
        along = rng.normal(size=covariances.shape)
        if covariances.ndim == 3:
            along += along.transpose(0, 2, 1)
            np.testing.assert_array_equal(gradient, gradient.transpose(0, 2, 1))
        numeric = slope(lambda S: entropy(means, S, weights), covariances, along, 1e-6)
        assert (gradient * along).sum() == pytest.approx(numeric, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_entropy_is_0_for_one_place_and_log_m_for_components_far_apart(shape):
    means, covariances, _ = mixture(shape, 6, 3)
    covariances = np.repeat(covariances[:1], len(covariances), axis=0)
    weights = np.full(6, 1 / 6)
    assert entropy(0 * means, covariances, weights) == pytest.approx(0, abs=1e-14)
    assert entropy(1e4 * means, covariances, weights) == pytest.approx(np.log(6), rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_components_without_overlap_have_finite_gradients(shape):
    means, covariances, weights = mixture(shape, 20, 3, spread=1e100)
    result = components.overlap(means, covariances, weights, means)
    np.testing.assert_array_equal(result.weighted, weights)
    for part in result.gradient:
        assert np.isfinite(part).all()
    assert not result.gradient.means.any()
    assert not result.gradient.covariances.any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("where", [0.0, 1e6])  # amid the others, and alone
def test_a_component_of_weight_0_changes_nothing_for_others(shape, where):
    means, covariances, weights = mixture(shape, 6, 3)
    means[5] += where
    weights[5] = 0
    weights /= weights.sum()
    result = components.overlap(means, covariances, weights)
    kept = covariances if shape == "tied" else covariances[:5]
    alone = components.overlap(means[:5], kept, weights[:5])
    assert result.entropy == pytest.approx(alone.entropy, rel=1e-10)
    np.testing.assert_allclose(result.gradient.means[:5], alone.gradient.means, rtol=1e-9)
    assert not result.gradient.means[5].any()
    assert np.isfinite(result.gradient.weights).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_entropy_grows_along_its_gradient(shape):
    means, covariances, weights = mixture(shape, 15, 2)
    gradient = components.overlap(means, covariances, weights).gradient
    before = entropy(means, covariances, weights)
    assert entropy(means + 1e-2 * gradient.means, covariances, weights) > before
    assert entropy(means, covariances + 1e-3 * gradient.covariances, weights) > before


def test_two_components_push_each_other_apart():
    means = np.array([[0.0, 0.0], [1.0, 0.0]])
    push = components.overlap(means, np.ones(2), np.full(2, 0.5)).gradient.means
    assert push[0, 0] < 0 < push[1, 0]
    np.testing.assert_allclose(push.sum(axis=0), 0, atol=1e-16)


@pytest.mark.parametrize("shape", SHAPES)
def test_entropy_has_no_unit(shape):
    means, covariances, weights = mixture(shape, 8, 9)
    here = components.overlap(means, covariances, weights)
    there = components.overlap(1e9 * means, 1e18 * covariances, weights)
    assert there.entropy == pytest.approx(here.entropy, rel=1e-11)
    np.testing.assert_allclose(1e9 * there.gradient.means, here.gradient.means, rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_same_bits_at_any_thread_count(shape, monkeypatch):
    monkeypatch.setattr(pair_groups, "LEAST_WORK", 1)  # as many groups as there may be
    means, covariances, weights = mixture(shape, 50, 3)
    compiling.set_threads(1)
    alone = components.overlap(means, covariances, weights)
    for threads in (2, 4):
        compiling.set_threads(threads)
        together = components.overlap(means, covariances, weights)
        assert together.entropy == alone.entropy
        np.testing.assert_array_equal(together.weighted, alone.weighted)
        for mine, theirs in zip(together.gradient, alone.gradient, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_strips_of_similarities_give_what_all_of_them_give(shape, monkeypatch):
    means, covariances, weights = mixture(shape, 40, 3)
    kept = components.overlap(means, covariances, weights, means)
    monkeypatch.setattr(components, "KEPT_UP_TO", 20)
    made_again = components.overlap(means, covariances, weights, means)
    assert made_again.entropy == pytest.approx(kept.entropy, rel=1e-13)
    np.testing.assert_allclose(made_again.shared, kept.shared, rtol=1e-11, atol=1e-13)
    for mine, theirs in zip(made_again.gradient, kept.gradient, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-13)


def test_spherical_tied_and_diag_are_full_ones():
    for shape in SHAPES[:3]:
        means, covariances, weights = mixture(shape, 20, 4)
        short = components.overlap(means, covariances, weights)
        full = reference.full_covariances(means, covariances)
        long = components.overlap(means, full, weights)
        assert short.entropy == pytest.approx(long.entropy, rel=1e-12)
        np.testing.assert_allclose(short.gradient.means, long.gradient.means, rtol=1e-9, atol=1e-13)


def test_two_thousand_columns():
    rng = np.random.default_rng(0)
    means, variances = 0.02 * rng.normal(size=(12, 2000)), 1 + 0.1 * rng.random((12, 2000))
    weights = np.full(12, 1 / 12)
    u = means[:, None] - means
    middle = (variances[:, None] + variances) / 2
    ratio = middle / np.sqrt(variances[:, None] * variances)
    k = np.exp(-(0.5 * np.log(ratio) + u**2 / middle / 8).sum(axis=2))
    result = components.overlap(means, variances, weights)
    np.testing.assert_allclose(result.weighted, k @ weights, rtol=1e-12)
