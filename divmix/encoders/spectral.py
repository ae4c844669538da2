"""Eigenvectors of a graph of nearest neighbours: rows joined by short ways come to lie together.

The graph is self-tuned (Zelnik-Manor and Perona, NIPS 2004), its Laplacian normalised by the
degrees (Shi and Malik 2000).
"""

from typing import Any, Self

import numpy as np

from divmix.encoders import memory, neighbours
from divmix.encoders.encoder import Learning
from divmix.encoders.neighbours import NEIGHBOURS, ByNeighbours, Neighbours, Reference
from divmix.errors import InputError

DEFAULT = 15
# Weight of an edge between separate parts: so little that telling parts apart comes first.
BRIDGE = 1e-3


class Spectral(ByNeighbours):
    """Coordinates on the e leading eigenvectors after the constant one."""

    name = "spectral"
    axis = "eigenvector"

    @classmethod
    def learn(cls, X: np.ndarray, arguments: tuple[str, ...], learning: Learning) -> Self:
        from divmix.encoders.chain import whole_number

        vectors = whole_number(cls.name, arguments, DEFAULT)
        neighbours.check_rows(cls.name, len(X))
        if vectors >= len(X) - 1:
            raise InputError(
                f"--encoder spectral:{vectors} of {len(X)} rows",
                hint="it needs more rows than eigenvectors",
            )
        memory.check_graph(f"{cls.name}:{vectors}", X.shape[0], X.shape[1], vectors)
        rows = np.ascontiguousarray(X, dtype=np.float32)
        # The first neighbour is the row itself.
        near = neighbours.nearest(rows, rows, NEIGHBOURS + 1, learning.progress)
        scale = neighbours.own_scale(near)
        graph = _connected(_graph(near, scale), rows, learning)
        embedding = _eigenvectors(graph, vectors, learning.generator)
        return cls(Reference(rows, scale, embedding))


def _graph(near: Neighbours, scale: np.ndarray) -> Any:
    """Symmetric weights (n, n), sparse: the mean of those in either direction.

    So an edge counts more where both rows are neighbours of each other.
    """
    from scipy.sparse import csr_array

    n, k = near.rows.shape
    exponent = near.distance**2 / (scale[:, None] * scale[near.rows])
    weights = np.maximum(np.exp(-exponent), 1e-12)  # a far neighbour is still one
    starts = np.arange(0, n * k + 1, k)
    directed = csr_array((weights.ravel(), near.rows.ravel(), starts), shape=(n, n))
    directed.setdiag(0)
    directed.eliminate_zeros()
    return (0.5 * (directed + directed.T)).tocsr()


def _connected(graph: Any, rows: np.ndarray, learning: Learning) -> Any:
    """The graph with an edge from each separate part to the nearest row outside of it."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    parts, part = connected_components(graph, directed=False)
    if parts == 1:
        return graph
    learning.progress.note(
        f"the graph of neighbours has {parts} separate parts: they are joined "
        "where they are nearest"
    )
    order = np.argsort(np.bincount(part), kind="stable")
    for one in order[:-1]:  # the largest is joined by the others
        inside, outside = np.flatnonzero(part == one), np.flatnonzero(part != one)
        near = neighbours.nearest(rows[outside], rows[inside], 1)
        from_row = int(near.distance[:, 0].argmin())
        ends = inside[from_row], outside[near.rows[from_row, 0]]
        bridge = csr_array(([BRIDGE, BRIDGE], (list(ends), list(ends[::-1]))), shape=graph.shape)
        graph = graph.maximum(bridge).tocsr()
    return graph


def _eigenvectors(graph: Any, vectors: int, generator: np.random.Generator) -> np.ndarray:
    """Right eigenvectors (n, vectors) of the random walk on the graph, of unit mean square.

    The first one is constant and left out.
    """
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import eigsh

    root = np.sqrt(graph.sum(axis=1))
    normalised = diags_array(1 / root) @ graph @ diags_array(1 / root)
    start = root + 0.01 * root.mean() * generator.standard_normal(len(root))
    values, found = eigsh(normalised, vectors + 1, which="LA", v0=start, tol=1e-6)
    found = found[:, np.argsort(-values)][:, 1:] / root[:, None]
    found /= np.sqrt(np.mean(found**2, axis=0))
    # The sign of an eigenvector is free: its largest entry is positive.
    return found * np.sign(found[np.abs(found).argmax(axis=0), np.arange(vectors)])
