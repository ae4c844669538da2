"""A run folder whose run.json or tables somebody has changed is used, or refused in two lines."""

import json
import random
import shutil

import pyarrow.csv
import pytest

from tests.ugly import commands, made
from tests.ugly.test_models import change_document

TABLES = ("trace.csv", "assignments.csv", "scores.csv")
KINDS = ("fit", "stable", "cut", "update", "detect", "select")


def made_runs(folder, data):
    """A run folder of each kind, small and true."""
    pyarrow.csv.write_csv(made.table(60), data)
    numbers = ("--exclude", "kind,sure")
    for call in (
        ("fit", data, "-k", 2, "--truth", "kind", "-o", folder / "fit"),
        ("fit", data, "-k", 2, *numbers, "--noise", "--bootstrap", 10, "-o", folder / "stable"),
        ("cut", folder / "fit", "-k", 1, "-o", folder / "cut", "--data", data),
        ("update", folder / "fit", data, "-o", folder / "update"),
        ("detect", data, *numbers, "--training", "clean", "--components", 2,
         "--run", folder / "detect", "-o", folder / "scores.csv"),
        ("select", data, "-k", "1:3", *numbers, "--bootstrap", 10, "--run", folder / "select"),
    ):  # fmt: skip
        code, _, err = commands.run(*call)
        assert code == 0, err


def changed_line(text, dice):
    """The text of a table with one of its cells, or a line, changed."""
    lines = text.splitlines()
    place = dice.randrange(len(lines))
    cells = lines[place].split(",")
    cells[dice.randrange(len(cells))] = dice.choice(("", "x", "nan", "-1", "1e999", '"'))
    lines[place] = dice.choice((",".join(cells), "", lines[place] + ",1"))
    return "\n".join(lines) + "\n"


def change(run, dice):
    """One to three changes of run.json, seldom of a table; now and then another document at all."""
    tables = [run / name for name in TABLES if (run / name).exists()]
    if tables and dice.random() < 0.1:
        table = dice.choice(tables)
        table.write_text(changed_line(table.read_text(), dice))
        return
    path = run / "run.json"
    document = json.loads(path.read_text())
    for _ in range(dice.choice((1, 1, 2, 3))):
        if document:
            change_document(document, dice)
    if dice.random() < 0.05:
        document = dice.choice(([], [document], {}, None, 5, "run", {"command": "fit"}))
    path.write_text("{" if dice.random() < 0.02 else json.dumps(document))


def check(folder, count, seed):
    """Change runs `count` times, each with a command in turn; how many of these worked."""
    dice, works, data = random.Random(seed), 0, folder / "table.csv"
    (folder / "true").mkdir()
    made_runs(folder / "true", data)
    run, out = folder / "run", folder / "out"
    calls = (
        ("report", run, "-o", folder / "page.html", "--force", "-q"),
        ("report", run, "-o", folder / "page.html", "--force", "-q", "--data", data),
        ("plot", run),
        ("evaluate", run, "--truth", "kind"),
        ("compare", run, folder / "true" / "fit"),
        ("describe", run),
        ("predict", run, data),
        ("update", run, data, "-o", out, "--force", "--max-iter", 3),
        ("fit", "--config", run / "run.json", "--max-iter", 3, "-o", out, "--force", "-q"),
    )
    for number in range(count):
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(folder / "true" / dice.choice(KINDS), run)
        change(run, dice)
        call = dice.choice(calls)
        code, told, err = commands.run(*call)
        wrong = commands.complaint(code, told, err, {0, 2, 3, 4})
        assert not wrong, f"change {number} of seed {seed}, {call[0]}: {wrong}"
        works += code == 0
    return works


def test_changed_runs_work_or_are_refused_in_two_lines(tmp_path):
    assert check(tmp_path, 150, 1) > 20


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_changed_runs(tmp_path, seed):
    print(f"seed {seed}: {check(tmp_path, 1000, 10 + seed)} of 1,000 work")
