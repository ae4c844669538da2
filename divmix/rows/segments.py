"""Rows in segments: sums over rows are added segment by segment, so that rows in memory, in a stream
and on other machines have the same bits."""

from collections.abc import Iterable, Iterator

import numpy as np

from divmix.kernels.sums import Sums
from divmix.rows.protocol import Block

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


def added(parts: Iterable[Sums]) -> Sums:
    """Sums of segments, one at least, added in their order."""
    parts = iter(parts)
    total = next(parts)
    for part in parts:
        total = total + part
    return total


def in_segments(blocks: Iterable[Block], features: int) -> Iterator[Block]:
    """Rows that come in blocks, put together and cut into segments."""
    size = segment_rows(features)
    filled = 0
    segment = _empty(size, features)
    for block in blocks:
        start = 0
        while start < len(block.X):
            count = min(size - filled, len(block.X) - start)
            segment.X[filled : filled + count] = block.X[start : start + count]
            segment.row_weights[filled : filled + count] = block.row_weights[start : start + count]
            start, filled = start + count, filled + count
            if filled == size:
                yield segment
                filled, segment = 0, _empty(size, features)
    if filled:
        yield Block(segment.X[:filled], segment.row_weights[:filled])


def _empty(rows: int, features: int) -> Block:
    return Block(np.empty((rows, features)), np.empty(rows))
