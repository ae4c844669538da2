"""The README is executed: its console blocks print what they show, up to digits of figures."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")


def console_steps():
    """(command, output shown) of every `$` line in the console blocks, in order."""
    for block in re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = step.partition("\n")
            yield command, shown


def same_up_to_digits(shown, printed):
    """Words equal, numbers within 1 %: other processors round in other places."""

    def words(text):
        return NUMBER.sub("#", " ".join(text.split()))

    def numbers(text):
        return [float(number.replace(",", "")) for number in NUMBER.findall(text)]

    return words(shown) == words(printed) and numbers(printed) == pytest.approx(
        numbers(shown), rel=0.01, abs=0.01
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "sample_data", folder / "sample_data")
    program = folder / "bin" / "divmix"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m divmix "$@"\n')
    program.chmod(0o755)
    return folder


def test_the_tour_prints_what_the_readme_shows(folder):
    steps = list(console_steps())
    assert len(steps) >= 8
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    for command, shown in steps:
        # What a fit says on a terminal is silence here: see tests/cli/test_terminal.py for it.
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            text=True,
            capture_output=True,
            timeout=300,
        )
        told = done.stdout + done.stderr
        if shown.startswith("Error:"):
            assert done.returncode in (2, 3)
        else:
            assert done.returncode == 0, f"{command}\n{told}"
        if told.strip():
            assert same_up_to_digits(shown, told), f"{command}\n{told}"


def test_the_python_example_runs(folder):
    code = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"-\d+\.\d+ \[", done.stdout)


def test_every_command_of_the_program_is_in_the_readme():
    from divmix.cli.main import cli

    for name in cli.list_commands(None):
        assert f"divmix {name}" in README, name
