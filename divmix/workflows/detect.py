"""Find the rows that are unlike the others: fit a density, hold scores against it, say why."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import divmix
from divmix.anomaly import calibration as calibrating
from divmix.anomaly import density, surprisal
from divmix.choosing.covariance import INDICATOR_FLOOR
from divmix.design.preprocessing import Locate, Preprocessing, row_name
from divmix.engine.monitor import Monitor
from divmix.errors import UsageError
from divmix.model.calibration import HELD_OUT, TRAINING, Calibration
from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.settings import DetectSettings, DetectTableSettings, DiversifiedSettings, TableSettings
from divmix.tables import arrays
from divmix.tables.reading import open_table, reading_options
from divmix.tables.writing import check_output, write_json
from divmix.workflows import run_folder
from divmix.workflows.fit import Rows, prepare
from divmix.workflows.resources import limited_threads

# Rows kept from the density, to calibrate it: one half of a small table, since the number of these
# rows bounds how small a p-value can be, and a fifth of a large one.
LARGE_SHARE, SMALL_SHARE, ENOUGH_HELD_OUT, MOST_HELD_OUT = 0.2, 0.5, 10_000, 50_000
JOINT_CLUSTERS = 10  # of the mixture that an encoder is trained along with
TYPICAL_ROWS = 2_000  # rows that tell the typical surprisal of a column


class Scored(NamedTuple):
    """What a density says of n rows: score (n,) in nats, p_value (n,); NaN for incomplete rows.

    X and wires belong to the `candidates` (c,), the rows that may be flagged.
    """

    score: np.ndarray
    p_value: np.ndarray
    candidates: np.ndarray
    X: np.ndarray
    wires: np.ndarray


class Detection(NamedTuple):
    """Scores, p-values and flags (n,), the columns to blame for each flagged row, and notes."""

    score: np.ndarray
    p_value: np.ndarray
    flagged: np.ndarray
    because: list[str | None]
    notes: list[str]


def run_detect(
    sources: Sequence[str],
    settings: DetectSettings,
    tables: DetectTableSettings,
    output: str | None,
    *,
    score: Sequence[str] = (),
    model: str | Path | None = None,
    run: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Score `score`, or else `sources`, by a density of `sources`, or by a `model`.

    Writes row, score, p_value, flagged and because to `output` ("-" is CSV on stdout, None writes
    nothing) and with `run` a folder with the model. Returns what was found, or None when
    `should_stop` ended the fit: then nothing is written.
    Raises InputError, UsageError, FitError, ModelFileError, OutputError.
    """
    progress = progress or Progress()
    started = time.monotonic()
    rule = settings.rule()
    if model is not None and (score or run):
        raise UsageError(
            "--model scores DATA and fits nothing", hint="leave --score and --run away"
        )
    if output not in (None, "-"):
        check_output(output, overwrite=overwrite)
    if run is not None:
        run_folder.check(run, overwrite)
    with limited_threads(settings.threads, progress):
        if model is not None:
            mixture, notes = load_detector(model), []
        else:
            progress.stage("reading " + ", ".join(map(str, sources)))
            reader = open_table(sources, **reading_options(tables))
            table = reader.read()
            notes = list(reader.notes)
            mixture = fit_density(
                table,
                settings,
                tables,
                itself=not score,
                locate=reader.locate,
                progress=progress,
                should_stop=should_stop,
                notes=notes,
            )
            if mixture is None:
                return None
        fitted = time.monotonic()
        itself = model is None and not score
        check_level(mixture.calibration, *rule, itself=itself)
        progress.stage("scoring")
        if itself:
            batches, rows, locate = iter([table]), table.num_rows, reader.locate
        else:
            new = open_table(score or sources, **mixture.preprocessing.reading_options())
            batches, rows, locate = new.batches(run_folder.BATCH_ROWS), new.rows, new.locate
        scored = score_rows(
            mixture, batches, rule, itself=itself, locate=locate, progress=progress, total=rows
        )
        found = detect(mixture, scored, rule)
        document = _document(
            mixture,
            found,
            settings,
            tables,
            rule,
            notes,
            {"fit": fitted - started, "score": time.monotonic() - fitted},
        )
        if run is not None:
            write_run(run, mixture, document, overwrite)
        if output is not None:
            run_folder.write_table(output, table_of(found), overwrite)
    return document


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
) -> Mixture | None:
    """A calibrated density of the rows of a table; None when `should_stop` ended the fit.

    itself: whether the table's own rows are to be scored; unless they are said to be clean, all of
    them are fitted then, and calibrate too. `notes` is added to. Raises InputError, FitError.
    """
    progress, notes = progress or Progress(), [] if notes is None else notes
    tables = tables or DetectTableSettings()
    generator = np.random.default_rng(settings.seed)
    joint = DiversifiedSettings(clusters=JOINT_CLUSTERS, seed=settings.seed)
    preprocessing, rows = prepare(table, tables, generator, progress, locate, joint)
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
    family, components = fit(
        rows.X,
        fit_weights,
        _indicator_floor(preprocessing),
        generator,
        monitor,
        settings.components,
    )
    if should_stop():
        return None
    about = {
        "divmix": divmix.__version__,
        "rows": len(rows.X),
        "rows_used": len(used),
        "settings": settings.to_dict() | tables.to_dict(),
        "log_likelihood": None,
    }
    order = np.argsort(-components.weights, kind="stable")
    mixture = Mixture(
        family, components.take(order), np.arange(components.count), preprocessing, about
    )
    kind = "anomalies may be among them" if mixed else "taken to be normal"
    notes.append(f"training rows: {kind}; {components.count} {family.name} components")
    known = used if all_rows else held_out
    return _calibrated(mixture, rows, known, TRAINING if all_rows else HELD_OUT)


def _held_out(rows: int) -> int:
    wanted = min(SMALL_SHARE * rows, max(LARGE_SHARE * rows, ENOUGH_HELD_OUT))
    return max(1, int(min(wanted, MOST_HELD_OUT)))


def _indicator_floor(preprocessing: Preprocessing) -> np.ndarray:
    """Smallest variance of each feature that is 0 or 1, and 0 for numbers, (d,)."""
    if preprocessing.encoder is not None:
        return np.zeros(preprocessing.n_features)
    floors = [
        0.0 if column.kind == "numeric" else INDICATOR_FLOOR for column in preprocessing.columns
    ]
    return np.repeat(floors, [len(column.features) for column in preprocessing.columns])


def _calibrated(mixture: Mixture, rows: Rows, known: np.ndarray, source: str) -> Mixture:
    X = rows.X[known]
    scores = np.sort(surprisal.score(mixture, X, surprisal.trip(X, mixture.preprocessing)))
    sample = X[np.linspace(0, len(X) - 1, min(len(X), TYPICAL_ROWS)).astype(int)]
    typical = np.median(surprisal.by_column(mixture, sample), axis=0)
    return replace(mixture, calibration=Calibration(scores, typical, source))


def load_detector(path: str | Path) -> Mixture:
    """The calibrated density in a model file. Raises ModelFileError, UsageError."""
    mixture = Mixture.load(path)
    if mixture.calibration is None:
        raise UsageError(
            f"{path} holds no scores of known rows to hold new ones against",
            hint="make the model with divmix detect TRAIN --training clean --run DIR",
        )
    return mixture


def check_level(calibration: Calibration, rule: str, level: float, *, itself: bool) -> None:
    """Raises UsageError where no row could ever be flagged."""
    known = len(calibration.scores)
    least = calibrating.smallest_p_value(known)
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
    batches: Iterator[pa.RecordBatch],
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
    progress, done, parts = progress or Progress(), 0, []
    known = mixture.calibration.scores
    against_itself = itself and mixture.calibration.source == TRAINING
    p_values = calibrating.tail_p_values if against_itself else calibrating.conformal_p_values
    for batch in batches:
        transformed = mixture.preprocessing.transform(
            batch, unknown="ignore", first_row=done, locate=locate
        )
        wires = surprisal.trip(transformed.X, mixture.preprocessing)
        scores = surprisal.score(mixture, transformed.X, wires)
        scores[~transformed.complete] = np.nan
        p_value = p_values(scores, known)
        may_be = np.flatnonzero(_may_be_flagged(scores, p_value, known, *rule))
        parts.append(Scored(scores, p_value, done + may_be, transformed.X[may_be], wires[may_be]))
        done += batch.num_rows
        progress.rows(done, total)
    return Scored(*(np.concatenate(part) for part in zip(*parts)))


def _may_be_flagged(scores, p_value, known, rule: str, level: float) -> np.ndarray:
    """Rows of one batch that the rule may flag once all rows are seen."""
    if rule == "contamination":
        return ~np.isnan(scores)
    if rule == "threshold":
        return scores > np.quantile(known, level)
    return p_value <= level


def detect(mixture: Mixture, scored: Scored, rule: tuple[str, float]) -> Detection:
    """Which rows are flagged, and because of what."""
    known = mixture.calibration.scores
    flagged = calibrating.flags(scored.score, scored.p_value, known, *rule)
    told: list[str | None] = [None] * len(flagged)
    of_candidates = flagged[scored.candidates]
    reasons = surprisal.because(
        mixture,
        scored.X[of_candidates],
        scored.wires[of_candidates],
        mixture.calibration.typical,
    )
    for row, reason in zip(scored.candidates[of_candidates], reasons):
        told[row] = reason
    notes = []
    repeated = len(known) - len(np.unique(known))
    if repeated:
        notes.append(
            f"{repeated:,} of {len(known):,} scores that calibrate are repeated: equal scores "
            "count as higher"
        )
    return Detection(scored.score, scored.p_value, flagged, told, notes)


def table_of(found: Detection) -> Iterator[pa.RecordBatch]:
    """`row, score, p_value, flagged, because`; empty cells where nothing can be said."""
    n = len(found.score)
    for start in range(0, max(n, 1), run_folder.BATCH_ROWS):
        part = slice(start, min(start + run_folder.BATCH_ROWS, n))
        known = arrays.booleans(~np.isnan(found.score[part]))
        columns = {"row": arrays.integers(np.arange(part.start, part.stop))}
        for name in ("score", "p_value"):
            values = arrays.floats(getattr(found, name)[part])
            columns[name] = pc.if_else(known, values, pa.scalar(None, pa.float64()))
        columns["flagged"] = arrays.booleans(found.flagged[part])
        columns["because"] = pa.array(found.because[part], pa.string())
        yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def write_run(run: Path, mixture: Mixture, document: dict[str, Any], overwrite: bool) -> None:
    """The run folder: the model, then run.json. Raises OutputError."""
    run.mkdir(parents=True, exist_ok=True)
    if overwrite:
        run_folder.clear(run)
    mixture.save(run / "model.divmix", overwrite=overwrite)
    write_json(run / "run.json", document, overwrite=overwrite)


def _document(mixture, found: Detection, settings, tables, rule, notes, times) -> dict[str, Any]:
    known = ~np.isnan(found.score)
    return {
        "divmix": divmix.__version__,
        "command": "detect",
        "rule": {"name": rule[0], "level": rule[1]},
        "rows": len(found.score),
        "incomplete": int((~known).sum()),
        "flagged": int(found.flagged.sum()),
        "calibrated_by": f"{len(mixture.calibration.scores):,} {mixture.calibration.source}",
        "components": mixture.components.count,
        "family": mixture.family.name,
        "settings": settings.to_dict() | tables.to_dict(),
        "times": {name: round(seconds, 3) for name, seconds in times.items()},
        "notes": [*notes, *found.notes],
    }
