"""What the eye sees while a fit runs, and when it is done."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress as Display
from rich.progress import TextColumn

from divmix.cli import summary, terminal
from divmix.progress import TraceRow, counted
from divmix.settings import DiversifiedSettings, EmSettings


def row(iteration, log_likelihood, seconds=0.0, phase="diversify"):
    value = log_likelihood + 0.03 * 0.5
    return TraceRow(
        iteration, phase, 6, log_likelihood, 0.5, value, 0.1, seconds, 0.03, 0.0, 1.65, 60
    )


@pytest.fixture
def bar():
    """A bar and a function that returns its line as it would be drawn now."""
    display = Display(
        TextColumn("{task.description}"),
        TextColumn("{task.fields[facts]}"),
        console=Console(file=io.StringIO(), width=120),
    )

    def line():
        text = io.StringIO()
        Console(file=text, width=120).print(display.make_tasks_table(display.tasks))
        return text.getvalue().rstrip()

    return terminal.Bar(display, EmSettings(clusters=2, time_budget=60.0)), line


def test_the_bar_tells_iteration_log_likelihood_change_and_time_left(bar):
    bar, line = bar
    bar.iteration(row(9, -3.0, seconds=1.0, phase="refine"), 110)
    bar.iteration(row(19, -2.5, seconds=2.0, phase="refine"), 110)
    told = "refine 20/110  log-likelihood -2.50000 (+5.0e-01)  0:00:02, ≤ 0:00:09 left"
    assert line() == told


def test_time_left_knows_the_time_budget_and_is_never_none_before_the_end(bar):
    bar, line = bar
    bar.iteration(row(0, -3.0, seconds=50.0), 100)
    assert line().endswith("0:00:50, ≤ 0:00:10 left")
    bar.iteration(row(1, -3.0, seconds=59.9), 100)
    assert line().endswith("≤ 0:00:01 left")


def test_while_components_are_searched_the_bar_tells_the_time_so_far():
    unlimited = terminal.Bar(Display(console=Console(file=io.StringIO())))
    assert unlimited._time(row(5, -3.0, seconds=61.0), 20) == "0:01:01"


def test_the_bar_tells_the_time_left_of_the_whole_run():
    now, display = [0.0], Display(console=Console(file=io.StringIO()))
    bar = terminal.Bar(display, DiversifiedSettings(clusters=3), clock=lambda: now[0])
    for stage in ("reading t.csv", "preparing columns"):
        bar.stage(stage)
        now[0] += 3.0
    bar.stage("looking for outliers")
    assert display.tasks[0].fields["facts"] == ""  # nothing to go by yet
    for iteration, phase in enumerate(("relax", "diversify")):
        bar.iteration(row(iteration, -3.0, seconds=now[0], phase=phase), 20)
        now[0] += 15.0
    bar.stage("choosing the shape of components")
    assert display.tasks[0].fields["facts"].endswith(" left")
    bar.rows(500_000, 1_000_000)
    assert display.tasks[0].fields["facts"].startswith("500,000 of 1,000,000 rows  0:0")


def test_the_bar_leaves_room_for_what_the_terminal_writes_of_ctrl_c(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    display, text = terminal._display(), io.StringIO()
    bar = terminal.Bar(display)
    bar.iteration(row(9, -3.0), 110)
    bar.stopping()
    Console(file=text, width=60).print(display.get_renderable())
    (line,) = text.getvalue().splitlines()
    assert 50 < len(line) <= 58


def test_the_bar_leaves_the_terminal_before_rows_come(bar):
    bar, line = bar
    bar._display.start()
    assert bar._display.live.is_started
    bar.output()
    assert not bar._display.live.is_started


def test_a_note_told_while_the_fit_ran_is_not_told_again(bar, capsys):
    bar, _ = bar
    run = run_document()
    bar.note(run["notes"][0])
    summary.print_summary(run, "table.divmix", bar.told)
    assert "note" not in capsys.readouterr().err


def test_the_summary_tells_what_went_in_and_what_was_left_out(capsys):
    columns = {"used": ["age", "income (log)"], "left_out": ["id (all different)"]}
    summary.print_summary(run_document() | {"columns": columns}, "table.divmix")
    told = " ".join(capsys.readouterr().err.split())
    assert "columns age, income (log) | left out: id (all different)" in told


def test_the_bar_counts_rows(bar):
    bar, line = bar
    bar.stage("labelling")
    bar.rows(5000, None)
    assert line() == "labelling 5,000 rows"
    bar.rows(5000, 10000)
    assert line() == "labelling 5,000 of 10,000 rows"


def test_a_bar_that_is_stopping_keeps_saying_so(bar):
    bar, line = bar
    bar.stopping()
    bar.iteration(row(0, -3.0), 100)
    bar.stage("labelling rows")
    assert line() == "stopping after this step; once more to leave at once"


def test_plain_lines_come_now_and_then(capsys, monkeypatch):
    clock = 100.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: clock)
    lines = terminal.Lines()
    lines.stage("fitting")
    for i in range(100):
        clock += 1.0
        lines.iteration(row(i, -3.0, seconds=i), 1000)
    printed = capsys.readouterr()
    assert printed.out == ""
    stage, *rest = printed.err.splitlines()
    assert stage == "fitting"
    assert len(rest) == 10
    assert rest[0] == "diversify: iteration 1/1000  log-likelihood -3.00000, 0.0 s"


@pytest.mark.parametrize(
    "quiet, verbose, tty, kind",
    [
        (False, False, False, "Silent"),
        (True, False, True, "Silent"),
        (True, True, False, "Silent"),
        (False, True, False, "Lines"),
        (False, True, True, "Lines"),
        (False, False, True, "Bar"),
    ],
)
def test_who_listens_depends_on_where_stderr_goes(monkeypatch, quiet, verbose, tty, kind):
    stderr = io.StringIO()
    stderr.isatty = lambda: tty
    monkeypatch.setattr("sys.stderr", stderr)
    with terminal.progress(quiet, verbose) as listener:
        assert type(listener).__name__ == kind


def run_document(clusters=2, evaluation=None):
    apart = [{"column": "x", "mean": 9.87654, "overall_mean": 5.0, "difference": -1.26}]
    return {
        "result": {
            "log_likelihood": -2.5,
            "entropy": 0.5,
            "effective_components": 1.65,
            "n_components": 2,
            "iterations": 12,
            "converged": False,
            "stop_reason": "time_budget",
            "evaluation": evaluation,
            "clusters": [
                {"cluster": c, "size": 1500, "share": 0.5, "mean_probability": None, "apart": apart}
                for c in range(clusters)
            ],
        },
        "notes": ["covariance diag, chosen for 60 rows of 2 features"],
    }


def test_the_summary_tells_clusters_figures_choices_and_the_next_command(capsys):
    summary.print_summary(run_document(evaluation={"rows": 60, "ari": 0.98765}), "table.divmix")
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = [" ".join(line.split()) for line in printed.err.splitlines()]
    assert "cluster rows share probability what sets it apart" in lines
    assert "0 1,500 50.0% - x 9.877 (-1.3 sd)" in lines
    assert (
        "log-likelihood -2.50000 nats per row after 12 iterations, not converged (time_budget)"
        in lines
    )
    assert "against truth ARI 0.988" in lines
    assert "note covariance diag, chosen for 60 rows of 2 features" in lines
    assert lines[-1] == "next divmix predict table.divmix NEW.csv -o labels.csv"


def test_one_is_told_as_one():
    assert [counted(n, "iteration") for n in (0, 1, 1234)] == [
        "0 iterations", "1 iteration", "1,234 iterations"
    ]  # fmt: skip


def test_the_summary_of_many_clusters_ends_in_a_count(capsys):
    summary.print_summary(run_document(clusters=50), "table.divmix")
    text = capsys.readouterr().err
    assert "... and 30 more; table.divmix/components.csv has them all" in text
    assert len(text.splitlines()) < 35


def test_the_summary_names_the_pictures(tmp_path, capsys):
    (tmp_path / "clusters.svg").touch()
    summary.print_summary(run_document(), tmp_path)
    said = capsys.readouterr().err
    assert f"picture         {tmp_path}/clusters.svg" in said and "trace.svg" not in said
