"""Rows in segments: sums over rows are added segment by segment, so that rows in memory, in a stream
and on other machines have the same bits."""

from collections.abc import Iterable, Iterator

from divmix.kernels.sums import Sums

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
