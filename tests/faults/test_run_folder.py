"""A run folder is all old or all new at every moment, whatever fails or kills its writer."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from divmix.errors import ModelFileError, OutputError
from divmix.model.model_file import read_model
from divmix.tables import folders
from divmix.tables.folders import claimed_folder
from divmix.tables.writing import atomic_file

NAMES = ("model.divmix", "run.json")
ROOT = Path(__file__).parents[2]

# For each line on standard input writes one generation, in a child of its own: the n-th operation on
# files fails, or is a SIGKILL. It answers with the number of operations, or with nothing.
WRITER = """
import json, os, signal, sys
from divmix.tables import folders
from divmix.tables.folders import claimed_folder
from divmix.tables.writing import atomic_file
def write(folder, text, n, fault, exchange):
    count = 0
    def faulty(function):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == n:
                if fault == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(fault, os.strerror(fault), str(args[0]))
            return function(*args, **kwargs)
        return call
    for name in ("open", "mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "chmod", "fchmod"):
        setattr(os, name, faulty(getattr(os, name)))
    folders.exchange = faulty(folders.exchange if exchange else lambda one, other: False)
    with claimed_folder(folder, ("model.divmix", "run.json"), overwrite=True) as place:
        with place.built() as new:
            for name in ("model.divmix", "run.json"):
                with atomic_file(new / name) as file:
                    file.write(text.encode())
    print(count, end="", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            write(*json.loads(line))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    print(flush=True)
"""


@pytest.fixture(scope="module")
def write():
    """Has a process write a generation; how many operations on files that took, None where it failed."""
    command = [sys.executable, "-c", WRITER]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with subprocess.Popen(command, text=True, cwd=ROOT, **pipes) as process:

        def told(folder, text, n=0, fault=0, exchange=1):
            print(
                json.dumps([str(folder), text, n, fault, exchange]), file=process.stdin, flush=True
            )
            answer = process.stdout.readline().strip()
            return int(answer) if answer else None

        yield told
        process.stdin.close()


def generation(folder):
    """What the folder's files say; None where there is none."""
    if not folder.exists():
        return None
    assert sorted(os.listdir(folder)) == list(NAMES)
    (text,) = {(folder / name).read_text() for name in NAMES}
    return text


@pytest.mark.parametrize("exchange", [1, 0])
@pytest.mark.parametrize("fault", [0, 28, 5], ids=["kill", "ENOSPC", "EIO"])
def test_no_operation_that_fails_loses_or_mixes_a_run(write, tmp_path, fault, exchange):
    folder = tmp_path / "run"
    write(folder, "old", exchange=exchange)
    operations = write(folder, "old", exchange=exchange)
    assert operations >= 10
    failed = 0
    for n in range(1, operations + 1):
        failed += write(folder, "new", n, fault, exchange) is None
        with claimed_folder(folder, NAMES, overwrite=True):
            assert generation(folder) in ("old", "new"), n
        assert os.listdir(tmp_path) == ["run"], n
        if generation(folder) == "new":
            with claimed_folder(folder, NAMES, overwrite=True) as place, place.built() as new:
                for name in NAMES:
                    (new / name).write_text("old")
    assert failed == operations if fault == 0 else failed > 0


def test_a_second_run_is_refused_while_the_first_lives(tmp_path):
    with (
        claimed_folder(tmp_path / "run", NAMES, overwrite=True),
        pytest.raises(OutputError, match="another run"),
        claimed_folder(tmp_path / "run", NAMES, overwrite=True),
    ):
        pytest.fail("two runs write one folder")
    assert os.listdir(tmp_path) == []


def test_permissions_and_the_files_of_others_are_kept(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    for name in (*NAMES, "notes.txt"):
        (folder / name).write_text("old")
        (folder / name).chmod(0o600)
    with claimed_folder(folder, NAMES, overwrite=True) as place, place.built() as new:
        for name in NAMES:
            (new / name).write_text("new")
    assert (folder / "notes.txt").read_text() == "old"
    assert (folder / "run.json").read_text() == "new"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "run.json").stat().st_mode) == 0o600


def test_a_folder_with_folders_in_it_and_the_working_folder_are_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "run" / "thesis").mkdir(parents=True)
    with (
        pytest.raises(OutputError, match="thesis"),
        claimed_folder(tmp_path / "run", NAMES, overwrite=True),
    ):
        pytest.fail("it holds more than a run")
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(OutputError, match="working folder"),
        claimed_folder(".", NAMES, overwrite=True),
    ):
        pytest.fail("it is where we stand")


def test_a_replaced_file_keeps_its_permissions_and_a_dead_writers_file_is_swept(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("old")
    path.chmod(0o600)
    (tmp_path / ".labels.csv.0123abcd.tmp").write_text("half")
    with atomic_file(path, overwrite=True) as file:
        with atomic_file(path, overwrite=True) as other:
            other.write(b"other")
        file.write(b"new")
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["labels.csv"]


def test_names_are_exchanged_in_one_step(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if folders.exchange(tmp_path / "a", tmp_path / "b"):
        assert os.listdir(tmp_path / "a") == ["b"]


def test_a_model_is_not_read_from_an_unfinished_run_or_a_device(tmp_path):
    (tmp_path / "model.divmix").touch()
    with pytest.raises(ModelFileError, match=r"run\.json"):
        read_model(tmp_path)
    with pytest.raises(ModelFileError, match="no file"):
        read_model("/dev/zero")


def test_a_lost_terminal_is_a_signal_like_the_others():
    from divmix.cli.signals import Interrupted, terminate_raises

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup has it ignored
    try:
        with pytest.raises(Interrupted) as caught, terminate_raises():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert caught.value.exit_code == 129
