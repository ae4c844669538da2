"""In pipes, in cron and under signals: quiet, with the right exit code, nothing half-written."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from divmix.cli.signals import GracefulStop, Interrupted, terminate_raises
from tests.cli.helpers import FIT, ROOT, assert_two_lines, write_csv
from tests.docs import blocks


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """Also where the tests run in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


ENDLESS = ["-k", "2", "--method", "em", "--covariance", "full", "--tol", "0", "--max-iter", "100000000"]  # fmt: skip


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def wait_for_the_loop(process):
    while "iteration" not in (line := process.stderr.readline()):
        assert line, "the fit ended before it began to iterate"


def test_a_table_from_standard_input_gives_a_run_folder_and_silence(shell, table, tmp_path):
    process = shell("fit", "-", "-k", "2", stdin=table.open())
    assert process.communicate() == ("", "")
    assert process.returncode == 0
    assert "run.json" in names(tmp_path / "stdin.divmix")


def test_predict_from_pipe_to_pipe(shell, fitted):
    with open(fitted.parent / "table.csv") as source:
        process = shell("predict", fitted, "-", "-o", "-", stdin=source)
        stdout, stderr = process.communicate()
    assert (process.returncode, stderr) == (0, "")
    assert stdout.replace('"', "") == (fitted / "assignments.csv").read_text().replace('"', "")


def test_a_reader_that_leaves_early_is_no_error(shell, fitted, tmp_path):
    write_csv(tmp_path / "long.csv", rows=20_000)
    process = shell("predict", fitted, "long.csv", "-o", "-")
    assert process.stdout.readline().startswith(("row,", '"row"'))
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["--version"]])
def test_help_into_a_closed_pipe_is_silent(shell, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    process = shell(*arguments, stdout=writer)
    os.close(writer)
    assert process.stderr.read() == ""
    assert process.wait() == 141


def test_a_full_disk_is_two_lines(shell, fitted):
    with open("/dev/full", "w") as full:
        process = shell("predict", fitted, fitted.parent / "table.csv", "-o", "-", stdout=full)
    assert_two_lines(process.stderr.read())
    assert process.wait() == 2


def test_a_document_into_a_closed_pipe_is_silent(shell, fitted):
    reader, writer = os.pipe()
    os.close(reader)
    process = shell("describe", fitted, stdout=writer)
    os.close(writer)
    assert process.stderr.read() == ""
    assert process.wait() == 141


def test_a_signal_while_an_encoder_learns_leaves_nothing(shell, table, tmp_path):
    process = shell("fit", table, "--encoder", "spectral:1", *ENDLESS, "-v")
    while "learning encoder spectral" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130
    assert stdout == "" and "Traceback" not in stderr
    assert names(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_any_other_command_at_once(shell, fitted, tmp_path, number, code):
    process = shell("predict", fitted, "-", "-o", "out.csv", "-v", stdin=subprocess.PIPE)
    assert process.stderr.readline() == "labelling -\n"  # and now it waits for a table
    process.send_signal(number)
    assert process.wait(timeout=120) == code
    assert process.stderr.read() == "" and names(tmp_path) == []


def test_a_signal_that_was_ignored_from_the_start_stays_ignored(shell, table, tmp_path):
    process = shell(
        "fit",
        table,
        *ENDLESS[:-1],
        "1000",
        "-v",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    wait_for_the_loop(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 0


def test_the_first_signal_asks_the_second_leaves():
    announced = []
    with (
        pytest.raises(Interrupted) as caught,
        GracefulStop(lambda: announced.append(1)) as should_stop,
    ):
        assert should_stop() is False
        signal.raise_signal(signal.SIGTERM)
        assert should_stop() is True and announced == [1]
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second signal must leave")
    assert caught.value.exit_code == 130


def test_a_signal_before_the_loop_leaves_at_once():
    with pytest.raises(Interrupted), GracefulStop(lambda: None):
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("there is no step to finish")


def test_the_exit_code_tells_of_a_signal_even_where_the_work_was_finished():
    with pytest.raises(Interrupted) as caught, GracefulStop(lambda: None) as should_stop:
        should_stop()
        signal.raise_signal(signal.SIGTERM)
        should_stop.left = "what is written"
    assert caught.value.exit_code == 143 and caught.value.left == "what is written"


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with terminate_raises(), GracefulStop(lambda: None):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_json_is_the_document_of_the_run_and_nothing_else(run, table, tmp_path):
    done = run(*FIT, table, "--json", "-v")
    assert json.loads(done.stdout) == json.loads((tmp_path / "table.divmix/run.json").read_text())
    assert "iteration" in done.stderr


def test_a_terminal_sees_progress_and_summary(shell, table):
    controller, terminal = pty.openpty()
    process = shell(*FIT, table, stderr=terminal, env={"TERM": "xterm", "COLUMNS": "100"})
    os.close(terminal)
    seen = b""
    try:
        while block := os.read(controller, 4096):
            seen += block
    except OSError:  # how Linux says that the other side of a terminal has gone
        pass
    assert process.wait() == 0
    assert process.stdout.read() == ""
    text = seen.decode()
    for words in ("reading", "what sets it apart", "log-likelihood", "divmix predict table.divmix"):
        assert words in text


@pytest.mark.parametrize("closed, code", [("<&-", 0), ("2>&-", 0), (">&-", 2)])
def test_a_closed_descriptor_is_never_another_files(shell, fitted, closed, code):
    command = f'"{sys.executable}" -m divmix predict "$1" "$2" {closed}'
    arguments = ["bash", "-c", command, "bash", str(fitted), str(fitted.parent / "table.csv")]
    done = subprocess.run(
        arguments, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == code, done.stderr
    if code:
        assert_two_lines(done.stderr)
    else:
        assert done.stderr == "" and len(done.stdout.splitlines()) == 61


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "RUN", "TABLE"],
        pytest.param(["detect", "TABLE", "--contamination", "0.1"], marks=pytest.mark.long),
        pytest.param(
            [*FIT, "TABLE", "--labels", "-", "-o", "here", "--force"], marks=pytest.mark.long
        ),
    ],
)
def test_rows_in_a_pipe_are_the_same_beside_a_display_on_the_terminal(fitted, tmp_path, command):
    words = {"RUN": str(fitted), "TABLE": str(fitted.parent / "table.csv")}
    arguments = [sys.executable, "-m", "divmix", *(words.get(word, word) for word in command)]
    shown = blocks.run(arguments, tmp_path)
    quiet = blocks.run([*arguments, "--quiet"], tmp_path)
    assert shown.stdout == quiet.stdout and quiet.stdout.count("\n") > 20
    assert "wrote" in shown.screen and not quiet.screen.strip()
