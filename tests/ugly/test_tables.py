"""Tables that something has damaged: they are fitted, or refused in two lines."""

import random

import pytest

from tests.cli.helpers import write_csv
from tests.ugly import commands

PIECES = (
    b",", b";", b"\t", b"\n", b"\r", b"\r\n", b'"', b'""', b"\0", b"\xff", b"\xef\xbb\xbf", b"NA", b"?",
    b"=cmd()", b"1e999", b"-1e308", b"5e-324", b"9007199254740993", b"inf", b"nan", b"true", b"\xc3\xb1",
    b"1,5", b" ", b"x" * 5000, b"{}", b"#",
)  # fmt: skip


def mutant(content, dice):
    """The bytes of a table with one to four changes."""
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(content) + 1)
        other = min(len(content), at + dice.randrange(1, 40))
        action = dice.randrange(7)
        if action == 0:
            content = content[:at] + dice.choice(PIECES) + content[at:]
        elif action == 1:
            content = content[:at] + dice.choice(PIECES) + content[other:]
        elif action == 2:
            content = content[:at] + content[other:]
        elif action == 3:
            content = content[:at] + content[at:other] * 3 + content[other:]
        elif action == 4:
            content = content[:at]
        elif action == 5:
            lines = content.split(b"\n")
            dice.shuffle(lines)
            content = b"\n".join(lines)
        else:
            content = content.replace(*dice.sample(PIECES, 2))
    return content


def check(folder, count, seed):
    """Try `count` tables; returns how many of them were fitted."""
    dice, fitted = random.Random(seed), 0
    original = write_csv(folder / "table.csv", rows=25).read_bytes()
    path, run = folder / "t.csv", folder / "run"
    fit = ("fit", path, "-k", 2, "--method", "em", "--max-iter", 3, "--threads", 1)
    for number in range(count):
        path.write_bytes(mutant(original, dice))
        code, out, err = commands.run(*fit, "-o", run, "--force")
        wrong = commands.complaint(code, out, err, {0, 2, 3, 5})
        if not wrong and code == 0:
            fitted += 1
            wrong = commands.odd_labels((run / "assignments.csv").read_text())
        assert not wrong, f"table {number} of seed {seed}: {wrong}\n{path.read_bytes()!r}"
    return fitted


def test_damaged_tables_are_fitted_or_refused_in_two_lines(tmp_path):
    assert 0 < check(tmp_path, 60, 1) < 60


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_two_thousand_damaged_tables(tmp_path, seed):
    print(f"seed {seed}: {check(tmp_path, 200, 100 + seed)} of 200 were fitted")
