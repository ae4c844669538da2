"""A fit that was interrupted goes on to the bits of one that was not, and does not begin anew."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from divmix.checkpoints.codec import pack, unpack
from divmix.choosing import bootstrap as resampling
from divmix.core import Interrupted, bootstrap, fit_rows
from divmix.engine.checkpoint import Journal
from divmix.engine.monitor import Monitor
from divmix.progress import Progress
from divmix.rows import MemoryRows
from divmix.settings import DiversifiedSettings, EmSettings, NsvgdSettings
from tests.test_core import ListRows

ROOT = Path(__file__).parents[2]
FITS = {
    "default": DiversifiedSettings(clusters=3, tol=0.0, max_iter=30),
    "noise": DiversifiedSettings(clusters=3, noise=True, covariance="full", max_iter=20),
    "em": EmSettings(clusters=4, tol=0.0, max_iter=40, covariance="full"),
    "em, batches": EmSettings(clusters=3, batch_size=64, tol=0.0, max_iter=60, covariance="diag"),
    "em, restarts": EmSettings(clusters=3, restarts=4, tol=0.0, max_iter=20, covariance="full"),
    "nsvgd": NsvgdSettings(clusters=5, batch_size=64, tol=0.0, max_iter=80, covariance="full"),
}
LONG = {
    "unions": DiversifiedSettings(clusters=3, merge="overlap", covariance="diag", max_iter=20),
    "float32": DiversifiedSettings(clusters=3, covariance="full", precision="float32"),
    "restarts": DiversifiedSettings(clusters=3, restarts=3, covariance="full", max_iter=10),
    "number of clusters": DiversifiedSettings(covariance="full"),
    "alpha": DiversifiedSettings(clusters=3, alpha="auto", covariance="full", merge="kl"),
    "em, student": EmSettings(clusters=4, tol=0.0, max_iter=40, family="student"),
    "em, unions": EmSettings(clusters=2, components=5, tol=0.0, max_iter=20, covariance="tied"),
    "nsvgd, adam": NsvgdSettings(
        clusters=5, batch_size=None, optimizer="adam", anneal=2.0, tol=0.0, max_iter=60
    ),
}
ROWS = {
    "in memory": MemoryRows,
    "behind the protocol": lambda X: ListRows([(X[:150], np.ones(150)), (X[150:], np.ones(150))]),
}


def table(seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(300, 3)) + 4 * generator.integers(3, size=(300, 1))


class Iterations(Progress):
    """Counts what a run does itself."""

    def __init__(self):
        self.count = 0

    def iteration(self, row, limit):
        self.count += 1


def told(fitted, monitor):
    """All numbers that come of a fit, its times left out."""
    parts = [fitted.components, fitted.hierarchy, fitted.spread, fitted.settings, fitted.notes]
    trace = [row._replace(seconds=0.0) for row in monitor.trace]
    return [*map(bits, parts), fitted.clusters.tolist(), fitted.stop_reason, bits(tuple(trace))]


def bits(value):
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, tuple):
        return tuple(map(bits, value))
    return value.item() if isinstance(value, np.generic) else value


def fit(rows, settings, journal=None, stop_at=None):
    """A fit that a signal stops when it asks for the stop_at-th time."""
    asked = iter(range(10**9))
    progress = Iterations()
    stopped = (lambda: False) if stop_at is None else (lambda: next(asked) >= stop_at)
    monitor = Monitor(should_stop=stopped, progress=progress, journal=journal)
    return told(fit_rows(rows, settings, monitor), monitor), progress.count


def asks(rows, settings):
    """How often a fit asks whether to stop."""
    count = iter(range(10**9))
    monitor = Monitor(should_stop=lambda: next(count) < 0)
    fit_rows(rows, settings, monitor)
    return next(count)


def written(journal):
    """The journal's entries on their way through a file."""
    return unpack(pack(journal.entries))


EACH = [*FITS, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)]


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("settings", EACH)
def test_a_fit_that_a_signal_stops_goes_on_to_the_same_bits(settings, kind):
    rows, own = ROWS[kind](table()), (FITS | LONG)[settings]
    whole, _ = fit(rows, own)
    moments, generator = asks(rows, own), np.random.default_rng(1)
    for moment in generator.integers(1, moments, 2):
        journal = Journal()
        with pytest.raises(Interrupted):
            fit(rows, own, journal, int(moment))
        journal = Journal(written(journal), 5.0)
        if moment % 2:  # and stopped once more
            with pytest.raises(Interrupted):
                fit(rows, own, journal, 2)
            journal = Journal(written(journal), 5.0)
        again, _ = fit(rows, own, journal)
        assert again == whole, moment


@pytest.mark.parametrize("settings", EACH)
def test_a_fit_that_is_killed_goes_on_from_the_checkpoint_before(settings):
    rows, own = MemoryRows(table()), (FITS | LONG)[settings]
    whole, count = fit(rows, own)
    kept = []
    journal = Journal(write=lambda entries, elapsed: kept.append(pack(entries)), every=1e-9)
    fit(rows, own, journal)
    assert kept
    for place in np.random.default_rng(2).integers(len(kept), size=3):
        again, own_count = fit(rows, own, Journal(unpack(kept[place])))
        assert again == whole
    again, own_count = fit(rows, own, Journal(written(journal)))
    assert again == whole
    assert own_count < count / 10  # nothing that was finished is done again


@pytest.mark.parametrize("settings", ["default", "em", "em, batches", "nsvgd"])
def test_what_was_done_is_not_done_again(settings):
    rows, own = MemoryRows(table()), FITS[settings]
    whole, count = fit(rows, own)
    journal = Journal()
    with pytest.raises(Interrupted):
        fit(rows, own, journal, asks(rows, own) - 8)
    again, left = fit(rows, own, Journal(written(journal)))
    assert again == whole and 0 < left <= 10 < count


def test_what_was_chosen_is_not_chosen_again(monkeypatch):
    from divmix.choosing import settle

    rows, own = MemoryRows(table()), DiversifiedSettings(covariance="full", max_iter=5)
    journal = Journal()
    whole, _ = fit(rows, own, journal)
    monkeypatch.setattr(settle, "choose_clusters", None)
    assert fit(rows, own, Journal(written(journal)))[0] == whole


def test_resampled_fits_are_kept(monkeypatch):
    rows, own = MemoryRows(table()), EmSettings(clusters=3, covariance="full", max_iter=10)
    journal, labels, fits = Journal(), np.arange(300) % 3, []
    run = resampling.run
    monkeypatch.setattr(resampling, "run", lambda *given: fits.append(1) or run(*given))

    def resampled(journal, most=10**9):
        fits.clear()
        monitor = Monitor(should_stop=lambda: len(fits) > most, journal=journal)
        return bootstrap(fit_rows(rows, own, monitor), labels, 12)

    whole = resampled(None)
    with pytest.raises(Interrupted):
        resampled(journal, 8)
    assert bits(resampled(Journal(written(journal)))) == bits(whole)
    assert 4 <= len(fits) <= 8


def test_the_time_before_counts():
    journal = Journal(elapsed=1000.0)
    monitor = Monitor(time_budget=900.0, journal=journal)
    assert monitor.stop_reason() == "time_budget" and journal.elapsed >= 1000


def test_checkpoints_take_a_small_share_of_the_time(monkeypatch):
    now, writings = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def slow(entries, elapsed):
        writings.append(elapsed)
        now[0] += 1.0

    journal = Journal(write=slow, every=5.0)
    for _ in range(10_000):
        now[0] += 0.1
        journal.enter("name", None)
    assert writings[0] == pytest.approx(5.0, abs=0.2)
    assert 0.015 < len(writings) / now[0] <= 0.02


@pytest.mark.long
def test_fifty_interruptions_at_random_moments_change_no_bit(tmp_path):
    command = [sys.executable, "-m", "tests.checkpoints.interrupt", str(tmp_path), "51", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    fits = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(len(fit["signals"]) for fit in fits) >= 50, done.stderr
    for fit in fits:
        assert fit["same"] and not any("checkpoint" in name for name in fit["left"]), fit
    assert sum(fit["resumed"] for fit in fits) >= 25  # the others came before there was one
