"""Merges of components: what joining two costs, and joining the cheapest pairs, one after the other.

Costs are those of `merging.criteria`. A union costs what the moments, shared rows and heights of its
parts say together, so nothing is looked at again.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.kernels.compile import helper, kernel
from divmix.kernels.places import lowest

Floats = NDArray[np.float64]

KL, OVERLAP, SADDLE = 0, 1, 2
# Clusters that share no row in double precision (-log of the smallest double is 745) come after
# all that do, in the order of their `kl` cost.
NO_OVERLAP = 1e3
# The same for clusters without a saddle between them, beyond any depth of a valley in double precision.
NO_SADDLE = 1e6
TINY = 1e-300  # weights, shared rows and probabilities below count as none


class Clusters(NamedTuple):
    """What a criterion sees of c clusters; joining two writes to it.

    weights (c,), means (c, d), covariances (c, d, d), or (c, 1, d) where they are variances, and
    their log determinants (c,); probabilities (c, L) of the levels of categories; shared (c, c) the
    mean over rows of r_a r_b, for `overlap`; peaks (c,) and saddles (c, c), log-densities, for
    `saddle`. Of what a criterion does not ask for there is nothing, in no rows.
    """

    weights: Floats
    means: Floats
    covariances: Floats
    log_dets: Floats
    probabilities: Floats
    shared: Floats
    peaks: Floats
    saddles: Floats


@kernel
def join(
    criterion, clusters, smallest, costs, alive, partner, numbers, start, stop, number, pairs, paid
):
    """What joining each of clusters start .. stop with one before it costs, in costs (c, c), inf where
    there is none yet; then join the cheapest pair as often as pairs (t, 2) has rows, and tell what was
    paid, (t,).

    partner (c,) is the cheapest of each. Slot a has the union of a and b > a, which is cluster
    `number`, the next merge's number + 1; b is alive no more. Clusters of less weight than
    `smallest` join first, the smallest first. Of equal costs that of the first slots counts.
    """
    joined = np.empty(clusters.covariances.shape[1:])
    # Both in one loop, as the costs take seconds to compile at each place where they are called.
    for step in range(start - stop, len(pairs)):
        if step < 0:
            a = b = others = stop + step
        else:
            a = _next(clusters.weights, costs, alive, partner, smallest)
            a, b, others = min(a, partner[a]), max(a, partner[a]), len(alive)
            one, other = numbers[a], numbers[b]
            pairs[step, 0], pairs[step, 1] = min(one, other), max(one, other)
            paid[step] = costs[a, b]
            _unite(clusters, a, b, joined)
            numbers[a], alive[b] = number + step, False
            costs[b] = np.inf
            costs[:, b] = np.inf
        for row in range(others):
            if alive[row] and row != a:
                cost = _cost(criterion, clusters, max(row, a), min(row, a), joined)
                costs[a, row] = costs[row, a] = cost
                if partner[row] == a or partner[row] == b:
                    partner[row] = lowest(costs[row])
                elif cost < costs[row, partner[row]] or (
                    cost == costs[row, partner[row]] and a < partner[row]
                ):
                    partner[row] = a
        partner[a] = lowest(costs[a])


@kernel
def united(pairs, m):
    """The cluster of each of m components after these merges (t, 2), (m,), in order."""
    of = np.arange(m + len(pairs))  # the cluster that each became a part of
    for step in range(len(pairs)):
        of[pairs[step, 0]] = of[pairs[step, 1]] = m + step
    for number in range(m + len(pairs) - 1, -1, -1):
        of[number] = of[of[number]]
    return in_order(of[:m])


@kernel
def in_order(labels):
    """The same partition (n,), labels numbered by their first appearance."""
    most = -1
    for i in range(len(labels)):
        most = max(most, labels[i])
    numbers, found, count = np.full(most + 1, -1), np.empty_like(labels), 0
    for i in range(len(labels)):
        if numbers[labels[i]] < 0:
            numbers[labels[i]] = count
            count += 1
        found[i] = numbers[labels[i]]
    return found


@helper
def _next(weights, costs, alive, partner, smallest):
    """The slot that joins its partner next."""
    chosen, least, small = -1, np.inf, False
    for row in range(len(alive)):
        if not alive[row]:
            continue
        if weights[row] < smallest:
            if not small or weights[row] < least:
                chosen, least, small = row, weights[row], True
        elif not small and (chosen < 0 or costs[row, partner[row]] < least):
            chosen, least = row, costs[row, partner[row]]
    return chosen


@helper
def _cost(criterion, clusters, a, b, joined):
    if criterion == OVERLAP:
        shared = clusters.shared[a, b]
        if shared > TINY:
            smaller = max(min(clusters.weights[a], clusters.weights[b]), TINY)
            return -np.log(shared / smaller)
    if criterion == SADDLE:
        saddle, peaks = clusters.saddles[a, b], clusters.peaks
        if saddle > -np.inf:
            # Of equal peaks that of the later slot is the lower one.
            lower = min(a, b) if peaks[min(a, b)] < peaks[max(a, b)] else max(a, b)
            return (peaks[lower] - saddle) * np.sqrt(clusters.weights[lower])
    after = NO_OVERLAP if criterion == OVERLAP else NO_SADDLE if criterion == SADDLE else 0.0
    return after + _divergence(clusters, a, b, joined)


@helper
def _divergence(clusters, a, b, joined):
    """1/2 [(w_a + w_b) log|P| - w_a log|P_a| - w_b log|P_b|], P the covariance of both together; and
    what the entropies of probabilities gain likewise."""
    weights, log_dets, probabilities = clusters.weights, clusters.log_dets, clusters.probabilities
    total, share = weights[a] + weights[b], _share(a, b, weights)
    own = weights[a] * log_dets[a] + weights[b] * log_dets[b]
    _pool(a, b, share, clusters.means, clusters.covariances, joined)
    cost = 0.5 * (total * _log_det(joined) - own)
    for c in range(probabilities.shape[1]):
        one, other = probabilities[a, c], probabilities[b, c]
        both = share * one + (1 - share) * other
        cost += weights[a] * one * np.log(max(one, TINY))
        cost += weights[b] * other * np.log(max(other, TINY))
        cost -= total * both * np.log(max(both, TINY))
    return cost


@helper
def _unite(clusters, a, b, joined):
    """Put the union of a and b into slot a."""
    weights, means, covariances = clusters.weights, clusters.means, clusters.covariances
    share = _share(a, b, weights)
    _pool(a, b, share, means, covariances, joined)
    for r in range(len(joined)):
        for s in range(_width(joined, r)):
            covariances[a, r, s] = joined[r, s]
            if len(joined) > 1:
                covariances[a, s, r] = joined[r, s]
    for r in range(means.shape[1]):
        means[a, r] = share * means[a, r] + (1 - share) * means[b, r]
    probabilities = clusters.probabilities
    for c in range(probabilities.shape[1]):
        probabilities[a, c] = share * probabilities[a, c] + (1 - share) * probabilities[b, c]
    weights[a] += weights[b]
    clusters.log_dets[a] = _log_det(joined)
    shared, peaks, saddles = clusters.shared, clusters.peaks, clusters.saddles
    for r in range(len(shared)):
        shared[a, r] += shared[b, r]
    for r in range(len(shared)):
        shared[r, a] += shared[r, b]
    if len(peaks) > 0:
        peaks[a] = max(peaks[a], peaks[b])
    for r in range(len(peaks)):
        saddles[a, r] = saddles[r, a] = max(saddles[a, r], saddles[b, r])


@helper
def _share(a, b, weights):
    """Share of a in the union of a and b; half where neither has a weight."""
    total = weights[a] + weights[b]
    return weights[a] / total if total > TINY else 0.5


@helper
def _width(matrix, row):
    """Numbers in a row of a lower triangle, or of variances."""
    return row + 1 if len(matrix) == matrix.shape[1] else matrix.shape[1]


@helper
def _pool(a, b, share, means, covariances, joined):
    """The covariance of the union, in the lower triangle of `joined` (d, d), or its variances (1, d)."""
    for r in range(len(joined)):
        for s in range(_width(joined, r)):
            other = r if len(joined) == means.shape[1] else s
            gap = (means[a, other] - means[b, other]) * (means[a, s] - means[b, s])
            value = share * covariances[a, r, s] + (1 - share) * covariances[b, r, s]
            joined[r, s] = value + share * (1 - share) * gap


@helper
def _log_det(matrix):
    """log|S|, of the lower triangle of S, which becomes its Cholesky factor; or of variances. One
    logarithm serves 8 columns."""
    total, product = 0.0, 1.0
    if len(matrix) != matrix.shape[1]:
        for s in range(matrix.shape[1]):
            total += np.log(matrix[0, s])
        return total
    for r in range(len(matrix)):
        for s in range(r + 1):
            value = matrix[r, s]
            for c in range(s):
                value -= matrix[r, c] * matrix[s, c]
            matrix[r, s] = np.sqrt(value) if r == s else value / matrix[s, s]
        product *= matrix[r, r]
        if r % 8 == 7 or r == len(matrix) - 1:
            total += 2 * np.log(product)
            product = 1.0
    return total


@kernel
def saddles_of(log_joint, present):
    """The largest log-density at which both of two are dense at one row, (m, m), -inf where none is;
    dense are those within `present` (< 0) of the densest. log_joint (n, m)."""
    n, m = log_joint.shape
    saddles, dense = np.full((m, m), -np.inf), np.empty(m, np.int64)
    for i in range(n):
        row, count = log_joint[i], 0
        least = row.max() + present
        for a in range(m):
            if row[a] >= least:
                for at in range(count):
                    b = dense[at]
                    saddles[a, b] = max(saddles[a, b], min(row[a], row[b]))
                dense[count] = a
                count += 1
    for a in range(m):
        for b in range(a):
            saddles[b, a] = saddles[a, b]
    return saddles
