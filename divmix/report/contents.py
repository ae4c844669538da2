"""What the page of a run tells, gathered; n rows, of which a sample is drawn."""

from typing import Any, NamedTuple

import numpy as np

from divmix.model.mixture import Mixture
from divmix.progress import TraceRow


class Outlier(NamedTuple):
    """A row that the mixture finds improbable: its number from 0, and the columns that make it so."""

    row: int
    cluster: int
    log_density: float
    because: str | None


class Truth(NamedTuple):
    """Known classes: their names, those of the drawn rows (s,) as numbers, and rows by cluster and
    class (clusters, classes)."""

    column: str
    names: list[str]
    drawn: np.ndarray
    table: np.ndarray


class Contents(NamedTuple):
    """Of a run, its model and its rows. What is not known is None, and the page says so.

    document: run.json. command: the line that repeats the run. apart: for each cluster the columns
    that set it apart, as `workflows.summary` has them. X (s, d), clusters (s,): the drawn rows.
    certainty: rows by the probability of their cluster, in twentieths. Of a run of detect flagged (s,)
    are those of the drawn rows that are, and p_values counts rows by p-value.
    """

    title: str
    mixture: Mixture
    document: dict[str, Any]
    command: str
    apart: list[list[dict[str, Any]]]
    trace: list[TraceRow]
    X: np.ndarray | None = None
    clusters: np.ndarray | None = None
    truth: Truth | None = None
    certainty: np.ndarray | None = None
    outliers: list[Outlier] | None = None
    flagged: np.ndarray | None = None
    p_values: np.ndarray | None = None
    lacking: str | None = None
