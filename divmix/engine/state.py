"""All that a run is: data, from which it can go on at any phase."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from divmix.families import Components


class State(NamedTuple):
    """Where a run stands.

    generator    of all random numbers; a phase draws from a copy of its own
    components   that the run moves, None before the first are there
    memory       of the step that moves them, such as an optimiser's averages
    coarse       whether float32 visits to the rows still do
    stop_reason  why the last climb ended: converged, max_iter, time_budget or interrupted
    objective    J of the components, nats per row, where that climb ended
    phase        phases that are done
    carried      what the method hands from phase to phase
    climb        where the climb of an interrupted phase stands, to go on from; else None
    """

    generator: np.random.Generator
    components: Components | None = None
    memory: Any = None
    coarse: bool = False
    stop_reason: str = ""
    objective: float = float("nan")
    phase: int = 0
    carried: Any = None
    climb: Any = None

    @property
    def moved(self) -> Components:
        """The components, where there must be some."""
        assert self.components is not None
        return self.components


Phase = Callable[[State], State]


def run_phases(
    phases: Sequence[Phase], state: State, passed: Callable[[State], None] = lambda state: None
) -> State:
    """The state after all phases that are not done in `state`, which stays as it is.

    passed: is told the state after each phase.
    """
    for phase in phases[state.phase :]:
        own = state._replace(generator=copy.deepcopy(state.generator))
        state = phase(own)._replace(phase=state.phase + 1, climb=None)
        passed(state)
    return state
