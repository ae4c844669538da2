"""The plane in which a mixture is drawn: the same one for rows, components and every cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from divmix.families import AnyFamily, Components
from divmix.model.mixture import Mixture
from divmix.report.spread import Spread

RIDGE = 1e-6  # of the mean variance: a constant column has no spread to divide by
WITHIN = np.sqrt(-2 * np.log(1 - 0.9))  # radius of the ellipse that holds nine of ten rows
NAMED, LEAST_NAMED = 2, 0.25  # columns that name an axis, and what share of the first others have
LEAST_LENGTH = 1e-9
MOST_WITHIN = (
    3  # directions of most spread that are tried, two of them may be those between clusters
)


class Ellipse(NamedTuple):
    """Centre, half axes and the angle of the first one from x, in radians."""

    x: float
    y: float
    major: float
    minor: float
    angle: float


@dataclass(frozen=True)
class Plane:
    """Two directions (d, 2) in the design matrix, through `origin` (d,); unit: the mixture's spread.

    names: what each axis is mostly made of.
    """

    origin: np.ndarray
    directions: np.ndarray
    names: tuple[str, str]

    def places(self, X: np.ndarray) -> np.ndarray:
        """Rows X (n, d) in the plane, (n, 2)."""
        return (X - self.origin) @ self.directions

    def ellipses(self, family: AnyFamily, components: Components) -> list[Ellipse]:
        """Where nine of ten rows of each component lie, were it normal."""
        centres = self.places(components.means)
        found = []
        for centre, covariance in zip(centres, covariances_in(family, components, self.directions)):
            values, vectors = np.linalg.eigh(covariance)
            minor, major = WITHIN * np.sqrt(np.maximum(values, 0.0))
            angle = float(np.arctan2(vectors[1, 1], vectors[0, 1]))
            x, y = map(float, centre)
            found.append(Ellipse(x, y, float(major), float(minor), angle))
        return found


def plane_of(mixture: Mixture) -> Plane:
    """The plane that shows the clusters best, from the mixture alone.

    Fisher's discriminant directions: the distances of the clusters' means against the spread
    within them. Of an embedding, whose units mean nothing, the plane nearest to these means. Where
    two clusters or one leave a direction open, it is that of most spread.
    """
    picture = _Moments(mixture)
    directions: list[np.ndarray] = []
    for candidate in picture.candidates():
        if len(directions) == 2:
            break
        free = candidate - sum((candidate @ v) * v for v in directions)
        length = np.linalg.norm(free)
        if length > LEAST_LENGTH:
            directions.append(free / length)
    while len(directions) < 2:  # a single column
        directions.append(np.zeros(len(picture.overall)))
    made = np.column_stack(directions)
    spread = np.sqrt((made * (picture.total @ made)).sum(axis=0))
    made = made / np.where(spread > 0, spread, 1.0)
    return Plane(picture.overall, made, _names(mixture, made, picture))


class _Moments:
    """Moments of a mixture, between and within its clusters."""

    def __init__(self, mixture: Mixture) -> None:
        components = mixture.components
        weights = components.weights / components.weights.sum()
        self.overall = weights @ components.means
        k, d = mixture.n_clusters, len(self.overall)
        shares = np.bincount(mixture.clusters, weights=weights, minlength=k)
        means = np.zeros((k, d))
        np.add.at(means, mixture.clusters, weights[:, None] * components.means)
        self.means = means / shares[:, None]
        about_cluster = components.means - self.means[mixture.clusters]
        self.within = Spread.within(mixture.family, components)
        self.within = self.within.plus(np.sqrt(weights)[:, None] * about_cluster)
        self.offsets = np.sqrt(shares)[:, None] * (self.means - self.overall)
        self.total = self.within.plus(self.offsets)
        self._is_embedding = mixture.design.is_embedding

    def candidates(self) -> Iterator[np.ndarray]:
        """Directions, the best first."""
        yield from self.between_clusters
        yield from map(_signed, self.total.widest(MOST_WITHIN))

    @cached_property
    def between_clusters(self) -> Sequence[np.ndarray]:
        """Directions in which the means of clusters differ, the best first, two at most."""
        if len(self.offsets) < 2:
            return []
        if self._is_embedding:
            _, sizes, directions = np.linalg.svd(self.offsets, full_matrices=False)
        else:
            # W^-1 B for the offsets B, and the rotation of these that W^-1 makes orthogonal.
            ridge = RIDGE * self.total.diagonal.mean()
            solved = self.within.solved(self.offsets.T, ridge)
            squares, rotations = np.linalg.eigh(self.offsets @ solved)
            sizes = np.sqrt(np.maximum(squares[::-1], 0.0))
            directions = (solved @ rotations).T[::-1]
        kept = min(2, len(self.offsets) - 1)
        return [
            _signed(direction / np.linalg.norm(direction))
            for direction, size in zip(directions[:kept], sizes)
            if size > LEAST_LENGTH
        ]


def _signed(direction: np.ndarray) -> np.ndarray:
    """The direction whose largest entry is positive: the same model is drawn the same way round."""
    return direction * np.sign(direction[np.abs(direction).argmax()])


def covariances_in(
    family: AnyFamily, components: Components, directions: np.ndarray
) -> list[np.ndarray]:
    """Covariances of components in directions (d, 2), (2, 2) each, one component at a time: all
    matrices of a mixture of many columns may not fit into memory."""
    one = components.weights[:1] / components.weights[:1]
    found = []
    for j in range(components.count):
        own = components.take(np.array([j]))._replace(weights=one)
        found.append(directions.T @ (Spread.within(family, own) @ directions))
    return found


def _names(mixture: Mixture, directions: np.ndarray, picture: _Moments) -> tuple[str, str]:
    """Of each axis the columns that carry most of it; of an embedding those that change along it."""
    if mixture.design.is_embedding:
        shares, means = mixture.components.weights, mixture.input_means
        places = (mixture.components.means - picture.overall) @ directions
        carried = (shares[:, None] * places).T @ (means - shares @ means / shares.sum())
    else:
        carried = directions.T * np.sqrt(picture.total.diagonal)
    design = mixture.design.of_columns
    made = []
    for parts in np.abs(carried):
        by_column = np.array([parts[block].sum() for block in design.blocks])
        most = np.argsort(-by_column, kind="stable")[:NAMED]
        least = max(LEAST_NAMED * by_column.max(), LEAST_LENGTH)
        names = [design.block_names[j] for j in most if by_column[j] >= least]
        made.append(" and ".join(names))
    return made[0] or "-", made[1] or "-"
