"""A fitted mixture, what it says of its rows, and how it came about."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from divmix.choosing.restarts import Spread
from divmix.core import Fitted
from divmix.design.design import Design
from divmix.design.roles import Role
from divmix.families import AnyFamily, AnyMatrix
from divmix.model.mixture import Mixture
from divmix.model.scores import Scores
from divmix.model.tally import Tally, tallied
from divmix.progress import TraceRow
from divmix.rows import Features
from divmix.sampling import pool_rows
from divmix.search.phases import sample_rows
from divmix.settings import FitSettings, TableSettings
from divmix.workflows import summary


class Fit(NamedTuple):
    """A fitted mixture, what it says of its training rows, and how it came about.

    X (n, d), scores, row_weights (n,): the rows as the mixture sees them; of a streamed table those
    of its pool. tally: what the labels of all rows add up to.
    stop_reason: converged, max_iter or time_budget. entropy: H of the components, nats.
    notes: what was chosen automatically or left out, in sentences.
    fitted: the mixture as the method left it, None where none was run.
    roles: what each column of the table is, and whether it was used.
    stability: of each cluster over resampled rows, match: with the clusters of a former model, if
    it was asked for.
    """

    mixture: Mixture
    scores: Scores
    row_weights: np.ndarray
    tally: Tally
    trace: list[TraceRow]
    stop_reason: str
    entropy: float
    notes: list[str]
    X: AnyMatrix
    fitted: Fitted | None = None
    roles: tuple[Role, ...] = ()
    stability: summary.Stability | None = None
    match: dict[str, Any] | None = None

    @property
    def spread(self) -> Spread | None:
        """Over the starts, if there were several."""
        return None if self.fitted is None else self.fitted.spread

    @property
    def gap(self) -> float | None:
        """Bound on what the log-likelihood could still gain, nats per row, if it was asked for."""
        return None if self.fitted is None else self.fitted.gap

    @property
    def log_likelihood(self) -> float:
        """Mean per row in nats, in the data's own units."""
        return self.tally.log_likelihood


def about(fit: Fit, tables: TableSettings, tally: Tally) -> dict[str, Any]:
    """What a model file says of its fit, beyond what scoring needs."""
    assert fit.fitted is not None
    told = summary.about(fit.fitted.settings, tables, tally, fit.entropy)
    if fit.fitted.common is not None:
        names = fit.mixture.design.feature_names
        told["common_numbers"] = [names[j] for j in fit.fitted.common.common]
    if tables.weight is not None:
        told["weight"] = tally.all_weight
    return told


def numbered(
    fit: Fit, tables: TableSettings, label: Callable[[Fit, Tally], None], in_order: bool = True
) -> Fit:
    """The fit with what the labels of all rows add up to; `label` labels them into a tally.

    Clusters are numbered by the rows they have. That is nearly always the order of their mixing
    weights, in which a streamed table comes; else it is labelled once more. Numbers of a former
    model stay, and all do where `in_order` is False.
    """
    while True:
        tally = Tally.of(fit.mixture)
        label(fit, tally)
        if tally.is_ordered or fit.match is not None or not in_order:
            fit.mixture.about.update(about(fit, tables, tally))
            return fit._replace(tally=tally)
        fit = fit._replace(mixture=fit.mixture.ordered(tally.shares))


def mixture_of(fitted: Fitted, design: Design) -> Mixture:
    """The mixture of a fit, with the way to its rows."""
    return Mixture(
        cast(AnyFamily, fitted.family),
        fitted.components,
        fitted.clusters,
        design,
        {},
        fitted.hierarchy,
        noise=fitted.noise,
        noise_joins=fitted.noise_joins,
    )


def labelled(
    mixture: Mixture, X: AnyMatrix, row_weights: np.ndarray, *, in_order: bool = True
) -> tuple[Mixture, Scores]:
    """The mixture with clusters numbered by the rows assigned to them, and their scores.

    X (n, d) are rows of the design matrix and row_weights (n,) their weights; densities are in
    the units of X. The scores are those that the returned mixture gives, bit for bit. Mixing
    weights nearly always give the order already, and then rows are scored once. `in_order` False
    leaves the numbers as they are.
    """
    if not in_order:
        return mixture, mixture.score(X)
    mixture = mixture.ordered(mixture.cluster_weights)
    scores = mixture.score(X)
    tally = tallied(mixture.n_clusters, scores, row_weights)
    if tally.is_ordered:
        return mixture, scores
    del scores  # those that follow need its memory
    mixture = mixture.ordered(tally.shares)
    return mixture, mixture.score(X)


def features_of(design: Design) -> Features:
    """What a fit knows of the features of a design."""
    return Features(design.indicator, design.far_rows, design.categories, design.feature_names)


def pool_size(settings: FitSettings, features: int) -> int:
    """Rows of a long table that samples are drawn from: enough for the search."""
    k = settings.clusters
    return max(pool_rows(features), 0 if isinstance(k, str) else sample_rows(k))


def notes_on_left_out(rows: int) -> list[str]:
    """How many rows have no say, in a sentence."""
    return [f"{rows:,} rows left out: empty cells or weight 0"] if rows else []


def notes_on_embedding(design: Design, encoder: str | None) -> list[str]:
    """What the densities of an embedding are those of, in a sentence."""
    if not design.is_embedding:
        return []
    return [f"encoder {encoder}: densities are those of its {design.n_features} features"]


def notes_on_gaps(cells: float, rows: float) -> list[str]:
    """Which shares of the cells and of the rows are modelled, in a sentence."""
    if not cells:
        return []
    return [
        f"{cells:.1%} of the cells are empty, in {rows:.1%} of the rows: each row is taken by the "
        "cells that it has"
    ]


def gaps_of(X: np.ndarray, design: Design) -> np.ndarray:
    """Which cells (n, columns) of the table are missing in rows X (n, d) of the design matrix."""
    return np.isnan(X[:, [features[0] for features in design.blocks]])
