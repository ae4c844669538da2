"""Rows that the workers of a Dask cluster read and sum up."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from divmix.families.components import Components
from divmix.families.family import Family
from divmix.kernels.sums import Sums
from divmix.rows.protocol import AnyBlock
from divmix.rows.segments import Tree, as_visited, segment_rows
from divmix.rows.stream import StreamedRows

if TYPE_CHECKING:
    from distributed import Client, Future

# Tasks of a worker in a round: so many that one who is late leaves little to wait for.
TASKS_EACH = 3

Nodes: TypeAlias = list[tuple[int, Sums]]
"""What a range of segments adds up to, as nodes of a `Tree`."""


@dataclass(frozen=True)
class Visit:
    """What a worker is asked for: the sums of these components over a range of segments; coarse:
    float32 will do."""

    segments: range
    family: Family
    components: Components
    coarse: bool


class Part(Protocol):
    """Some features of a table whose rows any worker can get."""

    def visit(self, client: "Client", asked: Visit, where: dict[str, Any]) -> "Future":
        """Has a worker add up segments, and bring the `Nodes`; where: which worker, as
        `Client.submit` is told."""
        ...

    def among(self, features: NDArray[np.int64]) -> "Part":
        """With these of the features alone."""
        ...


def summed(blocks: Iterable[AnyBlock], asked: Visit) -> Nodes:
    """The sums of segments that follow each other, on a worker."""
    tree, family = Tree(), asked.family
    for X, row_weights in blocks:
        visited = as_visited(X, family, asked.coarse)
        tree.add(family.sums(visited, row_weights, asked.components))
    return tree.nodes


class DaskRows(StreamedRows):
    """Streamed rows whose sums the workers of a cluster make.

    A task is a range of segments. It goes to the worker that had it the last time, which may have
    kept the rows, or to any other where that one is gone; its sums come back, and are added by
    the tree that rows in memory have: the same bits on any number of workers.
    """

    def __init__(self, client: "Client", part: Part, rows: StreamedRows) -> None:
        super().__init__(rows._read, rows.features, rows._survey)
        self._client, self._part, self._rows = client, part, rows

    def sums(self, family: Family, components: Components, *, coarse: bool = False) -> Sums:
        """Log-likelihood and sufficient statistics of all rows. Raises what a task raises."""
        d = len(self.features.indicator)
        workers = sorted(self._client.scheduler_info(n_workers=-1)["workers"])
        futures, coarse = [], coarse and not self.has_gaps
        ranges = task_ranges(-(-self.visited // segment_rows(d)), TASKS_EACH * max(len(workers), 1))
        for number, segments in enumerate(ranges):
            home = workers[number * len(workers) // len(ranges)] if workers else None
            where = {"workers": home, "allow_other_workers": True}
            asked = Visit(segments, family, components, coarse)
            futures.append(self._part.visit(self._client, asked, where))
        tree = Tree()
        for nodes in self._client.gather(futures):
            for level, sums in nodes:
                tree.add(sums, level)
        return tree.total()

    def among(self, features: NDArray[np.int64]) -> "DaskRows":
        """The same rows with these of their features alone, in this order."""
        return DaskRows(self._client, self._part.among(features), self._rows.among(features))


def task_ranges(segments: int, tasks: int) -> list[range]:
    """Ranges of segments, about so many, each but the last with as many as a node of the tree."""
    size = 1
    while size * tasks < segments:
        size *= 2
    return [range(start, min(start + size, segments)) for start in range(0, segments, size)]
