"""A density with scores of known rows, and what it makes of other rows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import divmix
from divmix.anomaly import density, opinions, p_values, shift, surprisal
from divmix.anomaly import pool as pools
from divmix.anomaly.margins import margins_of
from divmix.anomaly.pool import Pool, Usual
from divmix.anomaly.reasons import Reasons
from divmix.anomaly.shift import Shift
from divmix.anomaly.substitution import SubstitutedReasons
from divmix.core import Interrupted
from divmix.design.design import Design
from divmix.design.prepare import DesignMatrix, design_matrix, prepare
from divmix.design.roles import notes_on_roles
from divmix.design.row_names import Locate, row_name
from divmix.design.symmetry import powers_of, symmetric
from divmix.encoders import JointTraining
from divmix.engine.monitor import Monitor
from divmix.errors import UsageError
from divmix.families import AnyMatrix
from divmix.families.coded import Coded, M, matrix_of
from divmix.families.family import Array
from divmix.model.calibration import HELD_OUT, TRAINING, USUAL, Calibration
from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.rows import Features, MemoryRows
from divmix.settings import DetectSettings, DetectTableSettings, TableSettings
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS

# Rows kept from the density of clean rows, to calibrate it: one half of a small table, since the
# number of these rows bounds how small a p-value can be, and a fifth of a large one.
LARGE_SHARE, SMALL_SHARE, ENOUGH_HELD_OUT, MOST_HELD_OUT = 0.2, 0.5, 10_000, 50_000
# The mixture that an encoder may be trained along with; its alpha is the default of a fit.
JOINT = JointTraining(clusters=10, alpha=0.03)
TYPICAL_ROWS = 2_000  # rows that tell the typical surprisal of a column,
TYPICAL_CELLS = 400_000  # of as many cells, but 100 rows at least
MOST_SHIFTED = 20_000  # new rows that tell a shift, at least half as many where there are more
# Known rows flagged at this rate are told where they are more than this share: few normal ones are.
FAR_RATE, FAR_SHARE = 0.001, 0.01
MOST_WRONG = 0.5  # share of the flags, for a rate to be named where a lower one flags nothing
HIGHEST = 10  # rows with the highest scores, which have reasons in any case


class Fitted(NamedTuple):
    """A calibrated density and the rows of its table: design matrix X (n, d), or `Coded`, which cells
    were empty, (n, columns), which rows are complete, (n,), and which ones calibrate, (c,). Where the
    table is held against itself, also scores (n,) by densities that have not seen the row, NaN for
    incomplete rows. Where X is an embedding, the table."""

    mixture: Mixture
    X: AnyMatrix
    empty: NDArray[np.bool_]
    complete: NDArray[np.bool_]
    calibrating: NDArray[np.int64]
    scores: Array | None = None
    table: pa.Table | None = None

    def of_columns(self, rows: slice | NDArray[np.int64]) -> AnyMatrix:
        """Some of the rows by the features of their columns."""
        if self.table is None:
            return self.X[rows]
        chosen = self.table.take(arrays.integers(np.arange(len(self.X))[rows]))
        return self.mixture.design.of_columns.transform(chosen).X


class KnownShift(NamedTuple):
    """A shift, and the weights (c,) of the scores that calibrate, in ascending order of these."""

    shift: Shift
    weights: Array


class Scored(NamedTuple):
    """What a density says of n rows: score (n,) in nats, p_value (n,); NaN for incomplete rows.

    X (h, d) are the columns' features of the rows with the `highest` scores (h,), the highest one
    first, and empty (h, columns) the cells among them that were.
    """

    score: Array
    p_value: Array
    highest: NDArray[np.int64]
    X: Array
    empty: NDArray[np.bool_]


class Detection(NamedTuple):
    """Scores, p-values and flags (n,), the rows with the `highest` scores (h,) and the columns that
    make these surprising, and notes."""

    score: Array
    p_value: Array
    flagged: NDArray[np.bool_]
    highest: NDArray[np.int64]
    because: Sequence[str | None]
    notes: list[str]


def fit_density(
    table: pa.Table,
    settings: DetectSettings,
    tables: TableSettings | None = None,
    *,
    itself: bool,
    locate: Locate = row_name,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    notes: list[str] | None = None,
) -> Fitted:
    """A calibrated density of the rows of a table.

    itself: whether the table's own rows are to be scored; unless they are said to be clean, there
    may be anomalies among them. `notes` is added to. Raises InputError, FitError, and Interrupted
    when `should_stop` ended the fit.
    """
    progress, notes = progress or Progress(), [] if notes is None else notes
    tables = tables or DetectTableSettings()
    generator = np.random.default_rng(settings.seed)
    design, rows = prepare(table, tables, generator, progress, locate, JOINT, coded=True)
    notes += notes_on_roles(rows.roles, tables)
    mixed = settings.training == "mixed" or (settings.training == "auto" and itself)
    features = Features(design.indicator, design.far_rows, design.categories)
    if mixed and "full" in pools.shapes(MemoryRows(rows.held, features=features)):
        design, rows = _symmetric(table, design, rows, progress, locate)
    used = np.flatnonzero(rows.row_weights > 0)
    progress.stage("fitting a density")
    monitor = Monitor(None, should_stop, progress)
    everything = MemoryRows(rows.held, rows.row_weights, features)
    if mixed:
        pool, scores = _of_mixed_rows(
            everything, used, settings, generator, monitor, design, progress
        )
        notes.append(
            "training rows: anomalies may be among them; a pool of "
            f"{pool.mixtures} mixtures, {pool.components.count} student components in all"
        )
        known, source = scores[used], TRAINING
        scores[~rows.complete] = np.nan
    else:
        scores = None
        held_out = np.sort(generator.permutation(used)[: _held_out(len(used))])
        weights = rows.row_weights.copy()
        weights[held_out] = 0.0
        normal = everything.reweighted(weights)
        member = density.detailed(normal, generator, monitor, settings.components)
        alone = np.zeros(member.components.count, np.int64)
        pool = Pool(member.family, member.components, alone)
        notes.append(
            f"training rows: taken to be normal; {pool.components.count} gaussian components"
        )
        X = rows.held[held_out]
        known, source = surprisal.score(pool, X, design.unseen_values(X)), HELD_OUT
        if settings.training == "auto":
            notes += _note_on_anomalies(known)
        used = held_out
    if should_stop():
        raise Interrupted
    mixture = _calibrated(pool, design, rows, used, known, source)
    about = {
        "divmix": divmix.__version__,
        "rows": len(rows.held),
        "rows_used": int((rows.row_weights > 0).sum()),
        "settings": settings.to_dict() | tables.to_dict(),
        "log_likelihood": None,
    }
    mixture = replace(mixture, about=about)
    kept = table if design.is_embedding else None
    done = Fitted(
        mixture,
        rows.held,
        design.empty_cells(table),
        rows.complete,
        used,
        scores if itself else None,
        kept,
    )
    return done if kept is None else _with_usual(done)


def _note_on_anomalies(known: Array) -> list[str]:
    """A note where some of the scores (c,) of rows that are taken to be normal are far from the others."""
    usual = opinions.usual_of(known[:, None], np.zeros(1, np.int64))
    p_value = p_values.own_p_values(known, opinions.excess(known, usual))
    far = int(p_values.flags(known, p_value, known, "fdr", FAR_RATE).sum())
    if far <= FAR_SHARE * len(known):
        return []
    return [
        f"{far:,} of {len(known):,} known rows that calibrate are far from the others; "
        "where anomalies may be among them: --training mixed"
    ]


def _of_mixed_rows(
    rows: MemoryRows,
    used: NDArray[np.int64],
    settings: DetectSettings,
    generator: np.random.Generator,
    monitor: Monitor,
    design: Design,
    progress: Progress,
) -> tuple[Pool, Array]:
    """A pool of rows with anomalies among those `used`, and scores (n,) of each by densities that have not
    seen it. Raises FitError."""
    fitted = used
    if len(used) > pools.FITTED_ROWS:
        fitted = np.sort(generator.choice(used, pools.FITTED_ROWS, replace=False))
    sample, powers = rows.take(fitted), powers_of(design)
    members = pools.fit_members(sample, generator, monitor, settings.components, powers)
    progress.stage("scoring each row by densities that have not seen it")
    own = pools.held_out_surprisals(rows, fitted, members, generator, monitor, powers)
    pool = pools.pooled(members, powers)
    known = pool.numbers(sample.held.X)
    margins = margins_of(known) if known.shape[1] else None
    far = surprisal.far_out(pool, margins, rows.held.X)
    of = pools.opinions_of(members, detailed=pools.has_detail(sample, settings.components))
    usual = opinions.usual_of(own[used], of, margins, None if far is None else far[used])
    return pool._replace(usual=usual), opinions.pooled(own, usual, far)


def _symmetric(
    table: pa.Table, design: Design, rows: DesignMatrix, progress: Progress, locate: Locate
) -> tuple[Design, DesignMatrix]:
    """With columns of numbers made symmetric, for full covariances."""
    made = symmetric(design, rows.held, rows.row_weights)
    if made == design:
        return design, rows
    coded = isinstance(rows.held, Coded)
    return made, design_matrix(table, made, progress, locate, coded=coded)._replace(
        roles=rows.roles
    )


def _held_out(rows: int) -> int:
    wanted = min(SMALL_SHARE * rows, max(LARGE_SHARE * rows, ENOUGH_HELD_OUT))
    return max(1, int(min(wanted, MOST_HELD_OUT)))


def _calibrated(
    pool: Pool,
    design: Design,
    rows: DesignMatrix,
    calibrating: NDArray[np.int64],
    known: Array,
    source: str,
) -> Mixture:
    """The model of a pool, with the scores `known` of the rows that calibrate."""
    order = np.lexsort((-pool.components.weights, pool.members))
    pool = pool._replace(components=pool.components.take(order), members=pool.members[order])
    most = int(np.clip(TYPICAL_CELLS // design.n_features, 100, TYPICAL_ROWS))
    places = np.linspace(0, len(calibrating) - 1, min(len(calibrating), most)).astype(int)
    sample = matrix_of(rows.held[calibrating[places]])
    design.unseen_values(sample)  # puts back in place what constant columns differ in
    typical = np.median(surprisal.by_column(pool, sample, design.blocks), axis=0)
    return Mixture(
        pool.family,
        pool.components,
        np.arange(pool.components.count),
        design,
        {},
        calibration=Calibration(
            np.sort(known), typical, source, pool.members, *(pool.usual or (None, None, None, None))
        ),
    )


def _with_usual(fitted: Fitted) -> Fitted:
    """With what is usual of the columns among the rows that calibrate."""
    mixture, rows = fitted.mixture, fitted.calibrating
    places = np.linspace(0, len(rows) - 1, min(len(rows), TYPICAL_ROWS)).astype(int)
    usual = np.quantile(matrix_of(fitted.of_columns(rows[places])), USUAL, axis=0)
    calibration = calibration_of(mixture)._replace(usual=usual)
    return fitted._replace(mixture=replace(mixture, calibration=calibration))


def pool_of(mixture: Mixture) -> Pool:
    """The mixtures of a model whose surprisals are pooled. Raises UsageError."""
    calibration = calibration_of(mixture)
    members, powers = calibration.members, powers_of(mixture.design)
    return Pool(mixture.family, mixture.components, members, _usual(calibration), powers)


def _usual(calibration: Calibration) -> Usual | None:
    """Files of before have one opinion of all members, and a second one where the first is detailed."""
    centres, opinions, of = calibration.centres, calibration.opinions, calibration.opinion_of
    if centres is None:
        return None
    if of is None:
        of = np.zeros(len(centres), np.int64)
        of[0] = opinions is not None
    if opinions is None:
        opinions = np.array([[centres.mean(), 1.0]])
    return Usual(centres, opinions, of, calibration.margins)


def load_detector(path: str | Path) -> Mixture:
    """The calibrated density in a model file. Raises ModelFileError, UsageError."""
    mixture = Mixture.load(path)
    calibration_of(mixture, str(path))
    return mixture


def calibration_of(mixture: Mixture, name: str = "the model") -> Calibration:
    """What new scores are compared with. Raises UsageError for a model that `fit` made."""
    if mixture.calibration is None:
        raise UsageError(
            f"{name} holds no scores of known rows to compare new ones with",
            hint="make the model with divmix detect TRAIN --training clean --run DIR",
        )
    return mixture.calibration


def score_itself(fitted: Fitted) -> Scored:
    """The rows of the table of the fit, held against each other."""
    assert fitted.scores is not None
    usual = _usual(calibration_of(fitted.mixture))
    assert usual is not None
    excess = opinions.excess(fitted.scores, usual)
    return _scored(fitted, fitted.scores, p_values.own_p_values(fitted.scores, excess))


def score_seen(fitted: Fitted) -> Scored:
    """The rows of the table of the fit, as `score_rows` would have them if they were new."""
    pool, scores = pool_of(fitted.mixture), np.empty(len(fitted.X))
    for start in range(0, len(scores), BATCH_ROWS):
        part = slice(start, start + BATCH_ROWS)
        scores[part] = surprisal.score(pool, *_seen(fitted.mixture.design, fitted.X[part]))
    scores[~fitted.complete] = np.nan
    known = calibration_of(fitted.mixture).scores
    return _scored(fitted, scores, p_values.conformal_p_values(scores, known))


def _scored(fitted: Fitted, scores: Array, p_value: Array) -> Scored:
    """What is said of the rows of the table of the fit."""
    highest = _highest(scores)
    X = matrix_of(fitted.of_columns(highest))
    return Scored(scores, p_value, highest, X, fitted.empty[highest])


def learned_shift(
    fitted: Fitted, batches: Iterable[pa.RecordBatch], locate: Locate = row_name
) -> KnownShift:
    """How new rows differ from those that calibrate, by MOST_SHIFTED of them; rows with what training
    never had are no part of it: they would be the likelier the stranger. Raises InputError."""
    design, parts, stride, done = fitted.mixture.design, [], 1, 0
    for batch in batches:
        new = design.transform(batch, unknown="ignore", first_row=done, locate=locate)
        X, unseen = _seen(design, new.X)
        parts.append(X[new.complete & ~unseen.any(axis=1)][::stride])
        done += batch.num_rows
        if sum(map(len, parts)) > 2 * MOST_SHIFTED:
            parts, stride = [part[::2] for part in parts], 2 * stride
    known = matrix_of(fitted.X[fitted.calibrating])
    found = shift.learn(known, np.concatenate(parts))
    scores = surprisal.score(pool_of(fitted.mixture), known, design.unseen_values(known))
    return KnownShift(found, found.weights(known[np.argsort(scores, kind="stable")]))


def score_rows(
    mixture: Mixture,
    batches: Iterable[pa.RecordBatch],
    *,
    shifted: KnownShift | None = None,
    locate: Locate = row_name,
    progress: Progress | None = None,
    total: int | None = None,
) -> Scored:
    """Score tables in batches: two numbers of each row are kept, and the few highest rows.

    shifted: how the rows differ from those that calibrate, if they may. Raises InputError.
    """
    progress, done = progress or Progress(), 0
    scores, ranks = [], []
    pool, known = pool_of(mixture), calibration_of(mixture).scores
    highest, values = np.zeros(0, np.int64), np.zeros(0)
    columns = mixture.design.of_columns
    rows = np.zeros((0, columns.n_features))
    empty = np.zeros((0, len(columns.blocks)), np.bool_)
    for batch in batches:
        prepared = mixture.design.room(batch.num_rows, coded=True)
        complete, _ = mixture.design.fill(prepared, batch, "ignore", done, locate)
        X, unseen = _seen(mixture.design, prepared)
        own = surprisal.score(pool, X, unseen)
        own[~complete] = np.nan
        if shifted is None:
            p_value = p_values.conformal_p_values(own, known)
        else:
            weights = shifted.shift.weights(matrix_of(X))
            p_value = shift.p_values(own, weights, known, shifted.weights)
        scores.append(own)
        ranks.append(p_value)
        best = _highest(own)
        highest, values = np.append(highest, done + best), np.append(values, own[best])
        taken, of_best = batch.take(arrays.integers(best)), matrix_of(prepared[best])
        if mixture.design.is_embedding:
            of_best = columns.transform(taken, unknown="ignore").X
        rows, empty = np.vstack([rows, of_best]), np.vstack([empty, columns.empty_cells(taken)])
        kept = _highest(values)
        highest, values, rows, empty = highest[kept], values[kept], rows[kept], empty[kept]
        done += batch.num_rows
        progress.rows(done, total)
    return Scored(np.concatenate(scores), np.concatenate(ranks), highest, rows, empty)


def _highest(scores: Array) -> NDArray[np.int64]:
    """The HIGHEST rows, the highest one first."""
    there = int((~np.isnan(scores)).sum())
    return np.argsort(-scores, kind="stable")[: min(HIGHEST, there)]  # NaN comes last


def flags_of(
    mixture: Mixture, scored: Scored, rule: tuple[str, float], *, storey: bool = False
) -> NDArray[np.bool_]:
    """Which rows a rule flags, (n,)."""
    known = calibration_of(mixture).scores
    return p_values.flags(scored.score, scored.p_value, known, *rule, storey=storey)


def explained(mixture: Mixture, scored: Scored, flagged: NDArray[np.bool_]) -> Detection:
    """What is found where the rows `flagged` (n,) are flagged."""
    calibration = calibration_of(mixture)
    known = calibration.scores
    because = reasons_of(mixture)(scored.X, scored.empty)
    notes = []
    repeated = len(known) - len(np.unique(known))
    if repeated and calibration.source == HELD_OUT:
        notes.append(
            f"{repeated:,} of {len(known):,} scores that calibrate are repeated: equal scores "
            "count as higher"
        )
    return Detection(scored.score, scored.p_value, flagged, scored.highest, because, notes)


def reasons_of(
    mixture: Mixture,
) -> Callable[[AnyMatrix, NDArray[np.bool_]], Sequence[str | None]]:
    """What tells the columns to blame of rows X (n, d) of the columns' features, where the cells
    `empty` (n, columns) were filled."""
    pool, columns, calibration = (
        pool_of(mixture),
        mixture.design.of_columns,
        calibration_of(mixture),
    )
    if calibration.usual is not None:
        substituted = SubstitutedReasons(pool, mixture.design, calibration.usual)
        return lambda X, empty: substituted.of(*_seen(columns, matrix_of(X)), empty)
    reasons, design = Reasons(pool, mixture.design, calibration.typical), mixture.design

    def told(X: AnyMatrix, empty: NDArray[np.bool_]) -> list[str | None]:
        own, unseen = _seen(design, design.chain.transform(matrix_of(X)))
        own[design.features_of(empty)] = np.nan
        return reasons.of(own, unseen)

    return told


def _seen(design: Design, X: M) -> tuple[M, NDArray[np.bool_]]:
    """Rows X (n, d) with what constant columns differ in put back in place, and where they did."""
    X = X.copy()
    return X, design.unseen_values(X)


def why_none(found: Detection, known: int, rule: str, level: float, *, itself: bool) -> str:
    """Why a rule flagged nothing, and which rule would: a sentence.

    known: scores that calibrate; itself: whether the table was held against itself.
    """
    rows = int((~np.isnan(found.score)).sum())
    option = f"--{rule.replace('_', '-')} {level:g}"
    share = max(0.01, np.ceil(100 * HIGHEST / max(rows, 1)) / 100)
    other = f"--contamination {min(share, 1.0):g} flags the highest {min(share, 1.0):.0%}"
    nothing = f"{option} flags nothing"
    if rule in ("fdr", "alpha_level") and not itself:
        least = p_values.smallest_p_value(known)
        if rule == "alpha_level" and least > level:
            return (
                f"{option} cannot flag: with {known:,} rows that calibrate no p-value is below "
                f"{least:.2g}, {int(np.ceil(1 / level)) - 1:,} are needed; {other}"
            )
        needed = int(np.ceil(rows * least / level))
        if rule == "fdr" and needed > rows:
            return (
                f"{option} cannot flag: with {known:,} rows that calibrate no p-value is below "
                f"{least:.2g}, {int(np.ceil(1 / level)) - 1:,} are needed; {other}"
            )
        single = max(0.01, np.ceil(100 * least) / 100)
        if rule == "fdr" and needed > 1:
            return (
                f"{nothing}: with {known:,} rows that calibrate it takes {needed:,} of these "
                f"{rows:,} rows beyond all of them; --alpha-level {single:g} flags single rows, {other}"
            )
    if rule in ("fdr", "alpha_level"):
        smallest = np.nanmin(found.p_value) if rows else np.nan
        nothing += f": the smallest p-value among {rows:,} rows is {smallest:.2g}"
    rate = np.ceil(100 * p_values.least_rate(found.p_value)) / 100
    if rule == "fdr" and rate <= MOST_WRONG:
        some = p_values.flags(found.score, found.p_value, np.zeros(0), "fdr", rate).sum()
        nothing += f"; --fdr {rate:g} flags {some:,}"
    return f"{nothing}; {other}"
