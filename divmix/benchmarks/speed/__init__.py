"""Speed beside other packages, in one run on one machine, as a table of ratios and bars.

Nothing here is a test: figures depend on the machine and on what else it does. Each ratio is the
median over rounds that time both sides in turn.
"""

import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from divmix.progress import Progress

ROUNDS, QUICK_ROUNDS = 7, 3
TRIALS, QUICK_TRIALS = 10, 2
QUICK_SCALE = 10  # how many times fewer rows


def run(
    peers: tuple[str, ...] = ("scikit-learn",),
    quick: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The table: rows of name, ours, peer, unit, peer_name, ratio, bar, aim, met.

    `quick` takes a tenth of the rows and fewer rounds; bars are meant for the whole. Raises
    UsageError for an unknown peer, MissingExtraError for one that is not installed.
    """
    from divmix.benchmarks.speed.peers import load

    load(peers)
    progress = progress or Progress()
    rows = []
    for made in _rows(peers, quick, progress):
        rows.append(made)
        progress.note(f"{made['name']}: {_figures(made)}")
    with_bar = [made for made in rows if made["bar"] is not None]
    return {
        "title": "Speed side by side: ratio = ours / peer, lower is better (shares: higher)",
        "machine": _machine(),
        "quick": quick,
        "bars_met": f"{sum(made['met'] for made in with_bar)} of {len(with_bar)}",
        "rows": rows,
    }


def _rows(peers: tuple[str, ...], quick: bool, progress: Progress) -> Iterator[dict[str, Any]]:
    from threadpoolctl import threadpool_limits

    from divmix.benchmarks.speed import convergence, iterations, processes
    from divmix.kernels import compile as compiling

    rounds, scale = (QUICK_ROUNDS, QUICK_SCALE) if quick else (ROUNDS, 1)
    threads = compiling.threads()
    compiling.set_threads(1)
    try:
        with threadpool_limits(1):
            progress.stage("timing iterations on one thread")
            if "scikit-learn" in peers:
                yield from iterations.against_sklearn(rounds, scale)
            if "mlpack" in peers:
                yield from iterations.against_mlpack(min(rounds, 3), scale)
            if "faiss" in peers:
                yield from iterations.against_faiss(min(rounds, 3), scale)
            yield from iterations.among_ourselves(rounds, scale)
            yield from iterations.gemm_share(rounds, scale)
            progress.stage("timing the particle step")
            yield from iterations.particle_step(rounds)
            if "scikit-learn" in peers:
                progress.stage("timing the way to the same log-likelihood")
                yield from convergence.same_log_likelihood(QUICK_TRIALS if quick else TRIALS, scale)
    finally:
        compiling.set_threads(threads)
    progress.stage("timing whole processes")
    with tempfile.TemporaryDirectory(prefix="divmix-speed-") as name:
        yield from processes.memory(scale)
        yield from processes.first_fit(Path(name))
        yield from processes.end_to_end(
            Path(name), 3 if not quick else 1, scale, "scikit-learn" in peers
        )


def _figures(made: dict[str, Any]) -> str:
    text = f"{made['ours']} {made['unit']}"
    if made["peer"] is not None:
        text += f", {made['peer_name']} {made['peer']}"
    if made["ratio"] is not None:
        text += f", ratio {made['ratio']}"
    return text if made["bar"] is None else f"{text}, bar {made['bar']}"


def _machine() -> str:
    """Processor and system, as the table of a README should name them."""
    try:
        with open("/proc/cpuinfo") as file:
            models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        models = []
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {len(models) or 'unknown'} cores, {platform.system()}"
