"""Mixtures and rows to try kernels on."""

import numpy as np


def problem(n, d, m, *, seed=0):
    """Rows X, row weights (some zero), offsets, means, scales, factors, degrees of freedom."""
    rng = np.random.default_rng(seed)
    X = 2 * rng.normal(size=(n, d))
    row_weights = rng.random(n) * (rng.random(n) > 0.1) + (np.arange(n) == 0)
    weights = rng.dirichlet(np.ones(m))
    means = 2 * rng.normal(size=(m, d))
    scales = 0.5 + rng.random((m, d))
    factors = np.tril(0.3 * rng.normal(size=(m, d, d)), -1) + scales[:, :, None] * np.eye(d)
    offsets = np.log(weights) - d / 2 * np.log(2 * np.pi) + np.log(scales).sum(axis=1)
    dof = 1 + 9 * rng.random(m)
    return X, row_weights, offsets, means, scales, factors, dof


def assert_sums_close(actual, expected, rtol, atol=0.0):
    """Each field, relative to its largest entry: cancelling sums are as good as their terms."""
    for name, mine, theirs in zip(actual._fields, actual, expected, strict=True):
        assert np.shape(mine) == np.shape(theirs), name
        size = np.max(np.abs(theirs), initial=0.0)
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=rtol * size + atol, err_msg=name)
