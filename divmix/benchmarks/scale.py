"""More rows than memory: passes over a file, fits that stream, and workers of a cluster.

Rows lie about CLUSTERS centres in COLUMNS columns of float32, in a Parquet file that is made in a
temporary folder and removed. Times are ratios of what runs next to each other.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from divmix.design.design import Design
from divmix.design.learning import sampled_batches
from divmix.design.prepare import prepared
from divmix.design.preprocessing import Preprocessing
from divmix.families import make_family
from divmix.kernels import compile as compiling
from divmix.progress import Progress
from divmix.rows import Block, DaskRows, MemoryRows, StreamedRows
from divmix.rows.segments import Place, segment_rows
from divmix.rows.stream import survey
from divmix.sampling import pool_rows
from divmix.settings import TableSettings
from divmix.tables.reading import open_table
from divmix.workflows.dask_table import TablePart, cluster
from divmix.workflows.fitted import features_of

COLUMNS, CLUSTERS, COMPONENTS = 8, 5, 16
GROUP = 1_000_000  # rows made and written at a time
MILLISECONDS = 1e3


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

    def read(place: Place) -> Iterator[Block]:
        for done in prepared(reader.batches(), design, place=place):
            yield Block(done.X, done.row_weights)

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
    in_process = np.median([_seconds(own) for _ in range(passes)])
    workers = compiling.threads()
    with cluster(f"local:{workers}", progress) as client:
        rows = DaskRows(client, table.part, table.rows)
        visit = _sums_of(rows, "diag")
        first = _seconds(visit)
        later = np.median([_seconds(visit) for _ in range(passes)])
        yield {
            "name": f"a pass, diag, {workers} workers over as many threads in process",
            "seconds": float(later),
            "first_seconds": first,
            "ratio": float(later / in_process),
        }
        small = path.with_name("small.parquet")
        make(small, 2)
        few = opened(small)
        round_trip = _sums_of(DaskRows(client, few.part, few.rows), "diag", components=2)
        round_trip()
        fixed = np.median([_seconds(round_trip) for _ in range(5 * passes)])
        yield {"name": "a round of two rows", "milliseconds": float(MILLISECONDS * fixed)}


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
