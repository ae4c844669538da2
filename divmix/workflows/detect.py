"""Find the rows that are unlike the others: fit a density, hold scores against it, say why."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import divmix
from divmix.anomaly.detector import (
    Detection,
    Fitted,
    Scored,
    calibration_of,
    explained,
    fit_density,
    flags_of,
    learned_shift,
    load_detector,
    score_itself,
    score_rows,
    score_seen,
    why_none,
)
from divmix.anomaly.p_values import smallest_p_value
from divmix.anomaly.shift import effective_rows
from divmix.core import Interrupted
from divmix.errors import UsageError
from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.settings import DetectSettings, DetectTableSettings
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.folders import ClaimedFolder
from divmix.tables.reading import TableReader, open_table, reading_options
from divmix.tables.writing import check_output, write_json
from divmix.workflows import run_folder
from divmix.workflows.beside import NOTHING_BESIDE, Beside, parted
from divmix.workflows.online import Stream, claimed_stream
from divmix.workflows.resources import limited_threads
from divmix.workflows.scored_rows import HeldRows, RowsOfFiles, table_of


def run_detect(
    sources: Sequence[str],
    settings: DetectSettings,
    tables: DetectTableSettings,
    output: str | None,
    *,
    score: Sequence[str] = (),
    model: str | Path | None = None,
    run: Path | None = None,
    only_flagged: bool = False,
    overwrite: bool = False,
    beside: Beside = NOTHING_BESIDE,
    to: str = "csv",
    origins: dict[str, str] | None = None,
    csv_safe: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Score `score`, or else `sources`, by a density of `sources`, or by a `model`.

    Writes row, score, p_value, flagged and because, with the columns `beside`, to `output` ("-" is
    stdout in the format `to`, None writes nothing), with `only_flagged` of the flagged rows alone, and
    with `run` a folder with the model, all scores and run.json, where `origins` say where each setting
    came from. `csv_safe`: see `TableWriter`.
    Returns what was found, or None when
    `should_stop` ended the fit: then nothing is written.
    Raises InputError, UsageError, FitError, ModelFileError, OutputError.
    """
    progress = progress or Progress()
    started = time.monotonic()
    rule = settings.rule()
    _check_together(settings, score, model, run)
    if output not in (None, "-"):
        check_output(output, overwrite=overwrite)
    with ExitStack() as stack:
        place = None if run is None else stack.enter_context(run_folder.claimed(run, overwrite))
        stack.enter_context(limited_threads(settings.threads, progress))
        stream = None
        if settings.online:
            stream = stack.enter_context(claimed_stream(model, settings.online, rule[1]))
        if model is not None:
            density = Density(load_detector(model))
        else:
            try:
                density = _fitted(
                    sources, settings, tables, beside, not score, progress, should_stop
                )
            except Interrupted:
                return None
        density_there = time.monotonic()
        progress.stage("scoring")
        if score or model is not None:
            scoring = _score_files(density, score or sources, settings, tables, beside, progress)
        else:
            scoring = _score_own(density)
        found, notes = _flagged(density, scoring, settings, stream)
        seconds = {"fit": density_there - started, "score": time.monotonic() - density_there}
        document = _document(density.mixture, found, settings, tables, rule, notes, seconds)
        if stream is not None:
            document["online"] = stream.told()
        if place is not None:
            assert density.reader is not None
            about = {"origins": origins or {}, "input": density.reader.describe()}
            if scoring.reader is not None:
                about["scored"] = scoring.reader.describe()
            scores = (results for results, _ in table_of(density.mixture, found, scoring.rows))
            write_run(place, density.mixture, document | about, scores, csv_safe)
        if output is not None:
            parts = table_of(density.mixture, found, scoring.rows, only_flagged)
            run_folder.write_table(
                output,
                (beside.joined(results, written, scoring.names) for results, written in parts),
                overwrite,
                to=to,
                sparing=bool(scoring.names),
                csv_safe=csv_safe,
                progress=progress,
            )
        if stream is not None:
            stream.keep()
    return document


def _check_together(
    settings: DetectSettings, score: Sequence[str], model: str | Path | None, run: Path | None
) -> None:
    """Raise UsageError for options that do not go together."""
    if model is not None and (score or run):
        raise UsageError(
            "--model scores DATA and fits nothing", hint="leave --score and --run away"
        )
    if settings.weight_shift and (model is not None or not score):
        raise UsageError(
            "--weight-shift compares new rows with those of the fit",
            hint="give both tables: divmix detect TRAIN --score NEW --weight-shift",
        )
    if settings.weight_shift and any(name == "-" or Path(name).is_fifo() for name in score):
        raise UsageError(
            "--weight-shift reads NEW twice, and a pipe can be read once",
            hint="save the table to a file and name that",
        )


class Density(NamedTuple):
    """What rows are held against; where it is of this run, the rows it was fitted to, the reader of
    their table, and the columns `names` of it as `written`, if it is scored itself."""

    mixture: Mixture
    fitted: Fitted | None = None
    reader: TableReader | None = None
    written: pa.Table | None = None
    names: Sequence[str] = ()
    notes: Sequence[str] = ()


def _fitted(
    sources: Sequence[str],
    settings: DetectSettings,
    tables: DetectTableSettings,
    beside: Beside,
    itself: bool,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> Density:
    """The density of a table. Raises InputError, FitError, Interrupted."""
    progress.stage("reading " + ", ".join(map(str, sources)))
    reader = open_table(sources, **reading_options(tables))
    names = beside.names(reader) if itself else []
    table, written = parted(reader.read(names), len(reader.names))
    notes = list(reader.notes)
    fitted = fit_density(
        table,
        settings,
        tables,
        itself=itself,
        locate=reader.locate,
        progress=progress,
        should_stop=should_stop,
        notes=notes,
    )
    return Density(fitted.mixture, fitted, reader, written, names, notes)


class Scoring(NamedTuple):
    """Scores, the rows that have them, the columns `names` beside these, and the reader of their table
    where it is another one than that of the fit."""

    scored: Scored
    rows: HeldRows | RowsOfFiles
    names: Sequence[str]
    reader: TableReader | None = None
    notes: Sequence[str] = ()


def _score_own(density: Density) -> Scoring:
    """The rows of the table of the fit."""
    fitted = density.fitted
    assert fitted is not None
    scored = score_seen(fitted) if fitted.scores is None else score_itself(fitted)
    return Scoring(scored, HeldRows(fitted, density.written), density.names)


def _score_files(
    density: Density,
    sources: Sequence[str],
    settings: DetectSettings,
    tables: DetectTableSettings,
    beside: Beside,
    progress: Progress,
) -> Scoring:
    """The rows of another table. Raises InputError."""
    design = density.mixture.design
    new = open_table(sources, **design.reading_options(), encoding=tables.encoding)
    names, shifted, notes = beside.names(new), None, []
    if settings.weight_shift:
        assert density.fitted is not None
        shifted = learned_shift(density.fitted, new.batches(BATCH_ROWS), new.locate)
        notes.append(_of_shift(shifted.weights))
    rows = RowsOfFiles(new, design.of_columns, names)
    scored = score_rows(
        density.mixture,
        rows.batches(),
        shifted=shifted,
        locate=new.locate,
        progress=progress,
        total=new.rows,
    )
    return Scoring(scored, rows, names, new, notes)


def _flagged(
    density: Density, scoring: Scoring, settings: DetectSettings, stream: Stream | None
) -> tuple[Detection, list[str]]:
    """Flags and reasons, and all notes of the run."""
    mixture, scored, rule = density.mixture, scoring.scored, settings.rule()
    known = len(calibration_of(mixture).scores)
    notes = [*density.notes, *scoring.notes]
    if stream is not None:
        flagged = stream.flag(scored.p_value)
        notes.append(_of_stream(stream, known))
    else:
        flagged = flags_of(mixture, scored, rule, storey=settings.storey)
    found = explained(mixture, scored, flagged)
    notes.extend(found.notes)
    if not flagged.any() and stream is None:
        itself = density.fitted is not None and density.fitted.scores is not None
        notes.append(why_none(found, known, *rule, itself=itself))
    return found, notes


def _of_stream(stream: Stream, known: int) -> str:
    """How far a stream is; where its last batch has no flag, what would have one."""
    told, last = stream.told(), stream.batches[-1]
    text = (
        f"batch {told['batches']:,} of a stream by --online {stream.rule}: {told['flagged']:,} of "
        f"{told['rows']:,} rows flagged so far"
    )
    if last.flagged or not last.level:
        return text
    before = told["flagged"] if stream.rule == "lond" else 0
    needed = max(1, int(np.ceil(last.rows * smallest_p_value(known) / last.level)) - before)
    return (
        f"{text}; at the level {last.level:.2g} of this one, with {known:,} rows that calibrate, it "
        f"takes about {needed:,} of its {last.rows:,} rows beyond all of them"
    )


def _of_shift(weights: np.ndarray) -> str:
    return (
        f"weights for the shift: {len(weights):,} rows that calibrate are worth "
        f"{effective_rows(weights):,.0f} of equal weight"
    )


def write_run(
    place: ClaimedFolder,
    mixture: Mixture,
    document: dict[str, Any],
    scores: Iterator[pa.RecordBatch],
    csv_safe: bool = False,
) -> None:
    """The run folder: the model, the scores of all rows, then run.json. Raises OutputError."""
    with place.built() as folder:
        mixture.save(folder / "model.divmix")
        run_folder.write_table(folder / "scores.csv", scores, False, csv_safe=csv_safe)
        write_json(folder / "run.json", document)


def _document(
    mixture: Mixture,
    found: Detection,
    settings: DetectSettings,
    tables: DetectTableSettings,
    rule: tuple[str, float],
    notes: list[str],
    times: dict[str, float],
) -> dict[str, Any]:
    known, calibration = ~np.isnan(found.score), calibration_of(mixture)
    return {
        "divmix": divmix.__version__,
        "command": "detect",
        "rule": {"name": rule[0], "level": rule[1]},
        "rows": len(found.score),
        "incomplete": int((~known).sum()),
        "flagged": int(found.flagged.sum()),
        "calibrated_by": f"{len(calibration.scores):,} {calibration.source}",
        "components": mixture.components.count,
        "family": mixture.family.name,
        "settings": settings.to_dict() | tables.to_dict(),
        "times": {name: round(seconds, 3) for name, seconds in times.items()},
        "notes": notes,
        "highest": [
            {
                "row": int(row),
                "score": round(float(found.score[row]), 4),
                "p_value": float(f"{found.p_value[row]:.3g}"),
                "flagged": bool(found.flagged[row]),
                "because": because,
            }
            for row, because in zip(found.highest, found.because)
        ],
    }
