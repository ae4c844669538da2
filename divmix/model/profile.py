"""What the clusters of a mixture are like in the columns of the table, also of an embedding."""

from typing import NamedTuple

import numpy as np

from divmix.errors import UsageError
from divmix.families.posterior import SMALLEST_WEIGHT
from divmix.model.mixture import Mixture
from divmix.settings import TableSettings


class Profile(NamedTuple):
    """Means of k clusters in the d features of the table's columns.

    overall (d,), means (k, d). differences (k, d): of the means from the overall ones, in standard
    deviations of the whole mixture; of an embedding, whose mixture has none there, in the units of
    the features. in_deviations: whether those of numbers are known to be standard deviations.
    """

    overall: np.ndarray
    means: np.ndarray
    differences: np.ndarray
    in_deviations: bool


def profile_of(mixture: Mixture) -> Profile:
    """The profile of a mixture's clusters."""
    components, means_of = mixture.components, mixture.input_means
    weights = components.weights
    overall = weights @ means_of / weights.sum()
    means = np.zeros((mixture.n_clusters, len(overall)))
    np.add.at(means, mixture.clusters, means_of * weights[:, None])
    means /= np.maximum(mixture.cluster_weights, SMALLEST_WEIGHT)[:, None]
    differences = means - overall
    if mixture.design.is_embedding:
        settings = mixture.about.get("settings", {})
        standardised = settings.get("scale") == "standard" and not settings.get("image")
        return Profile(overall, means, differences, standardised)
    variances = mixture.family.variances(components) + (means_of - overall) ** 2
    spread = np.sqrt(weights @ variances / weights.sum())
    np.divide(differences, spread, out=differences, where=spread > 0)
    return Profile(overall, means, differences, True)


def pictures_of(mixture: Mixture, profile: Profile) -> np.ndarray | None:
    """Mean picture (k, height, width) of each cluster, in the values of the pixels; None where the
    columns are no pixels."""
    design = mixture.design.of_columns
    try:
        size = TableSettings(image=mixture.about.get("settings", {}).get("image")).image_size(
            design.n_features
        )
    except UsageError:  # a file that says so of another table
        return None
    if size is None:
        return None
    values = design.column_summary(profile.means, np.zeros_like(profile.means)).mean
    return values.reshape(len(values), *size)
