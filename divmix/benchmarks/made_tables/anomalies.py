"""Made tables with anomalies of five kinds, each table a function of (kind, seed).

The first four kinds are those of ADBench (Han et al. 2022), made of the normal rows: "local" ones
scatter wider about the clusters, "global" ones evenly over the range of each column, "dependency"
ones have each column of another row, "clustered" ones are small dense groups outside. "values" are
errors of entry: normal rows of which one to three numbers lie far off.

The normal rows are drawn from one of BULKS; a quarter of the tables have columns of categories too,
which the anomalies of half of them do not agree with. Rows are in random order.
"""

import zlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from divmix.benchmarks.labelled import LABEL
from divmix.benchmarks.made_tables import categories, ellipses, shapes
from divmix.benchmarks.made_tables.points import Points, between, count_between
from divmix.errors import InputError

LEAST_ROWS, MOST_ROWS = 150, 6_000
MOST_COLUMNS = 60
LEAST_SHARE, MOST_SHARE = 0.005, 0.2  # of the rows that are anomalies
FEWEST = 3  # anomalies
WIDER = (3.0, 6.0)  # scatter of local anomalies over that of their cluster
BEYOND = 1.1  # range of global anomalies over that of the column
APART = (1.0, 4.0)  # of a group from the normal rows, in standard deviations of each column
TIGHT = 0.2  # standard deviation of a group over that of the column
FAR = (4.0, 12.0)  # of a wrong number, in standard deviations of its column


def make(kind: str, seed: int) -> pa.Table:
    """The table of a kind for a seed, the same bits each time; column `label` is 1 for anomalies.

    Raises InputError for a name that is no kind's.
    """
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise InputError(f"there is no kind '{kind}' of anomalies", hint=f"the kinds are {known}")
    generator = np.random.default_rng([zlib.crc32(kind.encode()), seed])
    normal = BULKS[list(BULKS)[seed % len(BULKS)]](generator)
    share = between(LEAST_SHARE, MOST_SHARE, generator)
    count = max(FEWEST, round(len(normal.X) * share / (1 - share)))
    strange = KINDS[kind](normal, count, generator)
    X = np.vstack([normal.X, strange.X])
    truth = np.arange(len(X)) >= len(normal.X)
    columns: dict[str, np.ndarray] = {f"x{j + 1}": column for j, column in enumerate(X.T)}
    if generator.integers(4) == 0:
        labels = strange.label * int(generator.integers(2))  # 0 agrees with no cluster
        columns |= categories.knowing(np.concatenate([normal.label, labels]), generator)
    order = generator.permutation(len(X))
    columns[LABEL] = truth.astype(np.int64)
    return pa.table({name: values[order] for name, values in columns.items()})


def clusters(generator: np.random.Generator) -> Points:
    """1 to 6 Gaussian clusters in 2 to 30 columns."""
    k, d = count_between(1, 6, generator), count_between(2, 30, generator)
    n = _rows(k, d, generator)
    if k > 1:
        return ellipses.table(k, d, n, generator)
    mixing = generator.standard_normal((d, d)) / np.sqrt(d)
    return _one(generator.standard_normal((n, d)) @ mixing)


def heavy(generator: np.random.Generator) -> Points:
    """Clusters as above, each row farther out by the factor of a Student-t of 2.5 to 8 degrees of
    freedom."""
    points, dof = clusters(generator), between(2.5, 8, generator)
    stretch = 1 / np.sqrt(generator.chisquare(dof, len(points.X)) / dof)
    means = _means(points)[points.label]
    return Points(means + (points.X - means) * stretch[:, None], points.label)


def skewed(generator: np.random.Generator) -> Points:
    """Clusters as above, half of the columns log-normal."""
    points = clusters(generator)
    X = (points.X - points.X.mean(axis=0)) / points.X.std(axis=0)
    own = generator.uniform(size=X.shape[1]) < 0.5
    X[:, own] = np.exp(between(0.3, 1.2, generator) * X[:, own])
    return Points(X, points.label)


def factors(generator: np.random.Generator) -> Points:
    """4 to 60 columns of 1 to 5 factors: strong dependency."""
    d, rank = count_between(4, MOST_COLUMNS, generator), count_between(1, 5, generator)
    n, noise = _rows(1, d, generator), between(0.05, 0.5, generator)
    hidden = generator.standard_normal((n, rank)) @ generator.standard_normal((rank, d))
    return _one(hidden + noise * np.sqrt(rank) * generator.standard_normal((n, d)))


def curved(generator: np.random.Generator) -> Points:
    """Rings or moons in two columns, and up to 6 columns that hang on these."""
    family = (shapes.rings, shapes.moons)[generator.integers(2)]
    points = family(generator)
    kept = generator.permutation(len(points.X))[: count_between(300, MOST_ROWS, generator)]
    X, label = points.X[kept], points.label[kept]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    more = int(generator.integers(7))
    mixed = np.tanh(X @ generator.standard_normal((2, more)))
    mixed += 0.1 * generator.standard_normal(mixed.shape)
    return Points(np.hstack([X, mixed]), label)


def local(normal: Points, count: int, generator: np.random.Generator) -> Points:
    chosen = _choose(normal, count, generator)
    means = _means(normal)[chosen.label]
    wider = between(*WIDER, generator)
    return Points(means + wider * (chosen.X - means), chosen.label)


def spread(normal: Points, count: int, generator: np.random.Generator) -> Points:
    low, high = normal.X.min(axis=0), normal.X.max(axis=0)
    more = (BEYOND - 1) / 2 * (high - low)
    X = generator.uniform(low - more, high + more, (count, normal.X.shape[1]))
    return Points(X, _choose(normal, count, generator).label)


def dependency(normal: Points, count: int, generator: np.random.Generator) -> Points:
    places = generator.integers(len(normal.X), size=(count, normal.X.shape[1]))
    X = np.take_along_axis(normal.X, places, axis=0)
    return Points(X, _choose(normal, count, generator).label)


def groups(normal: Points, count: int, generator: np.random.Generator) -> Points:
    many = min(count_between(1, 3, generator), count)
    d, deviations = normal.X.shape[1], normal.X.std(axis=0)
    starts = _choose(normal, many, generator).X
    centres = starts + between(*APART, generator) * deviations * generator.choice(
        [-1, 1], (many, d)
    )
    X = centres[np.arange(count) % many]
    X = X + TIGHT * deviations * generator.standard_normal((count, d))
    return Points(X, _choose(normal, count, generator).label)


def values(normal: Points, count: int, generator: np.random.Generator) -> Points:
    chosen = _choose(normal, count, generator)
    X, d = chosen.X.copy(), normal.X.shape[1]
    for row in range(count):
        wrong = generator.permutation(d)[: int(generator.integers(1, min(3, d) + 1))]
        far = [between(*FAR, generator) for _ in wrong] * generator.choice([-1, 1], len(wrong))
        X[row, wrong] += far * normal.X.std(axis=0)[wrong]
    return Points(X, chosen.label)


BULKS: dict[str, Callable[[np.random.Generator], Points]] = {
    "clusters": clusters,
    "heavy": heavy,
    "skewed": skewed,
    "factors": factors,
    "curved": curved,
}
KINDS: dict[str, Callable[[Points, int, np.random.Generator], Points]] = {
    "local": local,
    "global": spread,
    "dependency": dependency,
    "clustered": groups,
    "values": values,
}


def _rows(k: int, d: int, generator: np.random.Generator) -> int:
    least = max(LEAST_ROWS, ellipses.rows_needed(k, d))
    return count_between(least, MOST_ROWS, generator)


def _one(X: np.ndarray) -> Points:
    return Points(X, np.ones(len(X), np.int64))


def _means(points: Points) -> np.ndarray:
    """Mean of each class, by its label."""
    means = np.zeros((points.label.max() + 1, points.X.shape[1]))
    for label in np.unique(points.label):
        means[label] = points.X[points.label == label].mean(axis=0)
    return means


def _choose(normal: Points, count: int, generator: np.random.Generator) -> Points:
    chosen = generator.integers(len(normal.X), size=count)
    return Points(normal.X[chosen], normal.label[chosen])
