"""Rows in segments: sums over rows are added segment by segment, so that rows in memory, in a stream
and on other machines have the same bits."""

from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from typing import Any, TypeAlias

import numpy as np

from divmix.families import Coded
from divmix.families.coded import AnyMatrix, put, room_like
from divmix.families.family import Family
from divmix.families.mixed import as_seen
from divmix.kernels.gaps import by_pattern, has_gaps
from divmix.kernels.sums import Sums
from divmix.rows.protocol import AnyBlock, Block

# A segment has about so many numbers, 64 MB: next to its sums, starting it costs nothing.
SEGMENT_CELLS = 1 << 23
# In whole blocks of these rows where it is longer than one.
STEP, LEAST_STEP = 65_536, 4_096


def segment_rows(features: int) -> int:
    """Rows of a segment: a function of the number of features alone."""
    rows = SEGMENT_CELLS // max(features, 1)
    step = STEP if rows >= STEP else LEAST_STEP
    return max(step, rows // step * step)


def segments(n: int, features: int) -> Iterator[slice]:
    """The segments of n rows, in their order."""
    rows = segment_rows(features)
    for start in range(0, max(n, 1), rows):
        yield slice(start, min(start + rows, n))


class Tree:
    """Sums of segments added two by two, then the pairs, and so on: the same bits whoever adds them.

    A node of level l has 2^l segments that begin at a multiple of as many; those of a range that
    begins at such a multiple may be added elsewhere.
    """

    def __init__(self) -> None:
        self.nodes: list[tuple[int, Sums]] = []

    def add(self, sums: Sums, level: int = 0) -> None:
        """The node that comes next."""
        while self.nodes and self.nodes[-1][0] == level:
            level, sums = level + 1, self.nodes.pop()[1] + sums
        self.nodes.append((level, sums))

    def total(self) -> Sums:
        """Of all segments, one at least."""
        *earlier, (_, total) = self.nodes
        for _, sums in reversed(earlier):
            total = sums + total
        return total


def added(parts: Iterable[Sums]) -> Sums:
    """Sums of segments, one at least, added as a `Tree` does."""
    tree = Tree()
    for part in parts:
        tree.add(part)
    return tree.total()


def in_runs(rows: Block) -> Block:
    """The rows of a segment, those that miss the same columns one after the other."""
    if not has_gaps(rows.X):
        return rows
    order = by_pattern(np.isnan(rows.X))
    return Block(rows.X[order], rows.row_weights[order])


def as_visited(X: AnyMatrix, family: Family, coarse: bool) -> Any:
    """A segment as `family` sums it up; features in float32 for a coarse visit."""
    if isinstance(X, Coded):
        return as_seen(X, family)
    return X.astype(np.float32) if coarse else X


def whole(block: AnyBlock) -> Iterator[Block]:
    """The rows of a block with all of their features: of coded ones no more than a segment at a time."""
    if not isinstance(block.X, Coded):
        yield Block(block.X, block.row_weights)
        return
    for part in segments(*block.X.shape):
        yield Block(block.X[part].matrix(), block.row_weights[part])


Place: TypeAlias = Callable[[int], AnyMatrix | None]
"""Where the next rows of a matrix may be written: room for n rows, or None for anywhere."""

Read: TypeAlias = Callable[[Place], Iterable[AnyBlock]]
"""Reads all rows from the start, in blocks of STEP rows, the last one shorter."""


def anywhere(rows: int) -> None:
    """No place in particular."""


def in_segments(read: Read) -> Iterator[AnyBlock]:
    """Rows put together and cut into segments. The arrays of one are used again for the third after
    it: who runs ahead of its user by one fills the next while one is looked at."""
    buffers: Iterator[AnyBlock] = iter(())
    segment, filled, size = None, 0, 0

    def place(rows: int) -> AnyMatrix | None:
        if segment is None or filled + rows > size:
            return None
        return segment.X[filled : filled + rows]

    for block in read(place):
        if segment is None:
            size = segment_rows(block.X.shape[1])
            rooms = [AnyBlock(room_like(block.X, size), np.empty(size)) for _ in range(3)]
            buffers = cycle(rooms)
            segment = next(buffers)
        start = 0
        while start < len(block.X):
            count = min(size - filled, len(block.X) - start)
            into, part = slice(filled, filled + count), slice(start, start + count)
            put(segment.X[into], block.X[part])
            segment.row_weights[into] = block.row_weights[part]
            start, filled = part.stop, into.stop
            if filled == size:
                yield segment
                segment, filled = next(buffers), 0
    if segment is not None and filled:
        yield AnyBlock(segment.X[:filled], segment.row_weights[:filled])
