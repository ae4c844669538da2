"""Made tables without anomalies: light and heavy tails, groups, categories, each drawn from a generator."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

HEAVY = 3  # degrees of freedom of Student-t columns
APART = 5.0  # standard deviation of the centres of groups, in those of their rows
SHARES = 1 / np.arange(1, 9)  # of groups of unequal size, up to a factor
WORDS = np.array(["amber", "birch", "cedar", "dune", "ember"])


class Clean(NamedTuple):
    """Numbers X (n, d), and columns of categories, (n,) each."""

    X: np.ndarray
    categories: dict[str, np.ndarray]

    def columns(self) -> dict[str, np.ndarray]:
        return {f"x{j + 1}": column for j, column in enumerate(self.X.T)} | self.categories


def normal(n: int, generator: np.random.Generator, d: int = 5) -> np.ndarray:
    return generator.standard_normal((n, d)) @ generator.standard_normal((d, d))


def student_jointly(n: int, generator: np.random.Generator) -> np.ndarray:
    return normal(n, generator, 4) / np.sqrt(generator.chisquare(HEAVY, n) / HEAVY)[:, None]


def log_normal(n: int, generator: np.random.Generator) -> np.ndarray:
    return np.exp(generator.standard_normal((n, 4)))


def of_either_sign(n: int, generator: np.random.Generator) -> np.ndarray:
    return log_normal(n, generator) * generator.choice([-1, 1], (n, 4))


def groups(
    n: int, generator: np.random.Generator, widths: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """Normal groups in four columns, of standard deviations and shares (k,), the latter up to a
    factor."""
    centres = APART * generator.standard_normal((len(widths), 4))
    group = generator.choice(len(widths), n, p=shares / shares.sum())
    return centres[group] + widths[group, None] * generator.standard_normal((n, 4))


def sensors(n: int, generator: np.random.Generator) -> np.ndarray:
    """A log: a daily wave, what follows it, a random walk and a gamma load."""
    wave = 25 + 6 * np.sin(np.arange(n) / 24 * 2 * np.pi) + 1.5 * generator.standard_normal(n)
    follows = 60 - 0.6 * (wave - 25) + 1.5 * generator.standard_normal(n)
    walk = 1_000 + np.cumsum(0.3 * generator.standard_normal(n))
    return np.column_stack([wave, follows, walk, generator.gamma(1.5, 0.8, n)])


def with_categories(n: int, generator: np.random.Generator) -> Clean:
    """Three groups, one column of categories that tells the group of four rows in five, and one that
    tells nothing, whose rarest word a fiftieth of the rows has."""
    centres = APART * generator.standard_normal((3, 3))
    group = generator.integers(3, size=n)
    told = np.where(generator.random(n) < 0.8, group, generator.integers(3, size=n))
    free = generator.choice(5, n, p=[0.4, 0.3, 0.2, 0.08, 0.02])
    X = centres[group] + generator.standard_normal((n, 3))
    return Clean(X, {"kind": WORDS[told], "free": WORDS[free]})


KINDS: dict[str, Callable[[int, np.random.Generator], np.ndarray | Clean]] = {
    "normal": normal,
    "normal in 30 columns": lambda n, generator: normal(n, generator, 30),
    "uniform": lambda n, generator: generator.random((n, 6)),
    "Student-t": lambda n, generator: generator.standard_t(HEAVY, (n, 4)),
    "Student-t jointly": student_jointly,
    "log-normal": log_normal,
    "log-normal of either sign": of_either_sign,
    "groups": lambda n, generator: groups(n, generator, np.ones(3), np.ones(3)),
    "groups of unequal width": lambda n, generator: groups(
        n, generator, np.array([0.3, 1.0, 2.0]), np.ones(3)
    ),
    "groups of unequal size": lambda n, generator: groups(n, generator, np.ones(8), SHARES),
    "categories": with_categories,
    "sensors": sensors,
}


def draw(kind: str, n: int, generator: np.random.Generator) -> Clean:
    """n rows of a kind, in random order."""
    drawn = KINDS[kind](n, generator)
    made = drawn if isinstance(drawn, Clean) else Clean(drawn, {})
    order = generator.permutation(n)
    return Clean(made.X[order], {name: values[order] for name, values in made.categories.items()})
