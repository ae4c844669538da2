"""Powers that make columns symmetric: what they undo, what leaves them alone, and the way back."""

import json

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from divmix.design import powers, symmetry
from divmix.design.design import Design
from divmix.design.prepare import design_matrix
from divmix.design.preprocessing import Preprocessing
from divmix.progress import Progress
from divmix.settings import TableSettings


def symmetric(columns, **settings):
    table = pa.table(columns)
    design = Design(Preprocessing.learn(table, TableSettings(**settings)))
    rows = design_matrix(table, design, Progress())
    return symmetry.symmetric(design, rows.X, rows.row_weights), table


def power_of(x):
    design, _ = symmetric({"x": x})
    return design.preprocessing.columns[0].power


def test_powers_are_those_of_yeo_and_johnson_and_go_back():
    u = np.array([-1e3, -3.0, -0.2, 0.0, 0.5, 4.0, 1e3])
    for power in (0.0, 0.4, 1.0, 1.7, 2.0):
        z = powers.yeo_johnson(u, power)
        np.testing.assert_allclose(z, stats.yeojohnson(u, power), rtol=1e-12)
        np.testing.assert_allclose(powers.inverse(z, power), u, rtol=1e-9)
        step = 1e-6
        slope = (powers.yeo_johnson(u + step, power) - z) / step
        np.testing.assert_allclose(np.exp(powers.log_slope(u, power)), slope, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("side", [1, -1])
def test_a_skewed_column_becomes_symmetric(side):
    x = side * np.random.default_rng(0).gamma(1.5, size=2_000)
    design, table = symmetric({"x": x}, log=())
    z = design.transform(table).X[:, 0]
    assert abs(stats.skew(x)) > 1.4 and abs(stats.skew(z)) < 0.4
    assert (design.preprocessing.columns[0].power < 1) == (side > 0)


def test_a_column_that_may_be_symmetric_stays_as_it_is():
    seeds = range(40)
    powers = [power_of(np.random.default_rng(seed).standard_t(3, size=200)) for seed in seeds]
    assert np.mean([power == 1 for power in powers]) > 0.9  # two standard errors: .95


def test_how_far_anomalies_lie_does_not_move_the_power():
    x = np.exp(0.4 * np.random.default_rng(1).normal(size=1_000))
    clean = power_of(x)
    found = []
    for far in (10.0, 1e6):
        x[:20] = far + np.arange(20)
        found.append(power_of(x))
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert 0 < found[0] < 1 and found[0] == pytest.approx(clean, abs=0.25)


def test_columns_whose_tenths_lie_together_stay_as_they_are():
    x = np.where(np.arange(500) < 420, 0.0, np.exp(np.arange(500) / 100))
    assert power_of(x) == 1.0


def test_rows_go_there_and_back_and_densities_have_the_units_of_the_table():
    generator = np.random.default_rng(2)
    x = np.exp(generator.normal(size=400))
    heavy = np.exp(1.5 * generator.normal(size=400))
    design, table = symmetric({"x": x, "heavy": heavy}, log=("heavy",))
    columns = design.preprocessing.columns
    assert columns[0].power < 1 and columns[1].log and columns[1].power < 1
    new = pa.table({"x": [-30.0, 0.0, 900.0], "heavy": [0.0, 3.0, 1e6]})
    found = design.transform(new)
    for name, column in zip(new.column_names, design.preprocessing.inverse(found.X).columns):
        np.testing.assert_allclose(column, new[name], rtol=1e-6, atol=1e-6, err_msg=name)
    step = 1e-6
    moved = design.transform(
        pa.table({name: np.asarray(new[name]) + step for name in ("x", "heavy")})
    )
    slopes = (moved.X - found.X) / step
    np.testing.assert_allclose(found.log_jacobian, np.log(slopes).sum(axis=1), atol=2e-2)


def test_a_description_keeps_powers_and_leaves_out_those_that_change_nothing():
    generator = np.random.default_rng(3)
    design, _ = symmetric(
        {"x": np.exp(generator.normal(size=300)), "y": generator.normal(size=300)}
    )
    document = json.loads(json.dumps(design.preprocessing.to_dict()))
    assert ["power" in column for column in document["columns"]] == [True, False]
    assert Preprocessing.from_dict(document) == design.preprocessing
