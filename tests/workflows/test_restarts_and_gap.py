"""Several starts, and the bound on what a fit could still gain."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from divmix.certificate.gap import best_weights
from divmix.core import Interrupted
from divmix.errors import UsageError
from divmix.settings import TableSettings, fit_settings
from divmix.workflows.fit import fit_table, run_fit


def grid(seed=0, rows=600):
    """Nine round groups: one start of EM from random rows seldom finds them all."""
    generator = np.random.default_rng(seed)
    label = np.arange(rows) % 9
    points = np.stack([label % 3, label // 3], axis=1) * 8.0
    points += generator.normal(size=points.shape)
    return pd.DataFrame({"x": points[:, 0], "y": 100 * points[:, 1]})


def fitted(frame, **changes):
    em = {} if "method" in changes else {"method": "em", "init": "random"}
    settings = fit_settings(**{"clusters": 9} | em | changes)
    return fit_table(pa.Table.from_pandas(frame, preserve_index=False), settings)


def test_the_best_start_is_kept_and_told():
    single = fitted(grid())
    fit = fitted(grid(), restarts=6)
    assert fit.spread.starts == 6
    assert fit.spread.worst < fit.spread.median < fit.spread.best == fit.spread.kept
    assert fit.log_likelihood == pytest.approx(fit.spread.best, abs=1e-9)
    assert fit.spread.worst - 1e-9 <= single.log_likelihood <= fit.spread.best + 1e-9
    last = fit.trace[-1]
    assert last.iteration == len(fit.trace) - 1  # the trace of that start alone
    assert last.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-3)


def test_a_signal_in_a_later_start_ends_the_fit_without_a_result():
    first = len(fitted(grid(), max_iter=3).trace)
    asked = iter([False] * (first + 1) + [True] * 10)
    settings = fit_settings(clusters=9, method="em", init="random", max_iter=3, restarts=5)
    table = pa.Table.from_pandas(grid(), preserve_index=False)
    with pytest.raises(Interrupted):
        fit_table(table, settings, should_stop=lambda: next(asked))


def test_restarts_are_the_same_again():
    first, again = (fitted(grid(), restarts=3, seed=4) for _ in range(2))
    assert first.spread == again.spread
    np.testing.assert_array_equal(first.scores.log_density, again.scores.log_density)


def test_time_that_is_up_ends_the_restarts():
    fit = fitted(grid(), restarts=1000, tol=0.0, max_iter=50, time_budget=0.2)
    assert 1 <= fit.spread.starts < 1000


def test_gap_is_small_where_nothing_is_missing_and_large_where_a_group_is():
    whole = fitted(grid(), method="diversified", gap=True)
    lacking = fitted(grid(), method="diversified", clusters=4, merge="kl", gap=True)
    assert 0 <= whole.gap < lacking.gap
    assert lacking.gap > whole.log_likelihood - lacking.log_likelihood > 0


@pytest.mark.parametrize("covariance", ["spherical", "diag", "tied"])
def test_gap_bounds_what_more_components_gain(covariance):
    frame = grid()
    coarse = fitted(frame, clusters=5, covariance=covariance, gap=True)
    fine = fitted(frame, method="diversified", covariance=covariance)
    assert coarse.gap >= fine.log_likelihood - coarse.log_likelihood > 0


def test_gap_and_restarts_are_written_to_the_run_folder(tmp_path):
    grid().to_csv(tmp_path / "grid.csv", index=False)
    settings = fit_settings(clusters=3, method="em", max_iter=5, restarts=2, gap=True)
    run_fit([str(tmp_path / "grid.csv")], settings, TableSettings(), tmp_path / "run")
    result = json.loads((tmp_path / "run" / "run.json").read_text())["result"]
    gaps = pd.read_csv(tmp_path / "run" / "trace.csv")["gap"]
    assert gaps.iloc[-1] == pytest.approx(result["gap"]) and gaps.iloc[:-1].isna().all()
    assert result["restarts"]["starts"] == 2
    assert result["restarts"]["best"] >= result["restarts"]["worst"]


def test_gap_of_student_components_is_refused():
    with pytest.raises(UsageError, match="--gap"):
        fitted(grid(), family="student", gap=True)


def test_best_weights_are_those_of_the_share_that_each_component_has():
    # Two components that no row shares: the best weights are the shares of the rows in each.
    log_densities = np.log([[1.0, 1e-9], [1.0, 1e-9], [1.0, 1e-9], [1e-9, 1.0]])
    weights = best_weights(log_densities, np.full(4, 0.25))
    np.testing.assert_allclose(weights, [0.75, 0.25], atol=1e-6)
