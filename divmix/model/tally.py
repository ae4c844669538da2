"""What the labels of rows add up to, batch by batch."""

from typing import Self

import numpy as np

from divmix.model.mixture import Mixture
from divmix.model.scores import INCOMPLETE, NOISE, Scores
from divmix.tables.batches import BATCH_ROWS


class Tally:
    """Sums over the scores of rows, with their weights, in k clusters.

    rows : all of them; complete : those that have a label; sizes (k,), noise_size : rows of each
    cluster and of noise; shares (k,), noise_share : their weights; certainty (k,) : weighted sums of
    probabilities; log_density : the weighted sum, in nats; weight : of complete rows, all_weight : of
    all.
    """

    def __init__(self, k: int) -> None:
        self.rows = self.complete = self.noise_size = 0
        self.sizes = np.zeros(k, np.int64)
        self.shares, self.certainty = np.zeros(k), np.zeros(k)
        self.noise_share = self.weight = self.all_weight = self.log_density = 0.0

    def update(self, scores: Scores, row_weights: np.ndarray) -> None:
        """The rows that come next, (n,), with their weights (n,)."""
        k, labels = len(self.sizes), scores.cluster
        known, noise = labels >= 0, labels == NOISE
        complete = labels != INCOMPLETE
        own, weights = labels[known], row_weights[known]
        self.rows += len(labels)
        self.complete += int(complete.sum())
        self.sizes += np.bincount(own, minlength=k)
        self.shares += np.bincount(own, weights=weights, minlength=k)
        self.certainty += np.bincount(own, weights=scores.probability[known], minlength=k)
        self.noise_size += int(noise.sum())
        self.noise_share += float(row_weights[noise].sum())
        self.all_weight += float(row_weights.sum())
        self.weight += float(row_weights[complete].sum())
        self.log_density += float((row_weights * scores.log_density)[complete].sum())

    @classmethod
    def of(cls, mixture: Mixture) -> Self:
        """For the rows of a mixture, none so far."""
        return cls(mixture.n_clusters)

    @property
    def is_ordered(self) -> bool:
        """Whether no cluster has more rows, by weight, than the one before it."""
        return bool((np.diff(self.shares) <= 0).all())

    @property
    def log_likelihood(self) -> float:
        """Mean log-density of a complete row, nats."""
        return self.log_density / self.weight


def tallied(k: int, scores: Scores, row_weights: np.ndarray) -> Tally:
    """Of rows in memory, in the batches that a stream of them has."""
    tally = Tally(k)
    for start in range(0, len(row_weights), BATCH_ROWS):
        part = slice(start, start + BATCH_ROWS)
        tally.update(scores.part(part), row_weights[part])
    return tally
