"""Find the rows that are unlike the others: fit a density, hold scores against it, say why."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import divmix
from divmix.anomaly.detector import (
    Detection,
    calibration_of,
    check_level,
    detect,
    fit_density,
    load_detector,
    score_rows,
)
from divmix.core import Interrupted
from divmix.errors import UsageError
from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.settings import DetectSettings, DetectTableSettings
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.folders import ClaimedFolder
from divmix.tables.reading import open_table, reading_options
from divmix.tables.writing import check_output, write_json
from divmix.workflows import run_folder
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
    overwrite: bool = False,
    csv_safe: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Score `score`, or else `sources`, by a density of `sources`, or by a `model`.

    Writes row, score, p_value, flagged and because to `output` ("-" is CSV on stdout, None writes
    nothing) and with `run` a folder with the model; `csv_safe`: see `TableWriter`. Returns what was found, or None when
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
    with ExitStack() as stack:
        place = None if run is None else stack.enter_context(run_folder.claimed(run, overwrite))
        stack.enter_context(limited_threads(settings.threads, progress))
        if model is not None:
            mixture, notes = load_detector(model), []
        else:
            progress.stage("reading " + ", ".join(map(str, sources)))
            reader = open_table(sources, **reading_options(tables))
            table = reader.read()
            notes = list(reader.notes)
            try:
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
            except Interrupted:
                return None
        density_there = time.monotonic()
        itself = model is None and not score
        check_level(calibration_of(mixture), *rule, itself=itself)
        progress.stage("scoring")
        if itself:
            batches, rows, locate = iter([table]), table.num_rows, reader.locate
        else:
            new = open_table(score or sources, **mixture.design.reading_options())
            batches, rows, locate = new.batches(BATCH_ROWS), new.rows, new.locate
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
            {"fit": density_there - started, "score": time.monotonic() - density_there},
        )
        if place is not None:
            write_run(place, mixture, document)
        if output is not None:
            run_folder.write_table(output, table_of(found), overwrite, csv_safe=csv_safe)
    return document


def table_of(found: Detection) -> Iterator[pa.RecordBatch]:
    """`row, score, p_value, flagged, because`; empty cells where nothing can be said."""
    n = len(found.score)
    for start in range(0, max(n, 1), BATCH_ROWS):
        part = slice(start, min(start + BATCH_ROWS, n))
        known = arrays.booleans(~np.isnan(found.score[part]))
        columns = {"row": arrays.integers(np.arange(part.start, part.stop))}
        for name in ("score", "p_value"):
            values = arrays.floats(getattr(found, name)[part])
            columns[name] = pc.if_else(known, values, pa.scalar(None, pa.float64()))
        columns["flagged"] = arrays.booleans(found.flagged[part])
        columns["because"] = pa.array(found.because[part], pa.string())
        yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def write_run(place: ClaimedFolder, mixture: Mixture, document: dict[str, Any]) -> None:
    """The run folder: the model, then run.json. Raises OutputError."""
    with place.built() as folder:
        mixture.save(folder / "model.divmix")
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
        "notes": [*notes, *found.notes],
    }
