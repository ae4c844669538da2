"""What a fit found, as the document of run.json."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import divmix
from divmix.choosing.bootstrap import FOUND, INTERVAL, Resamples, interval
from divmix.design.columns import CategoricalColumn, NumericColumn
from divmix.design.design import Design
from divmix.design.roles import Role, left_out
from divmix.families import CommonNumbers
from divmix.model.mixture import Mixture
from divmix.model.profile import Profile, pictures_of, profile_of
from divmix.model.tally import Tally
from divmix.settings import FitSettings, TableSettings

if TYPE_CHECKING:
    from divmix.workflows.fitted import Fit

APART_COLUMNS = 3  # columns named to say what sets a cluster apart
SAME = 1e-9  # standard deviations: a column that clusters have in common sets none apart
MOST_SHARES, LEAST_SHARE = 2, 0.05  # of a column's categories


class Stability(NamedTuple):
    """What resampled rows say of the k clusters.

    resamples  fits to them
    clusters   for each cluster `found`, the share of the resamples with a cluster of Jaccard
               similarity FOUND or more, the mean `jaccard`, and 95 % intervals: `weight_interval`,
               and `mean_intervals` by feature in the data's own units; None, and no features, where
               too few resamples have a counterpart
    """

    resamples: int
    clusters: list[dict[str, Any]]


def run_document(
    fit: "Fit",
    *,
    settings: dict[str, Any],
    origins: dict[str, str],
    source: dict[str, Any],
    evaluation: dict[str, Any] | None,
    times: dict[str, float],
    command: str = "fit",
) -> dict[str, Any]:
    """The document of run.json: what was run, on what, and what came out.

    origins: where each setting comes from; source: what was read; times in seconds.
    """
    from divmix.kernels import compile as compiling

    return {
        "divmix": divmix.__version__,
        "command": command,
        "settings": settings,
        "origins": origins,
        "seed": settings["seed"],
        "input": source,
        "columns": columns(fit),
        "threads": settings["threads"] or compiling.threads(),
        "times": {name: round(seconds, 3) for name, seconds in times.items()},
        "result": result(fit) | {"evaluation": evaluation},
        "notes": fit.notes,
    }


def columns(fit: "Fit") -> dict[str, list[str]]:
    """What went into the fit and what was left out unasked, each with a word on it."""
    design = fit.mixture.design.preprocessing
    told = {c.name: "log" for c in design.columns if isinstance(c, NumericColumn) and c.log}
    for column in design.columns:
        if isinstance(column, CategoricalColumn) and len(column.categories) > 1:
            told[column.name] = f"{len(column.categories):,} categories"
    return {
        "used": [_used(role, told) for role in fit.roles if role.used],
        "left_out": [role.told() for role in left_out(fit.roles)],
    }


def _used(role: Role, told: Mapping[str, str]) -> str:
    """`age`, `income (log)`, `country (5 categories)`, `active (yes/no)`."""
    of_design = told.get(role.name) if role.role != "yes/no" else None
    word = of_design or ("" if role.role == "number" else role.role)
    return f"{role.name} ({word})" if word else role.name


def result(fit: "Fit") -> dict[str, Any]:
    """Figures of the result; clusters with what sets each apart."""
    return {
        "log_likelihood": fit.log_likelihood,
        "entropy": fit.entropy,
        "effective_components": float(np.exp(fit.entropy)),
        "gap": fit.gap,
        "restarts": fit.spread and fit.spread._asdict(),
        "bootstrap": fit.stability
        and {"resamples": fit.stability.resamples, "found_above": FOUND, "percentiles": INTERVAL},
        "iterations": len(fit.trace),
        "converged": fit.stop_reason == "converged",
        "stop_reason": fit.stop_reason,
        "n_clusters": fit.mixture.n_clusters,
        "n_components": fit.mixture.components.count,
        "family": fit.mixture.family.name,
        "covariance": fit.mixture.family.structure.name,
        "noise": noise_summary(fit),
        "clusters": cluster_summaries(fit),
    }


def noise_summary(fit: "Fit") -> dict[str, float | int] | None:
    """Rows and share of the noise, and its mixing weight; None where every row has a cluster."""
    if fit.mixture.noise is None or fit.mixture.noise_joins:
        return None
    tally = fit.tally
    return {
        "size": tally.noise_size,
        "share": tally.noise_share / tally.weight,
        "weight": fit.mixture.noise_weight,
    }


def cluster_summaries(fit: "Fit") -> list[dict[str, Any]]:
    """Rows, share, mean probability of each cluster, and the columns that set it apart."""
    k, tally = fit.mixture.n_clusters, fit.tally
    apart, shown = what_sets_apart(fit.mixture), pictures(fit.mixture)
    stable = fit.stability.clusters if fit.stability else [{}] * k
    for own, told in zip(stable, [] if fit.mixture.design.is_embedding else apart):
        for column in told:
            if column["column"] in own.get("mean_intervals", {}):
                column["interval"] = own["mean_intervals"][column["column"]]
    return [
        {
            "cluster": c,
            "size": int(tally.sizes[c]),
            "share": float(tally.shares[c] / tally.weight),
            "mean_probability": float(tally.certainty[c] / tally.sizes[c])
            if tally.sizes[c]
            else None,
            "apart": apart[c],
        }
        | shown[c]
        | stable[c]
        for c in range(k)
    ]


def stability(resamples: Resamples, design: Design, common: CommonNumbers | None) -> Stability:
    """What the resamples say, in the data's own units; of features that all clusters have in
    common there is no interval."""
    clusters = []
    for c in range(resamples.jaccard.shape[1]):
        of_weight = interval(resamples.weights[:, c])
        clusters.append(
            {
                "found": float(resamples.found[c]),
                "jaccard": float(resamples.jaccard[:, c].mean()),
                "weight_interval": of_weight and [float(end) for end in of_weight],
                "mean_intervals": _mean_intervals(resamples.means[:, c], design, common),
            }
        )
    return Stability(len(resamples.jaccard), clusters)


def _mean_intervals(
    means: np.ndarray, design: Design, common: CommonNumbers | None
) -> dict[str, list[float]]:
    """By feature, of means (r, features that are compared)."""
    ends = interval(means)
    if ends is None:
        return {}
    wide = np.full((2, design.n_features), np.nan)
    wide[:, slice(None) if common is None else common.compared] = ends
    summary = design.column_summary(wide, np.zeros_like(wide))
    return {
        name: sorted(own.tolist())
        for name, own in zip(summary.names, summary.mean.T)
        if np.isfinite(own).all()
    }


def what_sets_apart(mixture: Mixture) -> list[list[dict[str, Any]]]:
    """For each cluster the columns whose mean differs most from the mixture's mean.

    The columns are the table's, also of an embedding. `difference` is in standard deviations of the
    whole mixture, None where these are not known of an embedding (`model.profile`). A number has
    `mean` and `overall_mean`; a column of categories `shares` and `overall_shares` of the likeliest
    ones in the cluster, at most MOST_SHARES, and the difference of the category that differs most.
    """
    profile, design = profile_of(mixture), mixture.design.of_columns
    differences, blocks = profile.differences, design.blocks
    stacked = np.vstack([profile.overall, profile.means])
    means = design.column_summary(stacked, np.zeros_like(stacked)).mean
    most = [[block[np.abs(own[block]).argmax()] for block in blocks] for own in differences]
    found = []
    for c, own in enumerate(most):
        order = np.argsort(-np.abs(differences[c, own]), kind="stable")[:APART_COLUMNS]
        found.append(
            [
                _apart(design, means[[0, c + 1]], b)
                | {"difference": _told(mixture, profile, float(differences[c, own[b]]), b)}
                for b in order
                if mixture.n_clusters == 1 or abs(differences[c, own[b]]) > SAME
            ]
        )
    return found


def _apart(design: Design, means: np.ndarray, block: int) -> dict[str, Any]:
    """What a column (block) is like; means (2, d), of the whole mixture and in a cluster."""
    name, categories = design.block_names[block], design.category_names(block)
    overall, own = means[:, design.blocks[block]]
    if categories is None:
        return {"column": name, "mean": float(own[0]), "overall_mean": float(overall[0])}
    if len(categories) > len(own):  # yes/no
        overall, own = np.append(overall, 1 - overall), np.append(own, 1 - own)
    likeliest = np.argsort(-own, kind="stable")[:MOST_SHARES]
    shown = [j for j in likeliest if own[j] >= LEAST_SHARE]
    return {
        "column": name,
        "shares": {categories[j]: float(own[j]) for j in shown},
        "overall_shares": {categories[j]: float(overall[j]) for j in shown},
    }


def _told(mixture: Mixture, profile: Profile, difference: float, block: int) -> float | None:
    """The difference of a column (block), where it is known in standard deviations."""
    is_number = mixture.design.of_columns.category_names(block) is None
    known = not mixture.design.is_embedding or (is_number and profile.in_deviations)
    return difference if known else None


def pictures(mixture: Mixture) -> list[dict[str, Any]]:
    """For each cluster its mean `picture`, rows of pixels; nothing where columns are no pixels."""
    shown = pictures_of(mixture, profile_of(mixture))
    if shown is None:
        return [{}] * mixture.n_clusters
    return [{"picture": [[float(f"{x:.4g}") for x in row] for row in own]} for own in shown]


def about(
    settings: FitSettings,
    tables: TableSettings,
    tally: Tally,
    entropy: float,
) -> dict[str, Any]:
    """What a model file says of its fit, beyond what scoring needs."""
    return {
        "divmix": divmix.__version__,
        "settings": settings.to_dict() | tables.to_dict(),
        "rows": tally.rows,
        "rows_used": tally.complete,
        "log_likelihood": tally.log_likelihood,
        "entropy": entropy,
        "effective_components": float(np.exp(entropy)),
    }
