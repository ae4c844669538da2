"""The methods behind `--method`. A method turns rows and settings into a fitted mixture."""

from typing import NamedTuple

import numpy as np

from divmix.engine.loop import climb
from divmix.engine.monitor import Monitor
from divmix.engine.steps import em_step, local_step, published_step
from divmix.errors import UsageError
from divmix.families import Components, Gaussian
from divmix.families.noise import leaving_room
from divmix.merging import tree as reduction
from divmix.merging.hierarchy import Hierarchy, matrices
from divmix.rows.memory import InMemory, MiniBatch
from divmix.search import phases as search
from divmix.search import starts as initialization
from divmix.settings import FitSettings

# Iterations whose mean objectives are compared: first-order steps wander about their path.
FIRST_ORDER_WINDOW = 10


class Fitted(NamedTuple):
    """What a method returns: components, the cluster (m,) of each, why it ended, what it chose.

    hierarchy: how the components join to fewer clusters; None where a method has no merge tree.
    """

    components: Components
    clusters: np.ndarray
    stop_reason: str
    notes: tuple[str, ...] = ()
    hierarchy: Hierarchy | None = None


def diversified(data_term: InMemory, family: Gaussian, settings: FitSettings, generator, monitor):
    """Relax, diversify and reduce on a sample of rows, then refine on all of them."""
    sample = search.draw_sample(data_term, settings.clusters, generator)
    k, d = settings.clusters, data_term.features
    m = _components(settings) or search.choose_components(family, sample.rows, d, k)
    phases = search.Search(sample, k, settings.alpha, generator, monitor, settings.merge)
    reduced = phases.agreed(m)
    base = phases.final_base(reduced.components, data_term.total_weight)
    learn_weights = settings.weights != "uniform"
    components = reduced.components if learn_weights else _equal_weights(reduced.components)
    result = climb(
        em_step(family, learn_weights=learn_weights, base=base),
        components,
        data_term,
        monitor,
        phase="refine",
        alpha=0.0,
        max_iter=settings.max_iter,
        tol=settings.tol,
    )
    shape = "one component each" if reduced.ellipses else "unions of components that overlap"
    note = f"clusters are {shape} ({result.components.count} components, reduced from {m})"
    return Fitted(
        result.components, reduced.clusters, result.stop_reason, (note,), reduced.hierarchy
    )


def nsvgd(data_term: InMemory, family: Gaussian, settings: FitSettings, generator, monitor):
    """Nonlinear SVGD as published: equal weights, plain gradients, one global bandwidth."""
    components = _start(data_term, family, settings, generator)
    if settings.weights != "learned":
        components = _equal_weights(components)
    if settings.drive == "em":
        step = local_step(family, settings.alpha, learn_weights=settings.weights == "learned")
    else:
        step = published_step(
            family,
            settings.alpha,
            kernel=settings.kernel,
            bandwidth=settings.bandwidth or "median",
            optimizer_name=settings.optimizer,
            learning_rate=settings.step,
            generator=generator,
        )
    return _single_phase(
        "diversify", step, components, data_term, settings, generator, monitor, settings.alpha
    )


def em(data_term: InMemory, family: Gaussian, settings: FitSettings, generator, monitor: Monitor):
    """Expectation-maximisation, for comparison: no kernel, alpha has no part in it."""
    components = _start(data_term, family, settings, generator)
    learn_weights = settings.weights != "uniform"
    if not learn_weights:
        components = _equal_weights(components)
    step = em_step(family, learn_weights=learn_weights)
    return _single_phase("refine", step, components, data_term, settings, generator, monitor, 0.0)


def _single_phase(phase, step, components, data_term, settings, generator, monitor, alpha):
    first_order = settings.batch_size is not None or phase == "diversify"
    if settings.batch_size is not None:
        data_term = MiniBatch(data_term, settings.batch_size, generator)
    result = climb(
        step,
        components,
        data_term,
        monitor,
        phase=phase,
        alpha=alpha,
        max_iter=settings.max_iter,
        tol=settings.tol,
        window=FIRST_ORDER_WINDOW if first_order else 1,
    )
    clusters = _unions(data_term, result.components, settings.clusters)
    return Fitted(result.components, clusters, result.stop_reason)


def _unions(data_term, components: Components, k: int) -> np.ndarray:
    """Cluster (m,) of each component: its own, or with more components than k a union of them."""
    if components.count == k:
        return np.arange(k)
    tree = reduction.merge_tree(*matrices(data_term.family, components))
    return reduction.cut(tree, k)


def _start(data_term: InMemory, family, settings: FitSettings, generator) -> Components:
    m = _components(settings) or settings.clusters
    components = initialization.start(
        family, data_term.X, data_term.row_weights, m, settings.init, generator
    )
    return leaving_room(components, data_term.noise)


def _components(settings: FitSettings) -> int | None:
    """The components asked for, if any. Raises UsageError where they are too few."""
    m = settings.components
    if m is not None and m < settings.clusters:
        raise UsageError(
            f"--components {m} is less than -k {settings.clusters}",
            hint="a cluster has one component at least: leave --components away, or raise it",
        )
    return m


def _equal_weights(components: Components) -> Components:
    return components._replace(weights=np.full(components.count, 1 / components.count))


METHODS = {"diversified": diversified, "nsvgd": nsvgd, "em": em}
