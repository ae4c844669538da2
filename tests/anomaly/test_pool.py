"""Densities of rows with anomalies among them: who has a say, and scores of unseen rows."""

import numpy as np
import pytest

from divmix.anomaly import pool as pools
from divmix.anomaly import surprisal
from divmix.engine.monitor import Monitor
from divmix.families import Components
from divmix.rows import MemoryRows


def fitted(X, components=None):
    rows = MemoryRows(X)
    members = pools.fit_members(rows, np.random.default_rng(0), Monitor(), components)
    return rows, members, pools.pooled(members)


def scores(pool, X):
    return surprisal.score(pool, X, np.zeros((len(X), 1), bool))


def test_the_least_likely_rows_have_no_say():
    # Rows along a line, far out, would turn the one component towards it.
    generator = np.random.default_rng(0)
    line = generator.uniform(-30, 30, size=(75, 1)) * [1.0, 1.0]
    _, members, _ = fitted(np.vstack([generator.normal(size=(425, 2)), line]), 1)
    covariance = members[-1].components.covariances[0]
    assert members[-1].family.structure.name == "full"
    assert abs(covariance[0, 1]) < 0.1 * np.sqrt(covariance[0, 0] * covariance[1, 1])
    for member in members:
        variances = member.family.structure.variances(member.components.covariances, 1, 2)
        assert (variances < 1.5).all()


def test_a_component_that_anomalies_could_fill_is_dropped():
    made = Components(np.array([0.1, 0.65, 0.25]), np.zeros((3, 1)), np.ones((3, 1)))
    np.testing.assert_allclose(pools.without_small(made).weights, [0.65 / 0.9, 0.25 / 0.9])
    alone = made._replace(weights=np.full(3, 0.15))
    assert pools.without_small(alone).count == 3


def test_a_pool_without_centres_has_the_mean_log_density_of_its_members():
    X = np.random.default_rng(2).normal(size=(300, 3))
    _, members, pool = fitted(X, 2)
    assert pool.family.structure.name == "full" and len(members) == 4
    each = [
        scores(pools.Pool(*member, np.zeros(member.components.count, np.int64)), X[:20])
        for member in members
    ]
    np.testing.assert_allclose(scores(pool, X[:20]), np.mean(each, axis=0), rtol=1e-9)


def test_pooled_surprisals_are_a_power_mean_of_the_excess_over_the_typical_ones():
    surprisals, centres = np.array([[3.0, 12.0], [1.0, 10.0], [9.0, 10.0]]), np.array([1.0, 10.0])
    found = surprisal.pooled(surprisals, centres)
    # By hand: excesses (2, 2), (0, 0) and (8, 0) over the mean centre 5.5.
    expected = [7.5, 5.5, 5.5 + np.log((np.exp(8 * surprisal.POWER) + 1) / 2) / surprisal.POWER]
    np.testing.assert_allclose(found, expected)
    step = 1e-6
    moved = surprisal.pooled(surprisals + [step, 0.0], centres)
    says = surprisal.says(surprisals, centres)
    np.testing.assert_allclose(says[:, 0], (moved - found) / step, rtol=1e-4)
    np.testing.assert_allclose(says.sum(axis=1), 1)


def test_a_row_that_breaks_a_dependency_is_strange_though_diagonal_members_do_not_see_it():
    generator = np.random.default_rng(6)
    x = generator.normal(size=(600, 1))
    X = np.hstack([x, x + 0.1 * generator.normal(size=(600, 1))])
    X[:12] = [[1.2, -1.2], [-1.2, 1.2]] * 6  # each number is usual
    rows, members, pool = fitted(X)
    own = pools.held_out_surprisals(rows, np.arange(600), members, generator, Monitor())
    centres = np.median(own, axis=0)
    plain, found = own.mean(axis=1), surprisal.pooled(own, centres)
    beyond = [(score[12:] > score[:12].min()).sum() for score in (plain, found)]
    assert beyond[1] == 0
    gap = [np.median(s[:12]) - np.quantile(s[12:], 0.99) for s in (plain, found)]
    assert gap[1] > 1.3 * gap[0] > 0
    # What new rows get is pooled likewise.
    new = scores(pool._replace(centres=centres), np.array([[1.2, -1.2], [1.2, 1.2]]))
    assert new[0] - new[1] > gap[0]


def test_what_one_member_has_a_component_for_stays_improbable():
    # Averaged densities would hide the group that the second member describes well.
    generator = np.random.default_rng(3)
    X = np.vstack([generator.normal(size=(200, 1)), 15 + 0.1 * generator.normal(size=(20, 1))])
    _, members, _ = fitted(X[:200], 1)
    family, own = members[0]
    aware = Components(
        np.array([0.9, 0.1]),
        np.array([[own.means[0, 0]], [15.0]]),
        np.vstack([own.covariances, [[0.01]]]),
        np.repeat(own.dof, 2),
    )
    pool = pools.pooled([members[0], pools.Member(family, aware)])
    together = pool._replace(members=np.zeros(len(pool.members), np.int64))
    assert scores(pool, X[200:]).min() > scores(pool, X[:200]).max()
    assert scores(together, X[200:]).min() < scores(together, X[:200]).max()


def test_a_row_is_scored_by_mixtures_that_have_not_seen_it():
    # In 25 columns 60 rows are far closer to a density that was fitted to them.
    X = np.random.default_rng(4).normal(size=(60, 25))
    rows, members, pool = fitted(X)
    generator = np.random.default_rng(5)
    found = pools.held_out_surprisals(rows, np.arange(60), members, generator, Monitor())
    held_out = found.mean(axis=1)
    fresh = scores(pool, generator.normal(size=(500, 25)))
    own = scores(pool, X)
    assert np.median(fresh) - np.median(own) > 3
    assert abs(np.median(fresh) - np.median(held_out)) < np.median(fresh) - np.median(own)


@pytest.mark.parametrize("columns, shapes", [(1, ("diag",)), (5, ("diag", "full"))])
def test_wide_and_single_columns_have_diagonal_members_alone(columns, shapes):
    assert pools.shapes(MemoryRows(np.zeros((10, columns)))) == shapes
    assert pools.shapes(MemoryRows(np.zeros((10, 101)))) == ("diag",)
