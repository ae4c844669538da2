"""Starts of a fit side by side: the same result as one after the other."""

import threading
import time

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import make_blobs

from divmix.engine.checkpoint import Interrupted
from divmix.engine.monitor import Monitor
from divmix.engine.side_by_side import side_by_side
from divmix.errors import FitError
from divmix.kernels import compile as compiling
from divmix.settings import fit_settings
from divmix.workflows.fit import fit_table


@pytest.fixture(autouse=True)
def two_threads():
    compiling.set_threads(2)
    yield
    compiling.set_threads(None)


def test_results_come_in_the_order_of_their_numbers_and_threads_are_given_back():
    running, most = [], []

    def start(number, own):
        running.append(number)
        most.append(len(running))
        time.sleep(0.02 * (3 - number % 3))
        running.remove(number)
        return number * 10

    assert side_by_side(start, 5, Monitor()) == [0, 10, 20, 30, 40]
    assert max(most) == 2 and compiling.threads() == 2


def test_the_error_of_a_start_ends_them_all():
    begun = []

    def start(number, own):
        begun.append(number)
        if number == 1:
            raise FitError("no", hint="none")
        while not own.stop_reason():
            time.sleep(0.005)

    began = time.monotonic()
    with pytest.raises(FitError):
        side_by_side(lambda number, own: start(number, own) if number else None, 8, Monitor())
    assert time.monotonic() - began < 20 and len(begun) < 8


def test_a_signal_ends_all_starts():
    asked = threading.Event()

    def start(number, own):
        asked.set()
        while not own.stop_reason():
            time.sleep(0.005)

    with pytest.raises(Interrupted):
        side_by_side(start, 4, Monitor(should_stop=asked.is_set))


def test_after_the_time_budget_no_start_begins_but_the_first():
    monitor = Monitor(time_budget=1e-9)
    assert side_by_side(lambda number, own: number, 4, monitor) == [0]


@pytest.mark.parametrize("method", ["diversified", "em"])
def test_the_best_of_several_starts_does_not_depend_on_threads(method):
    X, _ = make_blobs(600, centers=6, cluster_std=2.0, random_state=0)
    table = pa.table({f"x{j}": column.copy() for j, column in enumerate(X.T)})
    fits = [
        fit_table(table, fit_settings(clusters=6, restarts=3, method=method, threads=threads))
        for threads in (1, 2, 3)
    ]
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.scores.log_density, fits[0].scores.log_density)
        assert fit.spread == fits[0].spread
        assert [row.log_likelihood for row in fit.trace] == [
            row.log_likelihood for row in fits[0].trace
        ]
