"""One small table, one model fitted to it, and two ways to run a command."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from divmix.cli.main import cli
from tests.cli.helpers import FIT, ROOT, write_csv


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in this process, in an empty folder; the environment sets no option."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("DIVMIX_"):
            monkeypatch.delenv(name)
    return lambda *args, **more: CliRunner().invoke(cli, [str(a) for a in args], **more)


@pytest.fixture
def shell(tmp_path):
    """Starts a command as a process of its own, in an empty folder."""

    def start(*args, **more):
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | more.pop("env", {})
        pipes = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return subprocess.Popen(
            [sys.executable, "-m", "divmix", *map(str, args)],
            cwd=tmp_path,
            env=environment,
            text=True,
            **pipes | more,
        )

    return start


@pytest.fixture
def table(tmp_path):
    return write_csv(tmp_path / "table.csv")


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    """A run folder, and beside it the table that it was fitted to."""
    folder = tmp_path_factory.mktemp("fitted")
    source, output = write_csv(folder / "table.csv"), folder / "table.divmix"
    done = CliRunner().invoke(cli, [*FIT, str(source), "-o", str(output), "--exclude", "kind"])
    assert done.exit_code == 0, done.output
    return output
