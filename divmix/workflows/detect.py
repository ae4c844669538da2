"""Find the rows that are unlike the others: fit a density, hold scores against it, say why."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import divmix
from divmix.anomaly.detector import (
    Detection,
    Fitted,
    calibration_of,
    explained,
    fit_density,
    flags_of,
    learned_shift,
    load_detector,
    reasons_of,
    score_itself,
    score_rows,
    score_seen,
    why_none,
)
from divmix.anomaly.p_values import smallest_p_value
from divmix.anomaly.shift import effective_rows
from divmix.core import Interrupted
from divmix.design.design import Design
from divmix.errors import InputError, UsageError
from divmix.families import AnyMatrix
from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.settings import DetectSettings, DetectTableSettings
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.folders import ClaimedFolder
from divmix.tables.reading import TableReader, open_table, reading_options
from divmix.tables.writing import check_output, write_json
from divmix.workflows import run_folder
from divmix.workflows.beside import NOTHING_BESIDE, Beside, parted
from divmix.workflows.online import Stream, claimed_stream
from divmix.workflows.resources import limited_threads


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
    if output not in (None, "-"):
        check_output(output, overwrite=overwrite)
    with ExitStack() as stack:
        place = None if run is None else stack.enter_context(run_folder.claimed(run, overwrite))
        stack.enter_context(limited_threads(settings.threads, progress))
        stream = None
        if settings.online:
            stream = stack.enter_context(claimed_stream(model, settings.online, rule[1]))
        fitted, notes = None, []
        if model is not None:
            mixture = load_detector(model)
        else:
            progress.stage("reading " + ", ".join(map(str, sources)))
            reader = open_table(sources, **reading_options(tables))
            names = [] if score else beside.names(reader)
            table, written = parted(reader.read(names), len(reader.names))
            notes = list(reader.notes)
            try:
                fitted = fit_density(
                    table,
                    settings,
                    tables,
                    itself=not score,
                    locate=reader.locate,
                    progress=progress,
                    should_stop=should_stop,
                    notes=notes,
                )
            except Interrupted:
                return None
            mixture = fitted.mixture
        density_there = time.monotonic()
        itself = fitted is not None and not score
        against_itself = fitted is not None and fitted.scores is not None
        progress.stage("scoring")
        rows: HeldRows | RowsOfFiles
        if itself:
            assert fitted is not None
            scored = score_itself(fitted) if against_itself else score_seen(fitted)
            rows = HeldRows(fitted, written)
        else:
            new = open_table(
                score or sources, **mixture.design.reading_options(), encoding=tables.encoding
            )
            names, shifted = beside.names(new), None
            if settings.weight_shift:
                assert fitted is not None
                shifted = learned_shift(fitted, new.batches(BATCH_ROWS), new.locate)
                notes.append(_of_shift(shifted.weights))
            rows = RowsOfFiles(new, mixture.design.of_columns, names)
            scored = score_rows(
                mixture,
                rows.batches(),
                shifted=shifted,
                locate=new.locate,
                progress=progress,
                total=new.rows,
            )
        if stream is not None:
            flagged = stream.flag(scored.p_value)
            notes.append(_of_stream(stream, len(calibration_of(mixture).scores)))
        else:
            flagged = flags_of(mixture, scored, rule, storey=settings.storey)
        found = explained(mixture, scored, flagged)
        notes.extend(found.notes)
        if not flagged.any() and stream is None:
            known = len(calibration_of(mixture).scores)
            notes.append(why_none(found, known, *rule, itself=against_itself))
        document = _document(
            mixture,
            found,
            settings,
            tables,
            rule,
            notes,
            {"fit": density_there - started, "score": time.monotonic() - density_there},
        )
        if stream is not None:
            document["online"] = stream.told()
        if place is not None:
            about = {"origins": origins or {}, "input": reader.describe()}
            if not itself:
                about["scored"] = new.describe()
            scores = (results for results, _ in table_of(mixture, found, rows))
            write_run(place, mixture, document | about, scores, csv_safe)
        if output is not None:
            run_folder.write_table(
                output,
                (
                    beside.joined(results, written, names)
                    for results, written in table_of(mixture, found, rows, only_flagged)
                ),
                overwrite,
                to=to,
                sparing=bool(names),
                csv_safe=csv_safe,
                progress=progress,
            )
        if stream is not None:
            stream.keep()
    return document


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


Part: TypeAlias = tuple[Callable[[], AnyMatrix], pa.RecordBatch | None]
"""A batch of rows: what makes their matrix (b, d), or codes, and columns as written, None without such."""


class HeldRows(NamedTuple):
    """The rows of the table of the fit, and columns as written."""

    fitted: Fitted
    written: pa.Table | None

    def parts(self, made: bool) -> Iterator[Part]:
        """The rows once more, batch by batch."""
        for start in range(0, len(self.fitted.X), BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            written = None
            if self.written is not None:
                (written,) = self.written.slice(start, BATCH_ROWS).combine_chunks().to_batches()
            yield partial(self.fitted.of_columns, part), written


class RowsOfFiles:
    """Rows that are read anew each time; of a pipe, which can be read once, they are held."""

    def __init__(self, reader: TableReader, design: Design, names: Sequence[str]) -> None:
        self._reader, self._design, self._names = reader, design, names
        self._held = list(self._read()) if reader.pipe is not None else None
        self.rows = 0

    def _read(self) -> Iterator[pa.RecordBatch]:
        return self._reader.batches(BATCH_ROWS, self._names)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The columns that a model reads, for the first time."""
        for batch in self._held or self._read():
            self.rows += batch.num_rows
            yield parted(batch, len(self._reader.names))[0]

    def parts(self, made: bool) -> Iterator[Part]:
        """The rows once more, batch by batch: read again where a matrix is to be `made` or there are
        columns as written. Raises InputError where they are others now."""
        if not made and not self._names:
            for _ in range(0, self.rows, BATCH_ROWS):
                yield lambda: np.zeros((0, 0)), None
            return
        done = 0
        for whole in self._held or self._read():
            batch, written = parted(whole, len(self._reader.names))
            yield partial(self._matrix, batch, done), written
            done += batch.num_rows
        if done != self.rows:
            raise InputError(
                f"{self._reader.told} had {self.rows:,} rows at first and {done:,} now",
                hint="the file changed while it was read: score a copy that stays as it is",
            )

    def _matrix(self, batch: pa.RecordBatch, first_row: int) -> AnyMatrix:
        X = self._design.room(batch.num_rows, coded=True)
        self._design.fill(X, batch, "ignore", first_row, self._reader.locate)
        return X


def table_of(
    mixture: Mixture, found: Detection, rows: HeldRows | RowsOfFiles, only_flagged: bool = False
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
    """`row, score, p_value, flagged, because`, of all rows or of the flagged ones, batch by batch and
    beside columns as written; empty cells where nothing can be said. Raises InputError."""
    reasons, start = reasons_of(mixture), 0
    of_highest = dict(zip(found.highest.tolist(), found.because))
    for matrix, written in rows.parts(bool(found.flagged.any())):
        part = slice(start, min(start + BATCH_ROWS, len(found.score)))
        flagged = found.flagged[part]
        because: list[str | None] = [None] * len(flagged)
        if flagged.any():
            for row, text in zip(np.flatnonzero(flagged), reasons(matrix()[flagged])):
                because[row] = text
        for row, text in of_highest.items():
            if start <= row < part.stop:
                because[row - start] = text
        batch = _results(found, part, because)
        if only_flagged:
            batch = batch.filter(batch.column("flagged"))
            written = None if written is None else written.filter(arrays.booleans(flagged))
        yield batch, written
        start = part.stop


def _results(found: Detection, part: slice, because: Sequence[str | None]) -> pa.RecordBatch:
    known = arrays.booleans(~np.isnan(found.score[part]))
    columns = {"row": arrays.integers(np.arange(part.start, part.stop))}
    for name in ("score", "p_value"):
        values = arrays.floats(getattr(found, name)[part])
        columns[name] = pc.if_else(known, values, pa.scalar(None, pa.float64()))
    columns["flagged"] = arrays.booleans(found.flagged[part])
    columns["because"] = pa.array(because, pa.string())
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


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
