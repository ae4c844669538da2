"""How far out a row lies in its columns, one by one: each on the side to which it is skewed.

What is strange in the rows of a real table often is strange in many columns a little, and goes on where
their tails go already; COPOD (Li et al. 2020) is made of that. The tail of a column is the share of the
known rows that lie as far out, and its surprisal -log of that.
"""

import numpy as np

from divmix.families.family import Array

STEP = 0.25  # nats between two knots of a tail


def margins_of(N: Array) -> Array:
    """Where the tail of each column of numbers N (n, c) is 0, STEP, 2 STEP ... nats far out, (c, knots).

    Ascending for columns that are skewed upward, descending for the others.
    """
    n = len(N)
    knots = STEP * np.arange(int(np.log(n) / STEP) + 1)
    places = np.floor(n * (1 - np.exp(-knots)) + 1e-9).astype(int)
    side = np.where(_skewness(N) > 0, 1.0, -1.0)
    return (side * np.sort(side * N, axis=0)[places]).T


def tails(N: Array, margins: Array) -> Array:
    """-log of the share of the known rows that lie at least as far out, (n, c), nats, of numbers N (n, c);
    between the knots linear, and no more than the last one."""
    knots = STEP * np.arange(margins.shape[1])[::-1]
    found = np.empty(N.shape)
    for j, margin in enumerate(margins):
        side = np.sign(margin[-1] - margin[0])
        # Descending: of knots with one value, where values repeat, the nearest counts.
        found[:, j] = np.interp(-side * N[:, j], -side * margin[::-1], knots)
    return found


def _skewness(N: Array) -> Array:
    """Of its sign: the mean cube of each column about its mean, (c,)."""
    centred = N - N.mean(axis=0)
    largest = np.abs(centred).max(axis=0)
    return ((centred / np.where(largest > 0, largest, 1.0)) ** 3).mean(axis=0)
