"""What a mixture says of rows."""

from typing import NamedTuple

import numpy as np

NOISE, INCOMPLETE = -1, -2  # in place of a cluster


class Scores(NamedTuple):
    """What a mixture says of n rows.

    cluster (n,) int, or NOISE or INCOMPLETE; probability (n,) of that cluster or of noise;
    log_density (n,) in nats and in the data's own units; posterior (n, k) or None. NaN for
    incomplete rows.
    """

    cluster: np.ndarray
    probability: np.ndarray
    log_density: np.ndarray
    posterior: np.ndarray | None = None

    def part(self, rows: slice) -> "Scores":
        """Those of some rows, as views."""
        posterior = None if self.posterior is None else self.posterior[rows]
        return Scores(self.cluster[rows], self.probability[rows], self.log_density[rows], posterior)

    def take_over(self, other: "Scores") -> None:
        """Write those of as many rows into these arrays."""
        for own, theirs in zip(self, other):
            if own is not None:
                own[...] = theirs


def joined(parts: list[Scores]) -> Scores:
    """Scores of rows one after the other; at least one part."""
    posteriors = [part.posterior for part in parts if part.posterior is not None]
    return Scores(
        np.concatenate([part.cluster for part in parts]),
        np.concatenate([part.probability for part in parts]),
        np.concatenate([part.log_density for part in parts]),
        np.concatenate(posteriors) if posteriors else None,
    )


def blank(scores: Scores, incomplete: np.ndarray) -> Scores:
    """The scores with nothing said of incomplete rows, (n,) bool; their arrays are changed."""
    scores.cluster[incomplete] = INCOMPLETE
    for values in (scores.probability, scores.log_density, scores.posterior):
        if values is not None:
            values[incomplete] = np.nan
    return scores
