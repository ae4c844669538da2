"""The shape of components by held-out rows, and alpha by cross-validation, on made data."""

import numpy as np
import pyarrow as pa
import pytest

from divmix.choosing import alpha as choosing_alpha
from divmix.choosing.alpha import ALPHAS, choose_alpha
from divmix.choosing.covariance import (
    MOST_FULL_COLUMNS,
    candidate_shapes,
    choose_shape,
    variance_floor,
)
from divmix.engine.monitor import Monitor
from divmix.families import Components, make_family
from divmix.metrics import clustering_metrics
from divmix.rows import MemoryRows
from divmix.search.run import Model, Searching
from divmix.settings import DiversifiedSettings
from divmix.workflows.fit import fit_table

FLOOR = np.full(2, 1e-6)


def clusters(factors, n=400, seed=0):
    """Rows of one cluster for each factor (2, 2) of its covariance, far apart."""
    generator = np.random.default_rng(seed)
    return np.concatenate([
        np.array([30.0 * j, 10.0 * j]) + generator.standard_normal((n, 2)) @ factor.T
        for j, factor in enumerate(factors)
    ])  # fmt: skip


def chosen(X, shapes, k=2, family="gaussian", seed=0):
    generator = np.random.default_rng(seed)
    floor = np.full(X.shape[1], 1e-6)
    return choose_shape(MemoryRows(X), family, floor, k, shapes, generator, Monitor())


ROUND, FLAT, SLANTED = np.eye(2), np.diag([4.0, 0.25]), np.array([[2.0, 0.0], [1.9, 0.3]])


@pytest.mark.parametrize("family", ["gaussian", "student"])
def test_full_matrices_are_chosen_where_clusters_slant_in_different_directions(family):
    X = clusters([SLANTED, SLANTED * [[1], [-1]]])
    shapes = candidate_shapes("auto", 1.0, family, 2)
    assert chosen(X, shapes, family=family).covariance == "full"


def test_one_slanted_matrix_for_all_is_not_taken_for_diagonal_ones():
    shapes = [("spherical", 1.0), ("diag", 1.0), ("tied", 1.0)]
    assert chosen(clusters([SLANTED, SLANTED]), shapes).covariance == "tied"
    assert chosen(clusters([FLAT, FLAT[::-1, ::-1]]), shapes).covariance == "diag"


def test_differences_of_chance_leave_full_matrices():
    shapes = candidate_shapes("auto", 1.0, "gaussian", 2)
    assert chosen(clusters([ROUND, ROUND], n=60), shapes).covariance == "full"


def test_many_columns_on_few_rows_are_no_reason_for_full_matrices():
    X = np.random.default_rng(0).standard_normal((80, 20))
    shapes = candidate_shapes("auto", 1.0, "gaussian", 20)
    assert chosen(X, shapes, k=3).covariance != "full"


def test_a_shape_that_is_given_is_the_only_candidate():
    assert candidate_shapes("diag", None, "gaussian", 2) == [("diag", 1.0)]
    assert len(candidate_shapes("diag", "auto", "gaussian", 2)) == 2
    assert not {"tied"} & {one for one, _ in candidate_shapes("auto", None, "student", 2)}
    wide = candidate_shapes("auto", None, "gaussian", MOST_FULL_COLUMNS + 1)
    assert {one for one, _ in wide} == {"spherical", "diag"}


def test_alpha_is_chosen_with_the_model_of_the_best_held_out_rows():
    X = np.random.default_rng(0).standard_normal((200, 2)) @ SLANTED.T
    models = [Model(make_family("gaussian", one, FLOOR)) for one in ("spherical", "full")]
    searching = Searching(MemoryRows(X), *models[0], Monitor(), 1)
    choice = choose_alpha(MemoryRows(X), models, ("kl",), searching, None, 0)
    assert choice.model is models[1] and choice.merge == "kl"
    assert choice.alpha in ALPHAS and choice.gain >= 0


def test_the_alpha_of_the_largest_mean_is_chosen_and_its_gain_told(monkeypatch):
    means = {"kl": np.array([-2.0, -1.5, -1.7]), "overlap": np.array([-1.9, -1.8, -1.6])}
    monkeypatch.setattr(choosing_alpha, "ALPHAS", (0.0, 0.1, 0.2))
    monkeypatch.setattr(
        choosing_alpha, "held_out_by_alpha", lambda rows, searching, *_: means[searching.merge]
    )
    model = Model(make_family("gaussian", "diag", FLOOR))
    searching = Searching(MemoryRows(np.zeros((4, 2))), *model, Monitor(), 2)
    choice = choose_alpha(searching.sample, [model], ("overlap", "kl"), searching, None, 0)
    assert (choice.merge, choice.alpha) == ("kl", 0.1)
    assert choice.gain == pytest.approx(0.5)


@pytest.mark.parametrize("place", [0.0, 0.3, 0.5])
def test_densities_at_the_values_of_a_column_are_probabilities(place):
    step = 0.1
    values = step * np.arange(-20.0, 21)[:, None]
    family = make_family("gaussian", "diag", variance_floor(MemoryRows(values), 1e-6))
    narrowest = Components(np.ones(1), np.array([[place * step]]), family.floor[None])
    densities = np.exp(family.log_densities(values, narrowest))
    assert step * densities.sum() == pytest.approx(1, abs=0.02)


def test_codes_that_are_numbers_do_not_outweigh_clusters():
    truth = np.repeat([0, 1, 2], [100, 70, 50])
    found = []
    for seed in range(4):
        generator = np.random.default_rng(seed)
        numbers = np.array([[0, 0], [5, 0], [0, 5]])[truth]
        numbers = numbers + generator.standard_normal((len(truth), 2))
        codes = generator.integers([2, 4, 3], size=(len(truth), 3))
        partly = generator.uniform(size=len(truth)) < 0.5
        codes[partly, 2] = truth[partly]
        table = pa.table({f"x{j}": column for j, column in enumerate([*numbers.T, *codes.T])})
        fit = fit_table(table, DiversifiedSettings(clusters=3))
        found.append(clustering_metrics(truth, fit.scores.cluster)["ari"])
    assert np.mean(found) > 0.85
