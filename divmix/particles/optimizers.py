"""Step rules of gradient ascent: from a direction to an increment. State is data, steps are pure.

Adam: Kingma and Ba, ICLR 2015. RMSProp: Tieleman and Hinton 2012.
"""

from typing import NamedTuple

import numpy as np

EPSILON = 1e-8


class Memory(NamedTuple):
    """Running averages of direction and squared direction (m, D), and the steps so far."""

    first: np.ndarray
    second: np.ndarray
    steps: int


def start(shape: tuple[int, int]) -> Memory:
    return Memory(np.zeros(shape), np.zeros(shape), 0)


def adam(direction, memory: Memory, step: float) -> tuple[np.ndarray, Memory]:
    """Increment (m, D) with decay .9 and .999, corrected for the start at zero."""
    count = memory.steps + 1
    first = 0.9 * memory.first + 0.1 * direction
    second = 0.999 * memory.second + 0.001 * direction**2
    mean, square = first / (1 - 0.9**count), second / (1 - 0.999**count)
    return step * mean / (np.sqrt(square) + EPSILON), Memory(first, second, count)


def rmsprop(direction, memory: Memory, step: float) -> tuple[np.ndarray, Memory]:
    """Increment (m, D) with decay .9 of the squared direction."""
    second = 0.9 * memory.second + 0.1 * direction**2
    increment = step * direction / (np.sqrt(second) + EPSILON)
    return increment, Memory(memory.first, second, memory.steps + 1)


def sgd(direction, memory: Memory, step: float) -> tuple[np.ndarray, Memory]:
    """Increment (m, D): the direction itself."""
    return step * direction, memory._replace(steps=memory.steps + 1)


OPTIMIZERS = {"adam": adam, "rmsprop": rmsprop, "sgd": sgd}
