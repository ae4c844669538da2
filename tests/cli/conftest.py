"""One small table, one model fitted to it, and two ways to run a command."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from divmix.cli.main import cli

ROOT = Path(__file__).parents[2]
FIT = ["fit", "-k", "2", "--method", "em", "--max-iter", "20"]


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
        return subprocess.Popen([sys.executable, "-m", "divmix", *map(str, args)], cwd=tmp_path,
                                env=environment, text=True, **pipes | more)
    return start


def write_csv(path, rows=60, seed=0):
    """Two far groups in three columns, one of them text."""
    generator = np.random.default_rng(seed)
    lines = ["x,y,kind"]
    for i in range(rows):
        x, y = generator.normal(10.0 * (i % 2), 1.0, 2)
        lines.append(f"{x:.4f},{y:.4f},{'odd' if i % 2 else 'even'}")
    path.write_text("\n".join(lines) + "\n")
    return path


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


def assert_two_lines(stderr):
    """An error as the user must see it."""
    lines = stderr.splitlines()
    assert len(lines) == 2, stderr
    assert lines[0].startswith("Error: ") and len(lines[0]) > len("Error: ")
    assert lines[1].startswith("Hint: ") and len(lines[1]) > len("Hint: ")
