"""What a model holds."""

from pathlib import Path
from typing import Any

import numpy as np

from divmix.families import Components
from divmix.merging.hierarchy import Hierarchy
from divmix.model.mixture import Mixture
from divmix.workflows.summary import pictures, what_sets_apart


def describe_model(model: str | Path) -> dict[str, Any]:
    """Schema, components in the data's own units, settings and origin. Raises ModelFileError."""
    mixture = Mixture.load(model)
    components = mixture.components
    variances = mixture.family.variances(components)
    summary = mixture.design.column_summary(components.means, variances)
    apart, shown = what_sets_apart(mixture), pictures(mixture)
    document = {
        "model": str(model),
        **mixture.about,
        "family": mixture.family.name,
        "covariance": mixture.family.structure.name,
        "n_clusters": mixture.n_clusters,
        "n_components": components.count,
        "noise": mixture.noise_weight if mixture.noise is not None else None,
        "parameters": mixture.n_parameters,
        "schema": [
            {"name": column.name, "kind": column.kind, "categories": list(column.categories)}
            for column in mixture.design.schema.columns
        ],
        "clusters": [
            {
                "cluster": c,
                "weight": float(mixture.cluster_weights[c]),
                "components": np.flatnonzero(mixture.clusters == c).tolist(),
                "apart": apart[c],
            }
            | shown[c]
            for c in range(mixture.n_clusters)
        ],
        "components": [
            {
                "component": j,
                "cluster": int(mixture.clusters[j]),
                "weight": float(components.weights[j]),
                "degrees_of_freedom": None if components.dof is None else float(components.dof[j]),
                "mean": dict(zip(summary.names, summary.mean[j].tolist())),
                "spread": dict(zip(summary.names, summary.spread[j].tolist())),
            }
            for j in range(components.count)
        ],
    }
    if mixture.hierarchy is not None:
        document["merge_tree"] = merge_tree(mixture.hierarchy, components)
    return document


def merge_tree(hierarchy: Hierarchy, own: Components) -> dict[str, Any]:
    """The merges in their order: the clusters left after each, its cost, and what it joins.

    `joins` are numbers of components, or M + t for what merge t (from 0) of M components made.
    With the criterion kl they count the relaxed mixture's components, else the model's `own`.
    """
    m = hierarchy.count
    weights = list((hierarchy.relaxed or own).weights)
    sizes = [1] * m
    merges = []
    for step, (pair, cost) in enumerate(zip(hierarchy.tree.pairs.tolist(), hierarchy.tree.costs)):
        merges.append(
            {
                "clusters": m - step - 1,
                "cost": float(cost),
                "joins": pair,
                "weights": [float(weights[i]) for i in pair],
                "components": [sizes[i] for i in pair],
            }
        )
        weights.append(sum(weights[i] for i in pair))
        sizes.append(sum(sizes[i] for i in pair))
    return {"criterion": hierarchy.criterion, "components": m, "merges": merges}
