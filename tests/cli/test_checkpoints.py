"""Interrupted fits from the command line: what stays, what is said, how they go on."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from divmix.cli.main import cli
from tests.checkpoints.interrupt import content
from tests.cli.helpers import ROOT, assert_two_lines, write_csv
from tests.cli.test_pipes_and_signals import ctrl_c_is_heard, names, wait_for_the_loop  # noqa: F401

LONG = ["-k", "2", "--method", "em", "--covariance", "full", "--tol", "0", "--max-iter", "2000"]
SHORT = ["-k", "2", "--method", "em", "--covariance", "full", "--tol", "0", "--max-iter", "30"]


def stop(shell, *arguments, number=signal.SIGTERM):
    """A fit that is stopped while it iterates: the exit code and the last line of stderr, if any."""
    process = shell("fit", *arguments, "-v")
    wait_for_the_loop(process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=120)
    assert stdout == "" and "Traceback" not in stderr
    return process.returncode, stderr.rpartition("\n")[0].rpartition("\n")[2]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A folder with a table, and a run folder beside it that holds a checkpoint alone."""
    folder = tmp_path_factory.mktemp("stopped")
    write_csv(folder / "table.csv")
    command = [sys.executable, "-m", "divmix", "fit", "table.csv", *LONG, "-v"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    wait_for_the_loop(process)
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    return folder


@pytest.fixture
def unfinished(stopped, tmp_path):
    """That run folder, in the test's own folder with its table."""
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    return tmp_path / "table.divmix"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The numbers of the fit that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    asked = ["fit", str(write_csv(folder / "table.csv")), *LONG, "-o", str(folder / "run")]
    assert CliRunner().invoke(cli, asked).exit_code == 0
    return content(folder / "run")


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_fit_says_where_it_is_and_how_it_goes_on(
    shell, run, table, tmp_path, whole, number, code
):
    left, line = stop(shell, table.name, *LONG, number=number)
    assert left == code and names(tmp_path / "table.divmix") == ["checkpoint.divmix"]
    assert line.startswith(f"Stopped ({number.name}): table.divmix/checkpoint.divmix keeps ")
    command = shlex.split(line.partition("to go on: divmix ")[2])
    assert command[-1] == "--resume" and command[:2] == ["fit", "table.csv"]
    done = run(*command)
    assert done.exit_code == 0
    assert "going on from table.divmix/checkpoint.divmix" in done.stderr
    assert "checkpoint.divmix" not in names(tmp_path / "table.divmix")
    assert names(tmp_path) == ["table.csv", "table.divmix"]
    assert content(tmp_path / "table.divmix") == whole


def test_a_killed_fit_goes_on_from_its_last_checkpoint(shell, run, table, tmp_path, whole):
    process = shell("fit", "table.csv", *LONG, "--checkpoint-every", "0.05s", "-v")
    path = tmp_path / "table.divmix" / "checkpoint.divmix"
    while not path.exists():
        time.sleep(0.02)
        assert process.poll() is None
    process.kill()
    process.communicate()
    (path.parent / ".checkpoint.divmix.0123abcd.tmp").write_bytes(b"half")  # of its last moment
    done = run("fit", "table.csv", *LONG, "--resume", "-v")
    assert "going on from" in done.stderr and done.exit_code == 0
    assert content(path.parent) == whole
    assert not any("checkpoint" in name for name in names(path.parent))


def test_without_resume_a_fit_begins_anew(run, unfinished, tmp_path):
    before = (unfinished / "checkpoint.divmix").read_bytes()
    done = run("fit", "table.csv", *SHORT, "-v")
    assert done.exit_code == 0, done.output
    assert "is of an unfinished run: --resume would go on, this one begins anew" in done.stderr
    assert "checkpoint.divmix" not in names(unfinished) and before
    run("fit", "table.csv", *SHORT, "-o", "whole")
    assert content(unfinished) == content(tmp_path / "whole")


def test_where_there_is_no_checkpoint_a_fit_begins_anew_and_says_so(run, table):
    done = run("fit", "table.csv", *SHORT, "--resume", "-v")
    assert done.exit_code == 0
    assert "no checkpoint in table.divmix: the run begins anew" in done.stderr


def test_a_checkpoint_of_another_run_is_two_lines_and_stays(run, unfinished, tmp_path):
    path = unfinished / "checkpoint.divmix"
    before = path.read_bytes()
    for arguments, told in [
        ([*LONG, "--seed", "5"], "seed was 0 and is 5"),
        ([*LONG, "--covariance", "auto"], "covariance was full and is auto"),
        ([*LONG, "--exclude", "y"], "exclude was none and is y"),
    ]:
        done = run("fit", "table.csv", *arguments, "--resume")
        assert done.exit_code == 7
        assert_two_lines(done.stderr)
        assert told in done.stderr and path.read_bytes() == before
    write_csv(tmp_path / "table.csv", rows=61)
    done = run("fit", "table.csv", *LONG, "--resume")
    assert done.exit_code == 7 and "the data are others" in done.stderr
    assert path.read_bytes() == before


def test_other_threads_and_another_time_budget_may_go_on(run, unfinished):
    more = ["--resume", "--threads", "1", "--time-budget", "1000"]
    assert run("fit", "table.csv", *LONG, *more).exit_code == 0


def test_a_damaged_checkpoint_is_two_lines_and_stays(run, unfinished):
    path = unfinished / "checkpoint.divmix"
    path.write_bytes(path.read_bytes()[:-1000])
    before = path.read_bytes()
    done = run("fit", "table.csv", *LONG, "--resume")
    assert done.exit_code == 7
    assert_two_lines(done.stderr)
    assert str(path.relative_to(path.parents[1])) in done.stderr and path.read_bytes() == before


def test_an_old_run_stays_until_the_new_one_is_whole(shell, run, table):
    assert run("fit", "table.csv", *SHORT).exit_code == 0
    folder = table.with_suffix(".divmix")
    old = content(folder)
    code, line = stop(shell, "table.csv", *LONG, "--force")
    assert code == 143 and "--force" in line
    assert content(folder) == old and "checkpoint.divmix" in names(folder)
    assert run("describe", folder).exit_code == 0
    assert run("fit", "table.csv", *LONG).exit_code == 2  # as a run that stands always is
    assert run("fit", "table.csv", *LONG, "--force", "--resume").exit_code == 0
    assert content(folder) != old and "checkpoint.divmix" not in names(folder)


def test_never_leaves_nothing(shell, table, tmp_path):
    code, line = stop(shell, "table.csv", *LONG, "--checkpoint-every", "never")
    assert code == 143 and "checkpoint" not in line
    assert names(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("span", ["0", "-1", "x", "5d", "nan", "inf", ""])
def test_a_span_that_is_none_is_two_lines(run, table, span):
    done = run("fit", "table.csv", *SHORT, "--checkpoint-every", span)
    assert done.exit_code == 2
    assert_two_lines(done.stderr)


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_no_room_for_a_checkpoint(shell, unfinished):
    """A limit on the size of files stands in for a full disk: the fit goes on without, and when a
    signal stops it two lines name the file; the checkpoint of before stays."""
    import resource

    path = unfinished / "checkpoint.divmix"
    before = path.read_bytes()

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    more = ["--resume", "--checkpoint-every", "0.001s", "-v"]
    process = shell("fit", "table.csv", *LONG, *more, preexec_fn=limited)
    seen = ""
    while "note: no checkpoint" not in (line := process.stderr.readline()):
        assert line, seen
        seen += line
    assert "checkpoint.divmix cannot be written: File too large" in line
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=120)[1].splitlines()[-2:]
    assert_two_lines("\n".join(error))
    assert "checkpoint.divmix" in error[0] and process.returncode != 0
    assert path.read_bytes() == before
