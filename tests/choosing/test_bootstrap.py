"""Clusters over resampled rows: how often each is found, and between what its figures lie."""

import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from divmix.choosing.bootstrap import Resamples, interval, matched, resampled, similarities
from divmix.cli.summary import _resamples
from divmix.core import Interrupted
from divmix.rows import MemoryRows
from divmix.settings import fit_settings
from divmix.workflows.fit import fit_table


def test_similarity_is_rows_in_both_over_rows_in_either():
    one, other = np.array([0, 0, 1, 1, -1]), np.array([0, 1, 1, 1, 1])
    weights = np.array([1.0, 2.0, 1.0, 1.0, 3.0])
    expected = [[1 / 3, 2 / 8], [0, 2 / 7]]
    np.testing.assert_allclose(similarities(one, other, weights), expected)


def test_a_counterpart_has_more_than_half_of_the_rows():
    similar = np.array([[0.2, 0.9], [0.5, 0.1]])
    jaccard, weights, means = matched(similar, np.array([0.3, 0.7]), np.array([[1.0], [2.0]]))
    np.testing.assert_array_equal(jaccard, [0.9, 0.5])
    np.testing.assert_array_equal(weights, [0.7, np.nan])
    np.testing.assert_array_equal(means, [[2.0], [np.nan]])


def test_found_is_what_most_of_a_cluster_came_back_of():
    jaccard = np.array([[1.0, 0.74], [0.75, 0.9]])
    found = Resamples(jaccard, jaccard, jaccard[:, :, None]).found
    np.testing.assert_array_equal(found, [1.0, 0.5])


def test_an_interval_needs_ten_values():
    values = np.append(np.arange(41.0), np.nan)
    assert interval(values) == (1.0, 39.0)
    assert interval(np.append(np.arange(9.0), np.nan)) is None


def test_rows_are_drawn_with_replacement_by_their_weights():
    weights = np.array([2.0, 0.0] * 500)
    drawn = resampled(MemoryRows(np.zeros((1_000, 1)), weights), np.random.default_rng(0))
    times = drawn.matrix.row_weights[::2] / 2.0
    assert times.sum() == 500 and (drawn.matrix.row_weights[1::2] == 0).all()
    assert (times == 0).mean() == pytest.approx(np.exp(-1), abs=0.05)


def blobs(third, noise=False):
    """Two clusters far apart, and one that lies `third` standard deviations beside the first."""
    generator = np.random.default_rng(0)
    sizes, places = (150, 100, 50), (0.0, 30.0, third)
    frame = pd.DataFrame({
        "a": np.concatenate([10.0 * (p + generator.normal(size=n)) for n, p in zip(sizes, places)]),
        "b": generator.normal(size=300),
    })  # fmt: skip
    frame["b"] += 0.5 * frame["a"]
    if noise:
        frame["c"] = generator.uniform(size=300)
    return pa.Table.from_pandas(frame, preserve_index=False)


def fit(table, **settings):
    return fit_table(table, fit_settings(**{"clusters": 3, "threads": 1} | settings))


FAST = {"method": "em", "covariance": "tied"}


def test_clusters_far_apart_are_always_found_between_narrow_bounds():
    table = blobs(third=60.0)
    fitted = fit(table, bootstrap=25, **FAST)
    told = fitted.stability
    assert told.resamples == 25
    for c, own in enumerate(told.clusters):
        assert own["found"] == 1.0 and own["jaccard"] > 0.99
        low, high = own["weight_interval"]
        weight = fitted.mixture.cluster_weights[c]
        assert low < weight < high
        deviation = np.sqrt(weight * (1 - weight) / 300)
        assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.5)
        rows = table["a"].to_numpy()[fitted.scores.cluster == c]
        low, high = own["mean_intervals"]["a"]
        assert low < rows.mean() < high
        expected = 2 * 1.96 * rows.std() / np.sqrt(len(rows))
        assert high - low == pytest.approx(expected, rel=0.6)


def test_clusters_that_are_none_are_found_less_often_than_one_that_is():
    fitted = fit(blobs(1.5), bootstrap=20, method="em", covariance="spherical", restarts=5)
    found = [own["found"] for own in fitted.stability.clusters]
    assert found[1] >= 0.9  # the one far away
    assert max(found[0], found[2]) < 0.8


def test_the_default_method_tells_it_of_unions_and_beside_noise_columns():
    fitted = fit(blobs(third=60.0, noise=True), bootstrap=10, merge="overlap")
    for own in fitted.stability.clusters:
        assert own["found"] == 1.0 and set(own["mean_intervals"]) == {"a", "b"}


def test_the_fit_is_that_without_resamples_and_these_are_the_same_again():
    plain, one, other = (fit(blobs(8.0), bootstrap=count, **FAST) for count in (None, 10, 10))
    np.testing.assert_array_equal(plain.scores.log_density, one.scores.log_density)
    assert plain.stability is None and len(plain.trace) == len(one.trace)
    assert one.stability == other.stability


def test_a_signal_while_rows_are_resampled_ends_the_fit():
    lines = len(fit(blobs(8.0), **FAST).trace)
    asked = iter([False] * (lines + 3) + [True] * 100)
    settings = fit_settings(clusters=3, bootstrap=20, threads=1, **FAST)
    with pytest.raises(Interrupted):
        fit_table(blobs(8.0), settings, should_stop=lambda: next(asked))


def test_the_run_stores_it_and_the_summary_tells_it(tmp_path, monkeypatch):
    import pyarrow.csv as csv
    from click.testing import CliRunner

    from divmix.cli.main import cli

    monkeypatch.chdir(tmp_path)
    csv.write_csv(blobs(third=60.0), "t.csv")
    args = "fit t.csv -k 3 --method em --covariance tied --bootstrap 12 --threads 1 -v"
    done = CliRunner().invoke(cli, args.split())
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "t.divmix" / "run.json").read_text())["result"]
    assert result["bootstrap"]["resamples"] == 12
    for own in result["clusters"]:
        assert own["found"] == 1.0 and own["weight_interval"] and own["mean_intervals"]["a"]
    assert "12: each cluster is found in 100% of them or more" in done.stderr
    assert re.search(r"a -?[\d.]+ \[-?[\d.]+, -?[\d.]+\] \(", done.stderr)


def test_clusters_that_are_seldom_found_are_named():
    clusters = [{"cluster": 0, "found": 0.96}, {"cluster": 1, "found": 0.62}]
    told = _resamples({"bootstrap": {"resamples": 50}, "clusters": clusters})
    assert told == "50: cluster 1 is found in 62% of them, the others in 96% of them or more"
