"""The number of clusters, by ICL along a path that BIC leads.

A relaxed mixture is thinned out by its cheapest merges down to one component, and every mixture on
the way is a candidate: one path costs a few fits, whatever the number of candidates. Far from the
best BIC it takes long steps, around it single ones. Labels are never looked at.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.engine.monitor import Monitor
from divmix.families import Components, Mixed
from divmix.families.noise import MadeNoise, denser_than_noise, leaving_room
from divmix.families.posterior import log_sum_exp
from divmix.merging.criteria import shared_mass
from divmix.merging.tree import MergeTree, cut, merge_tree
from divmix.progress import counted
from divmix.rows import Rows
from divmix.search.relax import relax
from divmix.search.run import Model, Searching
from divmix.search.starts import count_distinct
from divmix.settings.schedule import SCHEDULE

STEPS = (0.8, 0.94, 1.0)  # share of the components that a level keeps; one less at least
LEVEL_ITERATIONS, CANDIDATE_ITERATIONS = 5, 10
LEAST_COMPONENTS, COMPONENTS_PER_CLUSTER = 100, 3  # of the relaxed mixture
RICH = 3  # components for each cluster where unions are looked for
ROOM = 2  # times as many at least as the best candidate has
SAMPLES = (8_000, 24_000)  # rows: many tell apart what few do not
FEW_ROWS, PATHS_OF_FEW = 2_000, 3  # a path on few rows costs little and depends on its start
CLEARLY = 10.0  # difference of BIC: very strong evidence to Kass and Raftery (1995)
CHOOSING = "choosing the number of clusters"  # the stage of a run
APART = 1e-3  # share of rows in common below which components are taken for separate groups
# On the embedding of a graph of neighbours: share of the mean size below which a component is a
# part of another cluster. Clusters there are no ellipses, and BIC fills in their outskirts.
SMALLEST_SHARE = 0.2
SMALL = 0.1  # of the mean size: a cluster that a sentence explains


class Candidate(NamedTuple):
    """A mixture of k components and how well it describes n rows.

    log_likelihood: mean per row, nats. bic = p log n - 2 L for the log-likelihood L of all rows and
    p free parameters (Schwarz 1978), of a column of categories those of one distribution in all
    components where that is lower; icl = bic + 2 entropy of the assignments (Biernacki, Celeux
    and Govaert 2000). Lower is better for both; row weights are scaled to sum to n.
    """

    components: Components
    log_likelihood: float
    bic: float
    icl: float

    @property
    def k(self) -> int:
        """Components."""
        return self.components.count


class Path:
    """The way from many components to few on the rows of a sample; `candidates` by their k."""

    def __init__(self, searching: Searching, generator: np.random.Generator) -> None:
        self.searching, self.generator = searching, generator
        self.candidates: dict[int, Candidate] = {}

    @property
    def best(self) -> Candidate:
        """The candidate with the lowest BIC."""
        return min(self.candidates.values(), key=lambda candidate: candidate.bic)

    @property
    def chosen(self) -> Candidate:
        """The candidate with the lowest ICL among those of two components and more, up to the fewest
        whose BIC is not clearly above the lowest.

        BIC counts components, and ICL those of them that are clusters: it takes none for two that share
        their rows. A single one shares with no other, so whether there are several BIC says.
        """
        least = self.best.bic + CLEARLY
        most = min(candidate.k for candidate in self.candidates.values() if candidate.bic <= least)
        among = [own for k, own in self.candidates.items() if min(2, most) <= k <= most]
        return min(among, key=lambda candidate: candidate.icl)

    def descend_to_best(self, m: int) -> None:
        """From m components to one, then again in ever shorter steps around the lowest BIC."""
        self.narrow(relax(self.searching, m, self.generator), STEPS)

    def descend_beside_noise(self, plain: "Path") -> None:
        """From the components of a path without noise, about ROOM times as many as its best
        candidate has, to one; those that are no denser than the noise are left to it."""
        searching, wanted = self.searching, ROOM * plain.best.k
        assert searching.noise is not None
        richer = [k for k in plain.candidates if k >= wanted]
        start = plain.candidates[min(richer) if richer else max(plain.candidates)].components
        start = leaving_room(start, searching.noise)
        start = self.refitted(start, np.arange(start.count))
        dense = denser_than_noise(searching.family, start, searching.noise)
        if dense.any():
            start = self.refitted(start.take(np.flatnonzero(dense)), np.arange(dense.sum()))
        self.narrow(start, STEPS[1:])

    def narrow(self, richest: Components, steps: Sequence[float]) -> None:
        """From the richest to one component in the first steps, then around the lowest BIC."""
        lowest = 1
        rich: list[Components] = []
        for kept in steps:
            levels = self.descend(richest, lowest, kept)
            best = min(range(len(levels)), key=lambda i: levels[i][1].bic)
            richest = levels[max(best - 1, 0)][0]
            lowest = levels[min(best + 1, len(levels) - 1)][0].count
            if kept == steps[0]:
                rich = [level for level, _ in levels if level.count >= RICH * self.best.k]
        for level in rich[:1] + rich[1:][-1:]:  # the richest and the poorest of them
            self.propose_unions(level)
        self.fill_in()

    def fill_in(self) -> None:
        """Each number of components between the neighbours of the choice, which ICL may make where
        BIC took long steps."""
        known = sorted(self.candidates)
        place = known.index(self.chosen.k)
        below, above = known[max(place - 1, 0)], known[min(place + 1, len(known) - 1)]
        if set(range(below, above)) - self.candidates.keys():
            self.descend(self.candidates[above].components, below, STEPS[-1])

    def cover(self, lowest: int, highest: int) -> None:
        """Candidates of lowest .. highest components, and no others."""
        m = max(LEAST_COMPONENTS, COMPONENTS_PER_CLUSTER * highest)
        most = max(highest, count_distinct(self.searching.sample) // 2)
        start = relax(self.searching, min(m, most), self.generator)
        levels = self.descend(start, highest, STEPS[0])
        self.descend(levels[-1][0], lowest, STEPS[-1])
        for k in [k for k in self.candidates if not lowest <= k <= highest]:
            del self.candidates[k]

    def descend(
        self, components: Components, lowest: int, kept: float
    ) -> list[tuple[Components, Candidate]]:
        """Each level down to `lowest` components and the candidate made of it, richest first."""
        levels = [(components, self.propose(components))]
        while components.count > lowest and not self.searching.monitor.stop_reason():
            count = max(lowest, min(int(kept * components.count), components.count - 1))
            tree = merge_tree(self.searching.family.moments(components))
            components = self.refitted(components, cut(tree, count))
            levels.append((components, self.propose(components)))
        return levels

    def refitted(self, components: Components, labels: NDArray[np.int64]) -> Components:
        """One component for each label, fitted again."""
        merged = self.searching.family.joined(components, labels)
        prior = self.searching.pooled(merged, SCHEDULE.relaxed_prior)
        return self.searching.climb("select", merged, prior, LEVEL_ITERATIONS)

    def propose_unions(self, components: Components) -> None:
        """Candidates around the best from unions by overlap.

        The cost of a merge along the path is weighed by mass, so two small clusters join although
        they are far apart; by overlap they do not.
        """
        tree, k = self.overlaps(components), self.best.k
        for count in range(max(1, k - 2), min(k + 3, components.count)):
            self.propose(self.refitted(components, cut(tree, count)))

    def overlaps(self, components: Components) -> MergeTree:
        """The order in which overlapping components unite, small ones like others."""
        searching = self.searching
        responsibilities = searching.posterior(components).responsibilities
        shared = shared_mass(responsibilities, searching.sample.held.row_weights)
        moments = searching.family.moments(components)
        return merge_tree(moments, criterion="overlap", shared=shared)

    def propose(self, components: Components) -> Candidate:
        """The candidate that components lead to; kept where it is the best of its k."""
        prior = self.searching.comparable(components)
        fitted = self.searching.climb("select", components, prior, CANDIDATE_ITERATIONS)
        candidate = assess(self.searching, fitted)
        known = self.candidates.get(candidate.k)
        if known is None or candidate.bic < known.bic:
            self.candidates[candidate.k] = candidate
        return candidate


def assess(searching: Searching, components: Components) -> Candidate:
    """The criteria of a mixture on the rows of the sample."""
    log_joint = searching.log_joint(components)
    log_density = log_sum_exp(log_joint)
    log_responsibilities = log_joint - log_density[:, None]
    row_weights, n = searching.sample.held.row_weights, searching.rows
    weights = row_weights * (n / searching.sample.total_weight)
    total = float(weights @ log_density)
    each = (np.exp(log_responsibilities) * log_responsibilities).sum(axis=1)
    parameters = searching.family.n_parameters(components.count, searching.columns)
    bic = float(parameters * np.log(n) - 2 * total)
    if isinstance(searching.family, Mixed):
        bic -= searching.family.spared(components, n)
    return Candidate(components, total / n, bic, bic - 2 * float(weights @ each))


def choose_clusters(
    rows: Rows,
    models: Sequence[Model],
    generator: np.random.Generator,
    monitor: Monitor,
    noise: MadeNoise | None = None,
) -> Path:
    """The path whose best candidate has as many components as the rows have clusters.

    Each of the models is tried, and the best of them once more beside the broad component that
    `noise` makes for its family: scattered rows are no cluster where BIC is clearly lower with it.
    Of a long table a sample of rows is looked at, then a larger one while that shows more clusters.
    Raises FitError.
    """
    path, wanted = None, LEAST_COMPONENTS
    for size in SAMPLES:
        sample = rows.sample(size, generator)
        searches = [Searching(sample, *model, monitor) for model in models]
        known, path = path and path.best.k, look_for_best(searches, wanted, generator)
        if noise is not None:
            beside = path.searching._replace(noise=noise(path.searching.family))
            scattered = Path(beside, generator)
            scattered.descend_beside_noise(path)
            if scattered.best.bic < path.best.bic - CLEARLY:
                path = scattered
        if sample.visited < size or path.best.k == known:
            break
        # Which family is best shows on few rows.
        models = [model for model in models if model.family is path.searching.family]
        wanted = max(wanted, COMPONENTS_PER_CLUSTER * path.best.k)
    assert path is not None
    return path


def look_for_best(searches: Sequence[Searching], m: int, generator: np.random.Generator) -> Path:
    """The path with the lowest BIC over searches of the same rows, each under another family; of few
    rows more paths under the family of that one.

    It starts from m components, or from more where the best candidate is nearly as rich.
    """
    most = max(1, count_distinct(searches[0].sample) // 2)
    more = PATHS_OF_FEW - 1 if searches[0].rows <= FEW_ROWS else 0
    progress = searches[0].monitor.progress
    while True:
        paths: list[Path] = []
        for i in range(len(searches) + more):
            progress.stage(CHOOSING, i / (len(searches) + more))
            again = i >= len(searches)
            paths.append(Path(best_of(paths).searching if again else searches[i], generator))
            paths[-1].descend_to_best(min(m, most))
        path = best_of(paths)
        wanted = COMPONENTS_PER_CLUSTER * path.best.k
        if m >= min(most, ROOM * path.best.k) or searches[0].monitor.stop_reason():
            return path
        m = wanted


def best_of(paths: Sequence[Path]) -> Path:
    """The path with the lowest BIC."""
    return min(paths, key=lambda path: path.best.bic)


def count_clusters(candidate: Candidate, smallest: float) -> int:
    """Components whose weight is at least `smallest` of the mean of those that count."""
    weights, counted = candidate.components.weights, 0
    while counted != len(weights):
        counted = len(weights)
        weights = weights[weights >= smallest / counted]
    return counted


def explain(path: Path, chosen: Candidate, k: int | None = None) -> str:
    """A sentence on the chosen candidate, of which k components count; on scattered rows, on small
    clusters and on groups apart."""
    lowest = f"{'has' if chosen.k == 1 else 'have'} the lowest ICL"
    reason = f"{counted(chosen.k, 'cluster')} {lowest} on {counted(path.searching.rows, 'row')}"
    others = [candidate for candidate in path.candidates.values() if candidate.k != chosen.k]
    if others:
        second = min(others, key=lambda candidate: candidate.icl)
        gap = second.icl - chosen.icl
        if gap < 0:
            reason += " of as many as BIC has"
        reason += f", {abs(gap):.3g} {'below' if gap > 0 else 'above'} that of {second.k}"
    if path.searching.noise is not None:
        share = max(1 - chosen.components.weights.sum(), 0.0)
        reason += f", beside {share:.1%} of scattered rows that --noise keeps out of clusters"
    if k is not None and k < chosen.k:
        return f"{reason}; {k} of them are larger than parts of others"
    small = chosen.components.weights[chosen.components.weights < SMALL / chosen.k]
    if len(small):
        one = len(small) == 1
        reason += (
            f"; {len(small)} {'has' if one else 'have'} {small.max():.1%} of the rows"
            f"{'' if one else ' each at most'}: a rare kind, or odd rows of a larger one "
            "(--bootstrap tells)"
        )
    groups = count_groups(path, chosen)
    if 1 < groups < chosen.k:
        reason += f"; they form {groups} groups that share next to no rows (see -k {groups})"
    return reason


def count_groups(path: Path, chosen: Candidate) -> int:
    """Groups left when all chosen components that share more than APART of a row are joined."""
    components = chosen.components
    tree = path.overlaps(components)
    joined = np.flatnonzero(tree.costs < -np.log(APART))
    return components.count - (int(joined.max(initial=-1)) + 1)
