"""Alpha, and what may be chosen with it, by held-out log-likelihood."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from divmix.engine.loop import Limits, ascend
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.families.family import Array
from divmix.problem import Merge
from divmix.rows import Rows
from divmix.search.phases import final_prior, sample_rows
from divmix.search.reduce import reduce
from divmix.search.relax import choose_components, diversify, relax
from divmix.search.run import Model, Searching
from divmix.search.thinning import thin_out
from divmix.settings import DEFAULT_ALPHA

ALPHAS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
FOLDS = 3
REFINE_ITERATIONS, REFINE_TOLERANCE = 100, 1e-4


class Choice(NamedTuple):
    """The model, the kind of clusters and the alpha of the best held-out log-likelihood.

    gain: nats per row above alpha 0 with the same model.
    """

    model: Model
    merge: Merge
    alpha: float
    gain: float


def choose_alpha(
    rows: Rows,
    models: Sequence[Model],
    merges: Sequence[Merge],
    searching: Searching,
    components: int | None,
    seed: int,
) -> Choice:
    """Try all alphas with each model and each kind of clusters. Raises FitError.

    searching: what of the fit does not depend on these, k and the monitor.
    """
    tried = [(model, merge) for model in models for merge in merges]
    means = np.stack([
        held_out_by_alpha(
            rows,
            searching._replace(
                family=model.family, noise=model.noise, merge=merge, alpha=DEFAULT_ALPHA
            ),
            components,
            np.random.default_rng(seed),
        )
        for model, merge in tried
    ])  # fmt: skip
    which, best = np.unravel_index(means.argmax(), means.shape)
    model, merge = tried[which]
    return Choice(model, merge, ALPHAS[best], float(means[which, best] - means[which, 0]))


def held_out_by_alpha(
    rows: Rows, searching: Searching, components: int | None, generator: np.random.Generator
) -> Array:
    """Held-out log-likelihood of the default method for each of ALPHAS, mean per row in nats.

    Cross-validated in FOLDS parts over all rows, or over the sample that the fit searches.
    """
    sample = rows.sample(sample_rows(searching.k), generator)
    row_weights = sample.held.row_weights
    fold = generator.permutation(len(row_weights)) % FOLDS
    totals = np.zeros(len(ALPHAS))
    for part in range(FOLDS):
        training, held_out = sample.take(fold != part), sample.take(fold == part)
        own = searching._replace(sample=training)
        m = components or choose_components(own)
        relaxed = diversify(own, relax(own, max(m, own.k), generator))
        start = reduce(own, relaxed, thin_out(own, relaxed), m, generator)
        for i, alpha in enumerate(ALPHAS):
            prior = final_prior(own, start.components, 0.0, training.total_weight, start.ellipses)
            objective = Objective(own.family, alpha, prior, own.noise)
            refined = ascend(
                objective,
                training,
                State(generator, start.components),
                own.monitor,
                "select",
                Limits(REFINE_ITERATIONS, REFINE_TOLERANCE),
            ).moved
            X, weights = held_out.held
            totals[i] += weights @ objective.posterior(X, refined).log_density
    return totals / sample.total_weight
