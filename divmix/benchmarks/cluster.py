"""How long the workers of a cluster take to visit rows: a simulation by costs that are measured."""

from typing import NamedTuple

import numpy as np

from divmix.rows.dask import TASKS_EACH, task_ranges
from divmix.rows.segments import segment_rows


class Costs(NamedTuple):
    """row : seconds of a worker for a row. task : seconds that the process which sends the tasks
    and adds up their sums spends on each. round : seconds of a visit to next to no rows.
    straggling : standard deviation of the logarithm of the time that a task takes.
    """

    row: float
    task: float
    round: float
    straggling: float = 0.0


def visit_seconds(
    rows: int,
    features: int,
    workers: int,
    costs: Costs,
    generator: np.random.Generator,
    cores: int | None = None,
) -> float:
    """Seconds of one visit to `rows` of so many features by workers of one thread each, on `cores`
    that they share, None for a core each. Tasks are sent one after the other, each to its home."""
    size = segment_rows(features)
    tasks = task_ranges(-(-rows // size), TASKS_EACH * workers)
    rows_of = np.diff([*(task.start * size for task in tasks), rows])
    late = np.exp(costs.straggling * generator.standard_normal(len(tasks)))
    shared = 1.0 if cores is None else max(1.0, workers / cores)
    free = np.zeros(workers)
    for number, seconds in enumerate(shared * costs.row * rows_of * late):
        home = number * workers // len(tasks)
        free[home] = max(free[home], number * costs.task) + seconds
    return costs.round + max(free.max(), len(tasks) * costs.task)


def mean_visit(
    rows: int, features: int, workers: int, costs: Costs, cores: int | None = None, visits: int = 50
) -> float:
    """Seconds of a visit, the mean of so many."""
    generator = np.random.default_rng(0)
    times = [visit_seconds(rows, features, workers, costs, generator, cores) for _ in range(visits)]
    return float(np.mean(times))
