"""Numbers that can know nothing of clusters: found, left out, and still a part of the density."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.optimize import linprog

from divmix.choosing.dip import dip, is_unimodal, unrounded
from divmix.choosing.irrelevant import bins, irrelevant_numbers
from divmix.choosing.two_normals import in_two_groups
from divmix.families import Categories, CategoryColumn
from divmix.rows import Features, MemoryRows
from divmix.settings import TableSettings, fit_settings
from divmix.workflows.describe import describe_model
from divmix.workflows.fit import fit_table
from divmix.workflows.select import select_table


def naive_dip(x):
    """The least t with |F - G| <= t over unimodal G, by a linear program for each mode."""
    return min(nearest(np.sort(x), mode) for mode in range(len(x)))


def nearest(x, mode):
    """The same over G convex up to x[mode] and concave from there, where it may jump."""
    n = len(x)
    after, before = np.arange(1, n + 1) / n, np.arange(n) / n
    left, right = list(range(mode + 1)), list(range(mode, n))
    G = dict(zip([("l", i) for i in left] + [("r", i) for i in right], np.eye(n + 2)))
    t = np.eye(n + 2)[-1]
    rows, bounds = [G["l", mode] - G["r", mode]], [0.0]
    for side, part in (("l", left), ("r", right)):
        for i in part:
            inner = i != mode
            for F in [before] * (side == "l" or inner) + [after] * (side == "r" or inner):
                rows += [G[side, i] - t, -G[side, i] - t]
                bounds += [F[i], -F[i]]
        for i in part[1:]:
            rows.append(G[side, i - 1] - G[side, i])
            bounds.append(0.0)
        for i in part[1:-1]:
            slopes = [(G[side, j + 1] - G[side, j]) / (x[j + 1] - x[j]) for j in (i - 1, i)]
            rows.append((slopes[0] - slopes[1]) * (1 if side == "l" else -1))
            bounds.append(0.0)
    return linprog(t, np.array(rows), bounds, bounds=[(0, None)] * (n + 2)).fun


@pytest.mark.parametrize("gap", [0.0, 2.0, 5.0])
def test_the_dip_is_the_distance_to_the_nearest_unimodal_distribution(gap):
    generator = np.random.default_rng(int(gap))
    x = np.concatenate([generator.normal(size=5), generator.normal(gap, 1, 4)])
    assert dip(x, np.full(9, 1 / 9)) == pytest.approx(naive_dip(x), abs=1e-9)


def test_one_mode_is_told_from_two_and_rounding_is_none():
    generator = np.random.default_rng(0)
    one, ones = generator.normal(size=1_000), np.ones(1_000)
    for values in (one, np.exp(one), generator.uniform(size=1_000), np.round(one, 1)):
        assert is_unimodal(values, ones)
    two = one + np.repeat([0.0, 4.0], 500)
    assert not is_unimodal(two, ones)
    assert not is_unimodal(np.round(two, 1), ones)
    # Rows of little weight have little say: what they alone show is no mode.
    assert is_unimodal(two, np.repeat([1.0, 0.001], 500))


def test_equal_values_are_spread_over_the_least_gap():
    spread = unrounded(np.array([2.0, 1.0, 2.0, 5.0]))
    np.testing.assert_allclose(spread, [1.75, 1.0, 2.25, 5.0])


def test_bins_hold_as_much_weight_each_and_equal_values_together():
    found = bins(np.array([3.0, 1.0, 2.0, 4.0]), np.array([1.0, 1.0, 1.0, 1.0]), 2)
    np.testing.assert_array_equal(found, [1, 0, 0, 1])
    assert len(set(bins(np.array([1.0, 1.0, 1.0, 2.0]), np.ones(4), 4)[:3])) == 1


def columns(**named):
    X = np.column_stack(list(named.values()))
    return MemoryRows((X - X.mean(axis=0)) / X.std(axis=0))


def test_noise_is_left_out_and_what_knows_something_is_kept():
    generator = np.random.default_rng(1)
    n = 600
    group = generator.integers(2, size=n)
    angle = generator.uniform(0, 2 * np.pi, n)
    radius = generator.normal(1, 0.1, n)
    table = {
        "modes": generator.normal(8.0 * group),  # 0: depends on no other, but has two modes
        "noise": generator.normal(size=n),  # 1
        "ring_x": radius * np.cos(angle),  # 2 and 3: uncorrelated, one in a function of the other
        "ring_y": radius * np.sin(angle),
        "even": generator.uniform(size=n),  # 4
    }
    assert irrelevant_numbers(columns(**table)).tolist() == [1, 4]


def test_what_columns_tell_only_together_is_seen():
    generator = np.random.default_rng(0)
    corner = generator.integers(2, size=(800, 2))
    x, y = (generator.normal(6.0 * one) for one in corner.T)
    odd = generator.normal(1.0 * (corner[:, 0] ^ corner[:, 1]))  # one mode
    noise = generator.normal(size=800)
    assert irrelevant_numbers(columns(x=x, y=y, odd=odd, noise=noise)).tolist() == [3]


def test_a_category_that_tells_of_a_number_keeps_it():
    generator = np.random.default_rng(0)
    group = generator.integers(2, size=500)
    X = np.column_stack([
        generator.normal(6.0 * generator.integers(2, size=500)), generator.normal(0.8 * group),
        generator.normal(size=500), group - 0.5,
    ])  # fmt: skip
    text = Categories(4, (CategoryColumn((3,), (0.5,), True, name="text"),))
    features = Features(np.array([False, False, False, True]), categories=text)
    assert irrelevant_numbers(MemoryRows(X, features=features)).tolist() == [2]


def test_of_noise_alone_every_column_is_kept():
    X = np.random.default_rng(0).normal(size=(300, 4))
    assert not len(irrelevant_numbers(MemoryRows(X)))


def blobs(noise, text=False, n=300):
    generator = np.random.default_rng(2)
    group = np.arange(n) % 3
    frame = pd.DataFrame(generator.normal(size=(n, 2)), columns=["a", "b"])
    frame["a"] += 4.0 * (group == 1)
    frame["b"] += 4.0 * (group == 2)
    if text:
        frame["word"] = np.where(generator.random(n) < 0.8, group, generator.integers(3, size=n))
        frame["word"] = frame["word"].map({0: "red", 1: "green", 2: "blue"})
    for j in range(noise):
        frame.insert(2 * (j % 2), f"n{j}", 100.0 + 5.0 * generator.normal(size=n))
    return frame


def fit(frame, **settings):
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return fit_table(table, fit_settings(**{"clusters": 3, "threads": 1} | settings))


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("covariance", ["full", "spherical"])
def test_noise_changes_no_label_and_keeps_its_density(text, covariance, tmp_path):
    plain = fit(blobs(0, text), covariance=covariance)
    fitted = fit(blobs(4, text), covariance=covariance)
    np.testing.assert_array_equal(fitted.scores.cluster, plain.scores.cluster)
    assert any(
        "n2" in note and "one normal density in all clusters" in note for note in fitted.notes
    )
    entropies = 0.5 * np.log(2 * np.pi * np.e) + np.log(
        blobs(4, text).filter(regex="n[0-9]").std(ddof=0)
    )
    gain = fitted.log_likelihood - plain.log_likelihood
    assert gain == pytest.approx(-entropies.sum(), abs=1e-6)
    assert fitted.trace[-1].log_likelihood == pytest.approx(fitted.log_likelihood, abs=1e-6)
    fitted.mixture.save(tmp_path / "model.divmix")
    described = describe_model(tmp_path / "model.divmix")
    assert described["parameters"] == n_parameters(plain, tmp_path) + 2 * 4
    assert all(one["column"][0] != "n" for own in described["clusters"] for one in own["apart"])
    X, _ = fitted.mixture.draw(4_000, np.random.default_rng(0))
    drawn = fitted.mixture.design.inverse(X).to_pandas()
    assert drawn["n1"].mean() == pytest.approx(100, abs=1.0)
    assert drawn["n1"].std() == pytest.approx(5.0, rel=0.15)
    assert fitted.mixture.cut(2).score(fitted.X).cluster.max() == 1


def n_parameters(fitted, folder):
    fitted.mixture.save(folder / "plain.divmix")
    return describe_model(folder / "plain.divmix")["parameters"]


def test_noise_changes_neither_the_number_of_clusters_nor_their_criteria():
    plain, noisy = (
        select_table(
            pa.Table.from_pandas(blobs(noise), preserve_index=False),
            2, 4, fit_settings(clusters="auto", covariance="full", threads=1), TableSettings(),
        )
        for noise in (0, 4)
    )  # fmt: skip
    assert noisy["clusters"] == plain["clusters"] == 3
    gaps = [np.diff([row["bic"] for row in document["rows"]]) for document in (plain, noisy)]
    np.testing.assert_allclose(*gaps, atol=1e-6)


def test_a_broad_component_leaves_noise_out_too():
    frame = blobs(3)
    plain = fit(blobs(0), noise=True)
    fitted = fit(frame, noise=True)
    np.testing.assert_array_equal(fitted.scores.cluster, plain.scores.cluster)


def test_a_small_group_of_values_keeps_its_column():
    generator = np.random.default_rng(3)
    n = 1_000
    group = generator.integers(2, size=n)
    small = generator.normal(size=n)
    small[:15] += 9.0  # the dip test does not see them
    skewed = generator.standard_t(3, size=n)
    found = irrelevant_numbers(
        columns(one=generator.normal(6.0 * group), other=generator.normal(6.0 * group), small=small)
    )
    assert not len(found)
    assert not in_two_groups(skewed, np.ones(n))
    assert not in_two_groups(generator.uniform(size=n), np.ones(n))


def test_few_rows_do_not_tell_that_a_column_knows_nothing():
    generator = np.random.default_rng(2)
    for n, found in ((60, []), (600, [1])):
        group = generator.integers(2, size=n)
        table = {"modes": generator.normal(8.0 * group), "noise": generator.normal(size=n)}
        assert irrelevant_numbers(columns(**table)).tolist() == found
