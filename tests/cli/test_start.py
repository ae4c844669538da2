"""Help, version and usage errors."""

import json
import re
import subprocess
import sys

import click
import pytest

from divmix import __version__
from divmix.cli.main import COMMANDS, cli
from divmix.settings import DiversifiedSettings
from tests.cli.helpers import assert_two_lines


def test_version(run):
    assert run("--version").output == f"divmix {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_leads_with_an_example_that_parses(run, name):
    lines = run(name, "--help").output.splitlines()
    assert lines[0].startswith(f"Example: divmix {name}")
    arguments = lines[0].split()[3:]
    command = cli.get_command(None, name)
    assert command.make_context(name, arguments)


def test_help_lists_every_command_with_a_line(run):
    output = run("--help").output
    for name in COMMANDS:
        line = next(line for line in output.splitlines() if line.startswith(f"  {name} "))
        assert len(line.split()) > 2


def test_help_of_fit_tells_default_range_and_unit(run):
    text = " ".join(run("fit", "--help").output.split())
    default = DiversifiedSettings(clusters=1)
    assert f"[default: {default.alpha} (diversified)" in text
    assert f"[default: {default.tol}; at least 0; nats per row]" in text
    assert text.index("-k, --clusters") < text.index("--alpha") < text.index("--bandwidth")


def test_help_of_fit_names_the_methods_that_have_an_option(run):
    text = " ".join(run("fit", "--help").output.split())
    for option, methods in {
        "--kernel rbf|imq": "[nsvgd]",
        "--noise": "[diversified, em]",
        "--alpha A|auto": "[diversified, nsvgd]",
    }.items():
        help_of_option = text.split(f" {option} ")[1].split(" --")[0]
        assert help_of_option.endswith(methods)
    assert "[diversified, nsvgd, em]" not in text


def test_a_command_is_imported_only_when_it_is_used(monkeypatch):
    for name in COMMANDS:
        monkeypatch.delitem(sys.modules, f"divmix.cli.{name}", raising=False)
    cli.get_command(None, "doctor")
    imported = {name for name in COMMANDS if f"divmix.cli.{name}" in sys.modules}
    assert imported == {"doctor"}


def test_help_of_fit_leads_with_three_examples_and_ten_options(run):
    text = run("fit", "--help").output
    assert [line.split()[:2] for line in text.splitlines()[1:3]] == [["divmix", "fit"]] * 2
    everyday = text.split("Everyday:\n")[1].split("\n\n")[0]
    assert len(re.findall(r"^  -", everyday, re.MULTILINE)) == 10
    assert text.index("Everyday:") < text.index("Model:")


def test_help_is_a_command_too(run):
    assert run("help", "cut").output == run("cut", "--help").output
    assert run("help").output == run("--help").output


@pytest.mark.parametrize(
    "word, hint",
    [
        ("prdict", "did you mean divmix predict?"),
        ("table.csv", "divmix fit table.csv"),
        ("x", "commands are fit"),
    ],
)
def test_a_word_that_is_no_command_brings_the_one_that_is_meant(run, table, word, hint):
    done = run(word)
    assert done.exit_code == 2 and hint in done.stderr
    assert_two_lines(done.stderr)


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["describe", "nope", "--json"], 4),
        (["fit", "nope.csv", "--json"], 3),
        (["fit", "--json", "--x"], 2),
    ],
)
def test_errors_are_an_object_where_results_are(run, arguments, code):
    done = run(*arguments)
    error = json.loads(done.stderr)["error"]
    assert error["code"] == code == done.exit_code and error["message"] and error["hint"]


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["nope"], "'nope'"),
        (["--nope"], "'--nope'"),
        (["fit"], "DATA"),
        (["fit", "t.csv", "-k", "0"], "-k 0: must be at least 1, or auto"),
        (["fit", "t.csv", "-k", "some"], "-k some: must be a whole number, or auto"),
        (["fit", "t.csv", "-k", "3", "--alpha", "-1"], "--alpha -1: must be at least 0, or auto"),
        (["fit", "t.csv", "-k", "3", "--alpha", "some"], "--alpha some: must be a number, or auto"),
        (["fit", "t.csv", "-k", "3", "--family", "cauchy"], "--family cauchy: must be one of"),
        (["fit", "t.csv", "-k", "3", "--nope"], "'--nope'"),
        (["fit", "t.csv", "-k"], "requires an argument"),
        (["sample", "m", "-n", "0"], "0 is not in the range"),
        (["bench", "nope"], "'nope'"),
    ],
)
def test_a_usage_error_is_two_lines_and_exit_code_2(run, tmp_path, arguments, problem):
    done = run(*arguments)
    assert done.exit_code == 2
    assert_two_lines(done.stderr)
    assert problem in done.stderr.splitlines()[0]
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_no_command_shows_the_help_as_a_usage_error(run):
    done = run()
    assert done.exit_code == 2
    assert "Commands:" in done.stderr and done.stdout == ""


def test_debug_is_an_option_of_every_command():
    for name in COMMANDS:
        names = [
            option
            for param in cli.get_command(None, name).params
            if isinstance(param, click.Option)
            for option in param.opts
        ]
        assert "--debug" in names


def test_no_command_on_its_usual_way_imports_pandas(tmp_path):
    """Which takes longer than the fit of a small table."""
    table = tmp_path / "t.csv"
    table.write_text("a,b\n" + "".join(f"{i % 7}.5,{i * i % 11}\n" for i in range(60)))
    run, drawn, scores = (str(tmp_path / name) for name in ("run", "drawn.csv", "scores.csv"))
    commands = [
        ["fit", str(table), "-k", "2", "-o", run],
        ["sample", run, "-n", "5", "-o", drawn],
        ["detect", str(table), "-o", scores, "--contamination", "0.1"],
    ]
    program = f"""
import sys
from divmix.cli.main import cli
for command in {commands!r}:
    try:
        cli(command)
    except SystemExit as end:
        assert not end.code
print("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["False"], done.stderr
