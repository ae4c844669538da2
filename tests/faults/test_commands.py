"""Whatever operation of a command fails or kills it: old or new, two lines, and a retry succeeds."""

import errno
import hashlib
import os
import random
import shutil
import signal
import time

import pytest

from tests.cli.helpers import assert_two_lines, write_csv
from tests.faults.harness import Server

FIT = ("fit", "table.csv", "-k", 2, "--method", "em", "--max-iter", 3, "--threads", 1)
COMMANDS = {
    "fit": (*FIT, "-o", "out", "--force"),
    "predict": ("predict", "run", "table.csv", "-o", "out.csv", "--force"),
    "detect": (
        "detect", "table.csv", "-o", "out.csv", "--run", "out", "--force", "--threads", 1,
        "--exclude", "kind", "--components", 1, "--contamination", "0.1",
    ),
    "cut": ("cut", "tree", "--data", "table.csv", "-k", 2, "-o", "out", "--force"),
    "select": ("select", "table.csv", "-k", "1:2", "-o", "out.csv", "--force", "--threads", 1),
    "sample": ("sample", "run", "-n", 20, "-o", "out.csv", "--force"),
    "evaluate": ("evaluate", "run/assignments.csv", "--truth", "kind", "--data", "table.csv"),
    "describe": ("describe", "run"),
    "audit": ("audit", "table.csv", "table.csv"),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a table and two runs, and the server of it."""
    folder = tmp_path_factory.mktemp("commands")
    write_csv(folder / "table.csv", rows=30)
    server = Server(folder)
    assert server.run((*FIT, "-o", "run"))[0] == 0
    assert server.run((*FIT[:4], "-o", "tree", "--components", 4, "--threads", 1))[0] == 0
    yield folder, server
    server.close()


def state(folder):
    """Digest of each output; of a run folder all files but those that tell the time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name not in ("out/run.json", "out/trace.csv"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def outputs(folder):
    return {name: digest for name, digest in state(folder).items() if name.startswith("out")}


def mark_as_old(folder):
    """Let the outputs that stand be recognised: each gets a line more."""
    for name in outputs(folder):
        with (folder / name).open("ab") as file:
            file.write(b"old\n")


def tries(place, name, fault, numbers):
    """Each of some operations of a command fails; returns how many did."""
    folder, server = place
    command = COMMANDS[name]
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out.csv").unlink(missing_ok=True)
    code, operations, err = server.run(command)
    code, operations, err = server.run(command)  # now over what stands
    assert code == 0, err
    clean, new = set(os.listdir(folder)), outputs(folder)
    mark_as_old(folder)
    old = outputs(folder)
    chosen = numbers(operations)
    for n in chosen:
        code, _, err = server.run(command, n, fault)
        where = f"{name}: operation {n} of {operations}, exit {code}: {err}"
        if fault == 0:
            assert code in (-signal.SIGKILL, 0, 2, 3), where
        else:
            assert code in (0, 2, 3, 4, 5), where
            if code:
                assert_two_lines(err)
        parts = {}  # what an output holds: old or new, and a run folder all of one kind
        for output, digest in outputs(folder).items():
            kind = {old.get(output): "old", new.get(output): "new"}.get(digest)
            assert kind, f"{where}: {output} is neither old nor new"
            parts.setdefault(output.split("/")[0], set()).add(kind)
        assert all(len(kinds) == 1 for kinds in parts.values()), f"{where}: mixed {parts}"
        assert {output.split("/")[0] for output in old} <= set(parts), f"{where}: an output is lost"
        again, _, err = server.run(command)
        assert again == 0, f"{where}; again: {err}"
        assert set(os.listdir(folder)) == clean, f"{where}: left over"
        assert outputs(folder) == new, where
        mark_as_old(folder)
    return len(chosen)


@pytest.mark.parametrize("fault", [0, errno.ENOSPC], ids=["kill", "ENOSPC"])
@pytest.mark.parametrize("name", ["fit", "predict"])
def test_operations_that_fail_leave_old_or_new_and_a_retry_succeeds(place, name, fault):
    dice = random.Random(5)
    assert tries(place, name, fault, lambda count: dice.sample(range(1, count + 1), 4)) == 4


@pytest.mark.long
@pytest.mark.parametrize("fault", [0, errno.ENOSPC, errno.EIO], ids=["kill", "ENOSPC", "EIO"])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_operation_of_every_command(place, name, fault):
    print(f"{name}: {tries(place, name, fault, lambda count: range(1, count + 1))} operations")


def kills(place, count):
    """How many of `count` fits a SIGKILL at a random moment ends; each fourth is tried again."""
    folder, server = place
    dice, killed, command = random.Random(1), 0, COMMANDS["fit"]
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out.csv").unlink(missing_ok=True)
    assert server.run(command)[0] == 0
    started = time.monotonic()
    assert server.run(command)[0] == 0
    length = time.monotonic() - started
    clean, new = set(os.listdir(folder)), outputs(folder)
    for n in range(count):
        if outputs(folder) == new:
            mark_as_old(folder)
            old = outputs(folder)
        code, _, err = server.run(command, seconds=dice.uniform(0, 1.1) * length)
        assert code in (0, -signal.SIGKILL), err
        killed += code != 0
        assert outputs(folder) in (old, new), n
        if n % 4 == 0:
            assert server.run(command)[0] == 0
            assert set(os.listdir(folder)) == clean and outputs(folder) == new
    return killed


def test_kills_at_random_moments_and_the_retry_of_a_killed_job(place):
    assert kills(place, 8) > 0


@pytest.mark.long
def test_two_hundred_kills_at_random_moments(place):
    print(f"{kills(place, 200)} of 200 were killed in time; 50 retries succeeded")
