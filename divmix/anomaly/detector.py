"""A density with scores of known rows, and what it makes of other rows."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

import divmix
from divmix.anomaly import density, p_values, surprisal
from divmix.core import Interrupted
from divmix.design.prepare import DesignMatrix, prepare
from divmix.design.roles import notes_on_roles
from divmix.design.row_names import Locate, row_name
from divmix.encoders import JointTraining
from divmix.engine.monitor import Monitor
from divmix.errors import UsageError
from divmix.model.calibration import HELD_OUT, TRAINING, Calibration
from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.rows import Features, MemoryRows
from divmix.settings import DetectSettings, DetectTableSettings, TableSettings

# Rows kept from the density, to calibrate it: one half of a small table, since the number of these
# rows bounds how small a p-value can be, and a fifth of a large one.
LARGE_SHARE, SMALL_SHARE, ENOUGH_HELD_OUT, MOST_HELD_OUT = 0.2, 0.5, 10_000, 50_000
# The mixture that an encoder may be trained along with; its alpha is the default of a fit.
JOINT = JointTraining(clusters=10, alpha=0.03)
TYPICAL_ROWS = 2_000  # rows that tell the typical surprisal of a column


class Scored(NamedTuple):
    """What a density says of n rows: score (n,) in nats, p_value (n,); NaN for incomplete rows.

    X (c, d) and unseen (c, blocks), which values no training row had, belong to the `candidates`
    (c,), the rows that may be flagged.
    """

    score: np.ndarray
    p_value: np.ndarray
    candidates: np.ndarray
    X: np.ndarray
    unseen: np.ndarray


class Detection(NamedTuple):
    """Scores, p-values and flags (n,), the columns that make each flagged row surprising, and
    notes."""

    score: np.ndarray
    p_value: np.ndarray
    flagged: np.ndarray
    because: list[str | None]
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
) -> Mixture:
    """A calibrated density of the rows of a table.

    itself: whether the table's own rows are to be scored; unless they are said to be clean, all of
    them are fitted then, and calibrate too. `notes` is added to. Raises InputError, FitError,
    and Interrupted when `should_stop` ended the fit.
    """
    progress, notes = progress or Progress(), [] if notes is None else notes
    tables = tables or DetectTableSettings()
    generator = np.random.default_rng(settings.seed)
    design, rows = prepare(table, tables, generator, progress, locate, JOINT)
    notes += notes_on_roles(rows.roles, tables)
    mixed = settings.training == "mixed" or (settings.training == "auto" and itself)
    used = np.flatnonzero(rows.row_weights > 0)
    held_out = np.sort(generator.permutation(used)[: _held_out(len(used))])
    fit_weights = rows.row_weights.copy()
    all_rows = itself and settings.training != "clean"  # then no row is left to calibrate with
    if not all_rows:
        fit_weights[held_out] = 0.0
    progress.stage("fitting a density")
    monitor = Monitor(None, should_stop, progress)
    fit = density.robust if mixed else density.detailed
    features = Features(design.indicator, design.far_rows, design.categories)
    family, components = fit(
        MemoryRows(rows.X, fit_weights, features), generator, monitor, settings.components
    )
    if should_stop():
        raise Interrupted
    about = {
        "divmix": divmix.__version__,
        "rows": len(rows.X),
        "rows_used": len(used),
        "settings": settings.to_dict() | tables.to_dict(),
        "log_likelihood": None,
    }
    order = np.argsort(-components.weights, kind="stable")
    mixture = Mixture(family, components.take(order), np.arange(components.count), design, about)
    kind = "anomalies may be among them" if mixed else "taken to be normal"
    notes.append(f"training rows: {kind}; {components.count} {family.name} components")
    known = used if all_rows else held_out
    return _calibrated(mixture, rows, known, TRAINING if all_rows else HELD_OUT)


def _held_out(rows: int) -> int:
    wanted = min(SMALL_SHARE * rows, max(LARGE_SHARE * rows, ENOUGH_HELD_OUT))
    return max(1, int(min(wanted, MOST_HELD_OUT)))


def _calibrated(mixture: Mixture, rows: DesignMatrix, known: np.ndarray, source: str) -> Mixture:
    X = rows.X[known]
    scores = np.sort(surprisal.score(mixture, X, mixture.design.unseen_values(X)))
    sample = X[np.linspace(0, len(X) - 1, min(len(X), TYPICAL_ROWS)).astype(int)]
    typical = np.median(surprisal.by_column(mixture, sample), axis=0)
    return replace(mixture, calibration=Calibration(scores, typical, source))


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


def check_level(calibration: Calibration, rule: str, level: float, *, itself: bool) -> None:
    """Raises UsageError where no row could ever be flagged."""
    known = len(calibration.scores)
    least = p_values.smallest_p_value(known)
    against_itself = itself and calibration.source == TRAINING
    if against_itself or rule not in ("fdr", "alpha_level") or least <= level:
        return
    needed = int(np.ceil(1 / level)) - 1
    share = SMALL_SHARE if calibration.source == HELD_OUT else 1
    raise UsageError(
        f"{known:,} rows calibrate, so no p-value is below {least:.2g}: at "
        f"--{rule.replace('_', '-')} {level:g} nothing could be flagged",
        hint=f"{int(np.ceil(needed / share)):,} training rows are needed, or --contamination",
    )


def score_rows(
    mixture: Mixture,
    batches: Iterable[pa.RecordBatch],
    rule: tuple[str, float],
    *,
    itself: bool = False,
    locate: Locate = row_name,
    progress: Progress | None = None,
    total: int | None = None,
) -> Scored:
    """Score tables in batches; of the rows only those that may be flagged are kept.

    itself: whether these are the rows of the training table. Raises InputError.
    """
    progress, done = progress or Progress(), 0
    parts: list[Scored] = []
    calibration = calibration_of(mixture)
    known = calibration.scores
    against_itself = itself and calibration.source == TRAINING
    p_values_of = p_values.tail_p_values if against_itself else p_values.conformal_p_values
    for batch in batches:
        transformed = mixture.design.transform(
            batch, unknown="ignore", first_row=done, locate=locate
        )
        unseen = mixture.design.unseen_values(transformed.X)
        scores = surprisal.score(mixture, transformed.X, unseen)
        scores[~transformed.complete] = np.nan
        p_value = p_values_of(scores, known)
        may_be = np.flatnonzero(_may_be_flagged(scores, p_value, known, *rule))
        parts.append(Scored(scores, p_value, done + may_be, transformed.X[may_be], unseen[may_be]))
        done += batch.num_rows
        progress.rows(done, total)
    return Scored(*(np.concatenate(part) for part in zip(*parts)))


def _may_be_flagged(
    scores: np.ndarray, p_value: np.ndarray, known: np.ndarray, rule: str, level: float
) -> np.ndarray:
    """Rows of one batch that the rule may flag once all rows are seen."""
    if rule == "contamination":
        return ~np.isnan(scores)
    if rule == "threshold":
        return scores > np.quantile(known, level)
    return p_value <= level


def detect(mixture: Mixture, scored: Scored, rule: tuple[str, float]) -> Detection:
    """Which rows are flagged, and because of what."""
    calibration = calibration_of(mixture)
    known = calibration.scores
    flagged = p_values.flags(scored.score, scored.p_value, known, *rule)
    because: list[str | None] = [None] * len(flagged)
    of_candidates = flagged[scored.candidates]
    reasons = surprisal.because(
        mixture,
        scored.X[of_candidates],
        scored.unseen[of_candidates],
        calibration.typical,
    )
    for row, reason in zip(scored.candidates[of_candidates], reasons):
        because[row] = reason
    notes = []
    repeated = len(known) - len(np.unique(known))
    if repeated:
        notes.append(
            f"{repeated:,} of {len(known):,} scores that calibrate are repeated: equal scores "
            "count as higher"
        )
    return Detection(scored.score, scored.p_value, flagged, because, notes)
