"""Each file that is refused comes with a command, whole as it was typed, that works when it is run."""

import io
import json
import re
import shlex
import subprocess
import sys

import pytest

from tests.cli.helpers import ROOT
from tests.tables.test_ugly_files import UGLY
from tests.ugly import commands
from tests.ugly.test_newcomer_files import NO_TABLE, READ, REFUSED

FIT = "fit ugly.csv -k 2 --method em"
TYPED = FIT.split()
HINT = re.compile(r"Hint: .+; (?P<when>try|then): (?:(?P<program>.+) \| )?divmix (?P<line>.+)\n\Z")
MENDED = "a,b\n1.5,10\n2.5,20\n4,15\n"  # what a person makes of a file that no program mends
THEN = (3, "a b")

# Rows and columns of the fit that the command of the hint is, by the case.
EXPECTED = {
    **dict.fromkeys(("empty", "blank lines only", "header only", "header without line end"), THEN),
    **dict.fromkeys(("a program", "a workbook", "an old workbook", "cut gzip"), THEN),
    **dict.fromkeys(("gzip of nothing", "no line end", "a JSON line without end"), THEN),
    "short row": (3, "a b"),
    "long row": (3, "a b"),
    "short row, late": (120_000, "a b"),
    "short row among quotes": (3, "a b"),
    "short row below R's header": (60, "a b"),
    "short rows only": (2, "x1"),
    "no header": (None, "x1 x2"),
    "text among numbers": (4, "a"),
    "late text": (720_001, "b"),
    "late text after blank lines": (4, "a"),
    "late text without blanks, windows": (4, "a"),
    "late text in truth values": (200_001, "a b"),
    "latin-1": (None, "a b"),
    "utf-16 without its mark": (3, "a b"),
    "UTF-16 without a mark": (3, "a b"),
    "bzip2": (3, "a b"),
    "an open quote": (3, "a b"),
    "an open quote among names": (3, "a b"),
    "a name without end": (50_000, "a b"),
    "a name in latin-1": (3, "a größe"),
    "too many columns": (3, None),
    "dashes for nothing": (3, "a b"),
    "a word among numbers": (4, "b"),
    "a word among numbers as people write them": (4, "b"),
    "two currencies": (5, "b"),
    "gaps": (3, "a b"),
    "infinite": (3, "b"),
    "a zip archive": (3, "a b"),
    "a JSON array": (3, "a"),
    "comments between rows": (4, "a b"),
}  # fmt: skip
FILES = {
    name: group[name][0] for group in (UGLY, REFUSED, NO_TABLE, {"dashes for nothing": READ["dashes for nothing"]})
    for name in group
}  # fmt: skip


def piped(program, line, monkeypatch):
    """What a command line does with the output of a program of the shell; the command in here."""
    if program:
        made = subprocess.run(["bash", "-c", program], stdout=subprocess.PIPE, check=True).stdout
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(made)))
    return commands.run(*shlex.split(line))


@pytest.mark.parametrize("case", FILES)
def test_the_command_of_the_hint_works(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = FILES[case]
    (tmp_path / "ugly.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, told = commands.run(*TYPED)
    assert code == 3
    hint = HINT.search(told)
    assert hint, told
    line = hint["line"]
    assert ("- -k" if hint["program"] else "-k") + FIT.partition("-k")[2] in line
    if hint["when"] == "then":  # the step before it is a person's
        (tmp_path / shlex.split(line)[1]).write_text(MENDED)
    code, _, told = piped(hint["program"], line, monkeypatch)
    assert code == 0, told
    (found,) = tmp_path.glob("*.divmix/run.json")
    document = json.loads(found.read_text())
    rows, columns = EXPECTED[case]
    used = [name.partition(" (")[0] for name in document["columns"]["used"]]
    assert rows in (None, document["input"]["rows"])
    assert columns in (None, " ".join(used))


def test_it_is_what_a_shell_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "it's.csv").write_bytes(UGLY["short row among quotes"][0])
    code, _, told = commands.run("fit", "it's.csv", "-k", "2", "--method", "em", "-o", "a run")
    assert code == 3
    divmix = f'divmix() {{ PYTHONPATH={ROOT} {sys.executable} -m divmix "$@"; }}; '
    line = divmix + HINT.search(told)[0].partition("try: ")[2]
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "a run/run.json").read_text())["input"]["rows"] == 3


def hint_of(*words):
    code, _, told = commands.run(*words)
    assert code == 3
    return told.splitlines()[1]


def test_only_what_the_command_can_be_told_is_in_the_hint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/1.csv").write_bytes(UGLY["short row"][0])
    (tmp_path / "table.csv").write_bytes(UGLY["short row"][0])
    fixed = "; try: awk -F , 'NF == 2' table.csv | divmix fit a.csv - -k 2"
    (tmp_path / "a.csv").write_text(MENDED)
    assert hint_of("fit", "a.csv", "table.csv", "-k", "2").endswith(fixed)
    assert "divmix" not in hint_of("fit", "parts", "-k", "2")  # a folder cannot be piped
    near = "; then: divmix sniff table.csv --dates parts"
    assert hint_of("sniff", "tabel.csv", "--dates", "parts").endswith(near)
    assert "divmix" not in hint_of("sniff", "q")
    commands.run("fit", "a.csv", "-k", "1", "-o", "run")
    (tmp_path / "latin.csv").write_bytes("a,b\n1,2\nü,3\n".encode("latin-1"))
    told = hint_of("predict", "run", "latin.csv")
    assert told.endswith("; try: divmix predict run latin.csv --encoding cp1252"), told
    (tmp_path / "text.csv").write_text("a,b\n1,2\nx,3\n")
    assert "--exclude" not in hint_of("predict", "run", "text.csv").partition("; try")[2]
