"""Points with a class, and the draws that families have in common."""

from typing import NamedTuple

import numpy as np


class Points(NamedTuple):
    """X (n, d) and the class of each point, (n,), counted from 1."""

    X: np.ndarray
    label: np.ndarray


def joined(parts: list[np.ndarray]) -> Points:
    """Points of several classes, each (n_i, d)."""
    sizes = [len(part) for part in parts]
    return Points(np.vstack(parts), np.repeat(np.arange(len(parts)) + 1, sizes))


def between(low: float, high: float, generator: np.random.Generator) -> float:
    """A number from low to high whose logarithm is uniform."""
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def count_between(low: int, high: int, generator: np.random.Generator) -> int:
    """A whole number from low to high whose logarithm is about uniform."""
    return min(high, int(between(low, high + 1, generator)))


def sizes(n: int, k: int, ratio: float, least: int, generator: np.random.Generator) -> np.ndarray:
    """Rows (k,) of clusters, n in all: the largest up to `ratio` times the smallest, which has
    `least` at least. Needs n >= k least."""
    shares = np.exp(generator.uniform(0, np.log(ratio), k))
    wanted = np.maximum(shares / shares.sum() * n, least)
    spare = wanted - least
    if spare.sum() > 0:
        wanted = least + spare * (n - k * least) / spare.sum()
    rows = np.floor(wanted).astype(np.int64)
    rows[np.argsort(rows - wanted, kind="stable")[: n - rows.sum()]] += 1
    return rows


def rotated(X: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Points (n, 2) turned by a random angle."""
    angle = generator.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return X @ turn.T
