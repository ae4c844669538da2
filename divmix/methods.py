"""The methods behind `--method`: each turns a problem into phases, and their end into a result."""

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from divmix.engine.loop import ascend, follow
from divmix.engine.objective import Objective
from divmix.engine.state import Phase, State, run_phases
from divmix.engine.steps import Published, annealed, em_step, published_step
from divmix.errors import CheckpointError
from divmix.families import Components, DifferentiableFamily, Family
from divmix.families.mixed import scattered
from divmix.families.noise import leaving_room
from divmix.merging.hierarchy import Hierarchy
from divmix.merging.tree import cut, merge_tree
from divmix.problem import PhaseOf, Problem, equal_weights
from divmix.progress import counted
from divmix.rows import MiniBatches, Rows
from divmix.search import phases as search
from divmix.search import starts
from divmix.settings import EmSettings, FitSettings, NsvgdSettings

# Iterations whose mean objectives are compared: first-order steps wander about their path.
FIRST_ORDER_WINDOW = 10


class Outcome(NamedTuple):
    """What a method returns: components, the cluster (m,) of each, why it ended, what it chose.

    hierarchy: how the components join to fewer clusters; None where a method has no merge tree.
    """

    components: Components
    clusters: NDArray[np.int64]
    stop_reason: str
    notes: tuple[str, ...] = ()
    hierarchy: Hierarchy | None = None


class Method(NamedTuple):
    """The phases of a problem, and what their last state means.

    renewed: the state of an interrupted run with the rows that it does not remember; the generator
    is that of the start.
    """

    phases: Callable[[Problem], list[Phase]]
    outcome: Callable[[Problem, State], Outcome]
    renewed: Callable[[Problem, State, np.random.Generator], State]


def run(
    method: Method, problem: Problem, generator: np.random.Generator, name: str | None = None
) -> Outcome:
    """All phases of a problem; of one with a name, those that its journal does not know.

    Raises FitError, InputError, CheckpointError for a journal of other components, and Interrupted
    when a signal ended the run.
    """
    monitor, start = problem.monitor, State(generator)
    state = start if name is None else monitor.watch(name, start)
    if state is not start:
        if state.components is not None:
            check(problem.family, problem.rows, state.components)
        state = method.renewed(problem, state, generator)
    return method.outcome(problem, run_phases(method.phases(problem), state, monitor.passed))


def check(family: Family, rows: Rows, components: Components) -> None:
    """Raise CheckpointError where remembered components are none of this family of these rows.

    Kernels trust the shapes of parameters, and a checkpoint may come from anywhere.
    """
    m, d = components.count, len(rows.features.indicator)
    c = len(scattered(family, d))
    spread = np.ones(c) if family.diagonal_only else np.eye(c)
    usual = family.start(np.full(m, 1 / m), np.zeros((m, d)), spread)
    if components.shapes != usual.shapes:
        raise CheckpointError(
            "the checkpoint has components of other columns or of another family",
            hint="leave --resume out to begin anew",
        )


def method_of(settings: FitSettings) -> Method:
    """The method that the settings are those of."""
    if isinstance(settings, NsvgdSettings):
        return nsvgd(settings)
    if isinstance(settings, EmSettings):
        return em(settings)
    return DIVERSIFIED


def _diversified(problem: Problem, state: State) -> Outcome:
    carried: search.Carried = state.carried
    kept = carried.kept
    if kept is None:  # from components that were given
        tree = merge_tree(problem.family.moments(state.moved))
        clusters, hierarchy = np.arange(state.moved.count), Hierarchy("kl", tree, state.moved)
        return Outcome(state.moved, clusters, state.stop_reason, (), hierarchy)
    shape = "one component each" if kept.ellipses else "unions of components that overlap"
    left = counted(state.moved.count, "component")
    note = f"clusters are {shape} ({left}, reduced from {carried.relaxed})"
    return Outcome(state.moved, kept.clusters, state.stop_reason, (note,), kept.hierarchy)


DIVERSIFIED = Method(search.phases, _diversified, search.renewed)


def nsvgd(settings: NsvgdSettings) -> Method:
    """Nonlinear SVGD as published: equal weights, plain gradients, one global bandwidth."""
    how = Published(
        settings.kernel,
        settings.bandwidth,
        settings.normalize,
        settings.optimizer,
        settings.step,
    )

    def diversify(problem: Problem, state: State) -> State:
        rows = _rows_of(problem, settings.batch_size, state)
        alphas = np.array([problem.alpha])
        if settings.anneal is not None:
            alphas = annealed(settings.anneal, problem.alpha, problem.max_iter)
        family = cast(DifferentiableFamily, problem.family)
        step = published_step(family, alphas, how, state.generator)
        objective = Objective(problem.family, problem.alpha)
        state = state._replace(coarse=problem.coarse and settings.batch_size is None)
        limits = problem.limits(FIRST_ORDER_WINDOW)
        return follow(step, objective, rows, state, problem.monitor, "diversify", limits)

    return _from_start(diversify, weights_move=False)


def em(settings: EmSettings) -> Method:
    """Expectation-maximisation, for comparison: no kernel, alpha has no part in it."""

    def refine(problem: Problem, state: State) -> State:
        learn_weights = problem.learn_weights is not False
        objective = Objective(problem.family, 0.0, None, problem.noise, learn_weights)
        if settings.batch_size is None:
            state = state._replace(coarse=problem.coarse)
            limits = problem.limits()
            return ascend(
                objective, problem.rows, state, problem.monitor, "refine", limits, resumable=True
            )
        rows = _rows_of(problem, settings.batch_size, state)
        limits = problem.limits(FIRST_ORDER_WINDOW)
        step = em_step(objective)
        return follow(step, objective, rows, state, problem.monitor, "refine", limits)

    return _from_start(refine, weights_move=True)


def _from_start(
    move: PhaseOf,
    *,
    weights_move: bool,
) -> Method:
    """A start, and one phase that moves it."""

    def start(problem: Problem, state: State) -> State:
        m = problem.components or problem.clusters
        components = problem.start or leaving_room(
            starts.start(problem.family, problem.rows, m, problem.init, state.generator),
            problem.noise,
        )
        learned = weights_move if problem.learn_weights is None else problem.learn_weights
        return state._replace(components=components if learned else equal_weights(components))

    def phases(problem: Problem) -> list[Phase]:
        return [problem.phase(start), problem.phase(move)]

    return Method(phases, _unions, lambda problem, state, generator: state)


def _rows_of(problem: Problem, batch_size: int | None, state: State) -> Rows:
    if batch_size is None or batch_size >= problem.rows.visited:
        return problem.rows
    return MiniBatches(problem.rows.sample(None, state.generator), batch_size, state.generator)


def _unions(problem: Problem, state: State) -> Outcome:
    """Each component its own cluster, or with more components than clusters unions of them."""
    components, k = state.moved, problem.clusters
    clusters = np.arange(components.count)
    if components.count > k:
        clusters = cut(merge_tree(problem.family.moments(components)), k)
    return Outcome(components, clusters, state.stop_reason)
