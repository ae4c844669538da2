"""k components from several starts, of which one is kept."""

from collections.abc import Iterator, Sequence
from itertools import compress, pairwise

import numpy as np
from numpy.typing import NDArray

from divmix.engine.state import State
from divmix.families import Components, Family, Moments
from divmix.families.noise import leaving_room
from divmix.merging.hierarchy import Level
from divmix.merging.tree import cut, medoid_partition
from divmix.search.run import Searching
from divmix.search.starts import from_clusters, k_means
from divmix.search.thinning import overlaps, thinned

Votes = dict[bytes, tuple[NDArray[np.int64], int]]


def compete(
    searching: Searching, levels: list[Level], generator: np.random.Generator
) -> Components:
    """k components: from the end of the path, from unions along it, from k-means, and from the
    best of these together.

    All climb J under a weak prior, since the likeliest of full components is often one that sits on
    a few rows that nearly lie in a plane.
    """
    schedule = searching.schedule
    prior = searching.weak(levels[-1].components, schedule.competing_prior)

    def climbed(start: Components) -> State:
        return searching.climbed("reduce", start, prior, schedule.last_iterations)

    starts = [
        (levels[-1].components, 1),
        *union_starts(searching, levels),
        *k_means_starts(searching, generator),
    ]
    fitted = [climbed(start) for start, _ in starts]
    votes = [times for _, times in starts]
    for _ in range(schedule.rounds):
        best = different(fitted, searching.settled)[: schedule.together]
        joint = together(searching.family, [end.moved for end in best])
        if not (path := list(thinned(searching, joint))):
            break
        fitted.append(climbed(path[-1]))
        votes.append(1)
        if fitted[-1].objective <= best[0].objective + searching.settled:
            break
    components = [end.moved for end in fitted]
    values = np.array([end.objective for end in fitted])
    return components[agreed(searching, components, values, votes)]


def different(ends: Sequence[State], least: float) -> list[State]:
    """The ends of climbs by falling J, without those that are no lower than the one before by more
    than `least`: many starts lead to one mixture, and two of the same J are one."""
    ranked = sorted(ends, key=lambda end: -end.objective)
    lower = (one.objective - two.objective > least for one, two in pairwise(ranked))
    return [ranked[0], *compress(ranked[1:], lower)]


def union_starts(searching: Searching, levels: list[Level]) -> Iterator[tuple[Components, int]]:
    """Unions by overlap at some levels of the path, and how many ways led to each.

    The cost of a merge is weighed by mass, so the path joins small clusters too readily where sizes
    are very unequal; unions by overlap do not.
    """
    k, schedule = searching.k, searching.schedule
    counts = np.array([level.components.count for level in levels])
    for ratio in schedule.union_starts:
        wanted = min(ratio * k, counts[0])
        components = levels[int(np.abs(np.log(counts / wanted)).argmin())].components
        if components.count <= k or searching.monitor.stop_reason():
            continue
        found: Votes = {}
        for share in (schedule.least_share, 0.0):
            vote(found, cut(overlaps(searching, components, share), k))
        for unions, times in found.values():
            yield searching.family.joined(components, unions), times


def k_means_starts(
    searching: Searching, generator: np.random.Generator
) -> Iterator[tuple[Components, int]]:
    """Distinct clusterings of the sample by k-means, and how many starts led to each."""
    found: Votes = {}
    for _ in range(searching.schedule.k_means_starts):
        if not searching.monitor.stop_reason():
            vote(found, k_means(searching.family, searching.sample, searching.k, generator))
    for labels, times in found.values():
        start = from_clusters(searching.family, searching.sample, labels, searching.k)
        yield leaving_room(start, searching.noise), times


def vote(found: Votes, labels: NDArray[np.int64]) -> None:
    """Count a partition whose labels are in the order of their first appearance."""
    key = labels.tobytes()
    found[key] = labels, found.get(key, (labels, 0))[1] + 1


def together(family: Family, mixtures: list[Components]) -> Components:
    """The components of several mixtures as one: what one of them missed another may have."""
    moments = [family.moments(one) for one in mixtures]
    probabilities = [one.probabilities for one in moments if one.probabilities is not None]
    joint = Moments(
        np.concatenate([one.weights for one in moments]) / len(moments),
        np.concatenate([one.means for one in moments]),
        np.concatenate([one.covariances for one in moments]),
        np.concatenate(probabilities) if probabilities else None,
    )
    return family.from_moments(joint)


def agreed(
    searching: Searching,
    mixtures: Sequence[Components],
    values: NDArray[np.float64],
    votes: Sequence[int],
) -> int:
    """Index of the mixture to keep: of those that the rows do not tell from the one of the
    highest J, the one whose partition the others agree with most, each with its votes.

    values (starts,) are J. The rows tell where the mean difference of log-densities is larger than
    chance has it (Vuong, Econometrica 1989).
    """
    posteriors = [searching.posterior(components) for components in mixtures]
    densities = [one.log_density for one in posteriors]
    best = int(values.argmax())
    n = searching.rows
    chance = np.array([np.std(densities[best] - own) / np.sqrt(n) for own in densities])
    alike = np.flatnonzero(values >= values[best] - searching.schedule.alike * chance)
    alike = alike[np.argsort(-values[alike], kind="stable")]
    labels = [posteriors[i].responsibilities.argmax(axis=1) for i in alike]
    return int(alike[medoid_partition(labels, np.array(votes)[alike])])
