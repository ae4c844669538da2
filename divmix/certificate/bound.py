"""How much log-likelihood a mixture could still gain, and the component that it lacks.

F[rho] = E_x log p_rho(x) is concave in rho, the distribution of the components. With
D(theta) = E_x[p(x|theta) / p_rho(x)] every mixture of the same floored family obeys

    F* - F[rho] <= log max_theta D(theta) <= max_theta D(theta) - 1

(the second is the gradient bound of Lindsay, Annals of Statistics 11 (1983); the first follows
from Jensen's inequality: F* - F <= log E_x[p*(x) / p_rho(x)], and p* averages over theta).
D has many maxima, so the bound is as good as the search: it is run from many starts.
"""

from typing import NamedTuple

import numpy as np

from divmix.families import Components, Gaussian
from divmix.kernels.sums import Sums

BLOCK_NUMBERS = 4_000_000  # numbers in a block of rows x starts, which bounds the memory


class Certificate(NamedTuple):
    """What the search found.

    ratio      max D(theta); about 1 where no component is missing
    component  its maximiser, one component of weight 1: where a birth gains most at first
    """

    ratio: float
    component: Components

    @property
    def gap(self) -> float:
        """Bound on F* - F[rho], nats per row."""
        return float(np.log(max(self.ratio, 1.0)))


def certify(
    X: np.ndarray,
    row_weights: np.ndarray,
    log_density: np.ndarray,
    family: Gaussian,
    starts: Components,
    *,
    steps: int = 30,
) -> Certificate:
    """The largest D(theta) reached from `starts`, each improved by `steps` ascents.

    X (n, d), row_weights (n,), log_density (n,) = log p_rho(x) in nats, starts as
    `starts_at_rows` makes them. Gaussian, one covariance for each component (spherical, diag,
    full). Each ascent is an EM step and never lowers D.
    """
    log_row_shares = _log_row_shares(row_weights, log_density)
    block = max(BLOCK_NUMBERS // len(X), 1)
    best = Certificate(-np.inf, starts.take(np.array([0])))
    for start in range(0, starts.count, block):
        candidates = starts.take(np.arange(start, min(start + block, starts.count)))
        candidates = _ascended(X, log_row_shares, family, candidates, steps)
        log_ratios, _ = _ratios(X, log_row_shares, family, candidates)
        winner = int(log_ratios.argmax())
        with np.errstate(over="ignore"):  # a row of density 0 leaves no finite bound
            ratio = float(np.exp(log_ratios[winner]))
        if ratio > best.ratio:
            best = Certificate(
                ratio, candidates.take(np.array([winner]))._replace(weights=np.ones(1))
            )
    return best


def ascended(
    X: np.ndarray,
    row_weights: np.ndarray,
    log_density: np.ndarray,
    family: Gaussian,
    starts: Components,
    *,
    steps: int,
) -> Components:
    """`starts` after so many ascents of D each; arguments as those of `certify`."""
    return _ascended(X, _log_row_shares(row_weights, log_density), family, starts, steps)


def starts_at_rows(
    X: np.ndarray,
    row_weights: np.ndarray,
    log_density: np.ndarray,
    family: Gaussian,
    generator: np.random.Generator,
    *,
    rows: int = 100,
    scales: int = 4,
) -> Components:
    """rows * scales components to start from: `rows` rows, each with `scales` sizes.

    Half of the rows are those of least density, where a narrow component pays most; the others
    are drawn. Sizes go in equal ratios from the covariance of X down to the floor.
    """
    present = np.flatnonzero(row_weights > 0)
    rows = min(rows, len(present))
    rare = present[np.argsort(log_density[present], kind="stable")[: (rows + 1) // 2]]
    others = np.setdiff1d(present, rare)
    share = row_weights[others] / row_weights[others].sum() if len(others) else None
    possible = min(rows - len(rare), len(others))
    drawn = generator.choice(others, possible, replace=False, p=share)
    means = X[np.concatenate([rare, drawn])]
    weights = row_weights[present] / row_weights[present].sum()
    apart = X[present] - weights @ X[present]
    variances = weights @ apart**2
    covariance = variances if family.diagonal_only else (apart * weights[:, None]).T @ apart
    narrowest = min(float(np.min(family.floor / np.maximum(variances, family.floor))), 1)
    each = [
        family.start(np.full(len(means), 1 / (scales * len(means))), means, size * covariance)
        for size in np.geomspace(1, narrowest, scales)
    ]
    arrays = zip(*(components[:3] for components in each), strict=True)
    return Components(*(np.concatenate(parts) for parts in arrays))


def _log_row_shares(row_weights: np.ndarray, log_density: np.ndarray) -> np.ndarray:
    """log of the share of each row in D, less that of the component's density there, (n,)."""
    with np.errstate(divide="ignore"):  # a row of weight 0 has no part in D
        return np.log(row_weights / row_weights.sum()) - log_density


def _ascended(X, log_row_shares, family, candidates, steps: int) -> Components:
    for _ in range(steps):
        _, shares = _ratios(X, log_row_shares, family, candidates)
        candidates = _climb(X, shares, family, candidates)
    return candidates


def _ratios(X, log_row_shares, family, candidates):
    """log D (s,) of s candidates, and the share (n, s) of each row in it."""
    terms = family.log_densities(X, candidates) + log_row_shares[:, None]
    largest = terms.max(axis=0)
    terms = np.exp(terms - largest)
    total = terms.sum(axis=0)
    return largest + np.log(total), terms / total


def _climb(X, shares, family, candidates) -> Components:
    """Fit each candidate to the rows by its shares (n, s): by Jensen's inequality D rises."""
    if candidates.covariances.ndim == 3:
        second = np.stack([(X * share[:, None]).T @ X for share in shares.T])
    else:
        second = shares.T @ X**2
    mass = np.ones(candidates.count)
    sums = Sums(0.0, mass, mass, shares.T @ X, second, -mass)
    return family.maximize(sums, candidates, learn_weights=False)
