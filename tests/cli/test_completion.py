"""Completion as it is met: keys typed at the prompt of a real shell, and the words that arrive."""

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from divmix.cli.completion import SHELLS
from divmix.cli.main import cli
from tests.cli.helpers import ROOT

START = {
    "bash": (["--norc", "--noprofile", "-i"], ""),
    "zsh": (["-f", "-i"], "autoload -Uz compinit; compinit -u -d $PWD/dump\n"),
    "fish": (["--no-config", "-i"], ""),
}
LOAD = {
    "bash": 'eval "$(divmix --completion bash)"\n',
    "zsh": 'eval "$(divmix --completion zsh)"\n',
    "fish": "divmix --completion fish | source\n",
}
# A program that completes as divmix does, and else writes down the words that it was given.
PROGRAM = """#!{python}
import json, os, sys
if "_DIVMIX_COMPLETE" in os.environ or "--completion" in sys.argv:
    sys.path.insert(0, {root!r})
    from divmix.cli.main import main
    main()
with open({words!r}, "w") as file:
    json.dump(sys.argv[1:], file)
"""
TYPED = [
    ("divmix sel\t", ["select"]),
    ("divmix fit flo\t", ["fit", "flowers.csv"]),
    ("divmix describe gar\t", ["describe", "garden.divmix"]),
    ("divmix predict garden.divmix flo\t", ["predict", "garden.divmix", "flowers.csv"]),
    ("divmix fit flowers.csv --cov\tsph\t", ["fit", "flowers.csv", "--covariance", "spherical"]),
    ("divmix fit flowers.csv --covariance=sph\t", ["fit", "flowers.csv", "--covariance=spherical"]),
    ("divmix fit flowers.csv --labels=flow\t", ["fit", "flowers.csv", "--labels=flowers.csv"]),
    ("divmix fit flowers.csv --truth ki\t", ["fit", "flowers.csv", "--truth", "kind"]),
    ("divmix fit flowers.csv --columns kind,le\t", ["fit", "flowers.csv", "--columns", "kind,length"]),
    ("divmix fit flowers.csv --truth wid\t", ["fit", "flowers.csv", "--truth", "width in cm"]),
    ("divmix evaluate flowers.csv --truth k\t", ["evaluate", "flowers.csv", "--truth", "kind"]),
    ("divmix predict m flowers.csv --id k\t", ["predict", "m", "flowers.csv", "--id", "kind"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, a run folder, and `divmix` in a folder that stands first on the PATH."""
    made = tmp_path_factory.mktemp("shell")
    (made / "work" / "garden.divmix").mkdir(parents=True)
    (made / "work" / "garden.divmix" / "run.json").write_text("{}")
    (made / "work" / "flowers.csv").write_text("length,width in cm,kind\n1,2,a\n2,3,b\n")
    program = made / "bin" / "divmix"
    program.parent.mkdir()
    words = str(made / "words.json")
    program.write_text(PROGRAM.format(python=sys.executable, root=str(ROOT), words=words))
    program.chmod(0o755)
    return made


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self._words = folder / "words.json"
        arguments, first = START[name]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DIVMIX_")}
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        environment = kept | {"PATH": path, "TERM": "dumb", "HOME": str(folder), "PS1": "> "}
        self._child, self._keys = pty.fork()
        if self._child == 0:  # a shell wants a terminal that it controls
            os.chdir(folder / "work")
            os.execve(shutil.which(name), [name, *arguments], environment)
        os.set_blocking(self._keys, False)
        self.seen = ""
        self.type(first + LOAD[name])
        assert self.words_of("divmix ready\n") == ["ready"], self.seen

    def type(self, keys: str) -> None:
        os.write(self._keys, keys.encode())

    def words_of(self, line: str, patience: float = 60.0) -> list[str]:
        """The words that the program gets when these keys are typed."""
        self._words.unlink(missing_ok=True)
        self.type(line)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            self._look()
            try:
                return json.loads(self._words.read_text())
            except (FileNotFoundError, json.JSONDecodeError):
                time.sleep(0.05)
        raise AssertionError(f"{line!r} was not run:\n{self.seen}")

    def _look(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.seen += os.read(self._keys, 65536).decode(errors="replace")

    def close(self) -> None:
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        os.close(self._keys)


@pytest.fixture(scope="module", params=SHELLS)
def shell(request, folder):
    if shutil.which(request.param) is None:
        pytest.skip(f"there is no {request.param}")
    made = Shell(request.param, folder)
    yield made
    made.close()


@pytest.mark.parametrize("typed, words", TYPED, ids=[typed.strip() for typed, _ in TYPED])
def test_a_tab_completes(shell, typed, words):
    found = shell.words_of(typed + "\n")
    # Some shells end the name of a folder with a slash, some have no blank to end a list.
    assert [word.rstrip("/") for word in found] == [word.rstrip("/") for word in words], shell.seen


def answers(line):
    words = line.split(" ")
    environment = {
        "_DIVMIX_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "divmix"],
        env=os.environ | environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert not done.stderr
    return done.stdout.split()


def test_columns_that_stand_in_the_list_are_not_offered_again():
    wine = ROOT / "sample_data" / "iris.csv"
    assert answers(f"divmix fit {wine} --exclude species,petal_width,petal") == [
        "columns,species,petal_width,petal_length"
    ]
    assert "columns,all" in answers(f"divmix predict m {wine} --keep ")


def test_choices_come_as_they_are_told_in_help():
    assert answers("divmix fit t.csv --family ") == [
        "plain,auto",
        "plain,gaussian",
        "plain,student",
    ]


def test_a_pipe_is_not_read_for_its_columns(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert answers(f"divmix fit {tmp_path / 'pipe'} --truth ") == []
    assert answers("divmix fit - --truth ") == []


def test_the_scripts_are_printed_for_each_shell():
    for shell in SHELLS:
        done = CliRunner().invoke(cli, ["--completion", shell])
        assert done.exit_code == 0 and f"_DIVMIX_COMPLETE={shell}_complete" in done.output
