"""The time that a fit will still take, by a clock that stands still between two events."""

import itertools

import pytest

from divmix.cli.time_left import MANY_ROWS, TimeLeft, phases_of
from divmix.progress import Progress
from divmix.settings import DiversifiedSettings, EmSettings, TableSettings
from divmix.workflows.fit import run_fit
from tests.cli.helpers import write_csv


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def watched(settings=None, **more):
    """A watch over a usual fit, its clock, and its phases with what each costs."""
    clock = Clock()
    phases = phases_of(settings or DiversifiedSettings(clusters=3, **more))
    return TimeLeft(phases, clock), clock, phases


def told(left, clock, phases, rows=0, seconds=100.0, slower=()):
    """Goes through phases that take `seconds` for each unit of cost, `slower` ones by that factor;
    yields phase, time left as told and as it is, ten times in each."""
    left.rows = rows
    costs = [
        seconds * (p.cost + p.by_rows * rows / MANY_ROWS) * dict(slower).get((p.stage, p.phase), 1)
        for p in phases
    ]
    end = sum(costs)
    for group, cost in zip(phases, costs):
        if group.phase in ("", "relax") or group == ("fitting", "reduce", *group[2:]):
            left.stage(f"{group.stage} ...")
        for _ in range(10):
            if group.phase:
                left.iteration(group.phase)
            yield group, left.seconds(), end - clock.now
            clock.now += cost / 10
    assert clock.now == pytest.approx(end)


@pytest.mark.parametrize("rows", [0, 10_000_000])
@pytest.mark.parametrize("k", [3, "auto"])
def test_a_run_that_takes_what_phases_cost_is_told_exactly(rows, k):
    left, clock, phases = watched(DiversifiedSettings(clusters=k))
    found = list(told(left, clock, phases, rows))
    assert found[0][1] is None  # nothing to go by yet
    later = [(now, true) for _, now, true in found if now is not None]
    assert len(later) > len(found) / 3
    for now, true in later:
        assert now == pytest.approx(true, abs=1e-6)


def test_where_rows_are_many_the_last_phase_is_known_to_be_long():
    left, clock, phases = watched()
    by_phase = {}
    for phase, now, true in told(left, clock, phases, rows=100 * MANY_ROWS):
        by_phase.setdefault((phase.stage, phase.phase), []).append((now, true))
    now, true = by_phase["fitting", "reduce"][0]
    assert true > 500 and now == pytest.approx(true)


def test_a_phase_that_takes_ten_times_as_long_is_never_nearly_done():
    slow = ("fitting", "refine")
    left, clock, phases = watched()
    for phase, now, true in told(left, clock, phases, rows=20 * MANY_ROWS, slower={slow: 10}):
        if (phase.stage, phase.phase) == slow:
            assert now > true / 10


def test_phases_that_are_left_out_change_nothing():
    left, clock, phases = watched()
    passed = [phase for phase in phases if phase.stage != "choosing the shape"]
    at_the_end = [it for it in told(left, clock, passed) if it[0].stage == "writing"]
    assert len(at_the_end) == 10
    for _, now, true in at_the_end:
        assert now == pytest.approx(true)


def test_the_time_for_compiling_kernels_is_not_taken_for_that_of_a_phase():
    left, clock, phases = watched()
    cost = sum(phase.cost for phase in phases)
    for stage, seconds in (("reading t.csv", 3.0), ("preparing columns", 3.0)):
        left.stage(stage)
        clock.now += seconds
    left.stage("looking for outliers")
    left.iteration("relax")
    clock.now += 15.0
    left.stage("compiling kernels, once")
    clock.now += 1_000.0
    left.iteration("diversify")
    assert left.seconds() == pytest.approx(100 * cost - 21)


def test_the_share_of_a_stage_that_is_behind_tells_how_long_it_takes():
    left, clock, _ = watched(DiversifiedSettings(clusters="auto"))
    left.stage("reading t.csv")
    clock.now = 1.0
    for path in range(1, 6):
        left.stage("choosing the number of clusters", (path - 1) / 6)
        clock.now += 10.0
    left.stage("choosing the number of clusters", 5 / 6)
    assert left.seconds() == pytest.approx(10 + 60 / 8 * 1.2, rel=0.1)


def test_several_starts_are_told_by_those_that_are_done():
    left, clock, phases = watched(restarts=4)
    assert [p.cost for p in phases if p.stage == "fitting"] == [4.0]
    for stage in ("reading t.csv", "looking for outliers"):
        left.stage(stage)
    left.stage("fitting, 0 of 4 starts done")
    left.iteration("0 of 4 starts done, relax")
    clock.now = 40.0
    left.stage("fitting, 1 of 4 starts done", 0.25)
    assert left.seconds() == pytest.approx(120, rel=0.1)


@pytest.mark.parametrize(
    "settings", [EmSettings(clusters=3), DiversifiedSettings(clusters=3, tol=0, max_iter=3000)]
)
def test_a_fit_whose_phases_were_not_measured_is_told_nothing(settings):
    left, clock, phases = watched(settings)
    left.stage("reading t.csv")
    left.iteration("refine")
    clock.now = 5.0
    assert phases == () and left.seconds() is None


@pytest.mark.parametrize("k", [2, "auto"])
def test_a_fit_goes_through_the_phases_that_are_declared_in_their_order(tmp_path, k):
    settings, seen = DiversifiedSettings(clusters=k), []
    phases = phases_of(settings)

    class Listener(Progress):
        def stage(self, message, done=0.0):
            self.name = message
            seen.append((message, ""))

        def iteration(self, row, limit):
            seen.append((self.name, row.phase))

    source = write_csv(tmp_path / "t.csv", rows=200)
    run_fit([str(source)], settings, TableSettings(), tmp_path / "run", progress=Listener())
    places = [
        [i for i, p in enumerate(phases) if stage.startswith(p.stage) and p.phase in ("", phase)]
        for stage, phase in seen
        if not stage.startswith("compiling")
    ]
    met = [place[0] for place in places if place]
    assert [place for place, _ in itertools.groupby(met)] == sorted(set(met))
    assert {phases[i].stage for i in met} >= {
        p.stage for p in phases if p.stage != "choosing the shape"
    }
