"""UMAP (McInnes, Healy and Melville 2018), by umap-learn: needed to learn, not to transform."""

from typing import Self

import numpy as np

from divmix.encoders import memory, neighbours
from divmix.encoders.encoder import Learning
from divmix.encoders.extras import extra
from divmix.encoders.neighbours import NEIGHBOURS, ByNeighbours, Reference

DEFAULT = 10


class Umap(ByNeighbours):
    """The embedding of the training rows; that of other rows is the mean of their neighbours'."""

    name = "umap"
    axis = "umap"

    @classmethod
    def learn(cls, X: np.ndarray, arguments: tuple[str, ...], learning: Learning) -> Self:
        from divmix.encoders.chain import whole_number

        dimensions = whole_number(cls.name, arguments, DEFAULT)
        neighbours.check_rows(cls.name, len(X))
        umap = extra("umap", "manifold", "--encoder umap")
        memory.check_graph(f"{cls.name}:{dimensions}", X.shape[0], X.shape[1], dimensions)
        rows = np.ascontiguousarray(X, dtype=np.float32)
        # Points as close as they like: clusters are to be dense, not pretty.
        model = umap.UMAP(
            n_components=dimensions,
            n_neighbors=NEIGHBOURS,
            min_dist=0.0,
            n_jobs=1,
            random_state=int(learning.generator.integers(2**31)),
        )
        embedding = model.fit_transform(rows).astype(np.float64)
        near = neighbours.nearest(rows, rows, min(NEIGHBOURS, len(rows)))
        return cls(Reference(rows, neighbours.own_scale(near), embedding))
