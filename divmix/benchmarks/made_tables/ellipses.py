"""Gaussian clusters whose closest pair overlaps by what is asked for, in the manner of MixSim.

Overlap of two clusters is the integral of the lesser of their densities: the two probabilities of
misclassification between them at equal weights, added up (Maitra and Melnykov 2010; their weights
are the clusters' own). Covariances are scaled until the largest overlap of all pairs is the target.
"""

import numpy as np

from divmix.benchmarks.made_tables.points import Points, between, count_between, sizes

MOST_ROWS = 16_000
LEAST_OVERLAP, MOST_OVERLAP = 0.001, 0.1
MOST_RATIO = 50.0  # of sizes
MOST_ECCENTRICITY = 5.0  # longest over shortest standard deviation
DRAWS = 500  # of a pair's overlap: relative error below 5 %
PAIRS = 20  # that may have the largest overlap
HALVINGS = 25
NARROWEST = 1e-6  # variance over the squared distance of the nearest means


def any_size(generator: np.random.Generator) -> Points:
    """2 to 50 clusters in 2 to 30 columns, 100 to 16,000 rows."""
    k, d = count_between(2, 50, generator), count_between(2, 30, generator)
    return table(k, d, count_between(rows_needed(k, d), MOST_ROWS, generator), generator)


def few_rows(generator: np.random.Generator) -> Points:
    """2 to 8 clusters in 2 to 8 columns, 120 to 320 rows."""
    k = count_between(2, 8, generator)
    d = count_between(2, 8, generator)
    return table(k, d, count_between(max(120, rows_needed(k, d)), 320, generator), generator)


def many_clusters(generator: np.random.Generator) -> Points:
    """50 to 100 clusters in 2 to 16 columns, up to 16,000 rows."""
    k, d = count_between(50, 100, generator), count_between(2, 16, generator)
    return table(k, d, count_between(rows_needed(k, d), MOST_ROWS, generator), generator)


def for_mixed(generator: np.random.Generator) -> Points:
    """2 to 6 clusters in 2 to 4 columns, 200 to 4,000 rows: the numbers of a mixed table."""
    k, d = count_between(2, 6, generator), count_between(2, 4, generator)
    return table(k, d, count_between(200, 4_000, generator), generator)


def rows_needed(k: int, d: int) -> int:
    """Rows that leave 2 d, and 10 at least, to each cluster on average; 100 at least."""
    return max(100, k * max(10, 2 * d))


def table(k: int, d: int, n: int, generator: np.random.Generator) -> Points:
    """n rows of k clusters in d columns; overlap and ratio of sizes are drawn."""
    target = between(LEAST_OVERLAP, MOST_OVERLAP, generator)
    means, covariances = clusters(k, d, target, generator)
    rows = sizes(n, k, between(1, MOST_RATIO, generator), max(5, d + 1), generator)
    label = np.repeat(np.arange(k), rows)
    factors = np.linalg.cholesky(covariances)
    draws = generator.standard_normal((n, d))
    X = means[label] + np.einsum("nij,nj->ni", factors[label], draws)
    return Points(X, label + 1)


def clusters(
    k: int, d: int, target: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Means (k, d), evenly drawn from a cube, and covariances (k, d, d) whose largest pairwise
    overlap is `target`."""
    means = generator.uniform(size=(k, d))
    shapes = random_covariances(k, d, generator)
    draws = generator.standard_normal((DRAWS, d))
    # At most as wide as the nearest means are apart. In many columns shapes alone may tell such
    # clusters apart: they are made more alike.
    high = 2 * np.log(nearest_distance(means))
    while largest_overlap(means, np.exp(high) * shapes, draws) < target:
        shapes = (shapes + shapes.mean(axis=0)) / 2
    low = high + np.log(NARROWEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if largest_overlap(means, np.exp(middle) * shapes, draws) < target:
            low = middle
        else:
            high = middle
    return means, np.exp(high) * shapes


def random_covariances(k: int, d: int, generator: np.random.Generator) -> np.ndarray:
    """Covariances (k, d, d), turned at random; their mean standard deviations (geometric) differ up
    to three times."""
    eccentricity = between(1.0, MOST_ECCENTRICITY, generator)
    deviations = np.exp(generator.uniform(0, np.log(eccentricity), (k, d)))
    deviations /= np.exp(np.log(deviations).mean(axis=1, keepdims=True))
    deviations *= np.exp(generator.uniform(-np.log(3) / 2, np.log(3) / 2, (k, 1)))
    turns = np.linalg.qr(generator.standard_normal((k, d, d)))[0]
    return np.einsum("kij,kj,klj->kil", turns, deviations**2, turns)


def nearest_distance(means: np.ndarray) -> float:
    """The least distance of two means (k, d)."""
    from scipy.spatial.distance import pdist

    return float(pdist(means).min())


def largest_overlap(means: np.ndarray, covariances: np.ndarray, draws: np.ndarray) -> float:
    """The largest overlap of a pair; standard normal draws (r, d) estimate it.

    Only the pairs with the largest Bhattacharyya coefficient, which bounds the overlap, are looked
    at. For each the coefficient times the mean of exp(-|t| / 2), t the log ratio of densities at
    draws of the normal proportional to their geometric mean: weights up to 1, for tails as well.
    """
    first, second = np.triu_indices(len(means), 1)
    determinants = np.linalg.slogdet(covariances)[1]
    coefficients = np.empty(len(first))
    for i in range(len(means) - 1):
        pairs = first == i
        among = (covariances[i] + covariances[i + 1 :]) / 2
        difference = means[i + 1 :] - means[i]
        solved = np.linalg.solve(among, difference[..., None])[..., 0]
        gap = np.linalg.slogdet(among)[1] - (determinants[i] + determinants[i + 1 :]) / 2
        coefficients[pairs] = np.exp(-(difference * solved).sum(axis=1) / 8 - gap / 2)
    best = np.argsort(-coefficients, kind="stable")[:PAIRS]
    largest = 0.0
    for i, j, coefficient in zip(first[best], second[best], coefficients[best], strict=True):
        if coefficient <= largest:
            break
        one, other = np.linalg.inv(covariances[i]), np.linalg.inv(covariances[j])
        covariance = np.linalg.inv((one + other) / 2)
        mean = covariance @ (one @ means[i] + other @ means[j]) / 2
        X = mean + draws @ np.linalg.cholesky((covariance + covariance.T) / 2).T
        distances = [
            np.einsum("nd,de,ne->n", X - means[at], precision, X - means[at])
            for at, precision in ((i, one), (j, other))
        ]
        t = (distances[1] - distances[0] + determinants[j] - determinants[i]) / 2
        largest = max(largest, float(coefficient * np.exp(-np.abs(t) / 2).mean()))
    return largest
