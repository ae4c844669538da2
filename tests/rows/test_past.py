"""What a mixture stands for: exact at the mixture, and following components that move."""

import numpy as np
import pytest

from divmix.families import Components, make_family
from divmix.rows import MemoryRows
from divmix.rows.past import LEAST_DRAWN, Past, RowsAfterPast, drawn_rows

LAWS = [("gaussian", one) for one in ("spherical", "diag", "tied", "full")]
LAWS += [("student", one) for one in ("spherical", "diag", "full")]


def overlapping(law, structure, seed=0):
    """Three components of a family that have many rows in common."""
    generator = np.random.default_rng(seed)
    family = make_family(law, structure, np.full(2, 1e-6))
    means = np.array([[0.0, 0.0], [1.5, 0.5], [0.0, 2.0]])
    start = family.start(np.array([0.5, 0.3, 0.2]), means, np.array([[1.0, 0.3], [0.3, 1.5]]))
    return family, start, generator


def parts(components):
    return [own for own in components if own is not None]


def rows_of(family, components, n, generator):
    labels = generator.choice(components.count, n, p=components.weights)
    return MemoryRows(family.draw(components, labels, generator))


@pytest.mark.parametrize("law, structure", LAWS)
def test_at_the_mixture_the_past_is_what_it_expects(law, structure):
    family, components, generator = overlapping(law, structure)
    past = Past(family, components, 5000.0, -3.25, generator)
    found, exact = past.sums(family, components), family.expected(components, 5000.0)
    assert found.log_likelihood == pytest.approx(5000 * -3.25)
    for own, known in zip(found[1:6], exact[1:6]):
        np.testing.assert_allclose(own, known, rtol=1e-9, atol=1e-6)
    for own, known in zip(*map(parts, (family.maximize(found, components), components))):
        np.testing.assert_allclose(own, known, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("law, structure", LAWS)
def test_the_past_follows_components_that_move(law, structure):
    family, components, generator = overlapping(law, structure)
    rows = rows_of(family, components, 400_000, generator)
    past = Past(family, components, 400_000.0, 0.0, generator)
    away = components._replace(
        means=components.means + [0.5, -0.3], weights=np.array([0.2, 0.5, 0.3])
    )
    truth, start = rows.sums(family, away), rows.sums(family, components)
    found, frozen = past.sums(family, away), family.expected(components, 400_000.0)
    for name in ("mass", "first", "second"):
        own, known, kept = (getattr(one, name) for one in (found, truth, frozen))
        if (
            structure != "tied" or name != "second"
        ):  # which is that of all rows, wherever they belong
            assert np.abs(own - known).max() < 0.15 * np.abs(kept - known).max(), name
    assert found.log_likelihood == pytest.approx(
        truth.log_likelihood - start.log_likelihood, rel=0.03
    )


def test_a_component_that_gives_its_rows_away_has_none_of_a_past():
    family, components, generator = overlapping("gaussian", "full")
    past = Past(family, components, 1e7, 0.0, generator)
    gone = components._replace(means=components.means + [[0, 0], [0, 0], [200.0, 200.0]])
    found = past.sums(family, gone)
    assert 0 <= found.mass[2] < 1.0
    assert found.mass[:2].sum() == pytest.approx(1e7, rel=0.01)


def test_a_small_component_has_rows_enough_for_a_scatter():
    family, components, generator = overlapping("gaussian", "full")
    components = components._replace(weights=np.array([1 - 2e-6, 1e-6, 1e-6]))
    drawn = drawn_rows(family, components, 1e6, generator).matrix
    near = np.abs(drawn.X - components.means[2]).max(axis=1) < 6
    assert (drawn.row_weights[near] < 1).sum() >= LEAST_DRAWN * 4
    assert drawn.row_weights.sum() == pytest.approx(1e6)


def test_rows_after_a_past_are_both():
    family, components, generator = overlapping("gaussian", "diag")
    rows = rows_of(family, components, 1000, generator)
    past = Past(family, components, 3000.0, -3.0, generator)
    together = RowsAfterPast(rows, past)
    assert together.total_weight == 4000
    sums = together.sums(family, components)
    own = rows.sums(family, components)
    np.testing.assert_allclose(sums.mass, own.mass + 3000 * components.weights)
    assert together.visited > rows.visited


def test_a_past_without_weight_says_nothing():
    family, components, generator = overlapping("gaussian", "full")
    rows = rows_of(family, components, 500, generator)
    together = RowsAfterPast(rows, Past(family, components, 0.0, -3.0, generator))
    for own, known in zip(together.sums(family, components), rows.sums(family, components)):
        np.testing.assert_allclose(own, known)


def test_components_may_be_of_one_column():
    family = make_family("gaussian", "full", np.full(1, 1e-6))
    components = Components(np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1)))
    past = Past(family, components, 10.0, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(past.sums(family, components).second, [[[10.0]]])
