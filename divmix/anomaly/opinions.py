"""What the mixtures of a pool, and the margins of the columns, say together of a row: one score.

Mixtures of one kind, as `anomaly.pool` has them, make one opinion. Opinions, and what they agree on, are joined
by the harmonic mean of their p-values.
"""

import numpy as np
from numpy.typing import NDArray

from divmix.anomaly.p_values import ANOMALOUS
from divmix.anomaly.pool import Usual
from divmix.families.family import Array
from divmix.families.posterior import log_sum_exp

# Exponent of the mean over the members of a pool: at 0 it is their average, towards infinity the
# highest. Chosen on made tables (`benchmarks.made_tables.anomalies`): what columns depend on each
# other for is seen by the full members alone, and higher ones find small clusters strange.
POWER = 0.25
# Weight of a detailed member's opinion beside that of the others, chosen on the same tables: of more it
# hides groups of anomalies, which it may have a component for, and of less it finds fewer scattered ones.
DETAIL = 0.05


def usual_of(
    surprisals: Array,
    of: NDArray[np.int64],
    margins: Array | None = None,
    far: Array | None = None,
) -> Usual:
    """What is usual to a pool by the surprisals (n, members) of rows that it has not seen.

    of (members,): which opinion each is a part of; margins, and far (n,), what they say of the rows. An
    opinion has the median for its centre and the mean of an exponential beyond that for its scale, by the
    rows up to ANOMALOUS from the highest: anomalies beyond are only counted.
    """
    medians = np.median(surprisals, axis=0)
    opinions = _typical(_opinions(surprisals, medians, of, far))
    usual = Usual(medians, opinions, of, margins)
    if far is None:
        return usual
    agreed = _agreed(_standard(surprisals, usual, far), usual)
    return usual._replace(opinions=np.vstack([opinions, _typical(agreed[:, None])]))


def _typical(said: Array) -> Array:
    """Centre and scale (k, 2) of what opinions say (n, k)."""
    centres, end = np.quantile(said, [0.5, 1 - ANOMALOUS], axis=0)
    excess = np.clip(said - centres, 0.0, end - centres).sum(axis=0)
    seen = ((said > centres) & (said <= end)).sum(axis=0)
    scales = np.where(excess > 0, excess / np.maximum(seen, 1), 1.0)
    return np.stack([centres, scales], axis=1)


def pooled(surprisals: Array, usual: Usual | None, far: Array | None = None) -> Array:
    """Scores (n,) of rows from the surprisals (n, members) by each member of a pool, and from what its
    margins say (n,).

    An opinion is a power mean of the densities of its members over their typical values, log mean
    exp(POWER (s_j - t_j)) / POWER (mean of order -POWER; Cooke 1991, chapter 11), plus the mean of the
    centres t_j: a row that one member finds far stranger than usual is strange, which an average would
    dilute. Opinions have p-values exp(-z), z = (s - centre) / scale, and the score is -log of their
    harmonic mean (Wilson 2019), in nats of the first: what one of them sees counts, whatever the spread of
    the others. One more is that all agree on, by the mean of their z, the margins' too, which have no say by
    themselves. That of a detailed member weighs DETAIL, the others alike. The plain mean where
    nothing is usual.
    """
    if usual is None:
        return surprisals.mean(axis=1)
    centre, scale = usual.opinions[0]
    return centre + scale * log_sum_exp(_weighted(surprisals, usual, far))


def excess(scores: Array, usual: Usual) -> Array:
    """-log of the harmonic mean of the opinions' p-values over that of a typical row, (n,), from pooled scores:
    how far these are beyond the typical one, in means of an exponential tail."""
    centre, scale = usual.opinions[0]
    return (scores - centre) / scale


def says(surprisals: Array, usual: Usual | None, far: Array | None = None) -> tuple[Array, Array]:
    """How far the score hangs on each member, (n, members), and on the margins, (n,): sums of 1."""
    n, members = surprisals.shape
    if usual is None:
        return np.full((n, members), 1 / members), np.zeros(n)
    terms = _weighted(surprisals, usual, far)
    share = np.exp(terms - log_sum_exp(terms)[:, None])
    if far is not None:
        agreeing = _agreeing(usual)
        of_each = share[:, -1:] / len(agreeing)
        share[:, -1] = 0.0
        share[:, agreeing] += of_each
    say = np.empty((n, members))
    for k in range(usual.of.max() + 1):
        own = usual.of == k
        beyond = POWER * (surprisals[:, own] - usual.centres[own])
        say[:, own] = share[:, k, None] * np.exp(beyond - log_sum_exp(beyond)[:, None])
    return say, np.zeros(n) if far is None else share[:, -1]


def _opinions(surprisals: Array, centres: Array, of: NDArray[np.int64], far: Array | None) -> Array:
    """What the members (members,) of each opinion say together, and the margins, (n, opinions), nats."""
    said = [_together(surprisals[:, of == k], centres[of == k]) for k in range(of.max() + 1)]
    return np.stack(said if far is None else [*said, far], axis=1)


def _together(surprisals: Array, centres: Array) -> Array:
    excess = POWER * (surprisals - centres)
    return centres.mean() + (log_sum_exp(excess) - np.log(len(centres))) / POWER


def _standard(surprisals: Array, usual: Usual, far: Array | None) -> Array:
    """z of each opinion, (n, opinions)."""
    said = _opinions(surprisals, usual.centres, usual.of, far)
    centres, scales = usual.opinions[: said.shape[1]].T
    return (said - centres) / scales


def _agreeing(usual: Usual) -> NDArray[np.int64]:
    """The opinions whose agreement counts: all but that of a detailed member."""
    opinions = np.arange(usual.of.max() + 2)
    return np.delete(opinions, usual.of[0]) if usual.of[0] else opinions


def _agreed(z: Array, usual: Usual) -> Array:
    return z[:, _agreeing(usual)].mean(axis=1)


def _weighted(surprisals: Array, usual: Usual, far: Array | None) -> Array:
    """z of each opinion plus the log of its weight, (n, opinions); the last is that all agree on, where
    there are margins."""
    z = _standard(surprisals, usual, far)
    if far is not None:
        centre, scale = usual.opinions[-1]
        z[:, -1] = (_agreed(z, usual) - centre) / scale
    count = z.shape[1]
    weights = np.full(count, 1 / count)
    if detailed := int(usual.of[0]):
        weights = np.full(count, (1 - DETAIL) / (count - 1))
        weights[detailed] = DETAIL
    return z + np.log(weights)
