"""The simulated time of a visit on a cluster: what is known of it without a simulation."""

import numpy as np
import pytest

from divmix.benchmarks.cluster import Costs, mean_visit, visit_seconds
from divmix.rows.segments import segment_rows

SEGMENT = segment_rows(8)


def seconds(segments, workers, costs, cores=None):
    generator = np.random.default_rng(0)
    return visit_seconds(segments * SEGMENT, 8, workers, costs, generator, cores)


def test_one_worker_does_all_rows_and_the_round():
    costs = Costs(row=1 / SEGMENT, task=0.0, round=0.5)
    assert seconds(24, 1, costs) == pytest.approx(24.5)
    assert visit_seconds(SEGMENT // 2, 8, 1, costs, np.random.default_rng(0)) == pytest.approx(1)


def test_workers_share_the_rows_and_the_cores():
    costs = Costs(row=1 / SEGMENT, task=0.0, round=0.0)
    assert seconds(24, 4, costs) == pytest.approx(6)
    assert seconds(24, 4, costs, cores=2) == pytest.approx(12)
    # Three workers have five tasks of two segments: two of them have two.
    assert seconds(10, 3, costs) == pytest.approx(4)


def test_the_one_who_sends_the_tasks_bounds_many_workers():
    costs = Costs(row=1e-9, task=0.01, round=0.0)
    few, many = seconds(4096, 8, costs), seconds(4096, 4096, costs)
    assert many > few and many >= 0.01 * 4096


def test_a_visit_waits_for_stragglers():
    costs = Costs(row=1 / SEGMENT, task=0.0, round=0.0)
    late = costs._replace(straggling=0.5)
    assert mean_visit(64 * SEGMENT, 8, 64, costs) == pytest.approx(1)
    assert mean_visit(64 * SEGMENT, 8, 64, late) > 2
