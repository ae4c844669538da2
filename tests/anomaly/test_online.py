"""Flags along a stream: the rate over all batches."""

import numpy as np
import pytest

from divmix.anomaly import online
from divmix.anomaly.online import Batch
from divmix.anomaly.p_values import conformal_p_values, flags

RATE = 0.05


def test_the_shares_of_all_batches_sum_to_one():
    shares = np.array([online.share(b) for b in range(100_000)])
    assert (shares > 0).all() and (np.diff(shares) < 0).all()
    # By hand: the sum telescopes to 1 - 1 / log2(102,000 - 1,998).
    assert shares.sum() == pytest.approx(1 - 1 / np.log2(100_002))


def test_lond_of_single_rows_is_the_published_one():
    generator = np.random.default_rng(0)
    p_values = np.where(generator.uniform(size=300) < 0.2, 1e-6, generator.uniform(size=300))
    past, found, flagged = [], [], 0
    for i, p_value in enumerate(p_values):
        flag, batch = online.flag_batch(np.array([p_value]), "lond", RATE, past)
        past.append(batch)
        found.append(flag[0])
        assert flag[0] == (p_value <= min(RATE, RATE * online.share(i) * (flagged + 1)))
        flagged += flag[0]
    assert 0 < flagged < 300


def test_a_first_batch_is_benjamini_and_hochberg_at_its_share():
    generator = np.random.default_rng(1)
    p_values = np.concatenate([generator.uniform(size=180), 1e-4 * generator.uniform(size=20)])
    found, batch = online.flag_batch(p_values, "lond", RATE, [])
    expected = flags(-p_values, p_values, np.zeros(1), "fdr", RATE * online.share(0))
    np.testing.assert_array_equal(found, expected)
    assert batch.flagged == found.sum() == 20 and batch.rows == 200


@pytest.mark.parametrize("rule", online.RULES)
def test_rows_without_a_p_value_are_not_tested(rule):
    p_values = np.array([np.nan, 1e-9, np.nan, 0.5])
    found, batch = online.flag_batch(p_values, rule, RATE, [])
    np.testing.assert_array_equal(found, [False, True, False, False])
    assert batch.rows == 2
    nothing, empty = online.flag_batch(np.full(3, np.nan), rule, RATE, [batch])
    assert not nothing.any() and empty.rows == empty.flagged == 0


def test_saffron_never_spends_more_than_the_rate():
    generator, past = np.random.default_rng(2), []
    for _ in range(100):
        n = int(generator.integers(1, 200))
        p_values = generator.uniform(size=n)
        p_values[: n // 20] *= 1e-5
        _, batch = online.flag_batch(p_values, "saffron", RATE, past)
        past.append(batch)
        assert online.spent(past) <= RATE + 1e-12
    assert sum(batch.flagged for batch in past) > 100


def test_what_a_batch_spends_is_told_by_its_rows_and_the_flags_of_the_others():
    past = [Batch(100, 4, 0.01, 5), Batch(100, 0, 0.02, 1), Batch(100, 6, 0.03, 6)]
    # By hand: .01 * 5 / (5 + 6) + .02 * 1 / (1 + 10) + .03 * 6 / (6 + 4).
    assert online.spent(past) == pytest.approx(0.05 / 11 + 0.02 / 11 + 0.018)


@pytest.mark.parametrize("rule, power", [("lond", 0.04), ("saffron", 0.5)])
def test_200_batches_against_the_same_known_rows_keep_the_rate(rule, power):
    """And batches that each keep it by themselves do not: most of them hold no anomaly. LOND finds
    those of the first batch: later levels are below what 20,000 known rows can show."""
    rates, found, alone = [], [], []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        known, past = np.sort(generator.exponential(size=20_000)), []
        counts = np.zeros(4)  # false flags, flags, anomalies; false flags of each batch alone
        flags_alone = 0
        for b in range(200):
            new, strange = generator.exponential(size=200), 6 if b % 10 == 0 else 0
            new[:strange] += 14
            p_values = conformal_p_values(new, known)
            flagged, batch = online.flag_batch(p_values, rule, RATE, past)
            past.append(batch)
            own = flags(new, p_values, known, "fdr", RATE)
            flags_alone += own.sum()
            counts += [flagged[strange:].sum(), flagged.sum(), strange, own[strange:].sum()]
        rates.append(counts[0] / max(counts[1], 1))
        found.append((counts[1] - counts[0]) / counts[2])
        alone.append(counts[3] / max(flags_alone, 1))
    assert np.mean(rates) <= 0.06
    assert np.mean(found) >= power
    assert np.mean(alone) > 0.06
