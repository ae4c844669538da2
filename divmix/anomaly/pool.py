"""The density of a table that has anomalies among its rows, and scores of rows it has not seen.

Such a table must not be learned in detail, or small groups of anomalies get components of their own.
Three things keep them out. The TRIMMED least likely rows have no say (trimmed likelihood: Neykov et
al. 2007), and a component that is no larger than these could be made of them, so it is dropped. And
no single mixture decides: mixtures of 1, 2, 3 ... components, diagonal and full, are pooled by their
surprisals (an opinion pool: Genest and Zidek 1986; `opinions.pooled`). What one of them has a
component for is still improbable to the others; in the average of their densities it would be well
described.

Full members tell what columns depend on each other for, and that is linear where columns are symmetric: they
see these with the powers of `design.symmetry`. Diagonal ones tell how far out a row lies in any column,
and see these without: a power draws in the far values of a skewed column.

Trimming makes components too small and their tails too light. In the end both follow from the middle of
all rows (`tails`): surprisals of far rows grow like the logarithm of their distance as far as the
rows that are no anomalies ask for it, and where columns fall off like a power or faster, the
surprisals fall off like an exponential or faster (`p_values.own_p_values` rests on this).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from divmix.anomaly.density import ROWS_EACH, Member, detailed
from divmix.anomaly.tails import with_central_tails
from divmix.choosing.covariance import MOST_FULL_COLUMNS, variance_floor
from divmix.choosing.relevance import relevant_categories
from divmix.design.symmetry import without_powers
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.families import AnyFamily, AnyMatrix, Components, make_family
from divmix.families.coded import M
from divmix.families.family import Array
from divmix.families.mixed import as_seen, of_scattered
from divmix.rows import MemoryRows
from divmix.search import starts
from divmix.search.run import Searching
from divmix.tables.batches import BATCH_ROWS

MOST_COMPONENTS = 4  # of a mixture
TRIMMED = 0.2  # share of the rows that may be anomalies
FITTED_ROWS = 4_000  # few components need no more
FLOOR = 1e-6  # smallest variance, as a share of the column's
PRIOR = 1.0  # (d + 1) rows for each component, scattered as those within components are
START_ITERATIONS, ROUNDS, ROUND_ITERATIONS = 30, 4, 8
FOLDS, FOLD_ROUNDS, FOLD_ITERATIONS = 5, 2, 5  # from the components of all rows


class Usual(NamedTuple):
    """What is usual to a pool: centres (members,), surprisals of typical rows by each, nats; of (members,),
    which opinion each is a part of; opinions (k, 2), the typical value of each and how fast it falls off
    beyond, nats. The first member is a detailed one where it is a part of another than the first.
    margins (numbers, knots): see `anomaly.margins`; where they are there, the last two opinions are what they
    say and the one that all agree on."""

    centres: Array
    opinions: Array
    of: NDArray[np.int64]
    margins: Array | None = None


class Pool(NamedTuple):
    """Mixtures whose surprisals are pooled: the components of all, and of which one (m,) each is.
    The weights of a mixture sum to one over their number. usual: None where the plain mean pools
    (`opinions.pooled`). powers (d,): of the columns, which members of the first opinion see without;
    None where all see the same."""

    family: AnyFamily
    components: Components
    members: NDArray[np.int64]
    usual: Usual | None = None
    powers: Array | None = None

    @property
    def mixtures(self) -> int:
        """How many are pooled."""
        return int(self.members[-1]) + 1

    @property
    def plain(self) -> NDArray[np.bool_]:
        """(m,) components that see columns without their powers."""
        if self.powers is None or self.usual is None:
            return np.zeros(len(self.members), np.bool_)
        return self.usual.of[self.members] == 0

    def numbers(self, X: AnyMatrix) -> Array:
        """The numbers of rows X (n, d) without their powers, (n, c)."""
        seen = as_seen(X, self.family)
        plain = seen if self.powers is None else without_powers(seen, self.powers)
        return np.asarray(of_scattered(self.family, plain))

    def views(self, X: M) -> list[tuple[NDArray[np.int64], M]]:
        """Rows X (n, d) as components see them, and which these are."""
        if self.powers is None:
            return [(np.arange(len(self.members)), X)]
        without = without_powers(X, self.powers)
        return [(np.flatnonzero(self.plain), without), (np.flatnonzero(~self.plain), X)]

    def of_columns(self) -> "Pool":
        """The mixtures that see columns with their powers, of the units of X."""
        if self.powers is None:
            return self
        own = np.flatnonzero(~self.plain)
        components = self.components.take(own)
        components = components._replace(weights=components.weights / components.weights.sum())
        return Pool(self.family, components, self.members[own] - self.members[own[0]])


def fit_members(
    rows: MemoryRows,
    generator: np.random.Generator,
    monitor: Monitor,
    components: int | None = None,
    powers: Array | None = None,
) -> list[Member]:
    """Mixtures of 1 .. `components` Student-t components, of each shape; by default of long tables a
    detailed one before these. powers (d,): which diagonal ones of few components see rows without.
    Raises FitError."""
    categories = relevant_categories(rows)
    most = min(components or MOST_COMPONENTS, starts.count_distinct(rows))
    members = []
    if has_detail(rows, components):
        own = generator.spawn(1)[0]  # the others are the same with it and without
        family, begun, _ = detailed(rows, own, monitor, kind="student")
        trimmed = _trimmed(rows, family, begun, ROUNDS, ROUND_ITERATIONS, monitor, drop=False)
        members.append(Member(family, with_central_tails(rows, family, trimmed)))
    for shape in shapes(rows):
        seen = without(rows, powers) if shape == "diag" else rows
        family = make_family("student", shape, variance_floor(seen, FLOOR), categories)
        for m in range(1, most + 1):
            begun = starts.start(family, seen, m, "kmeans++", generator)
            begun = _climb(seen, family, begun, START_ITERATIONS, monitor)
            trimmed = _trimmed(seen, family, begun, ROUNDS, ROUND_ITERATIONS, monitor)
            central = with_central_tails(seen, family, trimmed)
            members.append(Member(family, central, seen is not rows))
    return members


def without(rows: MemoryRows, powers: Array | None) -> MemoryRows:
    """Rows as they are without the powers (d,) of their columns."""
    if powers is None:
        return rows
    X, row_weights = rows.held
    return MemoryRows(without_powers(X, powers), row_weights, rows.features)


def opinions_of(members: list[Member], *, detailed: bool) -> NDArray[np.int64]:
    """Which opinion each member is a part of, (members,): that of diagonal mixtures, of full ones, and
    of the first where it is `detailed`."""
    shapes = [member.family.structure.name for member in members[detailed:]]
    of = [int(shape != shapes[0]) for shape in shapes]
    return np.array([*([max(of) + 1] if detailed else []), *of], np.int64)


def has_detail(rows: MemoryRows, components: int | None) -> bool:
    """Whether one member is learned in detail: of tables long enough for more components than the others
    have, where their number is left open."""
    return components is None and rows.visited // ROWS_EACH > MOST_COMPONENTS


def shapes(rows: MemoryRows) -> tuple[str, ...]:
    """Covariances that are pooled; of wide tables, and where there is one number, diagonal ones."""
    categories = rows.features.categories
    numbers = rows.held.X.shape[1] if categories is None else len(categories.numeric)
    return ("diag", "full") if 1 < numbers <= MOST_FULL_COLUMNS else ("diag",)


def pooled(members: list[Member], powers: Array | None = None) -> Pool:
    """The mixtures as one list of components, all of the richest shape; powers (d,): as for `fit_members`."""
    family = members[-1].family
    parts = []
    for member in members:
        own = member.components
        covariances = own.covariances
        if member.family.structure.name != family.structure.name:
            m, d = own.count, own.covariances.shape[-1]
            full = member.family.structure.as_full(own.covariances, m, d)
            covariances = family.structure.from_full(full)
        parts.append(own._replace(weights=own.weights / len(members), covariances=covariances))
    of_member = np.repeat(np.arange(len(members)), [part.count for part in parts])
    components = Components(*(np.concatenate(one) for one in zip(*parts)))
    return Pool(family, components, of_member, None, powers)


def held_out_surprisals(
    rows: MemoryRows,
    fitted: NDArray[np.int64],
    members: list[Member],
    generator: np.random.Generator,
    monitor: Monitor,
    powers: Array | None = None,
) -> Array:
    """Surprisals (n, members) of each row by mixtures that have not seen it, nats.

    fitted: the rows that the members were fitted to. These are split into FOLDS with all others,
    and for each fold the members go on from where they are without it. powers (d,): as for `fit_members`.
    """
    seen = {member.plain for member in members}
    views = {plain: without(rows, powers) if plain else rows for plain in seen}
    n = len(rows.held.X)
    fold = generator.permutation(n) % FOLDS
    surprisals = np.zeros((n, len(members)))
    for k in range(FOLDS):
        inside = np.flatnonzero(fold == k)
        sample = fitted[fold[fitted] != k]
        if not len(inside) or not len(sample):
            continue
        others = {plain: view.take(sample) for plain, view in views.items()}
        for j, (family, components, plain) in enumerate(members):
            own = _trimmed(
                others[plain], family, components, FOLD_ROUNDS, FOLD_ITERATIONS, monitor, drop=False
            )
            own = with_central_tails(others[plain], family, own)
            X = views[plain].held.X
            for start in range(0, len(inside), BATCH_ROWS):
                part = inside[start : start + BATCH_ROWS]
                surprisals[part, j] = -Objective(family).posterior(X[part], own).log_density
    return surprisals


def _trimmed(
    rows: MemoryRows,
    family: AnyFamily,
    components: Components,
    rounds: int,
    iterations: int,
    monitor: Monitor,
    *,
    drop: bool = True,
) -> Components:
    """Components from rounds of leaving out the least likely rows and, with `drop`, small
    components."""
    for _ in range(rounds):
        if drop:
            components = without_small(components)
        likely = _likeliest(rows, family, components)
        kept = rows.reweighted(rows.held.row_weights * likely)
        components = _climb(kept, family, components, iterations, monitor)
    return without_small(components) if drop else components


def without_small(components: Components) -> Components:
    """Without components of a share that anomalies may have; the largest one stays."""
    large = components.weights >= min(TRIMMED, components.weights.max())
    kept = components.take(np.flatnonzero(large))
    return kept._replace(weights=kept.weights / kept.weights.sum())


def _climb(
    rows: MemoryRows, family: AnyFamily, components: Components, iterations: int, monitor: Monitor
) -> Components:
    searching = Searching(rows, family, None, monitor)
    # A diagonal member of a wide table needs none: each variance has all rows.
    prior = searching.weak(components, PRIOR) if searching.columns <= MOST_FULL_COLUMNS else None
    return searching.climb("refine", components, prior, iterations)


def _likeliest(rows: MemoryRows, family: AnyFamily, components: Components) -> NDArray[np.bool_]:
    """(n,) true for the likeliest rows that hold all but TRIMMED of the weight."""
    X, row_weights = rows.held
    order = np.argsort(Objective(family).posterior(X, components).log_density, kind="stable")
    below = np.cumsum(row_weights[order])
    likely = np.empty(len(X), bool)
    likely[order] = below > TRIMMED * below[-1]
    return likely
