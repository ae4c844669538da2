"""More rows than memory: passes over a file, fits that stream, and workers of a cluster.

Rows lie about CLUSTERS centres in COLUMNS columns of float32, in a Parquet file that is made in a
temporary folder and removed. Times are ratios of what runs next to each other.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from divmix.benchmarks.cluster import Costs, mean_visit
from divmix.design.design import Design
from divmix.design.learning import sampled_batches
from divmix.design.prepare import prepared
from divmix.design.preprocessing import Preprocessing
from divmix.families import make_family
from divmix.kernels import compile as compiling
from divmix.progress import Progress
from divmix.rows import AnyBlock, DaskRows, MemoryRows, StreamedRows
from divmix.rows.dask import Visit
from divmix.rows.segments import Place, segment_rows
from divmix.rows.stream import survey
from divmix.sampling import pool_rows
from divmix.settings import TableSettings
from divmix.tables.reading import open_table
from divmix.workflows.dask_table import TablePart, cluster
from divmix.workflows.fitted import features_of

if TYPE_CHECKING:
    from distributed import Client

COLUMNS, CLUSTERS, COMPONENTS = 8, 5, 16
GROUP = 1_000_000  # rows made and written at a time
MILLISECONDS = 1e3
WORKERS = (1, 2, 3)
MANY = 65  # tasks of a round
TERABYTE_ROWS = 10**12 // (4 * COLUMNS)
MACHINES = (1, 10, 30, 100, 300)
STRAGGLING = 0.3  # as if two of three tasks took from .74 to 1.35 of their time


def run(
    *, rows: int = 10_000_000, passes: int = 10, dask: bool = False, progress: Progress
) -> dict[str, Any]:
    """The table of `divmix bench scale`: `rows` of the file, `passes` over it; dask: with workers of
    a cluster on this machine instead."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        progress.stage(f"making {rows:,} rows")
        make(path, rows)
        measured = _with_dask if dask else _alone
        found = list(measured(path, passes, progress))
        size = path.stat().st_size
    return {"rows": rows, "columns": COLUMNS, "file_bytes": size, "passes": passes,
            "components": COMPONENTS, "threads": compiling.threads(), "results": found}  # fmt: skip


def make(path: Path, rows: int) -> None:
    """Write the file."""
    generator = np.random.default_rng(0)
    centers = generator.normal(0, 6, (CLUSTERS, COLUMNS))
    names = [f"x{j}" for j in range(COLUMNS)]
    schema = pa.schema([(name, pa.float32()) for name in names])
    with parquet.ParquetWriter(path, schema) as file:
        for start in range(0, rows, GROUP):
            label = generator.integers(0, CLUSTERS, min(GROUP, rows - start))
            X = centers[label] + generator.normal(size=(len(label), COLUMNS))
            file.write_table(pa.table(dict(zip(names, X.astype(np.float32).T)), schema=schema))


class Table(NamedTuple):
    """The file as rows that are read anew, and what travels to workers."""

    rows: StreamedRows
    part: TablePart


def opened(path: Path) -> Table:
    """The rows of the file, once it has been looked at."""
    reader = open_table([path])
    _, sample = sampled_batches(reader.batches, pool_rows(COLUMNS))
    preprocessing, _ = Preprocessing.learn_with_roles(reader.batches, sample, TableSettings())
    design = Design(preprocessing)

    def read(place: Place) -> Iterator[AnyBlock]:
        for done in prepared(reader.batches(), design, place=place):
            yield AnyBlock(done.X, done.row_weights)

    part = TablePart.of(reader.paths, reader.options, design)
    features = features_of(design)
    return Table(StreamedRows(read, features, survey(read, features)), part)


def _alone(path: Path, passes: int, progress: Progress) -> Iterator[dict[str, Any]]:
    table = opened(path)
    held = MemoryRows(table.rows.pool.matrix.X[: segment_rows(COLUMNS)])
    share = table.rows.visited / held.visited
    for covariance in ("diag", "full"):
        progress.stage(f"passes, {covariance}")
        own, streamed = _sums_of(held, covariance), _sums_of(table.rows, covariance)
        own(), streamed()
        pairs = np.array([(share * _seconds(own), _seconds(streamed)) for _ in range(passes)])
        yield {
            "name": f"a pass, {covariance}, streamed over the kernels' own time",
            "seconds": float(np.median(pairs[:, 1])),
            "ratio": float(np.median(pairs[:, 1] / pairs[:, 0])),
        }
    progress.stage("fits in processes of their own")
    in_memory, anew = (_fit(path, *flags) for flags in ((), ("--stream",)))
    matrix = 8 * COLUMNS * table.rows.visited
    yield {"name": "default fit, in memory", **in_memory, "peak_over_matrix": in_memory["peak_bytes"] / matrix}  # fmt: skip
    yield {
        "name": "default fit, streamed",
        **anew,
        "ratio": anew["seconds"] / in_memory["seconds"],
        "peak_over_memory": anew["peak_bytes"] / in_memory["peak_bytes"],
    }


def _with_dask(path: Path, passes: int, progress: Progress) -> Iterator[dict[str, Any]]:
    table = opened(path)
    held = MemoryRows(np.concatenate([block.X for block in table.rows.blocks()]))
    own = _sums_of(held, "diag")
    own()
    in_process = _times(own, passes)
    row = _row_cost(held, passes)
    small = path.with_name("small.parquet")
    make(small, 2)
    few = opened(small)
    measured, rounds = {}, []
    for workers in WORKERS:
        progress.stage(f"passes with {workers} workers")
        with cluster(f"local:{workers}", progress) as client:
            visit = _sums_of(DaskRows(client, table.part, table.rows), "diag")
            first = _seconds(visit)
            measured[workers] = first, _times(visit, passes)
            rounds.append(_round_costs(client, few, passes))
    round_trip, task = np.min(rounds, axis=0)
    costs, cores = Costs(row, task, round_trip), compiling.threads()
    for workers, (first, times) in measured.items():
        yield {
            "name": f"a pass, diag, workers: {workers}, rows kept",
            "seconds": float(np.median(times)),
            "least_seconds": float(times.min()),
            "simulated_seconds": mean_visit(held.visited, COLUMNS, workers, costs, cores),
            "first_seconds": first,
            "ratio": float(np.median(times) / np.median(in_process)),
        }
    yield {
        "name": "a pass, diag, all threads in process",
        "seconds": float(np.median(in_process)),
        "least_seconds": float(in_process.min()),
    }
    yield {"name": "a round of two rows", "milliseconds": float(MILLISECONDS * round_trip)}
    yield {"name": "each further task of a round", "milliseconds": float(MILLISECONDS * task)}
    yield {"name": "a row", "nanoseconds": 1e9 * row}
    yield {"name": "what travels for a task", **_bytes_of_a_task(held)}
    for machines in MACHINES:
        yield {
            "name": f"1 TB, diag, rows kept, machines of two cores: {machines}",
            "simulated_seconds": mean_visit(TERABYTE_ROWS, COLUMNS, 2 * machines, costs),
            "with_stragglers": mean_visit(
                TERABYTE_ROWS, COLUMNS, 2 * machines, costs._replace(straggling=STRAGGLING)
            ),
        }


def _row_cost(held: MemoryRows, passes: int) -> float:
    """Seconds of a core for a row, the least of several times: what else the machine did is no cost
    of a row."""
    segment = held.take(np.arange(min(segment_rows(COLUMNS), held.visited)))
    visit = _sums_of(segment, "diag")
    compiling.set_threads(1)
    try:
        visit()
        return float(_times(visit, 3 * passes).min()) / segment.visited
    finally:
        compiling.set_threads(None)


def _round_costs(client: "Client", few: Table, passes: int) -> tuple[float, float]:
    """Seconds of a round of one small task, and of each one more; the least of several."""
    visit = _sums_of(DaskRows(client, few.part, few.rows), "diag", components=2)
    visit()
    one = float(_times(visit, 5 * passes).min())
    family, components = visit.args
    sums = partial(few.part.summed, Visit(range(1), family, components, coarse=False))

    def round_of_many() -> None:
        client.gather([client.submit(sums, pure=False) for _ in range(MANY)])

    many = float(_times(partial(round_of_many), passes).min())
    return one, max(many - one, 0.0) / (MANY - 1)


def _bytes_of_a_task(held: MemoryRows) -> dict[str, int]:
    """Of the components that go out and the sums that come back, full ones."""
    visit = _sums_of(held.take(np.arange(100)), "full")
    return {"bytes_out": len(pickle.dumps(visit.args)), "bytes_back": len(pickle.dumps(visit()))}


def _sums_of(
    rows: MemoryRows | StreamedRows, covariance: str, components: int = COMPONENTS
) -> partial:
    family = make_family("gaussian", covariance, np.full(COLUMNS, 1e-6))
    X = rows.sample(components, np.random.default_rng(0)).matrix.X
    start = family.start(np.full(len(X), 1 / len(X)), X.copy(), np.eye(COLUMNS))
    return partial(rows.sums, family, start)


def _fit(path: Path, *flags: str) -> dict[str, float]:
    """Wall seconds and the most memory of a fit on the command line."""
    command = [sys.executable, "-m", "divmix", "fit", str(path), "-k", str(CLUSTERS), "--quiet",
               "--format", "parquet", "-o", str(path.with_suffix(".divmix")), "--force", *flags]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {"seconds": time.perf_counter() - start, "peak_bytes": 1024 * usage.ru_maxrss}


def _seconds(call: partial) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _times(call: partial, count: int) -> np.ndarray:
    """Seconds of so many calls, (count,)."""
    return np.array([_seconds(call) for _ in range(count)])
