"""The default method: relax to many components, diversify, reduce to k clusters, refine.

The paper's own first step, a mixture relaxed to a distribution of components, is taken at its
word. Many more components than clusters are fitted to a sample of rows, pushed apart where they
overlap, and thinned out level by level: the pairs whose merging costs least become one, the rest is
refitted. Clusters are ellipses where k components describe the rows best (BIC); else they are
unions of components that overlap, in the partition that the levels agree on most.

Each phase is a pure function of the state; what passes between them is `Carried`.
"""

from typing import NamedTuple

from divmix.engine.loop import climb
from divmix.engine.objective import Objective
from divmix.engine.state import Phase, State
from divmix.engine.steps import em_step
from divmix.families import Components, Prior
from divmix.problem import Problem, equal_weights
from divmix.rows import MemoryRows
from divmix.search import relax as relaxing
from divmix.search.reduce import Reduced, medoid, reduce
from divmix.search.run import Searching
from divmix.search.schedule import SCHEDULE


class Carried(NamedTuple):
    """Between the phases: the sample, what each search found, and the one that is kept."""

    sample: MemoryRows
    found: tuple[Reduced, ...] = ()
    kept: Reduced | None = None
    relaxed: int = 0  # components that the last search started with


def sample_rows(k: int) -> int:
    """Rows that the search for k clusters sees: all of a small table."""
    return max(SCHEDULE.sample_rows, SCHEDULE.sample_rows_per_cluster * k)


def phases(problem: Problem) -> list[Phase]:
    """Draw a sample; relax, diversify and reduce, more than once on few rows; choose; refine."""
    rows = min(problem.rows.summary().count, sample_rows(problem.clusters))
    repeated = problem.alpha > 0 and rows <= SCHEDULE.few_rows
    search = [problem.phase(relax), problem.phase(diversify), problem.phase(reduced)]
    searches = SCHEDULE.searches if repeated else 1
    return [problem.phase(draw), *search * searches, problem.phase(choose), problem.phase(refine)]


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
    )


def draw(problem: Problem, state: State) -> State:
    """The rows that the search sees."""
    sample = problem.rows.sample(sample_rows(problem.clusters), state.generator)
    return state._replace(carried=Carried(sample))


def relax(problem: Problem, state: State) -> State:
    """Many components; none where time is up and something was found."""
    carried: Carried = state.carried
    if carried.found and problem.monitor.stop_reason():
        return state._replace(components=None)
    searching = searching_of(problem, carried.sample)
    m = problem.components or relaxing.choose_components(searching)
    components = relaxing.relax(searching, m, state.generator)
    return state._replace(components=components, carried=carried._replace(relaxed=m))


def diversify(problem: Problem, state: State) -> State:
    """Steps of the components as particles."""
    if state.components is None:
        return state
    searching = searching_of(problem, state.carried.sample)
    diverse = relaxing.diversify(searching, state.components, state.generator)
    return state._replace(components=diverse)


def reduced(problem: Problem, state: State) -> State:
    """k clusters from the components."""
    if state.components is None:
        return state
    carried: Carried = state.carried
    searching = searching_of(problem, carried.sample)
    found = reduce(searching, state.components, state.generator)
    return state._replace(carried=carried._replace(found=(*carried.found, found)))


def choose(problem: Problem, state: State) -> State:
    """Of ellipses the likeliest, of unions those that agree with the others; by majority."""
    carried: Carried = state.carried
    searching = searching_of(problem, carried.sample)
    ellipses = [one for one in carried.found if one.ellipses]
    if 2 * len(ellipses) > len(carried.found):
        kept = max(ellipses, key=lambda one: searching.log_likelihood(one.components))
    else:
        unions = [one for one in carried.found if not one.ellipses]
        kept = unions[medoid(searching, unions)]
    return state._replace(components=kept.components, carried=carried._replace(found=(), kept=kept))


def refine(problem: Problem, state: State) -> State:
    """The components of the clusters, fitted to all rows."""
    searching = searching_of(problem, state.carried.sample)
    components = state.moved
    prior = final_prior(searching, components, problem.rows.total_weight)
    objective = Objective(problem.family, 0.0, prior, problem.noise)
    learn_weights = problem.learn_weights is not False
    if not learn_weights:
        state = state._replace(components=equal_weights(components))
    step = em_step(objective, learn_weights=learn_weights)
    state = state._replace(coarse=problem.coarse)
    return climb(step, objective, problem.rows, state, problem.monitor, "refine", problem.limits())


def final_prior(searching: Searching, components: Components, total_weight: float) -> Prior | None:
    """alpha n / m rows, as scattered as the broad prior; none for alpha = 0."""
    rows = searching.alpha * total_weight / components.count
    return searching.broad(components.count)._replace(rows=rows) if rows else None
