"""Tables of text columns alone: the memory of a fit and of a detector over what their codes take.

Rows lie in CLUSTERS clusters, each with probabilities of its own in every column. A process makes the
table, columns of Arrow's dictionaries, fits a small one so that kernels and modules are there, and tells
the peak of its resident memory above what it had then.
"""

import ctypes
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from divmix.anomaly.detector import fit_density, score_itself
from divmix.errors import DivmixError
from divmix.progress import Progress
from divmix.settings import DetectSettings, DiversifiedSettings
from divmix.workflows.fit import fit_table

COLUMNS, VALUES, CLUSTERS = 1_000, 3, 5
CHUNK = 50_000  # rows made at a time
FEW = 2_000  # rows of the small table
BAR = 1.5
TASKS = ("fit", "detect")


def run(*, rows: int = 1_000_000, columns: int = COLUMNS, progress: Progress) -> dict[str, Any]:
    """The table of `divmix bench codes`. Raises DivmixError where a process fails."""
    results = []
    for task in TASKS:
        progress.stage(f"{task}, {rows:,} rows of {columns:,} columns")
        command = [sys.executable, "-m", __name__, task, str(rows), str(columns)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DivmixError(
                f"the process of bench codes ended with code {done.returncode}",
                hint="it said: " + " ".join(done.stderr.split("\n")[-4:]).strip(),
            )
        results.append(json.loads(done.stdout))
    return {"rows": rows, "columns": columns, "values": VALUES, "results": results}


def made(rows: int, columns: int, seed: int = 0) -> pa.Table:
    """The table, column by column of each chunk."""
    generator = np.random.default_rng(seed)
    below = generator.dirichlet(np.ones(VALUES), (columns, CLUSTERS)).cumsum(axis=2)[:, :, :-1]
    words, chunks = pa.array([f"value {level}" for level in range(VALUES)]), []
    names = [f"column {j}" for j in range(columns)]
    for start in range(0, rows, CHUNK):
        cluster = generator.integers(CLUSTERS, size=min(CHUNK, rows - start))
        texts = []
        for heights in below:
            level = (generator.random(len(cluster))[:, None] >= heights[cluster]).sum(axis=1)
            codes = pa.array(level.astype(np.int8))
            texts.append(pa.DictionaryArray.from_arrays(codes, words))
        chunks.append(pa.record_batch(texts, names=names))
    return pa.Table.from_batches(chunks)


def measured(task: str, rows: int, columns: int) -> dict[str, Any]:
    """What one task takes in this process. Linux only."""
    _done(task, made(FEW, columns, seed=1))
    table = made(rows, columns)
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)  # what is free before is no memory of the task
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = resident()
    start = time.perf_counter()
    _done(task, table)
    seconds = time.perf_counter() - start
    extra, codes = peak() - before, rows * columns
    return {
        "name": task,
        "codes_bytes": codes,
        "extra_bytes": extra,
        "ratio": extra / codes,
        "bar": BAR,
        "met": extra <= BAR * codes,
        "seconds": seconds,
    }


def _done(task: str, table: pa.Table) -> None:
    if task == "fit":
        fit_table(table, DiversifiedSettings(clusters=CLUSTERS))
    else:
        score_itself(fit_density(table, DetectSettings(), itself=True))


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    """The most they were since the peak was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
