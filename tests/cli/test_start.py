"""Help, version and usage errors."""

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
