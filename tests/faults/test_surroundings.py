"""Disks that are full or read-only, little memory, no locale, no working folder: two lines, in time."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time

import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest

from divmix.kernels import chunks
from tests.cli.helpers import FIT, ROOT, assert_two_lines, write_csv
from tests.ugly import commands, made

LIMIT = 300  # seconds: many times what it takes, on a busy machine too


def command(folder, *arguments, env=(), **more):
    """A finished process: `returncode`, `stdout`, `stderr`."""
    return subprocess.run(
        [sys.executable, "-m", "divmix", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | dict(env),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        **more,
    )


def limited(kind, size):
    return lambda: resource.setrlimit(kind, (size, size))


def test_a_locale_that_knows_ascii_alone(tmp_path):
    (tmp_path / "üñ.csv").write_bytes(b"x,gr\xc3\xb6\xc3\x9fe\n" + b"1,2\n3,5\n9,4\n8,8\n" * 5)
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = command(tmp_path, *FIT, "üñ.csv", "--json", env=plain)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["result"]["n_clusters"] == 2
    assert (tmp_path / "üñ.divmix" / "run.json").exists()
    assert "größe" in command(tmp_path, "describe", "üñ.divmix", env=plain).stdout


def test_a_file_that_may_not_grow_is_two_lines_and_leaves_nothing(tmp_path):
    write_csv(tmp_path / "table.csv", rows=2000)
    done = command(tmp_path, *FIT, "table.csv", preexec_fn=limited(resource.RLIMIT_FSIZE, 20_000))
    assert done.returncode == 2
    assert_two_lines(done.stderr)
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_folder_that_takes_no_files(tmp_path):
    write_csv(tmp_path / "table.csv")
    done = command(tmp_path, *FIT, "table.csv", "-o", "/proc/run")
    assert done.returncode == 2
    assert_two_lines(done.stderr)


def test_a_working_folder_that_was_deleted(tmp_path):
    table = write_csv(tmp_path / "table.csv")
    (tmp_path / "gone").mkdir()
    line = 'cd gone && rmdir ../gone && exec "$0" -m divmix fit "$1" -k 2 -o "$2"'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, str(table), str(tmp_path / "run")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert_two_lines(done.stderr)


def test_no_home_and_an_unknown_user(tmp_path):
    """Machine code is kept nowhere rather than in a folder called ~ where the user stands."""
    made.model("gaussian-diag").save(tmp_path / "model.divmix")
    pyarrow.csv.write_csv(made.table(), tmp_path / "table.csv")
    line = "import os; os.getuid = lambda: 54321; from divmix.cli.main import main; main()"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", line, "predict", "model.divmix", "table.csv"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 31
    assert done.stderr.count("cannot keep compiled kernels") == 1
    assert sorted(os.listdir(tmp_path)) == ["model.divmix", "table.csv"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_lose_no_data_and_mix_none(tmp_path, closed):
    made.model("gaussian-diag").save(tmp_path / "model.divmix")
    pyarrow.csv.write_csv(made.table(), tmp_path / "table.csv")
    line = f'"$0" -m divmix predict model.divmix "$1" -o labels.csv {closed}'

    def tried(table):
        return subprocess.run(
            ["bash", "-c", line, sys.executable, table], cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        )  # fmt: skip

    done = tried("table.csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 31
    if closed == "2>&-":
        done = tried("none.csv")
        assert (done.returncode, done.stdout) == (3, "")


def test_the_second_of_two_runs_into_one_folder_is_refused(tmp_path):
    write_csv(tmp_path / "table.csv")
    os.mkfifo(tmp_path / "fifo")
    arguments = [sys.executable, "-m", "divmix", *FIT, "fifo", "-o", "run", "--force"]
    first = subprocess.Popen(
        arguments, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with (tmp_path / "fifo").open("wb") as pipe:  # opened once the first run reads
        second = command(tmp_path, *FIT, "table.csv", "-o", "run", "--force")
        pipe.write((tmp_path / "table.csv").read_bytes())
    assert second.returncode == 2 and "another run is writing run" in second.stderr
    assert_two_lines(second.stderr)
    assert first.communicate(timeout=LIMIT) == (None, "") and first.returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["fifo", "run", "table.csv"]


@pytest.mark.long
def test_a_disk_of_five_megabytes(tmp_path):
    """The first run stands whole, and the second, for which there is no room, leaves nothing."""
    disk, table = tmp_path / "disk", write_csv(tmp_path / "table.csv", rows=120_000)
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", disk]).returncode:
        pytest.skip("no mount is permitted here")
    try:
        assert command(disk, *FIT, table, "-o", "run").returncode == 0
        first = (disk / "run" / "assignments.csv").read_bytes()
        for more in (("-o", "other"), ("-o", "run", "--force")):
            done = command(disk, *FIT, table, *more)
            assert done.returncode == 2, done.stderr
            assert_two_lines(done.stderr)
            assert os.listdir(disk) == ["run"]
        assert (disk / "run" / "assignments.csv").read_bytes() == first
    finally:
        subprocess.run(["umount", disk], check=True)


def test_whole_numbers_that_are_rounded_are_told(tmp_path):
    ids = [2**53 + 2 * i + 1 for i in range(20)]
    columns = {"id": ids, "x": [i % 2 for i in range(20)], "y": [i + 0.5 for i in range(20)]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    asked = (*FIT, tmp_path / "t.parquet", "--columns", "id,x,y", "-o", tmp_path / "run")
    assert commands.run(*asked)[0] == 0
    notes = json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    assert len([note for note in notes if "rounded" in note and "'id'" in note]) == 1
    pyarrow.csv.write_csv(pyarrow.table(columns), tmp_path / "t.csv")  # text, where it has a choice
    asked = (*FIT, tmp_path / "t.csv", "--columns", "id,x,y", "-o", tmp_path / "texts")
    assert commands.run(*asked) == (0, "", "")
    used = json.loads((tmp_path / "texts" / "run.json").read_text())["columns"]["used"]
    assert used[0] == "id (20 categories)"


def test_little_address_space_is_refused_before_anything_is_loaded(tmp_path):
    write_csv(tmp_path / "table.csv")
    limit = limited(resource.RLIMIT_AS, 400 << 20)
    done = command(tmp_path, *FIT, "table.csv", preexec_fn=limit)
    assert done.returncode == 3
    assert "limited to 400 MB" in done.stderr
    assert_two_lines(done.stderr)
    for told in (["--version"], ["fit", "--help"]):
        assert command(tmp_path, *told, preexec_fn=limit).returncode == 0


@pytest.mark.parametrize("started", [0, 1])
def test_threads_that_cannot_start_end_the_fit(tmp_path, monkeypatch, started):
    table, start, count = write_csv(tmp_path / "table.csv", rows=4000), threading.Thread.start, 0
    monkeypatch.setattr(chunks, "LEAST_WORK", 1 << 10)  # so that few rows are several chunks

    def limited_start(thread):
        nonlocal count
        count += 1
        if count > started:
            raise RuntimeError("can't start new thread")
        start(thread)

    asked = (*FIT, table, "--exclude", "kind", "-o", tmp_path / "run", "--threads", 3 + started)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", limited_start)
        code, _, err = commands.run(*asked)
    assert count > started and code == 3 and "out of memory" in err
    assert_two_lines(err)
    assert os.listdir(tmp_path) == ["table.csv"]
    assert commands.run(*asked)[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("megabytes", [*range(200, 2000, 300), 2400, 2500, 3000])
def test_little_address_space_ends_in_time(tmp_path, megabytes):
    write_csv(tmp_path / "table.csv", rows=5000)
    limit = limited(resource.RLIMIT_AS, megabytes << 20)
    done = command(tmp_path, *FIT, "table.csv", "--threads", 2, preexec_fn=limit)
    print(f"{megabytes} MB: exit {done.returncode}")
    assert done.returncode in (0, 3), done.stderr
    if done.returncode:
        assert_two_lines(done.stderr)
        assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("twice", [False, True])
def test_signals_at_any_moment(tmp_path, number, twice):
    write_csv(tmp_path / "table.csv")
    dice = random.Random(3)
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-m", "divmix", *FIT, "table.csv", "--force"],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(dice.uniform(0.05, 3))
        for _ in range(1 + twice):
            process.send_signal(number)
        _, err = process.communicate(timeout=LIMIT)
        if "init_import_site" in err:  # Python itself was not up yet
            continue
        assert process.returncode in (0, -number, 128 + number), err
        assert "Traceback" not in err or process.returncode == -number, err
        assert {name for name in os.listdir(tmp_path) if name.startswith(".")} == set()


@pytest.mark.long
def test_eight_processes_on_an_empty_cache(tmp_path):
    write_csv(tmp_path / "table.csv")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "divmix", *FIT, "table.csv", "-o", f"run{i}"],
            cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
        )
        for i in range(8)
    ]  # fmt: skip
    for process in running:
        _, err = process.communicate(timeout=600)
        assert (process.returncode, err) == (0, "")
    tables = {(tmp_path / f"run{i}" / "assignments.csv").read_bytes() for i in range(8)}
    assert len(tables) == 1
