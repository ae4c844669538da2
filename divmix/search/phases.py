"""The default method: relax to many components, diversify, reduce to k clusters, refine.

The paper's own first step, a mixture relaxed to a distribution of components, is taken at its
word. Many more components than clusters are fitted to a sample of rows, pushed apart where they
overlap, and thinned out level by level: the pairs whose merging costs least become one, the rest is
refitted. Clusters are ellipses where k components describe the rows best (AIC3); else they are
unions of components that no valley of the density parts.

Every phase climbs J = F + alpha H. Each is a pure function of the state; what passes between them
is `Carried`.
"""

import copy
from typing import NamedTuple

import numpy as np

from divmix.engine.loop import ascend
from divmix.engine.objective import Objective
from divmix.engine.state import Phase, State
from divmix.families import Components, Prior
from divmix.problem import Problem, equal_weights
from divmix.rows import MemoryRows
from divmix.search import relax as relaxing
from divmix.search.reduce import Reduced, reduce
from divmix.search.run import Searching
from divmix.search.thinning import thin_out
from divmix.settings.schedule import SCHEDULE, Schedule


class Carried(NamedTuple):
    """Between the phases: the sample, how many components there were, and what came of them.

    A checkpoint holds no rows: the sample is drawn again from the generator it was drawn from.
    """

    sample: MemoryRows
    relaxed: int = 0
    kept: Reduced | None = None


def sample_rows(k: int, schedule: Schedule = SCHEDULE) -> int:
    """Rows that the search for k clusters sees: all of a small table."""
    return max(schedule.sample_rows, schedule.sample_rows_per_cluster * k)


def phases(problem: Problem) -> list[Phase]:
    """Draw a sample; relax, diversify and reduce on it; refine on all rows. Where components to
    start from are given there is nothing to search, and they are refined; where the way from many of
    them to k is gone already it is not gone again."""
    if problem.start is not None:
        return [problem.phase(phase) for phase in (draw, given, refine)]
    first = (relax, diversify) if problem.way is None else (gone,)
    return [problem.phase(phase) for phase in (draw, *first, reduced, refine)]


def searching_of(problem: Problem, sample: MemoryRows) -> Searching:
    """The search of a problem on a sample of its rows."""
    return Searching(
        sample,
        problem.family,
        problem.noise,
        problem.monitor,
        problem.clusters,
        problem.alpha,
        problem.merge,
        problem.init,
        problem.tol,
        problem.schedule,
    )


def draw(problem: Problem, state: State) -> State:
    """The rows that the search sees."""
    size = sample_rows(problem.clusters, problem.schedule)
    sample = problem.rows.sample(size, state.generator)
    return state._replace(carried=Carried(sample))


def given(problem: Problem, state: State) -> State:
    """The components to start from."""
    return state._replace(components=problem.start)


def renewed(problem: Problem, state: State, generator: np.random.Generator) -> State:
    """The state of an interrupted run with its sample, drawn by the generator of the start."""
    again: Carried = draw(problem, State(copy.deepcopy(generator))).carried
    return state._replace(carried=state.carried._replace(sample=again.sample))


def relax(problem: Problem, state: State) -> State:
    """Many components that know nothing of the number of clusters."""
    carried: Carried = state.carried
    searching = searching_of(problem, carried.sample)
    m = problem.components or relaxing.choose_components(searching)
    components = relaxing.relax(searching, m, state.generator)
    return state._replace(components=components, carried=carried._replace(relaxed=m))


def diversify(problem: Problem, state: State) -> State:
    """Steps of the components as particles."""
    searching = searching_of(problem, state.carried.sample)
    return state._replace(components=relaxing.diversify(searching, state.moved))


def gone(problem: Problem, state: State) -> State:
    """The relaxed and diversified mixture of a way that is gone already."""
    assert problem.way is not None
    carried: Carried = state.carried
    m = relaxing.choose_components(searching_of(problem, carried.sample))
    return state._replace(components=problem.way.relaxed, carried=carried._replace(relaxed=m))


def reduced(problem: Problem, state: State) -> State:
    """k clusters from the components."""
    carried: Carried = state.carried
    searching = searching_of(problem, carried.sample)
    way = problem.way
    levels = way.levels if way and way.levels else thin_out(searching, state.moved)
    kept = reduce(searching, state.moved, levels, carried.relaxed, state.generator)
    return state._replace(components=kept.components, carried=carried._replace(kept=kept))


def refine(problem: Problem, state: State) -> State:
    """The components of the clusters, fitted to all rows."""
    searching = searching_of(problem, state.carried.sample)
    components, learn_weights = state.moved, problem.learn_weights is not False
    kept = state.carried.kept
    ellipses = kept is None or kept.ellipses
    prior = final_prior(searching, components, problem.prior, problem.rows.total_weight, ellipses)
    objective = Objective(problem.family, problem.alpha, prior, problem.noise, learn_weights)
    if not learn_weights:
        components = equal_weights(components)
    state = state._replace(components=components, coarse=problem.coarse)
    limits = problem.limits()
    return ascend(
        objective,
        problem.rows,
        state,
        problem.monitor,
        "refine",
        limits,
        overrelaxed=True,
        resumable=True,
    )


def final_prior(
    searching: Searching,
    components: Components,
    share: float,
    total_weight: float,
    ellipses: bool,
) -> Prior | None:
    """share (d + 1) rows scattered as those within components; for unions also some that are
    broad, which keeps their many components smooth. Of rows with gaps the prior of the search
    stays: where few have two cells together, a component lies flat in a plane that none of them
    shows."""
    if share > 0:
        return searching.weak(components, share)
    if ellipses:
        gaps = searching.sample.has_gaps
        return searching.weak(components, searching.schedule.competing_prior) if gaps else None
    rows = searching.schedule.union_prior * total_weight / components.count
    return searching.broad(components.count)._replace(rows=rows)
