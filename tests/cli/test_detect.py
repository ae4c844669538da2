"""`divmix detect` and `divmix audit` as typed."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.helpers import assert_two_lines

WINE = str(Path(__file__).parents[2] / "sample_data" / "wine.csv")


def test_a_table_from_stdin_is_scored_on_stdout_and_nothing_else_is_said(run):
    command = ["detect", "-", "--exclude", "class", "--contamination", "0.05"]
    done = run(*command, input=Path(WINE).read_text())
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert done.exit_code == 0 and done.stderr == ""
    assert len(rows) == 178
    assert sum(row["flagged"] == "true" for row in rows) == 9  # the next whole number to 8.9
    assert all(bool(row["because"]) for row in rows if row["flagged"] == "true")
    assert sum(bool(row["because"]) for row in rows) == 10  # the ten highest in any case


def test_findings_have_an_exit_code_where_it_is_asked_for(run):
    command = ["detect", WINE, "--exclude", "class", "--only-flagged"]
    found = run(*command, "--contamination", "0.05", "--fail-on-findings")
    assert found.exit_code == 8 and len(found.stdout.splitlines()) == 10
    nothing = run(*command, "--alpha-level", "0.0001", "--fail-on-findings")
    assert nothing.exit_code == 0 and len(nothing.stdout.splitlines()) == 1


def test_json_tells_what_was_found(run, tmp_path):
    done = run("detect", WINE, "--exclude", "class", "--json", "--run", str(tmp_path / "run"))
    told = json.loads(done.stdout)
    assert told["rows"] == 178 and told["rule"] == {"name": "fdr", "level": 0.1}
    assert (tmp_path / "run" / "model.divmix").is_file()
    described = run("describe", str(tmp_path / "run"), "--json")
    assert described.exit_code == 0, described.stderr


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (["detect", WINE, "--fdr", "0.1", "--threshold", "0.9"], 2, "are two rules"),
        (["detect", WINE, "--contamination", "1.5"], 2, "above 0, at most 1"),
        (["detect", "--model", "absent", WINE], 4, "absent"),
        (["audit", WINE, "absent.csv"], 3, "absent.csv"),
    ],
)
def test_what_cannot_work_is_said_in_two_lines(run, arguments, code, said):
    done = run(*arguments)
    assert done.exit_code == code
    assert said in done.stderr
    assert_two_lines(done.stderr)
    assert done.stdout == ""
