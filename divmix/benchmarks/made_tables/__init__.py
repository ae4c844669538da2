"""Made tables with known classes: families of shapes, each table a function of (family, seed).

Of every family a seed draws sizes, numbers of columns and of clusters; 0, 5 or 20 % of the rows are
outliers, scattered evenly over the box about the clusters a quarter wider (label 0: they are not
scored), the share going round with the seed; half of the tables have 1 to 10 columns that know
nothing, rather few than many. Rows are in random order. No table has more than 20,000 rows.

A sine has no such column: beside one of unit variance its hundred blobs are a hundredth as wide.
"""

import zlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from divmix.benchmarks.labelled import LABEL, LabelledSet, labelled_set
from divmix.benchmarks.made_tables import categories, ellipses, shapes
from divmix.benchmarks.made_tables.points import Points, count_between
from divmix.errors import InputError

# Name -> points of clusters without outliers, at most 16,000.
FAMILIES: dict[str, Callable[[np.random.Generator], Points]] = {
    "ellipses": ellipses.any_size,
    "ellipses-small": ellipses.few_rows,
    "ellipses-many": ellipses.many_clusters,
    "sine": shapes.sine,
    "moons": shapes.moons,
    "rings": shapes.rings,
    "blobs-in-rings": shapes.blobs_in_rings,
    "spirals": shapes.spirals,
    "zigzags": shapes.zigzags,
    "crosses": shapes.crosses,
    "unequal": shapes.unequal_densities,
    "mixed": ellipses.for_mixed,
    "coded": ellipses.for_mixed,
}
WITH_CATEGORIES = ("mixed", "coded")  # in "coded" they are whole numbers, as many tables have them
OUTLIERS = (0.0, 0.05, 0.2)  # share of all rows, by seed modulo 3
MOST_IRRELEVANT = 10
BOX = 1.25  # side of the box of the outliers over that of the clusters


def make(family: str, seed: int) -> LabelledSet:
    """The table of a family for a seed, the same bits each time. Raises InputError for a name that
    is no family's."""
    if family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise InputError(f"there is no family '{family}'", hint=f"the families are {known}")
    generator = np.random.default_rng([zlib.crc32(family.encode()), seed])
    points = with_outliers(FAMILIES[family](generator), OUTLIERS[seed % len(OUTLIERS)], generator)
    points = shuffled(points, generator)
    columns: dict[str, np.ndarray] = {f"x{j + 1}": column for j, column in enumerate(points.X.T)}
    mixed = family in WITH_CATEGORIES
    if mixed:
        columns |= categories.knowing(points.label, generator)
    if family != "sine":
        columns |= irrelevant(len(points.label), mixed, generator)
    if family == "coded":
        columns = {name: categories.as_number(column) for name, column in columns.items()}
    return labelled_set(f"{family} {seed}", pa.table(columns | {LABEL: points.label}))


def with_outliers(points: Points, share: float, generator: np.random.Generator) -> Points:
    """Points and outliers, these `share` of all, label 0."""
    count = round(len(points.X) * share / (1 - share))
    low, high = points.X.min(axis=0), points.X.max(axis=0)
    wider = (high - low) * (BOX - 1) / 2
    outliers = generator.uniform(low - wider, high + wider, (count, points.X.shape[1]))
    label = np.concatenate([points.label, np.zeros(count, np.int64)])
    return Points(np.vstack([points.X, outliers]), label)


def shuffled(points: Points, generator: np.random.Generator) -> Points:
    """The same points in random order."""
    order = generator.permutation(len(points.X))
    return Points(points.X[order], points.label[order])


def irrelevant(n: int, mixed: bool, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Columns (n,) that no class knows of: none in half of the tables, else 1 to 10; normal or
    uniform ones, and in mixed tables also yes/no and text."""
    count = int(generator.integers(2)) * count_between(1, MOST_IRRELEVANT, generator)
    kinds: list[Callable[[], np.ndarray]] = [
        lambda: generator.standard_normal(n),
        lambda: generator.uniform(size=n),
    ]
    if mixed:
        nothing = np.zeros(n, np.int64)
        kinds += [
            lambda: categories.yes_no(nothing, 0.0, generator),
            lambda: categories.text(nothing, 0.0, generator),
        ]
    return {f"other{j + 1}": kinds[generator.integers(len(kinds))]() for j in range(count)}
