import numpy as np
import pytest
from scipy.stats import f, halfnorm

from divmix.anomaly import opinions as joined
from divmix.anomaly import p_values as rules

SEEDS = range(5)


def excess_of(*opinions):
    """Scores of what opinions (n,) say, and how far they are beyond the typical one."""
    surprisals = np.stack(opinions, axis=1)
    usual = joined.usual_of(surprisals, np.arange(len(opinions)))
    scores = joined.pooled(surprisals, usual)
    return scores, joined.excess(scores, usual)


def own_p_values(*opinions):
    return rules.own_p_values(*excess_of(*opinions))


def test_a_conformal_p_value_is_a_rank_among_known_scores_and_itself():
    known = np.array([1.0, 2.0, 2.0, 5.0])
    # Worked by hand: (1 + scores at least as high) / 5; a tie counts against the row.
    found = rules.conformal_p_values(np.array([0.0, 2.0, 3.0, 9.0, np.nan]), known)
    np.testing.assert_allclose(found, [1.0, 4 / 5, 2 / 5, 1 / 5, np.nan])


@pytest.mark.parametrize("seed", SEEDS)
def test_conformal_p_values_are_never_too_small_even_with_many_ties(seed):
    generator = np.random.default_rng(seed)
    known, new = (np.round(generator.exponential(size=n), 1) for n in (2_000, 20_000))
    p_values = rules.conformal_p_values(new, np.sort(known))
    for level in (0.01, 0.05, 0.2):
        # Three standard deviations of the share, given 2,000 known scores.
        slack = 3 * np.sqrt(level * (1 - level) * (1 / 2_000 + 1 / 20_000))
        assert (p_values <= level).mean() <= level + slack


@pytest.mark.parametrize("draw", ["exponential", "gamma", "half normal", "ties"])
@pytest.mark.parametrize("n", [300, 3_000])
def test_p_values_of_a_clean_table_against_itself_are_not_too_small(draw, n):
    """Scores that fall off like an exponential or faster, what normal rows' are taken to do."""
    shares, flagged = [], []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        scores = {
            "exponential": lambda g: g.exponential(size=n),
            "gamma": lambda g: g.gamma(2.5, size=n),
            "half normal": lambda g: np.abs(g.normal(size=n)),
            "ties": lambda g: np.round(g.exponential(size=n), 1),
        }[draw](generator)
        p_values = own_p_values(scores)
        shares.append([(p_values <= level).mean() / level for level in (0.05, 0.01, 0.001)])
        flagged.append(rules.flags(scores, p_values, np.sort(scores), "fdr", 0.05).any())
    assert (np.mean(shares, axis=0) <= [1.15, 1.15, 1.3]).all()  # .001: 18 rows or 180 in all
    assert np.mean(flagged) <= 0.06


def test_what_several_opinions_say_is_not_taken_for_a_lighter_tail():
    """Three independent ones: the harmonic mean of their p-values falls off faster in the middle than far out."""
    shares = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        p_values = own_p_values(*generator.exponential(size=(3, 1_000)))
        shares.append([(p_values <= level).mean() / level for level in (0.05, 0.01, 0.001)])
    assert (np.mean(shares, axis=0) <= 1.15).all()


def test_the_tail_follows_an_exponential_beyond_the_highest_scores():
    known = -np.log(1 - (np.arange(100_000) + 0.5) / 100_000)  # quantiles of the exponential
    known[-2:] = [8.0, 11.0]
    found = rules.tail_p_values(*excess_of(known))[-2:]
    np.testing.assert_allclose(found, np.exp([-8.0, -11.0]), rtol=0.03)


def test_the_error_of_the_rate_is_taken_into_account():
    scores = -np.log(1 - (np.arange(100) + 0.5) / 100)
    scores[-1] = 12.0
    found = rules.tail_p_values(*excess_of(scores))[-1]
    assert found == pytest.approx(0.5 * (1 + (12 - np.log(2)) / 40) ** -40, rel=0.2)  # by 40 scores
    assert found > 3 * np.exp(-12)


@pytest.mark.parametrize("n", [300, 5_000])
def test_higher_scores_have_no_higher_p_values(n):
    for seed in SEEDS:
        scores = np.sort(np.random.default_rng(seed).exponential(size=n) ** 1.2)
        assert (np.diff(own_p_values(scores)) <= 0).all()


def test_anomalies_do_not_change_the_tail():
    generator = np.random.default_rng(0)
    clean = generator.exponential(size=2_000)
    mixed = np.concatenate([clean, 40 + generator.exponential(size=100)])
    found, expected = (rules.tail_p_values(*excess_of(scores)) for scores in (mixed, clean))
    middle = (clean > 1.5) & (clean < 4)
    assert (found[:2_000][middle] < 3 * expected[middle]).all()
    assert found[2_000:].max() < 1e-12  # exp(-40) is 4e-18; a tail that is theirs too has 1e-4


def test_a_group_apart_is_found_where_single_rows_are_not():
    """Eight rows beyond a light tail, which the exponential one takes for far from impossible."""
    tail = halfnorm.ppf((np.arange(200) + 0.5) / 200)
    scores = np.concatenate([tail, tail.max() + 1.5 + 0.02 * np.arange(8)])
    expected = np.r_[np.zeros(200, bool), np.ones(8, bool)]
    alone, together = rules.tail_p_values(*excess_of(scores)), own_p_values(scores)
    for p_values, flagged in ((alone, False), (together, True)):
        found = rules.flags(scores, p_values, np.sort(scores), "fdr", 0.05)
        np.testing.assert_array_equal(found, expected & flagged)


@pytest.mark.parametrize(("rows", "apart"), [(16, True), (28, False)])
def test_a_group_of_more_than_a_twentieth_may_be_a_rare_kind_of_normal_rows(rows, apart):
    tail = -np.log(1 - (np.arange(400) + 0.5) / 400)
    group = tail.max() + 4.0 + 0.02 * np.arange(rows)
    p_values = rules.apart_p_values(np.concatenate([tail, group]))
    assert (p_values[400:].max() < 0.01) == apart and p_values[:400].min() > 0.05


def test_one_row_may_stand_in_the_gap_below_a_group_apart(monkeypatch):
    tail = -np.log(1 - (np.arange(400) + 0.5) / 400)
    group = tail.max() + 3.6 + 0.02 * np.arange(4)
    scores = np.concatenate([tail, group, [tail.max() + 1.8]])
    p_values = rules.apart_p_values(scores)
    assert p_values[400:404].max() < 0.03 and p_values[:400].min() > 0.05
    monkeypatch.setattr(rules, "GAPS", (1,))
    assert rules.apart_p_values(scores)[400:404].min() > 0.05


def test_a_gap_of_one_step_is_judged_exactly():
    scores = np.concatenate([-np.log(1 - (np.arange(300) + 0.5) / 300), [9.0]])
    known = np.sort(scores)[::-1]
    steps = np.arange(1, 301) * -np.diff(known)
    # By hand: P(D > x) = (1 + D / S)^-50, for 15 places and both widths of gaps.
    expected = 2 * 15 * (1 + steps[0] / steps[1:51].sum()) ** -50
    wide = 2 * 15 * f.sf(steps[:2].mean() / steps[2:52].mean(), 4, 100)
    assert rules.apart_p_values(scores)[-1] == pytest.approx(min(expected, wide, 1.0))


def test_repeated_scores_make_no_gap():
    scores = np.repeat(np.arange(30.0), 10)  # each step is ten rows high, and nothing apart
    assert rules.apart_p_values(scores).min() > 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_far_rows_of_a_table_against_itself_are_flagged_and_no_others(seed):
    generator = np.random.default_rng(seed)
    scores = np.concatenate([generator.exponential(size=5_000), np.full(50, 60.0)])
    flagged = rules.flags(scores, own_p_values(scores), np.sort(scores), "fdr", 0.05)
    assert flagged[-50:].all()
    assert flagged[:-50].sum() <= 10


def test_storey_flags_more_where_anomalies_are_many():
    p_values = np.concatenate([np.full(50, 0.03), np.linspace(0.06, 1, 50)])
    assert rules.share_of_normal_rows(p_values) == pytest.approx(0.56)  # 2 (1 + 27) / 100
    scores, known = -p_values, np.zeros(1)
    plain, more = (
        rules.flags(scores, p_values, known, "fdr", 0.05, storey=storey).sum()
        for storey in (False, True)
    )
    assert plain == 0 and more >= 50


def test_the_lowest_rate_that_flags_is_told():
    p_values = np.array([0.5, 0.03, np.nan, 0.02, 0.9])
    # By hand: the least of 4 x .02, 4 x .03 / 2, 4 x .5 / 3 and .9.
    rate = rules.least_rate(p_values)
    assert rate == pytest.approx(0.06) and rules.least_rate(np.array([np.nan])) == 1.0
    for level, rows in ((rate + 1e-9, [1, 3]), (rate - 1e-9, [])):
        found = rules.flags(-p_values, p_values, np.zeros(0), "fdr", level)
        np.testing.assert_array_equal(np.flatnonzero(found), rows)


def test_each_rule_flags_what_it_says():
    scores = np.array([1.0, 9.0, np.nan, 3.0, 7.0])
    p_values = np.array([0.9, 0.001, np.nan, 0.5, 0.04])
    known = np.arange(10.0)
    expected = {
        ("fdr", 0.05): [1],  # Benjamini-Hochberg by hand: .001 <= .05 / 4, .04 > .05 * 2 / 4
        ("alpha_level", 0.05): [1, 4],
        ("contamination", 0.75): [1, 3, 4],
        ("threshold", 0.9): [1],  # the 0.9 quantile of 0..9 is 8.1
    }
    for (rule, level), rows in expected.items():
        found = rules.flags(scores, p_values, known, rule, level)
        np.testing.assert_array_equal(np.flatnonzero(found), rows)


def test_false_discoveries_stay_below_their_rate_over_many_trials():
    rates, powers = [], []
    for seed in range(100):
        generator = np.random.default_rng(seed)
        known = np.sort(generator.exponential(size=1_000))
        new = np.concatenate([generator.exponential(size=450), 9 + generator.exponential(size=50)])
        p_values = rules.conformal_p_values(new, known)
        flagged = rules.flags(new, p_values, known, "fdr", 0.05)
        rates.append(flagged[:450].sum() / max(flagged.sum(), 1))
        powers.append(flagged[450:].mean())
    assert np.mean(rates) <= 0.06
    assert np.mean(powers) >= 0.5
