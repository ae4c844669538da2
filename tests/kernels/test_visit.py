import numpy as np
import pytest

from divmix.kernels import chunks, gaussian, student, visit
from divmix.kernels import compile as compiling
from tests import reference
from tests.kernels.problems import assert_sums_close, problem

# rows around a tile of 256, components and columns around blocks of 4
SHAPES = [(1, 1, 1), (255, 1, 3), (256, 2, 4), (257, 3, 5), (1000, 4, 1), (2100, 7, 9), (70, 17, 6)]
LAWS = ["gaussian diag", "gaussian full", "student diag", "student full"]


def arguments(law, data, dtype=np.float64):
    X, row_weights, offsets, means, scales, factors, dof = data
    spread = scales if "diag" in law else factors
    return X.astype(dtype), row_weights, offsets, means, spread, *([dof] * ("student" in law))


def kernel_of(law):
    module = gaussian if "gaussian" in law else student
    return module.diag_sums if "diag" in law else module.full_sums


def twin_of(law):
    return reference.diag_sums if "diag" in law else reference.full_sums


@pytest.fixture(autouse=True)
def default_threads():
    yield
    compiling.set_threads(None)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("shape", SHAPES)
def test_kernel_equals_twin(law, shape):
    given = arguments(law, problem(*shape))
    assert_sums_close(kernel_of(law)(*given), twin_of(law)(*given), rtol=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_same_bits_at_any_thread_count(law, monkeypatch):
    monkeypatch.setattr(chunks, "LEAST_WORK", 1)  # many chunks of few rows
    given = arguments(law, problem(5000, 5, 6))
    compiling.set_threads(1)
    alone = kernel_of(law)(*given)
    for threads in (2, 4):
        compiling.set_threads(threads)
        for mine, theirs in zip(kernel_of(law)(*given), alone, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("law", LAWS)
def test_float32_rows_agree_with_float64(law):
    data = problem(3000, 6, 7)
    X = data[0].astype(np.float32)
    single = kernel_of(law)(*arguments(law, data, np.float32))
    double = kernel_of(law)(*arguments(law, (X.astype(np.float64), *data[1:])))
    assert_sums_close(single, double, rtol=2e-6)
    assert single.log_likelihood == pytest.approx(double.log_likelihood, rel=3e-8)
    assert all(np.asarray(field).dtype == np.float64 for field in single)


@pytest.mark.parametrize("law", LAWS)
def test_float32_keeps_the_variance_of_a_narrow_component_far_out(law):
    rng = np.random.default_rng(1)
    X = (100.0 + 1e-3 * rng.normal(size=(4000, 1))).astype(np.float32)
    data = (X, np.ones(4000), np.zeros(1), np.array([[100.0]]), np.array([[1e3]]),
            np.array([[[1e3]]]), np.array([5.0]))  # fmt: skip
    single = kernel_of(law)(*arguments(law, data, np.float32))
    double = kernel_of(law)(*arguments(law, data, np.float64))
    assert_sums_close(single, double, rtol=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_integer_weight_equals_repeated_rows(law):
    X, _, *rest = problem(300, 3, 4)
    repeats = np.arange(300) % 3
    weighted = kernel_of(law)(*arguments(law, (X, repeats.astype(float), *rest)))
    ones = np.ones(repeats.sum())
    repeated = kernel_of(law)(*arguments(law, (np.repeat(X, repeats, axis=0), ones, *rest)))
    assert_sums_close(weighted, repeated, rtol=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_sums_of_two_halves_add_to_the_whole(law):
    X, row_weights, *rest = problem(1500, 4, 5)
    halves = [slice(0, 700), slice(700, None)]
    first, second = (
        kernel_of(law)(*arguments(law, (X[rows], row_weights[rows], *rest))) for rows in halves
    )
    whole = kernel_of(law)(*arguments(law, (X, row_weights, *rest)))
    assert_sums_close(first + second, whole, rtol=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_component_of_weight_zero_gets_nothing(law):
    X, row_weights, offsets, *rest = problem(400, 3, 5)
    offsets[2] = -np.inf
    sums = kernel_of(law)(*arguments(law, (X, row_weights, offsets, *rest)))
    assert sums.mass[2] == 0 and not sums.first[2].any() and not sums.second[2].any()
    assert sums.mass.sum() == pytest.approx(row_weights.sum(), rel=1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("law", LAWS)
def test_rows_whose_densities_all_underflow_still_belong_to_the_nearest(law, dtype):
    data = list(problem(300, 2, 3))
    data[0][7] = [3e6, -2e6]
    given = arguments(law, tuple(data), dtype)
    sums = kernel_of(law)(*given)
    assert np.isfinite(sums.log_likelihood)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert_sums_close(sums, twin_of(law)(*given), rtol=tolerance)


@pytest.mark.parametrize("law", LAWS)
def test_bad_rows_show_in_the_log_likelihood(law):
    for value in (np.nan, np.inf):
        data = problem(300, 2, 3)
        data[0][7, 1] = value
        data[1][7] = 1.0
        assert not np.isfinite(kernel_of(law)(*arguments(law, data)).log_likelihood)


@pytest.mark.parametrize("law", LAWS)
def test_all_weights_zero_give_zero_sums(law):
    X, row_weights, *rest = problem(100, 2, 3)
    sums = kernel_of(law)(*arguments(law, (X, 0 * row_weights, *rest)))
    assert all(np.all(np.asarray(field) == 0) for field in sums)


def test_float32_keeps_the_covariance_of_two_columns_that_are_nearly_one():
    rng = np.random.default_rng(2)
    one = rng.normal(size=(4000, 1))
    X = np.hstack([one, one + 1e-4 * rng.normal(size=(4000, 1))]).astype(np.float32)
    factor = np.linalg.inv(np.linalg.cholesky(np.cov(X.T.astype(np.float64))))
    given = (np.ones(4000), np.zeros(1), np.zeros((1, 2)), factor[None])
    single = gaussian.full_sums(X, *given)
    double = gaussian.full_sums(X.astype(np.float64), *given)
    assert_sums_close(single, double, rtol=1e-12)


def test_read_only_and_column_major_rows_give_the_same_sums_without_a_new_signature():
    X, *rest = arguments("gaussian diag", problem(300, 3, 4))
    expected = gaussian.diag_sums(X, *rest)
    known = len(getattr(visit._diag_chunk, "signatures", []))
    frozen = X.copy()
    frozen.flags.writeable = False
    for rows in (frozen, np.asfortranarray(X)):
        sums = gaussian.diag_sums(rows, *rest)
        assert sums.log_likelihood == expected.log_likelihood
        np.testing.assert_array_equal(sums.second, expected.second)
    assert len(getattr(visit._diag_chunk, "signatures", [])) == known
