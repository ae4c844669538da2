"""The default method: relax to many components, diversify, reduce to k clusters, refine.

The paper's own first step, a mixture relaxed to a distribution of components, is taken at its
word. Many more components than clusters are fitted to a sample of rows, pushed apart where they
overlap, and thinned out level by level: the pairs whose merging costs least become one, the rest is
refitted. Clusters are ellipses where k components describe the rows best (BIC); else they are
unions of components that overlap, in the partition that the levels agree on most.

The entropy of J = F + alpha H is taken relative to a broad base measure, without which J has no
maximum. The base acts on a covariance like alpha n / m further rows; alpha starts at RELAXED_ALPHA
while components are many, with rows scattered as those within components are, and is annealed to
its value, with rows scattered as in 1 / m of the space of the table.

The numbers below were found by trials on one half of 39 data sets and checked on the other half.
"""

from typing import NamedTuple

import numpy as np

from divmix.engine.loop import climb
from divmix.engine.monitor import Monitor
from divmix.engine.steps import em_step, local_step
from divmix.families import Components, Gaussian
from divmix.families.noise import denser_than_noise, leaving_room
from divmix.families.structure import Base
from divmix.merging import tree as reduction
from divmix.merging.hierarchy import Hierarchy, joined, matrices
from divmix.rows.memory import InMemory
from divmix.search import starts as initialization
from divmix.search.births import birth, can_be_born

SAMPLE_ROWS, SAMPLE_ROWS_PER_CLUSTER = 4_000, 80  # rows that the relaxed mixture sees
COMPONENTS_PER_CLUSTER, LEAST_COMPONENTS, AT_LEAST_PER_CLUSTER = 6, 80, 3
RELAXED_ALPHA = 0.3
RELAX_ITERATIONS, DIVERSIFY_ITERATIONS, LEVEL_ITERATIONS = 15, 5, 5
BROAD_ITERATIONS, LAST_ITERATIONS = 4, 20
BIRTH_ITERATIONS = 2
PLAIN_STARTS, PLAIN_ITERATIONS = 30, 100  # of fits for alpha 0
SEARCHES, FEW_ROWS = 5, 2_500  # of so few rows the search is repeated, to be agreed on
KEPT, KEPT_NEAR_K = 0.65, 0.85  # share of the components a level keeps; below 2k: the second
UNION_STARTS = (3, np.inf)  # levels (components per cluster) whose unions start a k-mixture too
START_ALPHA = 0.1  # the base in which the starts of the k-mixture compete
MARGIN = 0.02  # nats per row by which unions must beat k components
LEAST_SHARE = 0.03  # of 1 / k: what counts as a cluster of its own ...
LEAST_ROWS = 3  # ... and rows for each of its d + 1 location and scale parameters
SETTLED = 1e-5  # nats per row


class Level(NamedTuple):
    """A mixture on the way from many components to k, and its BIC (per row, halved, nats)."""

    components: Components
    bic: float


class Reduced(NamedTuple):
    """Components, the cluster (m,) of each, and the tree that other numbers of clusters need."""

    components: Components
    clusters: np.ndarray
    hierarchy: Hierarchy

    @property
    def ellipses(self) -> bool:
        """Whether each cluster is one component."""
        return self.hierarchy.criterion == "kl"


class Search:
    """The phases on a sample of rows. Each climb is EM under a base measure.

    merge: "kl" for clusters that are ellipses, "overlap" for unions, "auto" by BIC.
    """

    def __init__(
        self,
        sample: InMemory,
        k: int,
        alpha: float,
        generator: np.random.Generator,
        monitor: Monitor,
        merge: str = "auto",
    ) -> None:
        self.sample, self.k, self.alpha = sample, k, alpha
        self.family: Gaussian = sample.family
        self.generator, self.monitor, self.merge = generator, monitor, merge
        self.spread = weighted_covariance(sample.X, sample.row_weights)

    def reduce(self, m: int) -> Reduced:
        """From m components to k clusters."""
        relaxed = self.diversify(self.relax(m))
        tree = reduction.merge_tree(*self.matrices(relaxed))
        levels = self.thin_out(relaxed, tree)
        last = self.best_of_k(levels)
        best = min(levels, key=lambda level: level.bic)
        ellipses = best.components.count <= self.k or last.bic <= best.bic + MARGIN
        if self.merge == "kl" or (self.merge == "auto" and ellipses):
            components = last.components if self.alpha else self.likeliest(last.components)
            clusters = np.arange(components.count)
            return Reduced(components, clusters, Hierarchy("kl", tree, relaxed))
        rich = [level for level in levels if level.components.count >= best.components.count]
        return self.consensus(rich)

    def agreed(self, m: int) -> Reduced:
        """The reduction that agrees most with others, on few rows: there the result depends on
        where the components start. Of a long table, and for alpha 0, the only one."""
        repeated = self.alpha > 0 and self.sample.rows <= FEW_ROWS
        found = [self.reduce(m)]
        while repeated and len(found) < SEARCHES and not self.monitor.stop_reason():
            found.append(self.reduce(m))
        return self.choose(found)

    def choose(self, found: list[Reduced]) -> Reduced:
        """Of ellipses the likeliest, of unions those that agree with others; by majority."""
        ellipses = [one for one in found if one.ellipses]
        if 2 * len(ellipses) > len(found):
            return max(ellipses, key=lambda one: self.log_likelihood(one.components))
        unions = [one for one in found if not one.ellipses]
        return unions[reduction.medoid_partition([self.partition(one) for one in unions])]

    def partition(self, reduced: Reduced) -> np.ndarray:
        """The cluster of each row, (rows of the sample,)."""
        shares = self.responsibilities(reduced.components)
        return (shares @ np.eye(reduced.clusters.max() + 1)[reduced.clusters]).argmax(axis=1)

    def relax(self, m: int) -> Components:
        """Many components that know nothing of k."""
        X, row_weights = self.sample.X, self.sample.row_weights
        m = max(self.k, min(m, initialization.count_distinct(X)))
        components = initialization.start(
            self.family, X, row_weights, m, "kmeans++", self.generator
        )
        components = leaving_room(components, self.sample.noise)
        relaxed = self.climb("relax", components, self.pooled(RELAXED_ALPHA), RELAX_ITERATIONS)
        return relaxed if self.sample.noise is None else self.leave_to_noise(relaxed)

    def leave_to_noise(self, components: Components) -> Components:
        """Without the components that are no denser than noise, which has to win their rows."""
        dense = denser_than_noise(self.family, components, self.sample.noise)
        if dense.all() or dense.sum() < self.k:
            return components
        kept = components.take(np.flatnonzero(dense))
        return self.climb("relax", kept, self.pooled(RELAXED_ALPHA), RELAX_ITERATIONS)

    def diversify(self, components: Components) -> Components:
        """Components that overlap share their drive and repel each other."""
        if self.alpha == 0:
            return components
        born = birth(self.sample, components, self.generator) if can_be_born(self.sample) else None
        if born is not None:  # one: further ones brought nothing in trials
            components = self.climb("diversify", born, self.pooled(RELAXED_ALPHA), BIRTH_ITERATIONS)
        base = self.pooled(RELAXED_ALPHA)(components)
        step = local_step(self.family, self.alpha, learn_weights=True, base=base)
        return self.alive(
            climb(
                step,
                components,
                self.sample,
                self.monitor,
                phase="diversify",
                alpha=self.alpha,
                max_iter=DIVERSIFY_ITERATIONS,
                tol=SETTLED,
            ).components
        )

    def thin_out(self, components: Components, tree: reduction.MergeTree) -> list[Level]:
        """Levels from the components of `tree` to k, each refitted; the richest first."""
        levels = [self.level(components)]
        while components.count > self.k:
            m = components.count
            kept = max(self.k, int(m * (KEPT if m > 2 * self.k else KEPT_NEAR_K)))
            if len(levels) > 1:
                tree = reduction.merge_tree(*self.matrices(components))
            labels = reduction.cut(tree, kept)
            iterations = LEVEL_ITERATIONS if kept > self.k else LAST_ITERATIONS
            components = self.climb(
                "reduce", self.merged(components, labels), self.pooled(RELAXED_ALPHA), iterations
            )
            levels.append(self.level(components))
        return levels

    def level(self, components: Components) -> Level:
        """The components under the broad base alone, which leaves likelihoods comparable."""
        iterations = BROAD_ITERATIONS if components.count > self.k else LAST_ITERATIONS
        broad = self.climb("reduce", components, self.broad, iterations)
        n, d = self.sample.X.shape
        log_likelihood = self.log_likelihood(broad)
        parameters = self.family.n_parameters(broad.count, d)
        return Level(broad, parameters * np.log(n) / (2 * n) - log_likelihood)

    def best_of_k(self, levels: list[Level]) -> Level:
        """The likeliest k components, from the end of the path and from unions along it.

        The cost of a merge is weighed by mass, so the path joins small clusters too readily where
        sizes are very unequal; unions by overlap do not.
        """
        starts = [levels[-1].components]
        counts = np.array([level.components.count for level in levels])
        for ratio in UNION_STARTS:
            wanted = min(ratio * self.k, counts[0])
            nearest = int(np.abs(np.log(counts / wanted)).argmin())
            if counts[nearest] > self.k:
                components = levels[nearest].components
                for share in (LEAST_SHARE, 0.0):
                    unions = reduction.cut(self.overlaps(components, share), self.k)
                    starts.append(self.merged(components, unions))
        fitted = [
            self.climb("reduce", start, self.pooled(START_ALPHA), LAST_ITERATIONS)
            for start in starts
        ]
        best = max(fitted, key=self.log_likelihood)
        levels[-1] = self.level(best)
        return levels[-1]

    def likeliest(self, components: Components) -> Components:
        """Plain maximum likelihood: k components without a base, from these and from k-means."""
        fitted = [self.climb("reduce", components, lambda _: None, PLAIN_ITERATIONS)]
        while len(fitted) <= PLAIN_STARTS and not self.monitor.stop_reason():
            start = initialization.from_k_means(
                self.family, self.sample.X, self.sample.row_weights, self.k, self.generator
            )
            start = leaving_room(start, self.sample.noise)
            fitted.append(self.climb("reduce", start, lambda _: None, PLAIN_ITERATIONS))
        return max(fitted, key=self.log_likelihood)

    def consensus(self, levels: list[Level]) -> Reduced:
        """The unions at the level whose partition the other levels agree with most."""
        trees = [self.overlaps(level.components) for level in levels]
        cuts = [reduction.cut(tree, self.k) for tree in trees]
        found = [
            Reduced(level.components, clusters, Hierarchy("overlap", tree))
            for level, clusters, tree in zip(levels, cuts, trees)
        ]
        return found[reduction.medoid_partition([self.partition(one) for one in found])]

    def overlaps(self, components: Components, share: float = LEAST_SHARE) -> reduction.MergeTree:
        """The order in which overlapping components unite; those below `share` of 1 / k first."""
        shared = reduction.shared_mass(self.responsibilities(components), self.sample.row_weights)
        n, d = self.sample.X.shape
        return reduction.merge_tree(
            *self.matrices(components),
            criterion="overlap",
            shared=shared,
            smallest=max(share / self.k, LEAST_ROWS * (d + 1) / n),
        )

    # what the phases stand on

    def climb(self, phase: str, components: Components, base, max_iter: int) -> Components:
        """EM under base(components); components that hold less than a row are dropped."""
        step = em_step(self.family, base=base(components))
        climbed = climb(
            step,
            components,
            self.sample,
            self.monitor,
            phase=phase,
            alpha=0.0,
            max_iter=max_iter,
            tol=SETTLED,
        ).components
        return self.alive(climbed)

    def alive(self, components: Components) -> Components:
        """Without the components that hold less than a row."""
        alive = components.weights * self.sample.rows > 1
        if alive.all() or alive.sum() < self.k:
            return components
        kept = components.take(np.flatnonzero(alive))
        share = components.weights.sum() / kept.weights.sum()
        return kept._replace(weights=kept.weights * share)

    def pooled(self, alpha: float):
        """The base of alpha n / m rows for each of m components."""
        return lambda components: Base(alpha * self.sample.total_weight / components.count)

    def broad(self, components: Components) -> Base:
        """d + 2 rows as scattered as all rows, in m cells of space (Fraley and Raftery 2007)."""
        d = self.sample.features
        return Base(d + 2, self.spread * components.count ** (-2 / d))

    def final_base(self, components: Components, total_weight: float) -> Base | None:
        """alpha n / m rows, as scattered as the broad base; none for alpha = 0."""
        rows = self.alpha * total_weight / components.count
        return self.broad(components)._replace(rows=rows) if rows else None

    def matrices(self, components: Components):
        """Weights, means and full covariances."""
        return matrices(self.family, components)

    def merged(self, components: Components, labels: np.ndarray) -> Components:
        """One component for each label (m,), with the moments of those it stands for."""
        return joined(self.family, components, labels)

    def log_likelihood(self, components: Components) -> float:
        return self.sample(components).log_likelihood / self.sample.total_weight

    def responsibilities(self, components: Components) -> np.ndarray:
        """(rows of the sample, m)."""
        joint = self.sample.log_densities(components)
        joint = np.exp(joint - joint.max(axis=1, keepdims=True))
        return (joint / joint.sum(axis=1, keepdims=True))[:, : components.count]


def choose_components(family: Gaussian, rows: int, d: int, k: int) -> int:
    """Components of the relaxed mixture: some for each cluster, as many as the rows can carry."""
    rows_each = family.structure.n_parameters(1, d) + d
    carried = max(AT_LEAST_PER_CLUSTER * k, rows // rows_each)
    wanted = max(COMPONENTS_PER_CLUSTER * k, LEAST_COMPONENTS)
    return max(k, min(wanted, carried, rows // (d + 1)))


def draw_sample(data_term: InMemory, k: int, generator: np.random.Generator) -> InMemory:
    """Rows for the search: all of them in a small table."""
    size = max(SAMPLE_ROWS, SAMPLE_ROWS_PER_CLUSTER * k)
    rows = np.flatnonzero(data_term.row_weights > 0)
    if len(rows) > size:
        rows = np.sort(generator.choice(rows, size, replace=False, shuffle=False))
    return data_term.of(rows)


def weighted_covariance(X: np.ndarray, row_weights: np.ndarray) -> np.ndarray:
    """Covariance (d, d) of rows X (n, d)."""
    return np.atleast_2d(np.cov(X.T, aweights=row_weights, ddof=0))
