"""A table over the number of clusters, with the choice marked and its reason in a sentence."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

import divmix
from divmix.checkpoints.checkpoint_file import owner
from divmix.choosing.bootstrap import FOUND, share_found
from divmix.choosing.clusters import count_clusters, explain
from divmix.choosing.comparison import Comparison, told
from divmix.choosing.settle import smallest_share
from divmix.core import Interrupted, compare_clusters
from divmix.design.prepare import prepare
from divmix.design.roles import notes_on_roles
from divmix.design.row_names import Locate, row_name
from divmix.engine.checkpoint import Journal
from divmix.engine.monitor import Monitor
from divmix.errors import UsageError
from divmix.families import AnyFamily
from divmix.progress import Progress
from divmix.settings import SELECT_SETTINGS, FitSettings, TableSettings
from divmix.tables.folders import ClaimedFolder
from divmix.tables.reading import open_table, reading_options
from divmix.tables.writing import check_output, write_json
from divmix.workflows.fit import offset_of, rows_of
from divmix.workflows.resources import limited_threads
from divmix.workflows.run_folder import claimed, write_table
from divmix.workflows.unfinished import EVERY_MINUTE, Checkpoints, Keeper, Unfinished


def run_select(
    sources: Sequence[str],
    lowest: int,
    highest: int,
    settings: FitSettings,
    tables: TableSettings,
    output: str | None = None,
    *,
    run: Path | None = None,
    origins: dict[str, str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoints: Checkpoints = EVERY_MINUTE,
) -> dict[str, Any] | Unfinished:
    """Compare lowest .. highest clusters and write the table to `output` (None: nowhere).

    With `run` also a folder of the table and of run.json, which `divmix report` makes a page of;
    `origins` say there where each setting came from, `checkpoints` how the work is kept there
    while it is unfinished.

    Returns the document of `select_table`, or what is left when `should_stop` ended the work: a
    checkpoint at most. Raises InputError, UsageError, FitError, OutputError, CheckpointError.
    """
    if run is None and checkpoints.resume:
        raise UsageError(
            "--resume without --run", hint="a checkpoint stands in the folder that --run names"
        )
    progress = progress or Progress()
    if output not in (None, "-"):
        check_output(output, overwrite=overwrite)
    with ExitStack() as stack:
        place = None if run is None else stack.enter_context(claimed(run, overwrite))
        started = time.monotonic()
        progress.stage("reading " + ", ".join(str(source) for source in sources))
        reader = open_table(sources, **reading_options(tables))
        table = reader.read()
        for note in reader.notes:
            progress.note(note)
        asked = {name: getattr(settings, name) for name in SELECT_SETTINGS}
        asked |= {"clusters": f"{lowest}:{highest}"} | tables.to_dict()
        keeper, source = None, reader.describe()
        if place is not None:
            keeper = Keeper(place, owner(source, asked), checkpoints, progress)
        try:
            document = select_table(
                table,
                lowest,
                highest,
                settings,
                tables,
                locate=reader.locate,
                progress=progress,
                should_stop=should_stop,
                journal=None if keeper is None else keeper.journal,
            )
        except Interrupted:
            return Unfinished(None, "") if keeper is None else keeper.leave()
        criteria = pa.RecordBatch.from_pylist(document["rows"])
        if place is not None:
            about = {
                "divmix": divmix.__version__,
                "command": "select",
                "settings": asked,
                "origins": origins or {},
                "input": source | {"rows": table.num_rows},
                "times": {"select": round(time.monotonic() - started, 3)},
                "notes": list(reader.notes),
            }
            _write_run(place, criteria, about | document)
        if output is not None:
            write_table(output, [criteria], overwrite)
    return document


def _write_run(place: ClaimedFolder, criteria: pa.RecordBatch, document: dict[str, Any]) -> None:
    with place.built() as folder:
        write_table(folder / "criteria.csv", [criteria], False)
        write_json(folder / "run.json", document)


def select_table(
    table: pa.Table,
    lowest: int,
    highest: int,
    settings: FitSettings,
    tables: TableSettings | None = None,
    *,
    locate: Locate = row_name,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    journal: Journal | None = None,
) -> dict[str, Any]:
    """Compare lowest .. highest clusters of a table in memory; `journal` has what an interrupted
    comparison has done already.

    rows : for each number of clusters the criteria on the rows looked at: log_likelihood and
        held_out (nats per row, in the data's own units), bic and icl (lower is better), stability
        (adjusted Rand index between the clusters of two halves of the rows), and whether it is
        chosen. A number that the rows cannot carry is left out.
        With settings.bootstrap also jaccard, the mean over clusters and resamples, and least_found,
        the share of the resamples in which the cluster that is found least often is found.
    clusters, covariance, reason : the choice and why; bootstrap : how often each of its clusters is
        found, or None.

    Raises InputError, UsageError, FitError, and Interrupted when `should_stop` ended the work.
    """
    tables, progress = tables or TableSettings(), progress or Progress()
    with limited_threads(settings.threads, progress):
        generator = np.random.default_rng(settings.seed)
        design, matrix = prepare(table, tables, generator, progress, locate, coded=True)
        for note in notes_on_roles(matrix.roles, tables):
            progress.note(note)
        monitor = Monitor(None, should_stop, progress, offset_of(matrix), journal)
        rows = rows_of(design, matrix, settings)
        comparison = compare_clusters(rows, lowest, highest, settings, monitor)
    offset = monitor.offset
    path, held_out, stability = comparison.path, comparison.held_out, comparison.stability
    n, chosen = path.searching.rows, count_clusters(comparison.chosen, smallest_share(rows))
    resamples, found = None, comparison.jaccard.get(chosen)
    if found is not None:
        shares = zip(count(), share_found(found).tolist())
        resamples = {
            "resamples": len(found),
            "found_above": FOUND,
            "clusters": [{"cluster": c, "found": share} for c, share in shares],
        }
    reason = f"{explain(path, comparison.chosen, chosen)}; {told(comparison)}"
    if comparison.chosen.k != comparison.unlimited.k:
        reason += f"; without a range -k auto takes {comparison.unlimited.k}"
    return {
        "clusters": chosen,
        "covariance": cast(AnyFamily, path.searching.family).structure.name,
        "reason": reason,
        "rows_looked_at": n,
        "bootstrap": resamples,
        "rows": [
            {
                "clusters": k,
                "log_likelihood": candidate.log_likelihood + offset,
                "held_out": held_out[k] + offset if k in held_out else None,
                "bic": candidate.bic - 2 * n * offset,
                "icl": candidate.icl - 2 * n * offset,
                "stability": stability.get(k),
            }
            | _resampled(comparison, k)
            | {
                "chosen": k == chosen,
            }
            for k, candidate in sorted(path.candidates.items())
        ],
    }


def _resampled(comparison: Comparison, k: int) -> dict[str, float | None]:
    """Mean Jaccard similarity of k clusters over resamples, and the share of these in which the
    one that is found least often is found; nothing where there are no resamples."""
    if not comparison.jaccard:
        return {}
    own = comparison.jaccard.get(k)
    if own is None:
        return {"jaccard": None, "least_found": None}
    return {"jaccard": float(own.mean()), "least_found": float(share_found(own).min())}
