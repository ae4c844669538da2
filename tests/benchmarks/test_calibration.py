"""The benchmark of p-values and flags, on few small tables."""

import json

import numpy as np
import pytest

from divmix.benchmarks import calibration, streams
from divmix.benchmarks.calibration import Drawn, Judged
from divmix.benchmarks.made_tables import clean
from divmix.errors import InputError
from divmix.progress import Progress


@pytest.mark.parametrize("kind", clean.KINDS)
def test_clean_tables_are_the_same_each_time_and_anomalies_are_planted_in_them(kind):
    drawn, again = (calibration.draw(kind, 200, 5) for _ in range(2))
    assert drawn.known.equals(again.known) and drawn.new_planted.equals(again.new_planted)
    assert drawn.known.num_rows == drawn.new.num_rows == 200 and drawn.strange.sum() == 4
    for plain, planted in ((drawn.known, drawn.known_planted), (drawn.new, drawn.new_planted)):
        X, Y = (
            table.select([n for n in table.column_names if n[0] == "x"])
            for table in (plain, planted)
        )
        X, Y = (np.column_stack([np.asarray(column) for column in part.columns]) for part in (X, Y))
        np.testing.assert_array_equal((X != Y).any(axis=1), drawn.strange)
        far = np.abs(Y[drawn.strange] - X.mean(axis=0)) / X.std(axis=0)
        assert np.median(far.max(axis=1)) > 2.5


def test_the_figures_are_shares_over_all_tables():
    strange = np.arange(200) < 4
    drawn = [Drawn(None, None, None, None, strange)] * 2
    few, none = np.arange(200) < 5, np.zeros(200, bool)
    p_values = (np.arange(200) + 1) / 200
    told = calibration.figures(
        drawn, [Judged(p_values, none, few), Judged(np.ones(200), few, none)]
    )
    # By hand: 10 of 400 p-values up to .05, 2 up to .01; 1 of 5 flags is false in one of two tables.
    assert told == {
        "0.05": 0.5,
        "0.01": 0.5,
        "0.001": 0.0,
        "any flag": 0.5,
        "false": 0.1,
        "found": 0.5,
    }


def test_every_method_is_measured_and_what_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr(streams, "BATCHES", 20)
    told = calibration.run(seeds=1, rows=150, first_seed=3, sets=("normal", "categories"))
    json.dumps(told)
    methods = list(calibration.judges())
    assert [(row["kind"], row["method"]) for row in told["rows"]] == [
        (kind, method) for kind in ("normal", "categories") for method in methods
    ]
    own, known = told["rows"][0], told["rows"][1]
    assert own["0.05"] <= 1.5 and own["any flag"] == 0 and own["found"] > 0.5
    assert known["0.05"] <= 3 and known["0.001"] == 0  # of 75 known scores none is below 1 / 76
    peers = {"nonconform": methods, "online-fdr": [row["rule"] for row in told["streams"]]}
    for package, names in peers.items():
        measured = any(name.startswith(package) for name in names)
        assert measured != (f"{package} is not installed" in told["left_out"])
    with pytest.raises(InputError, match="no kind 'odd'"):
        calibration.run(sets=("odd",))


def test_the_rules_of_a_stream_keep_the_rate_and_each_batch_alone_does_not(monkeypatch):
    monkeypatch.setattr(streams, "BATCHES", 60)
    told = {row["rule"]: row for row in streams.run(4, 0, Progress()).rows}
    assert told["saffron"]["false"] <= 0.06 and told["saffron"]["found"] > 0.5
    assert told["lond"]["false"] <= 0.06 < told["each batch alone"]["false"]


def test_packages_of_peers_flag_as_ours_where_they_are_there():
    pytest.importorskip("online_fdr", reason="the extra bench is not installed")
    told = {row["rule"]: row for row in streams.run(1, 0, Progress()).rows}
    assert told["online-fdr, BatchStoreyBH"]["false"] <= 0.1
    assert abs(told["online-fdr, BatchStoreyBH"]["found"] - told["saffron"]["found"]) < 0.3
