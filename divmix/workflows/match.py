"""Clusters of a new fit numbered like those of a model."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from divmix.families import AnyMatrix
from divmix.matching import SAME, matched, numbers_like, shared_weight
from divmix.model.mixture import Mixture
from divmix.model.scores import Scores
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS


class Former(NamedTuple):
    """The model whose numbers are kept, and its name."""

    name: str
    mixture: Mixture

    @classmethod
    def load(cls, model: str | Path) -> "Former":
        """Raises ModelFileError."""
        return cls(str(model), Mixture.load(model))


def numbered_like(
    former: Former,
    table: pa.Table,
    mixture: Mixture,
    scores: Scores,
    X: AnyMatrix,
    row_weights: np.ndarray,
) -> tuple[Mixture, Scores, dict[str, Any]]:
    """The mixture with the numbers of the former model's clusters, its scores, and what was matched.

    Clusters are the same that share the most rows of the table (n rows; X (n, d) those of the
    design matrix), which the former model labels. `clusters` tells of each its `former` number and
    Jaccard similarity, null where it is new; `gone` numbers that no cluster continues. Raises
    InputError for a table that lacks columns of the former model.
    """
    used = row_weights > 0
    labels = labelled(former.mixture, table.filter(arrays.booleans(used)))
    sizes = former.mixture.n_clusters, mixture.n_clusters
    shared = shared_weight(labels, scores.cluster[used], row_weights[used], sizes)
    numbers = numbers_like(shared)
    if (numbers != np.arange(mixture.n_clusters)).any():
        mixture = mixture.renumbered(numbers)
        scores = mixture.score(X)
    pairs = {int(numbers[pair.other]): pair for pair in matched(shared) if pair.jaccard >= SAME}
    clusters = [
        {
            "cluster": c,
            "former": pairs[c].one if c in pairs else None,
            "jaccard": pairs[c].jaccard if c in pairs else None,
        }
        for c in range(mixture.n_clusters)
    ]
    gone = sorted(set(range(sizes[0])) - {pair.one for pair in pairs.values()})
    return mixture, scores, {"model": former.name, "clusters": clusters, "gone": gone}


def labelled(mixture: Mixture, table: pa.Table) -> np.ndarray:
    """The cluster (n,) of each row of a table; categories that are new to the model say nothing.

    Raises InputError.
    """
    parts = [
        mixture.score_batch(
            table.slice(start, BATCH_ROWS), unknown="ignore", first_row=start
        ).cluster
        for start in range(0, table.num_rows, BATCH_ROWS)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def told(match: dict[str, Any]) -> str:
    """What was matched, in a sentence."""
    known = [one for one in match["clusters"] if one["former"] is not None]
    moved = [
        f"{one['former']} is {one['cluster']}" for one in known if one["former"] != one["cluster"]
    ]
    new = [str(one["cluster"]) for one in match["clusters"] if one["former"] is None]
    parts = [f"{len(known)} of {len(match['clusters'])} clusters are those of {match['model']}"]
    parts += [f"new: {', '.join(new)}"] if new else []
    parts += [f"gone: {', '.join(map(str, match['gone']))}"] if match["gone"] else []
    parts += [f"numbers close up: {', '.join(moved)}"] if moved else []
    return "; ".join(parts)
