"""Densities of rows with anomalies among them: who has a say, and scores of unseen rows."""

import numpy as np
import pyarrow as pa
import pytest

from divmix.anomaly import detector, surprisal
from divmix.anomaly import opinions as joined
from divmix.anomaly import pool as pools
from divmix.engine.monitor import Monitor
from divmix.families import Components
from divmix.metrics import anomaly_metrics
from divmix.rows import MemoryRows
from divmix.settings import DetectSettings


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
        scores(pools.Pool(*member[:2], np.zeros(member.components.count, np.int64)), X[:20])
        for member in members
    ]
    np.testing.assert_allclose(scores(pool, X[:20]), np.mean(each, axis=0), rtol=1e-9)


def test_pooled_surprisals_are_a_power_mean_of_the_excess_over_the_typical_ones():
    surprisals, centres = np.array([[3.0, 12.0], [1.0, 10.0], [9.0, 10.0]]), np.array([1.0, 10.0])
    usual = pools.Usual(centres, np.array([[5.5, 1.0]]), np.zeros(2, int))
    found = joined.pooled(surprisals, usual)
    # By hand: excesses (2, 2), (0, 0) and (8, 0) over the mean centre 5.5.
    expected = [7.5, 5.5, 5.5 + np.log((np.exp(8 * joined.POWER) + 1) / 2) / joined.POWER]
    np.testing.assert_allclose(found, expected)
    step = 1e-6
    moved = joined.pooled(surprisals + [step, 0.0], usual)
    says, of_margins = joined.says(surprisals, usual)
    assert not of_margins.any()
    np.testing.assert_allclose(says[:, 0], (moved - found) / step, rtol=1e-4)
    np.testing.assert_allclose(says.sum(axis=1), 1)


def test_a_row_that_breaks_a_dependency_is_strange_though_diagonal_members_do_not_see_it():
    generator = np.random.default_rng(6)
    x = generator.normal(size=(600, 1))
    X = np.hstack([x, x + 0.1 * generator.normal(size=(600, 1))])
    X[:12] = [[1.2, -1.2], [-1.2, 1.2]] * 6  # each number is usual
    rows, members, pool = fitted(X)
    own = pools.held_out_surprisals(rows, np.arange(600), members, generator, Monitor())
    detailed = pools.has_detail(rows, None)
    usual = joined.usual_of(own, pools.opinions_of(members, detailed=detailed))
    plain, found = own.mean(axis=1), joined.pooled(own, usual)
    beyond = [(score[12:] > score[:12].min()).sum() for score in (plain, found)]
    assert beyond[1] == 0
    gap = [np.median(s[:12]) - np.quantile(s[12:], 0.99) for s in (plain, found)]
    assert gap[1] > 1.3 * gap[0] > 0
    # What new rows get is pooled likewise.
    new = scores(pool._replace(usual=usual), np.array([[1.2, -1.2], [1.2, 1.2]]))
    assert new[0] - new[1] > gap[0]


def test_what_one_member_has_a_component_for_stays_improbable():
    # Averaged densities would hide the group that the second member describes well.
    generator = np.random.default_rng(3)
    X = np.vstack([generator.normal(size=(200, 1)), 15 + 0.1 * generator.normal(size=(20, 1))])
    _, members, _ = fitted(X[:200], 1)
    family, own, _ = members[0]
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


def test_opinions_are_joined_by_the_harmonic_mean_of_their_p_values():
    opinions = np.array([[2.0, 4.0], [1.0, 2.0], [5.0, 0.5]])
    usual = pools.Usual(np.array([5.0, 1.0, 3.0, 1.0]), opinions, np.array([2, 0, 0, 1]))
    surprisals = np.array(
        [[5.0, 1.0, 3.0, 1.0], [9.0, 1.0, 3.0, 1.0], [5.0, 13.0, 15.0, 1.0], [5.0, 1.0, 3.0, 11.0]]
    )
    # By hand: the first says 2, 2, 14 and 2, the second 1, 1, 1 and 11, the detailed one 5, 9, 5 and 5.
    few, detail = (1 - joined.DETAIL) / 2, joined.DETAIL
    z = np.array([[0, 0, 0], [0, 0, 8], [3, 0, 0], [0, 5, 0]])
    mean = np.exp(z) @ [few, few, detail]
    np.testing.assert_allclose(joined.pooled(surprisals, usual), 2 + 4 * np.log(mean))
    says, _ = joined.says(surprisals, usual)
    np.testing.assert_allclose(says.sum(axis=1), 1)
    assert says[1, 0] > 0.98 and says[2, 0] < 0.05 and says[3, 3] > 0.98


def test_what_all_opinions_and_the_margins_agree_on_is_an_opinion_too():
    opinions = np.array([[2.0, 4.0], [1.0, 2.0], [5.0, 0.5], [6.0, 3.0], [0.5, 0.8]])
    of, margins = np.array([2, 0, 1]), np.zeros((1, 5))
    usual = pools.Usual(np.array([5.0, 2.0, 1.0]), opinions, of, margins)
    surprisals, far = np.array([[5.0, 2.0, 1.0], [5.0, 10.0, 5.0]]), np.array([6.0, 18.0])
    # By hand: z are 0, 0, 0 and 2, 2, 0, of the margins 0 and 4: agreed on (0 - .5) / .8 and (8/3 - .5) / .8.
    z = np.array([[0, 0, 0, -0.5 / 0.8], [2, 2, 0, (8 / 3 - 0.5) / 0.8]])
    few, detail = (1 - joined.DETAIL) / 3, joined.DETAIL
    mean = np.exp(z) @ [few, few, detail, few]
    found = joined.pooled(surprisals, usual, far)
    np.testing.assert_allclose(found, 2 + 4 * np.log(mean))
    says, of_margins = joined.says(surprisals, usual, far)
    np.testing.assert_allclose(says.sum(axis=1) + of_margins, 1)
    third = np.exp(z[1, 3]) * few / mean[1] / 3
    np.testing.assert_allclose(of_margins[1], third)
    np.testing.assert_allclose(says[1, 1], third + np.exp(2) * few / mean[1])
    # What is usual of that: the median and the mean of the tail beyond.
    generator = np.random.default_rng(0)
    drawn, far = generator.exponential(size=(4_000, 3)), generator.exponential(size=4_000)
    usual = joined.usual_of(drawn, of, margins, far)
    z = (np.column_stack([drawn[:, 1:], far]) - np.log(2)).mean(axis=1)
    assert usual.opinions[-1, 0] == pytest.approx(np.median(z), abs=0.05)
    assert usual.opinions[-1, 1] < 0.8  # three that are independent seldom agree


def test_rows_a_little_far_out_in_many_columns_are_strange():
    """Where all go on as the tails of these columns do, and no one of them is far."""
    found = {True: [], False: []}
    for seed in range(4):
        generator = np.random.default_rng(seed)
        X = np.exp(0.5 * generator.normal(size=(400, 12)))
        X[:10] = np.exp(0.5 * (1.2 + 0.5 * generator.normal(size=(10, 12))))
        table = pa.table({f"x{j}": X[:, j] for j in range(12)})
        fitted = detector.fit_density(table, DetectSettings(), itself=True)
        pool = detector.pool_of(fitted.mixture)
        own = surprisal.score(pool, fitted.X, np.zeros((400, 1), bool))
        assert pool.usual.margins.shape == (12, 24)  # log 400 is 5.99 nats
        without = pool.usual._replace(margins=None, opinions=pool.usual.opinions[:-2])
        few = surprisal.score(pool._replace(usual=without), fitted.X, np.zeros((400, 1), bool))
        for margins, scores in ((True, own), (False, few)):
            truth = np.arange(400) < 10
            found[margins].append(anomaly_metrics(truth, scores)["average_precision"])
    assert np.mean(found[True]) > np.mean(found[False]) + 0.1


def test_anomalies_do_not_widen_what_is_usual():
    generator, of = np.random.default_rng(0), np.array([1, 0, 0])
    surprisals = generator.exponential([1.0, 2.0, 2.0], size=(4_000, 3)) + [0.0, 1.0, 1.0]
    clean = joined.usual_of(surprisals, of).opinions
    np.testing.assert_allclose(clean[1], [np.log(2), 1], atol=0.1)
    surprisals[:200] += 1e3
    contaminated = joined.usual_of(surprisals, of).opinions
    assert (contaminated[:, 1] < 1.5 * clean[:, 1]).all()


def test_what_one_opinion_sees_is_not_lost_in_the_spread_of_the_other():
    """Rows that lie off the one direction of ten columns, along which diagonal members find many strange."""
    generator, truth = np.random.default_rng(8), np.arange(400) < 12
    off = 0.3 * generator.normal(size=(400, 10)) * np.where(truth, 2.5, 1.0)[:, None]
    rows, members, _ = fitted(generator.normal(size=(400, 1)) + off, 2)
    own = pools.held_out_surprisals(rows, np.arange(400), members, generator, Monitor())
    of = pools.opinions_of(members, detailed=False)
    apart, one = (
        anomaly_metrics(truth, joined.pooled(own, joined.usual_of(own, opinions)))
        for opinions in (of, np.zeros_like(of))
    )
    assert apart["average_precision"] > one["average_precision"] + 0.15


def test_diagonal_members_see_columns_without_their_powers():
    """Far values of a skewed column, which a power draws in."""
    generator = np.random.default_rng(9)
    X = np.column_stack([generator.gamma(2.0, size=500) - 9, generator.normal(size=(500, 2))])
    X[:10, 0] = generator.uniform(5, 9, size=10)
    table = pa.table({f"x{j}": X[:, j] for j in range(3)})
    fitted = detector.fit_density(table, DetectSettings(), itself=True)
    pool = detector.pool_of(fitted.mixture)
    assert pool.powers is not None and pool.powers[0] < 1
    assert pool.plain.any() and not pool.plain.all()
    (_, without), (_, with_powers) = pool.views(fitted.X)
    np.testing.assert_array_equal(with_powers, fitted.X)
    column = fitted.mixture.design.preprocessing.columns[0]
    np.testing.assert_allclose(without[:, 0] * column.scale + column.center, X[:, 0], rtol=1e-9)
    members = [
        pools.fit_members(MemoryRows(X), np.random.default_rng(0), Monitor(), 1, powers)[0]
        for X, powers in ((fitted.X, pool.powers), (without, None))
    ]
    np.testing.assert_allclose(*(member.components.means for member in members), rtol=1e-9)
    assert anomaly_metrics(np.arange(500) < 10, fitted.scores)["average_precision"] > 0.9


def many_kinds(generator):
    """1,440 rows of 16 kinds in two columns, then 20 between these."""
    kinds = np.stack(np.meshgrid(range(4), range(4)), axis=-1).reshape(16, 2)
    X = np.repeat(kinds, 90, axis=0) + 0.05 * generator.normal(size=(1_440, 2))
    between = kinds[kinds.max(axis=1) < 3] + 0.5
    return np.vstack([X, between.repeat(3, axis=0)[:20]])


def test_a_detailed_member_sees_what_few_components_cover():
    generator = np.random.default_rng(1)
    rows, members, pool = fitted(many_kinds(generator))
    assert members[0].components.count > pools.MOST_COMPONENTS
    own = pools.held_out_surprisals(rows, np.arange(1_460), members, generator, Monitor())
    of = pools.opinions_of(members, detailed=True)
    scores = joined.pooled(own, joined.usual_of(own, of))
    few = joined.pooled(own[:, 1:], joined.usual_of(own[:, 1:], of[1:]))
    assert (scores[1_440:] > np.quantile(scores[:1_440], 0.98)).all()
    assert (few[1_440:] > np.quantile(few[:1_440], 0.98)).mean() < 0.5


def test_a_model_file_keeps_all_opinions(tmp_path):
    X = many_kinds(np.random.default_rng(2))
    table = pa.table({"a": X[:, 0], "b": X[:, 1]})
    mixture = detector.fit_density(table, DetectSettings(), itself=True).mixture
    mixture.save(tmp_path / "model.divmix")
    loaded = detector.load_detector(tmp_path / "model.divmix")
    usual = detector.pool_of(loaded).usual
    np.testing.assert_array_equal(usual.opinions, detector.pool_of(mixture).usual.opinions)
    # A row between two kinds is as strange to the file as to the fit.
    new = pa.table({"a": [0.5, 1.0], "b": [0.5, 1.0]}).to_batches()
    between, inside = detector.score_rows(loaded, new).score
    np.testing.assert_array_equal(detector.score_rows(mixture, new).score, [between, inside])
    assert between > np.quantile(detector.calibration_of(loaded).scores, 0.98) > inside


def test_skewed_columns_that_hang_together_are_made_symmetric(monkeypatch):
    def precision(seed):
        generator = np.random.default_rng(seed)
        Z = generator.normal(size=(400, 1)) + 0.4 * generator.normal(size=(400, 6))
        X = np.exp(0.8 * Z)
        X[:12] = np.take_along_axis(X, generator.integers(400, size=(12, 6)), axis=0)
        table = pa.table({f"x{j}": X[:, j] for j in range(6)})
        fitted = detector.fit_density(table, DetectSettings(), itself=True)
        return anomaly_metrics(np.arange(400) < 12, fitted.scores)["average_precision"]

    found = [precision(seed) for seed in range(3)]
    monkeypatch.setattr(detector, "symmetric", lambda design, *rows: design)
    assert np.mean(found) > 0.1 + np.mean([precision(seed) for seed in range(3)])


def test_only_long_tables_are_learned_in_detail_and_not_where_components_are_given():
    # Of 20 rows a component, more than the others have.
    long, short = MemoryRows(np.zeros((100, 1))), MemoryRows(np.zeros((99, 1)))
    assert pools.has_detail(long, None)
    assert not pools.has_detail(short, None) and not pools.has_detail(long, 4)


@pytest.mark.parametrize("columns, shapes", [(1, ("diag",)), (5, ("diag", "full"))])
def test_wide_and_single_columns_have_diagonal_members_alone(columns, shapes):
    assert pools.shapes(MemoryRows(np.zeros((10, columns)))) == shapes
    assert pools.shapes(MemoryRows(np.zeros((10, 101)))) == ("diag",)
