"""Flags along streams of batches, beside the rules of online-fdr and Benjamini-Hochberg in each batch.

The p-values are ranks among the same known scores, so they depend on each other as those of `divmix
detect --model` do.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from divmix.anomaly import online
from divmix.anomaly.online import Batch
from divmix.anomaly.p_values import conformal_p_values, flags
from divmix.progress import Progress

RATE = 0.05
MOST = 20  # streams
KNOWN, BATCHES, ROWS = 20_000, 200, 200
EVERY, STRANGE, FAR = 10, 6, 14.0  # anomalies in every tenth batch, so far beyond the others

Rule: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Flags (n,) of the next batch with p-values (n,)."""


class Told(NamedTuple):
    """A line for each rule, and what is not installed."""

    rows: list[dict[str, Any]]
    left_out: list[str]


def run(seeds: int, first_seed: int, progress: Progress) -> Told:
    """Realised rate of false flags and share of the anomalies found, means over streams."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in rules()}
    for seed in range(first_seed, first_seed + seeds):
        progress.stage(f"stream {seed - first_seed + 1} of {seeds}")
        p_values, strange = stream(np.random.default_rng(seed))
        for name, rule in rules().items():
            found[name].append(judged(np.array([rule(own) for own in p_values]), strange))
    rows = []
    for name, each in found.items():
        false, found_share = np.mean(each, axis=0)
        rows.append(
            {
                "rule": name,
                "streams": seeds,
                "false": round(float(false), 4),
                "found": round(float(found_share), 4),
            }
        )
    return Told(rows, [] if find_spec("online_fdr") else ["online-fdr is not installed"])


def stream(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """p-values (BATCHES, ROWS) and which rows are anomalies, the same shape."""
    known = np.sort(generator.exponential(size=KNOWN))
    scores = generator.exponential(size=(BATCHES, ROWS))
    strange = np.zeros((BATCHES, ROWS), bool)
    strange[::EVERY, :STRANGE] = True
    return conformal_p_values(scores + FAR * strange, known), strange


def judged(flagged: np.ndarray, strange: np.ndarray) -> tuple[float, float]:
    false = (flagged & ~strange).sum() / max(1, flagged.sum())
    return float(false), float(flagged[strange].mean())


def rules() -> dict[str, Rule]:
    """Rules at the beginning of a stream, by name; of packages those that are installed."""
    found: dict[str, Rule] = {rule: Own(rule) for rule in online.RULES}
    found["each batch alone"] = each_alone
    if find_spec("online_fdr"):
        from online_fdr.p_values import BatchBH, BatchPRDS, BatchStoreyBH

        tests = {
            "online-fdr, BatchPRDS": BatchPRDS(alpha=RATE),
            "online-fdr, BatchBH": BatchBH(alpha=RATE),
            "online-fdr, BatchStoreyBH": BatchStoreyBH(alpha=RATE, lambda_=online.HALF),
        }
        found |= {name: partial(by_package, test) for name, test in tests.items()}
    return found


class Own:
    """One of the rules of --online, with what it remembers."""

    def __init__(self, rule: str) -> None:
        self._rule, self._past = rule, list[Batch]()

    def __call__(self, p_values: np.ndarray) -> np.ndarray:
        flagged, batch = online.flag_batch(p_values, self._rule, RATE, self._past)
        self._past.append(batch)
        return flagged


def each_alone(p_values: np.ndarray) -> np.ndarray:
    return flags(-p_values, p_values, np.zeros(1), "fdr", RATE)


def by_package(test: Any, p_values: np.ndarray) -> np.ndarray:
    return np.array(test.test_batch(p_values.tolist()), bool)
