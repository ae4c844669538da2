"""What is to be fitted, with everything settled: no setting is "auto" here any more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np

from divmix.engine.loop import Limits
from divmix.engine.monitor import Monitor
from divmix.engine.state import Phase, State
from divmix.families import Components, Family
from divmix.merging.hierarchy import Way
from divmix.rows import Rows
from divmix.settings.schedule import SCHEDULE, Schedule

# Numbers in the rows below which float32 saves too little time to be worth a copy.
WORTH_A_COPY = 1_000_000

Merge = Literal["auto", "kl", "overlap"]


class PhaseOf(Protocol):
    """A phase before it knows its problem."""

    def __call__(self, problem: Problem, state: State) -> State: ...


@dataclass(frozen=True)
class Problem:
    """Rows, a family, and how to look for its components.

    clusters      to return
    alpha         weight of the entropy in J = F + alpha H
    components    in the mixture before it is reduced, None: as many as the rows carry
    noise         a broad component beside those that are moved, or None
    learn_weights whether mixing weights move, None: as the method has it
    merge         clusters as ellipses (kl), unions (overlap), or what the rows tell (auto)
    prior         rows of a prior on covariances, in units of d + 1
    init          where components start: kmeans++, random or centre
    start         components to start from instead of a search or the method's own start, or None
    way           from many components to k on the rows of the search, where it is gone already, or None
    schedule      numbers of the default method
    """

    rows: Rows
    family: Family
    monitor: Monitor
    clusters: int
    alpha: float = 0.0
    components: int | None = None
    noise: Components | None = None
    learn_weights: bool | None = None
    merge: Merge = "auto"
    prior: float = 0.0
    init: str = "kmeans++"
    max_iter: int = 500
    tol: float = 1e-5
    precision: str = "auto"
    start: Components | None = None
    way: Way | None = None
    schedule: Schedule = SCHEDULE

    def phase(self, of: PhaseOf) -> Phase:
        """The phase of this problem: a function of the state alone."""
        return partial(of, self)

    @property
    def coarse(self) -> bool:
        """Whether float32 visits to the rows may do at first."""
        size = self.rows.summary().number * len(self.rows.features.indicator)
        return self.precision == "float32" or (self.precision == "auto" and size >= WORTH_A_COPY)

    def limits(self, window: int = 1) -> Limits:
        """When the phase that runs to convergence ends."""
        return Limits(self.max_iter, self.tol, window, keep_coarse=self.precision == "float32")


def equal_weights(components: Components) -> Components:
    """The components with weights 1 / m each."""
    return components._replace(weights=np.full(components.count, 1 / components.count))
