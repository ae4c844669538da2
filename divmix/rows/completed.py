"""Rows whose gaps one normal density has filled: for what needs a value in each cell, as a start
by k-means does. What is fitted sees the gaps."""

from typing import NamedTuple

import numpy as np

from divmix.families import make_family
from divmix.families.family import Array
from divmix.rows.protocol import Block, Features
from divmix.rows.segments import in_runs
from divmix.rows.summary import summarize

MOST_COLUMNS = 100  # of which covariances are estimated; of more, variances
ITERATIONS, SETTLED = 50, 1e-4  # nats per row
FLOOR = 1e-6  # of the variance of a column


class Completed(NamedTuple):
    """Rows X (n, d) without gaps, and the covariance (d, d) of the rows, not of these means.

    Gaps among numbers have the conditional mean by the likeliest normal density, those of categories
    the shares of the table, which are 0.
    """

    X: Array
    covariance: Array


def completed(block: Block, features: Features) -> Completed:
    """The rows of a block, completed."""
    X, row_weights = block
    d, categories = X.shape[1], features.categories
    numeric = np.arange(d) if categories is None else categories.numeric
    filled = np.where(np.isnan(X), 0.0, X)
    covariance = np.diag(summarize([block]).variances)
    if len(numeric):
        N = np.ascontiguousarray(X[:, numeric])
        filled[:, numeric], covariance[np.ix_(numeric, numeric)] = _by_one_normal(N, row_weights)
    return Completed(filled, covariance)


def _by_one_normal(X: Array, row_weights: Array) -> tuple[Array, Array]:
    """Rows X (n, d) of numbers filled by their conditional means, and their covariance (d, d)."""
    summary = summarize([Block(X, row_weights)])
    usual = np.where(summary.variances > 0, summary.variances, 1.0)
    ordered = in_runs(Block(X, row_weights))
    structure = "full" if X.shape[1] <= MOST_COLUMNS else "diag"
    family = make_family("gaussian", structure, FLOOR * usual)
    found = family.start(np.ones(1), summary.mean[None], np.diag(usual))
    last = -np.inf
    for _ in range(ITERATIONS):
        sums = family.sums(*ordered, found)
        found = family.maximize(sums, found)
        if sums.log_likelihood - last < SETTLED * row_weights.sum():
            break
        last = sums.log_likelihood
    pooled = family.pooled(found)
    return family.filled(X, found), np.diag(pooled) if pooled.ndim == 1 else pooled
