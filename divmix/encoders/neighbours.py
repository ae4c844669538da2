"""Nearest neighbours in a self-tuned scale, and the embedding of new rows by theirs."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from divmix.encoders.encoder import Responsibilities
from divmix.errors import InputError
from divmix.kernels.compile import threads
from divmix.progress import Progress
from divmix.tables.batches import BLOCK_ROWS

# By trials on pictures of digits, of 10, 20 and 30: the fewest find the clusters best.
NEIGHBOURS = 10
NOTHING = 1e-12  # next to any share
SCALE_NEIGHBOUR = 7  # its distance is a row's own scale (Zelnik-Manor and Perona 2004)


class Neighbours(NamedTuple):
    """Numbers (n, k) of the nearest reference rows, nearest first, and distance (n, k)."""

    rows: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True)
class Reference:
    """Rows (r, d) in float32 whose embedding (r, e) is known, and the scale (r,) of each."""

    rows: np.ndarray
    scale: np.ndarray
    embedding: np.ndarray

    def embed(self, X: np.ndarray) -> np.ndarray:
        """Mean embedding of the neighbours of rows X (n, d), weighted by the self-tuned kernel.

        A reference row is its own nearest neighbour. One step of the random walk on the graph,
        which is the Nystroem extension of its eigenvectors.
        """
        near = nearest(self.rows, X, min(NEIGHBOURS, len(self.rows)))
        weights = kernel(near, own_scale(near), self.scale)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.einsum("nk,nke->ne", weights, self.embedding[near.rows])

    def decode(self, responsibilities: Responsibilities) -> np.ndarray:
        """Means (m, d) of the reference rows that each of m components is responsible for."""
        shares = responsibilities(self.embedding)
        shares += NOTHING  # a component without a row is like the table as a whole
        return (shares / shares.sum(axis=0)).T @ self.rows.astype(np.float64)

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {"rows": self.rows, "scale": self.scale, "embedding": self.embedding}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Reference":
        """Raises KeyError, ValueError."""
        rows, scale, embedding = (arrays[name] for name in ("rows", "scale", "embedding"))
        if not (
            rows.ndim == embedding.ndim == 2
            and len(rows) == len(embedding)
            and scale.shape == (len(rows),)
        ):
            raise ValueError("the arrays of its encoder do not fit together")
        return cls(rows, scale, embedding)


@dataclass(frozen=True)
class ByNeighbours:
    """What encoders have in common that learn an embedding of the training rows alone: that of other
    rows is the mean of their neighbours'. `axis` names a direction of it."""

    reference: Reference

    axis: ClassVar[str]
    far_rows = True
    pictures = None

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(f"{self.axis}{j + 1}" for j in range(self.reference.embedding.shape[1]))

    def transform(self, X: np.ndarray) -> np.ndarray:
        return self.reference.embed(X)

    def decode(self, means: np.ndarray, responsibilities: Responsibilities) -> np.ndarray:
        return self.reference.decode(responsibilities)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, self.reference.to_arrays()

    @classmethod
    def from_parts(cls, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        return cls(Reference.from_arrays(arrays))


def nearest(
    reference: np.ndarray, X: np.ndarray, k: int, progress: Progress | None = None
) -> Neighbours:
    """The k nearest reference rows (r, d) of rows X (n, d), exact."""
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(reference)
    near = Neighbours(np.empty((len(X), k), np.int64), np.empty((len(X), k)))
    with threadpool_limits(threads(), user_api="openmp"):
        for start in range(0, len(X), BLOCK_ROWS):  # between which a signal is heard
            rows = np.ascontiguousarray(X[start : start + BLOCK_ROWS], dtype=reference.dtype)
            part = slice(start, start + len(rows))
            near.distance[part], near.rows[part] = search.kneighbors(rows)
            if progress is not None:
                progress.rows(part.stop, len(X))
    return near


def own_scale(near: Neighbours) -> np.ndarray:
    """Distance to the SCALE_NEIGHBOUR-th neighbour of each row, (n,), never 0."""
    scale = near.distance[:, min(SCALE_NEIGHBOUR, near.distance.shape[1] - 1)]
    positive = near.distance[near.distance > 0]
    return np.maximum(scale, positive.min() if len(positive) else 1.0)


def kernel(near: Neighbours, own: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """exp(-distance^2 / (own scale x neighbour's scale)), (n, k); never all 0."""
    exponent = near.distance**2 / (own[:, None] * scale[near.rows])
    return np.exp(exponent.min(axis=1, keepdims=True) - exponent)


def check_rows(name: str, rows: int) -> None:
    """Raises InputError where there are too few rows for a graph of neighbours."""
    if rows <= NEIGHBOURS:
        raise InputError(
            f"--encoder {name} of {rows} rows",
            hint=f"its graph joins {NEIGHBOURS} neighbours: it needs more rows",
        )
