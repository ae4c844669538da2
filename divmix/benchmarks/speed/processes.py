"""Rows about whole processes: end to end, start-up, compiling, memory."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from divmix.benchmarks.speed.iterations import shape
from divmix.benchmarks.speed.problems import make_problem
from divmix.benchmarks.speed.timing import row
from divmix.errors import DivmixError

CLUSTERS = 16
ITERATIONS = 50
NEW_ROWS = 20

# What a user would write: read, standardise, fit, label, write.
SKLEARN_SCRIPT = """
import sys
import numpy as np
import pandas as pd
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

source, target, clusters, iterations = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
X = StandardScaler().fit_transform(pd.read_csv(source))
mixture = GaussianMixture(
    clusters, covariance_type="diag", max_iter=iterations, tol=0, init_params="k-means++"
).fit(X)
probabilities = mixture.predict_proba(X)
pd.DataFrame({
    "row": np.arange(len(X)),
    "cluster": probabilities.argmax(axis=1),
    "probability": probabilities.max(axis=1),
    "log_density": mixture.score_samples(X),
}).to_csv(target, index=False)
"""

# Peak memory of a fit over a matrix that is there already; loading Numba comes before it, loading
# or compiling kernels does not.
MEMORY_SCRIPT = """
import resource, sys
from divmix.benchmarks.speed.problems import make_problem
from divmix.kernels import gaussian

problem = make_problem(*map(int, sys.argv[1:]))
iterate = problem.iteration()

def resident():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * resource.getpagesize()

with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak starts again from here
before = resident()
for _ in range(5):
    iterate()
with open("/proc/self/status") as file:
    peak = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
print((peak - before) / 1e6)
"""


def end_to_end(folder: Path, rounds: int, scale: int, with_sklearn: bool) -> Iterator[dict]:
    """`divmix fit` from CSV against the script above, two threads each."""
    n, d = 1_000_000 // scale, 8
    table = folder / "table.csv"
    write_csv(table, make_problem(n, d, CLUSTERS).X)
    fit = [
        "fit", str(table), "-k", str(CLUSTERS), "--method", "em", "--covariance", "diag",
        "--max-iter", str(ITERATIONS), "--tol", "0", "--threads", "2", "--quiet", "--force",
        "-o", str(folder / "fit"),
    ]  # fmt: skip
    divmix(fit)  # compiles, and fills the cache
    script = [sys.executable, "-c", SKLEARN_SCRIPT, str(table), str(folder / "labels.csv"),
              str(CLUSTERS), str(ITERATIONS)]  # fmt: skip
    pairs = np.array([
        (divmix(fit), process(script, threads=2) if with_sklearn else np.nan)
        for _ in range(rounds)
    ])  # fmt: skip
    ours, peer = np.median(pairs, axis=0)
    yield row(
        f"divmix fit from CSV, {shape(n, d, CLUSTERS)}, {ITERATIONS} EM iterations, two threads",
        ours, unit="s", bar=0.20 if with_sklearn else None, aim=0.10,
        peer=peer if with_sklearn else None,
        peer_name="pandas and scikit-learn script" if with_sklearn else None,
        ratio=float(np.median(pairs[:, 0] / pairs[:, 1])) if with_sklearn else None,
    )  # fmt: skip

    few = folder / "few.csv"
    few.write_text("".join(table.open().readlines()[: NEW_ROWS + 1]))
    predict = ["predict", str(folder / "fit" / "model.divmix"), str(few), "--quiet", "--force",
               "-o", str(folder / "predicted.csv")]  # fmt: skip
    divmix(predict)
    yield row(
        f"divmix predict of {NEW_ROWS} rows, warm, whole process",
        float(np.median([divmix(predict) for _ in range(max(rounds, 3))])),
        unit="s", bar=0.50, aim=0.20,
    )  # fmt: skip


def first_fit(folder: Path) -> Iterator[dict[str, Any]]:
    """A small fit with an empty cache less the same fit with a full one: the compiling."""
    table = folder / "small.csv"
    write_csv(table, make_problem(500, 4, 3).X)
    arguments = ["fit", str(table), "-k", "3", "--quiet", "--force", "-o", str(folder / "small")]
    cache = {"XDG_CACHE_HOME": str(folder / "empty-cache")}
    yield row(
        "first fit after install, all compiling", divmix(arguments, **cache),
        peer=divmix(arguments, **cache), peer_name="the second fit", unit="s", bar=20.0, aim=8.0,
    )  # fmt: skip


def memory(scale: int) -> Iterator[dict[str, Any]]:
    n, d, m = 1_000_000 // scale, 8, 16
    if not Path("/proc/self/clear_refs").exists():
        return  # the peak can be measured on Linux only
    command = [sys.executable, "-c", MEMORY_SCRIPT, *map(str, (n, d, m))]
    megabytes = json.loads(_output(command, {}))
    yield row(
        f"extra memory of a fit beyond table and matrix, {shape(n, d, m)}", megabytes,
        unit="MB", bar=120.0, aim=60.0,
    )  # fmt: skip


def divmix(arguments: list[str], **environment: str) -> float:
    """Seconds of a whole `divmix` process."""
    return process([sys.executable, "-m", "divmix", *arguments], threads=2, **environment)


def process(command: list[str], threads: int, **environment: str) -> float:
    """Seconds of a whole process whose numerical libraries may use `threads` threads."""
    limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    start = time.perf_counter()
    _output(command, dict.fromkeys(limits, str(threads)) | environment)
    return time.perf_counter() - start


def _output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DivmixError(
            f"a process of the benchmark ended with code {done.returncode}: {' '.join(command[:6])}",
            hint="it said: " + " ".join(done.stderr.split("\n")[-4:]).strip(),
        )
    return done.stdout


def write_csv(path: Path, X: np.ndarray) -> None:
    import pandas as pd

    pd.DataFrame(X, columns=[f"x{k}" for k in range(X.shape[1])]).to_csv(path, index=False)
