"""Two functions timed side by side, and the row of the table that comes out."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

SHORTEST = 0.02  # seconds a round: shorter calls are repeated


class Timing(NamedTuple):
    """Medians over rounds: seconds a call of ours and of the peer, and their ratio."""

    ours: float
    peer: float
    ratio: float


def side_by_side(ours: Callable, peer: Callable, rounds: int) -> Timing:
    """Time both in turns, so that a busy or slowed machine hits both alike.

    The ratio is the median of the ratios of each round. The first call of each is not timed.
    """
    ours(), peer()
    pairs = np.array([(seconds(ours), seconds(peer)) for _ in range(rounds)])
    own, other = np.median(pairs, axis=0)
    return Timing(float(own), float(other), float(np.median(pairs[:, 0] / pairs[:, 1])))


def seconds(function: Callable) -> float:
    """Seconds a call, over as many calls as fill 20 ms."""
    calls, start = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - start < SHORTEST:
        function()
        calls += 1
    return (time.perf_counter() - start) / calls


def row(
    name: str,
    ours: float,
    *,
    unit: str,
    bar: float | None,
    aim: float | None = None,
    peer: float | None = None,
    peer_name: str | None = None,
    ratio: float | None = None,
    higher_is_better: bool = False,
) -> dict[str, Any]:
    """A row of the table: bar and aim hold for the ratio where there is one, else for ours."""
    measured = ours if ratio is None else ratio
    if bar is None:
        met = None
    else:
        met = bool(measured >= bar if higher_is_better else measured <= bar)
    return {
        "name": name,
        "ours": _rounded(ours),
        "peer": _rounded(peer),
        "unit": unit,
        "peer_name": peer_name,
        "ratio": _rounded(ratio),
        "bar": bar,
        "aim": aim,
        "met": met,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
