"""What can be read only once is read once: as many rows come out of a pipe as went in."""

import contextlib
import os
import random
import subprocess
import sys

import pytest

from tests.cli.helpers import write_csv
from tests.ugly import commands

WAYS = ("-", "/dev/stdin", "<(cat)", "FIFO")


@contextlib.contextmanager
def piped(way, table, folder):
    """The name by which a command finds a table that another process writes."""
    if way == "FIFO":
        fifo = folder / "fifo"
        os.mkfifo(fifo)
        with subprocess.Popen(["sh", "-c", 'cat "$0" > "$1"', table, fifo]):
            yield fifo
        fifo.unlink()
        return
    with subprocess.Popen(["cat", table], stdout=subprocess.PIPE) as cat:
        if way == "<(cat)":  # as bash names it
            yield f"/dev/fd/{cat.stdout.fileno()}"
            return
        saved, former = os.dup(0), sys.stdin
        os.dup2(cat.stdout.fileno(), 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  put back below
        try:
            yield way
        finally:
            sys.stdin = former
            os.dup2(saved, 0)
            os.close(saved)


def calls(name, run, out):
    """Commands that read a table called `name`."""
    threads = ("--threads", 1)
    fit = ("fit", name, "-k", 2, "--method", "em", "--max-iter", 3, "--exclude", "kind")
    return {
        "fit": (*fit, "-o", out, "--force", *threads),
        "predict": ("predict", run, name),
        "detect": ("detect", name, "-o", "-", "--threshold", 0.9, "--components", 1,
                   "--exclude", "kind", *threads),
    }  # fmt: skip


def result(command, name, run, out):
    """What a command writes of the rows: one line each, after the header."""
    code, text, err = commands.run(*calls(name, run, out)[command])
    assert (code, err) == (0, ""), err
    return (out / "assignments.csv").read_text() if command == "fit" else text


def tries(folder, count, rows):
    """Rows in and rows out of `count` pipes, each with what the file itself gives."""
    dice = random.Random(7)
    table, run = folder / "table.csv", folder / "run"
    write_csv(table, rows=40)
    assert commands.run(*calls(table, run, run)["fit"])[0] == 0
    for number in range(count):
        n = dice.randint(20, rows)
        write_csv(table, rows=n, seed=number)
        command = ("fit", "predict", "detect")[number % 3]
        expected = result(command, table, run, folder / "file")
        assert expected.count("\n") == n + 1
        with piped(WAYS[number % 4], table, folder) as name:
            assert result(command, name, run, folder / "pipe") == expected, (number, n)


def test_no_row_is_lost_through_a_pipe(tmp_path):
    tries(tmp_path, 12, 4_000)


@pytest.mark.long
def test_no_row_is_lost_through_fifty_pipes(tmp_path):
    tries(tmp_path, 50, 60_000)
