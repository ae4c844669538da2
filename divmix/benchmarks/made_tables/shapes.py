"""Clusters in two columns: curves with a normal scatter about them, and blobs that lie oddly."""

import numpy as np

from divmix.benchmarks.made_tables.points import (
    Points,
    between,
    count_between,
    joined,
    rotated,
    sizes,
)

LEAST_ROWS, MOST_ROWS = 150, 5_000
LEAST_OF_CLUSTER = 20
SIZE_RATIO = 5.0
SINE_CLUSTERS, SINE_ROWS = 100, (2_000, 16_000)


def sine(generator: np.random.Generator) -> Points:
    """100 blobs along a sine of 1 to 4 periods, at equal distances of 5 to 8 standard deviations."""
    k = SINE_CLUSTERS
    periods, height = generator.uniform(1, 4), generator.uniform(5, 20)
    x = np.linspace(0, 100, 20_001)
    y = height * np.sin(2 * np.pi * periods * x / 100)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    places = np.linspace(0, along[-1], k)
    means = np.column_stack([np.interp(places, along, x), np.interp(places, along, y)])
    deviation = along[-1] / (k - 1) / generator.uniform(5, 8)
    rows = sizes(count_between(*SINE_ROWS, generator), k, 2.0, 10, generator)
    return joined(
        [mean + deviation * generator.standard_normal((n, 2)) for mean, n in zip(means, rows)]
    )


def moons(generator: np.random.Generator) -> Points:
    """1 to 3 pairs of half circles that reach into each other."""
    pairs = int(generator.integers(1, 4))
    scatter = generator.uniform(0.03, 0.12)
    parts = []
    for i, n in enumerate(shape_sizes(2 * pairs, generator)):
        angle = generator.uniform(0, np.pi, n)
        lower = i % 2
        curve = np.column_stack([np.cos(angle), np.sin(angle)]) * (-1) ** lower
        parts.append(curve + [lower + 3.2 * (i // 2), 0.5 * lower])
    return finished(parts, scatter, generator)


def rings(generator: np.random.Generator) -> Points:
    """2 to 4 circles within each other."""
    k = int(generator.integers(2, 5))
    scatter = generator.uniform(0.04, 0.15)
    parts = [(1 + i) * circle(n, generator) for i, n in enumerate(shape_sizes(k, generator))]
    return finished(parts, scatter, generator)


def blobs_in_rings(generator: np.random.Generator) -> Points:
    """1 to 3 circles, each about 1 to 3 blobs."""
    inside = generator.integers(1, 4, generator.integers(1, 4))
    scatter = generator.uniform(0.04, 0.08)
    rows = iter(shape_sizes(int(inside.sum() + len(inside)), generator))
    parts = []
    for i, blobs in enumerate(inside):
        center = np.array([2.6 * i, 0.0])
        parts.append(center + circle(next(rows), generator))
        first = generator.uniform(0, 2 * np.pi)
        for angle in first + 2 * np.pi * np.arange(blobs) / blobs:
            off = 0.0 if blobs == 1 else 0.42
            place = center + off * np.array([np.cos(angle), np.sin(angle)])
            parts.append(place + 0.07 * generator.standard_normal((next(rows), 2)))
    return finished(parts, scatter, generator)


def spirals(generator: np.random.Generator) -> Points:
    """2 or 3 arms wound into each other, one to one and a half turns; the scatter is 5 to 12 % of
    their distance."""
    k = int(generator.integers(2, 4))
    turns = generator.uniform(1.0, 1.5)
    scatter = generator.uniform(0.05, 0.12)  # arms are a unit of length apart
    parts = []
    for i, n in enumerate(shape_sizes(k, generator)):
        # Evenly along the arm, whose length grows about with the square of the angle.
        start = 0.25 * 2 * np.pi
        angle = np.sqrt(generator.uniform(start**2, (start + turns * 2 * np.pi) ** 2, n))
        radius = k * angle / (2 * np.pi)
        turned = angle + 2 * np.pi * i / k
        parts.append(np.column_stack([radius * np.cos(turned), radius * np.sin(turned)]))
    return finished(parts, scatter, generator)


def zigzags(generator: np.random.Generator) -> Points:
    """2 to 4 thin zigzags above each other, so close that each reaches into the next."""
    k, teeth = int(generator.integers(2, 5)), int(generator.integers(3, 7))
    distance = generator.uniform(0.5, 0.9)  # of a height of 1
    scatter = generator.uniform(0.02, 0.06) * distance
    parts = []
    for i, n in enumerate(shape_sizes(k, generator)):
        at = generator.uniform(0, teeth, n)
        height = np.abs((at % 2) - 1)
        parts.append(np.column_stack([at, height + distance * i]))
    return finished(parts, scatter, generator)


def crosses(generator: np.random.Generator) -> Points:
    """1 to 3 crosses of two long normal bars each: clusters that lie across each other."""
    pairs = int(generator.integers(1, 4))
    thin = between(0.04, 0.1, generator)
    rows = shape_sizes(2 * pairs, generator)
    parts = []
    for i in range(pairs):
        angles = generator.uniform(0, np.pi) + np.array([0.0, generator.uniform(0.3, 0.5) * np.pi])
        center = np.array([6.0 * i, generator.uniform(-2, 2)])
        for angle, n in zip(angles, rows[2 * i : 2 * i + 2]):
            bar = generator.standard_normal((n, 2)) * [1.0, thin]
            axis = np.array([np.cos(angle), np.sin(angle)])
            across = np.array([-axis[1], axis[0]])
            parts.append(center + bar @ np.vstack([axis, across]))
    return finished(parts, 0.0, generator)


def unequal_densities(generator: np.random.Generator) -> Points:
    """3 to 8 round blobs of like sizes whose widths differ up to twenty times, side by side."""
    k = int(generator.integers(3, 9))
    widths = np.exp(generator.uniform(0, np.log(20.0), k))
    gap = generator.uniform(2.8, 4.0)  # of the sum of two widths
    means, box = np.zeros((1, 2)), widths[0]
    while len(means) < k:
        box *= 1.02
        new = generator.uniform(-box, box, 2)
        distances = np.linalg.norm(means - new, axis=1)
        if (distances > gap * (widths[: len(means)] + widths[len(means)])).all():
            means = np.vstack([means, new])
    rows = shape_sizes(k, generator)
    parts = [
        mean + width * generator.standard_normal((n, 2))
        for mean, width, n in zip(means, widths, rows)
    ]
    return finished(parts, 0.0, generator)


def shape_sizes(k: int, generator: np.random.Generator) -> np.ndarray:
    """Rows (k,) of each cluster, 150 to 5,000 in all."""
    least = LEAST_OF_CLUSTER
    n = count_between(max(LEAST_ROWS, 2 * k * least), MOST_ROWS, generator)
    return sizes(n, k, SIZE_RATIO, least, generator)


def circle(n: int, generator: np.random.Generator) -> np.ndarray:
    """Points (n, 2) on the unit circle."""
    angle = generator.uniform(0, 2 * np.pi, n)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def finished(parts: list[np.ndarray], scatter: float, generator: np.random.Generator) -> Points:
    """Points of the parts with a normal scatter, turned at random."""
    points = joined(parts)
    X = points.X + scatter * generator.standard_normal(points.X.shape)
    return Points(rotated(X, generator), points.label)
