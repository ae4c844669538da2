"""Numbers that a fit chooses by itself: clusters by BIC, alpha by held-out log-likelihood.

For the clusters a relaxed mixture is thinned out by its cheapest merges down to one component, and
every mixture on the way is a candidate: one path costs a few fits, whatever the number of
candidates. Far from the best BIC it takes long steps, around it single ones. Labels are never
looked at.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from divmix.choosing.covariance import MOST_FULL_COLUMNS
from divmix.engine.loop import climb
from divmix.engine.monitor import Monitor
from divmix.engine.steps import em_step
from divmix.errors import UsageError
from divmix.families import Components, Gaussian, make_family
from divmix.families.noise import broad_component
from divmix.families.structure import Base
from divmix.merging import tree as reduction
from divmix.rows.memory import InMemory
from divmix.search import phases as diversified
from divmix.search.starts import count_distinct
from divmix.settings import FitSettings

STEPS = (0.8, 0.94, 1.0)  # share of the components that a level keeps; one less at least
LEVEL_ITERATIONS, CANDIDATE_ITERATIONS = 5, 10
LEAST_COMPONENTS, COMPONENTS_PER_CLUSTER = 100, 3  # of the relaxed mixture
RICH = 3  # components for each cluster where unions are looked for
ROOM = 2  # times as many at least as the best candidate has
SAMPLES = (8_000, 24_000)  # rows: many tell apart what few do not
FEW_ROWS, PATHS_OF_FEW = 2_000, 3  # a path on few rows costs little and depends on its start
CLEARLY = 10.0  # difference of BIC: very strong evidence to Kass and Raftery (1995)
APART = 1e-3  # share of rows in common below which components are taken for separate groups
# On the embedding of a graph of neighbours: share of the mean size below which a component is a
# splinter of a cluster. Clusters there are no ellipses, and BIC fills in their outskirts.
SPLINTER = 0.2

ALPHAS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
FOLDS = 3
START_ALPHA = 0.03  # of the search before alpha is known
REFINE_ITERATIONS, REFINE_TOLERANCE = 100, 1e-4


class Candidate(NamedTuple):
    """A mixture of k components and how well it describes n rows.

    log_likelihood: mean per row, nats. bic = p log n - 2 L for the log-likelihood L of all rows and
    p free parameters (Schwarz 1978); icl = bic + 2 entropy of the assignments (Biernacki, Celeux
    and Govaert 2000). Lower is better for both; row weights are scaled to sum to n.
    """

    components: Components
    log_likelihood: float
    bic: float
    icl: float

    @property
    def k(self) -> int:
        return self.components.count


class Path:
    """The way from many components to few on the rows of `sample`; `candidates` by their k."""

    def __init__(self, sample: InMemory, generator: np.random.Generator, monitor: Monitor) -> None:
        self.sample = sample
        self.search = diversified.Search(sample, 1, 0.0, generator, monitor)
        self.candidates: dict[int, Candidate] = {}

    @property
    def best(self) -> Candidate:
        return min(self.candidates.values(), key=lambda candidate: candidate.bic)

    @property
    def chosen(self) -> Candidate:
        """The fewest components whose BIC is not clearly above the lowest."""
        least = self.best.bic + CLEARLY
        return min(
            (candidate for candidate in self.candidates.values() if candidate.bic <= least),
            key=lambda candidate: candidate.k,
        )

    def descend_to_best(self, m: int) -> None:
        """From m components to one, then again in ever shorter steps around the lowest BIC."""
        richest, lowest = self.search.relax(m), 1
        for kept in STEPS:
            levels = self.descend(richest, lowest, kept)
            best = min(range(len(levels)), key=lambda i: levels[i][1].bic)
            richest = levels[max(best - 1, 0)][0]
            lowest = levels[min(best + 1, len(levels) - 1)][0].count
            if kept == STEPS[0]:
                rich = [level for level, _ in levels if level.count >= RICH * self.best.k]
        for level in rich[:1] + rich[1:][-1:]:  # the richest and the poorest of them
            self.propose_unions(level)

    def cover(self, lowest: int, highest: int) -> None:
        """Candidates of lowest .. highest components, and no others."""
        m = max(LEAST_COMPONENTS, COMPONENTS_PER_CLUSTER * highest)
        start = self.search.relax(min(m, max(highest, count_distinct(self.sample.X) // 2)))
        levels = self.descend(start, highest, STEPS[0])
        self.descend(levels[-1][0], lowest, STEPS[-1])
        for k in [k for k in self.candidates if not lowest <= k <= highest]:
            del self.candidates[k]

    def descend(
        self, components: Components, lowest: int, kept: float
    ) -> list[tuple[Components, Candidate]]:
        """Each level down to `lowest` components and the candidate made of it, richest first."""
        levels = [(components, self.propose(components))]
        while components.count > lowest and not self.search.monitor.stop_reason():
            count = max(lowest, min(int(kept * components.count), components.count - 1))
            tree = reduction.merge_tree(*self.search.matrices(components))
            merged = self.search.merged(components, reduction.cut(tree, count))
            base = self.search.pooled(diversified.RELAXED_ALPHA)
            components = self.search.climb("select", merged, base, LEVEL_ITERATIONS)
            levels.append((components, self.propose(components)))
        return levels

    def propose_unions(self, components: Components) -> None:
        """Candidates around the best from unions by overlap.

        The cost of a merge along the path is weighed by mass, so two small clusters join although
        they are far apart; by overlap they do not.
        """
        tree, k = self.overlaps(components), self.best.k
        for count in range(max(1, k - 2), min(k + 3, components.count)):
            merged = self.search.merged(components, reduction.cut(tree, count))
            base = self.search.pooled(diversified.RELAXED_ALPHA)
            self.propose(self.search.climb("select", merged, base, LEVEL_ITERATIONS))

    def overlaps(self, components: Components) -> reduction.MergeTree:
        """The order in which overlapping components unite, small ones like others."""
        responsibilities = self.search.responsibilities(components)
        shared = reduction.shared_mass(responsibilities, self.sample.row_weights)
        matrices = self.search.matrices(components)
        return reduction.merge_tree(*matrices, criterion="overlap", shared=shared)

    def propose(self, components: Components) -> Candidate:
        """The candidate that components lead to; kept where it is the best of its k."""
        base = Base(self.sample.features + 2)  # as many rows as in Fraley and Raftery's (2007)
        fitted = self.search.climb("select", components, lambda _: base, CANDIDATE_ITERATIONS)
        candidate = assess(fitted, self.sample)
        known = self.candidates.get(candidate.k)
        if known is None or candidate.bic < known.bic:
            self.candidates[candidate.k] = candidate
        return candidate


def assess(components: Components, sample: InMemory) -> Candidate:
    """The criteria of a mixture on the rows of `sample`."""
    log_density, log_responsibilities = densities(components, sample)
    n, weights = sample.rows, sample.row_weights * (sample.rows / sample.total_weight)
    total = float(weights @ log_density)
    each = (np.exp(log_responsibilities) * log_responsibilities).sum(axis=1)
    parameters = sample.family.n_parameters(components.count, sample.features)
    bic = float(parameters * np.log(n) - 2 * total)
    return Candidate(components, total / n, bic, bic - 2 * float(weights @ each))


def densities(components: Components, sample: InMemory):
    """log p(x) of all rows, (n,), and the logarithms of the responsibilities, (n, m).

    Beside noise these are (n, m + 1).
    """
    joint = sample.log_densities(components)
    top = joint.max(axis=1)
    log_density = top + np.log(np.exp(joint - top[:, None]).sum(axis=1))
    joint -= log_density[:, None]
    return log_density, joint


def settle_clusters(
    settings: FitSettings, rows, floor: np.ndarray, monitor, notes: list[str], splinter: float = 0.0
):
    """The settings with the number of clusters that BIC chooses; a note says why.

    rows has X (n, d) and row_weights (n,), floor (d,) is the smallest variance of each column;
    components below `splinter` of the mean size are not counted. Raises FitError.
    """
    generator = np.random.default_rng(settings.seed)
    path = choose_clusters(candidate_terms(settings, rows, floor), generator, monitor)
    k = count_clusters(path.chosen, splinter)
    notes.append(explain(path, k))
    return replace(settings, clusters=k)


def settle_alpha(settings: FitSettings, rows, floor: np.ndarray, monitor, notes: list[str]):
    """The settings with the alpha of the best held-out log-likelihood; a note says so.

    Where they are "auto", full or diagonal covariances, and clusters of one component or of several,
    are chosen in the same way. The number of clusters is settled. Raises UsageError for a method
    without base measure, FitError.
    """
    if settings.method != "diversified":
        raise UsageError(
            f"--alpha auto is not available with --method {settings.method}",
            hint="give alpha as a number, or use --method diversified",
        )
    merges = ("kl", "overlap") if settings.merge == "auto" else (settings.merge,)
    tried = [(term, merge) for term in candidate_terms(settings, rows, floor) for merge in merges]
    means = np.stack(
        [
            held_out_by_alpha(
                term, replace(settings, merge=merge), np.random.default_rng(settings.seed), monitor
            )
            for term, merge in tried
        ]
    )
    which, best = np.unravel_index(means.argmax(), means.shape)
    covariance, merge = tried[which][0].family.structure.name, tried[which][1]
    gain = means[which, best] - means[which, 0]
    told = f", {gain:.3g} nats per row above alpha 0" if best else ""
    notes.append(f"alpha {ALPHAS[best]:g}, the best held-out log-likelihood" + told)
    if len(tried) > 1:
        shape = {"kl": "one component each", "overlap": "unions of components"}[merge]
        notes.append(
            f"covariance {covariance}, clusters as {shape}: the best held-out log-likelihood"
        )
    return replace(settings, alpha=ALPHAS[best], covariance=covariance, merge=merge)


def candidate_families(settings: FitSettings, floor: np.ndarray) -> list[Gaussian]:
    """The families among which BIC may choose: with --covariance auto, full and diagonal.

    Student-t components are full where they can be: diagonal ones fill a cluster of an embedding
    with many, 396 where there are ten digits.
    """
    family = "gaussian" if settings.family == "auto" else settings.family
    covariances = (settings.covariance,)
    if settings.covariance == "auto":
        both = ("full",) if family == "student" else ("full", "diag")
        covariances = both if len(floor) <= MOST_FULL_COLUMNS else ("diag",)
    return [make_family(family, covariance, floor) for covariance in covariances]


def candidate_terms(settings: FitSettings, rows, floor: np.ndarray) -> list[InMemory]:
    """All rows under each of the families, beside a broad component where --noise asks for one."""
    terms = []
    for family in candidate_families(settings, floor):
        noise = broad_component(family, rows.X, rows.row_weights) if settings.noise else None
        terms.append(InMemory(rows.X, rows.row_weights, family, noise=noise))
    return terms


def choose_clusters(
    terms: Sequence[InMemory], generator: np.random.Generator, monitor: Monitor
) -> Path:
    """The path whose best candidate has as many components as the rows have clusters.

    terms: the same rows, each under another family.

    Of a long table a sample of rows is looked at, then a larger one while that shows more clusters.
    Raises FitError.
    """
    path, wanted = None, LEAST_COMPONENTS
    for size in SAMPLES:
        rows = draw_rows(terms[0], size, generator)
        samples = [term.of(rows) for term in terms]
        known, path = path and path.best.k, look_for_best(samples, wanted, generator, monitor)
        if len(rows) < size or path.best.k == known:
            break
        # Which family is best shows on few rows.
        terms = [term for term in terms if term.family is path.sample.family]
        wanted = max(wanted, COMPONENTS_PER_CLUSTER * path.best.k)
    return path


def look_for_best(
    samples: Sequence[InMemory], m: int, generator: np.random.Generator, monitor: Monitor
) -> Path:
    """The path with the lowest BIC over samples: the same rows, each under another family.

    It starts from m components, or from more where the best candidate is nearly as rich.
    """
    most = max(1, count_distinct(samples[0].X) // 2)
    while True:
        paths = []
        for sample in samples:
            for _ in range(PATHS_OF_FEW if sample.rows <= FEW_ROWS else 1):
                paths.append(Path(sample, generator, monitor))
                paths[-1].descend_to_best(min(m, most))
        path = min(paths, key=lambda path: path.best.bic)
        wanted = COMPONENTS_PER_CLUSTER * path.best.k
        if m >= min(most, ROOM * path.best.k) or monitor.stop_reason():
            return path
        m = wanted


def count_clusters(candidate: Candidate, splinter: float) -> int:
    """Components whose weight is at least `splinter` of the mean of those that count."""
    weights, counted = candidate.components.weights, 0
    while counted != len(weights):
        counted = len(weights)
        weights = weights[weights >= splinter / counted]
    return counted


def explain(path: Path, k: int | None = None) -> str:
    """A sentence on the chosen candidate, of which k components count, and on groups apart."""
    chosen, best = path.chosen, path.best
    if chosen.k == best.k:
        reason = f"{best.k} clusters have the lowest BIC on {path.sample.rows:,} rows"
    else:
        reason = f"{chosen.k} clusters are the fewest with a BIC within {CLEARLY:g} of the lowest"
    others = [candidate for candidate in path.candidates.values() if candidate.k != chosen.k]
    if others:
        second = min(others, key=lambda candidate: candidate.bic)
        gap = second.bic - chosen.bic
        reason += f", {abs(gap):.3g} {'below' if gap > 0 else 'above'} that of {second.k}"
    if k is not None and k < chosen.k:
        return f"{reason}; {k} of them are larger than splinters"
    groups = count_groups(path)
    if 1 < groups < chosen.k:
        reason += f"; they form {groups} groups that share next to no rows (see -k {groups})"
    return reason


def count_groups(path: Path) -> int:
    """Groups left when all chosen components that share more than APART of a row are joined."""
    components = path.chosen.components
    tree = path.overlaps(components)
    joined = np.flatnonzero(tree.costs < -np.log(APART))
    return components.count - (int(joined.max(initial=-1)) + 1)


def held_out_by_alpha(
    data_term: InMemory, settings: FitSettings, generator: np.random.Generator, monitor: Monitor
) -> np.ndarray:
    """Held-out log-likelihood of the default method for each of ALPHAS, mean per row in nats.

    Cross-validated in FOLDS parts over all rows, or over the sample that the fit searches. The
    number of clusters is settled. Raises FitError.
    """
    k, family = settings.clusters, data_term.family
    sample = diversified.draw_sample(data_term, k, generator)
    fold = generator.permutation(sample.rows) % FOLDS
    totals = np.zeros(len(ALPHAS))
    for part in range(FOLDS):
        own, held_out = fold != part, fold == part
        training = sample.of(own)
        m = settings.components or diversified.choose_components(
            family, training.rows, training.features, k
        )
        search = diversified.Search(training, k, START_ALPHA, generator, monitor, settings.merge)
        start = search.reduce(max(m, k)).components
        for i, alpha in enumerate(ALPHAS):
            search.alpha = alpha
            refined = climb(
                em_step(family, base=search.final_base(start, training.total_weight)),
                start,
                training,
                monitor,
                phase="select",
                alpha=alpha,
                max_iter=REFINE_ITERATIONS,
                tol=REFINE_TOLERANCE,
            ).components
            log_density, _ = densities(refined, sample.of(held_out))
            totals[i] += sample.row_weights[held_out] @ log_density
    return totals / sample.total_weight


def draw_rows(term: InMemory, size: int, generator: np.random.Generator) -> np.ndarray:
    """Index of at most `size` random rows of positive weight, ascending."""
    rows = np.flatnonzero(term.row_weights > 0)
    if len(rows) > size:
        rows = np.sort(generator.choice(rows, size, replace=False, shuffle=False))
    return rows
