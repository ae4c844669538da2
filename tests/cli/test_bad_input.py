"""Every bad input is two lines, its exit code, and nothing written."""

import json
import shutil
import zipfile

import pyarrow as pa
import pytest
from pyarrow import parquet

import divmix
from divmix.errors import ModelFileError
from tests.cli.helpers import FIT, assert_two_lines, write_csv

GOOD = "a,b\n1,2\n3,4\n5,7\n2,8\n"
# name -> content of table.csv, options beyond `fit table.csv`, exit code, words of the error
TABLES = {
    "empty file": ("", ["-k", "2"], 3, "table.csv"),
    "header only": ("a,b\n", ["-k", "2"], 3, "table.csv"),
    "one row": ("a,b\n1,2\n", ["-k", "1"], 3, "few rows: 1"),
    "ragged row": ("a,b\n1,2\n3\n", ["-k", "1"], 3, "line 3 of table.csv"),
    "no numeric column": (
        "a\n" + "".join(f"text{i}\n" for i in range(200)),
        ["-k", "2"],
        3,
        "a (all different)",
    ),
    "all columns constant": ("a,b\n1,2\n1,2\n1,2\n", ["-k", "2"], 3, "constant"),
    "text where numbers were": (
        "a,b\n" + "1,2\n3,5\n" * 150 + "n/a?,4\n",
        ["-k", "2"],
        3,
        "line 302 of",
    ),
    "NaN": ("a,b\n1,2\nNaN,4\n5,7\n", ["-k", "2"], 3, "'a'"),
    "empty cell": ("a,b\n1,2\n,4\n5,7\n", ["-k", "2"], 3, "'a'"),
    "Inf": ("a,b\n1,2\ninf,4\n5,7\n", ["-k", "2"], 3, "'a'"),
    "1e300": ("a,b\n1,2\n1e300,4\n5,7\n", ["-k", "2"], 3, "1e+300"),
    "k above distinct rows": ("a,b\n" + "1,2\n3,4\n" * 10, ["-k", "3"], 3, "distinct"),
    "k = 0": (GOOD, ["-k", "0"], 2, "-k 0"),
    "alpha < 0": (GOOD, ["-k", "2", "--alpha", "-0.5"], 2, "--alpha -0.5"),
    "unknown column": (GOOD, ["-k", "2", "--columns", "a,bb"], 3, "'bb'"),
    "unknown truth": (GOOD, ["-k", "2", "--truth", "class"], 3, "'class'"),
    "unknown weight": (GOOD, ["-k", "2", "--weight", "w"], 3, "'w'"),
    "every column left out": (GOOD, ["-k", "2", "--exclude", "a,b"], 3, "column"),
    "negative weight": ("a,b,w\n1,2,1\n3,4,-1\n5,7,1\n", ["-k", "2", "--weight", "w"], 3, "'w'"),
    "a file in the way": (GOOD, ["-k", "2", "-o", "table.csv"], 2, "table.csv"),
    "a path below a file": (GOOD, ["-k", "2", "-o", "table.csv/run"], 2, "table.csv"),
}


def assert_refused(done, code, words):
    assert done.exit_code == code, done.stderr
    assert_two_lines(done.stderr)
    assert words in done.stderr
    assert done.stdout == ""


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("content, options, code, words", TABLES.values(), ids=TABLES)
def test_fit_refuses(run, tmp_path, content, options, code, words):
    (tmp_path / "table.csv").write_text(content)
    before = contents(tmp_path)
    assert_refused(run("fit", "table.csv", *options), code, words)
    assert contents(tmp_path) == before and not (tmp_path / "table.divmix").exists()


def test_fit_refuses_a_missing_file(run, tmp_path):
    assert_refused(run("fit", "nope.csv", "-k", "2"), 3, "nope.csv")
    assert list(tmp_path.iterdir()) == []


def test_fit_refuses_a_broken_parquet_file(run, tmp_path):
    parquet.write_table(pa.table({"a": list(range(1000))}), tmp_path / "table.parquet")
    content = (tmp_path / "table.parquet").read_bytes()
    for broken in (
        content[:-20],
        content[:50],
        b"PAR1" + b"\0" * 100 + b"PAR1",
        content[:200] + b"\xff" * 300 + content[500:],
    ):
        (tmp_path / "table.parquet").write_bytes(broken)
        assert_refused(run("fit", "table.parquet", "-k", "2"), 3, "table.parquet")
    assert not (tmp_path / "table.divmix").exists()


def test_fit_refuses_to_overwrite_a_run(run, table, tmp_path):
    (tmp_path / "table.divmix").mkdir()
    (tmp_path / "table.divmix/run.json").write_text("{}")
    before = contents(tmp_path)
    done = run("fit", table, "-k", "2")
    assert_refused(done, 2, "table.divmix")
    assert "--force" in done.stderr
    assert contents(tmp_path) == before


def test_predict_refuses_to_overwrite_a_table(run, table, fitted, tmp_path):
    (tmp_path / "out.csv").write_text("precious")
    assert_refused(run("predict", fitted, table, "-o", "out.csv"), 2, "out.csv")
    assert (tmp_path / "out.csv").read_text() == "precious"
    assert run("predict", fitted, table, "-o", "out.csv", "--force").exit_code == 0


@pytest.mark.parametrize("output", ["out.xlsx", "no/such/folder.csv", "table.csv/out.csv"])
def test_predict_refuses_an_output_that_cannot_be(run, table, fitted, tmp_path, output):
    before = contents(tmp_path)
    assert_refused(run("predict", fitted, table, "-o", output), 2, output)
    assert contents(tmp_path) == before


def newer(model):
    """The same model as a newer release might write it."""
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(members["model.json"]) | {"format": 2}
    with zipfile.ZipFile(model, "w") as archive:
        for name, content in (members | {"model.json": json.dumps(document)}).items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "spoil, words",
    [
        (newer, "format 2"),
        (lambda model: model.unlink(), "No such file"),
        (lambda model: model.write_text("not a model"), "not a model"),
        (lambda model: model.write_bytes(model.read_bytes()[:-100]), "damaged"),
    ],
)
@pytest.mark.parametrize("command", [["predict", "table.csv"], ["describe"], ["sample", "-n", "3"]])
def test_a_model_that_cannot_be_read_is_exit_code_4(
    run, table, fitted, tmp_path, command, spoil, words
):
    model = tmp_path / "model.divmix"
    model.write_bytes((fitted / "model.divmix").read_bytes())
    spoil(model)
    name, *more = command
    assert_refused(run(name, model, *more), 4, words)


@pytest.mark.parametrize(
    "content, words",
    [
        ("x\n1\n2\n", "'y'"),
        ("x,y\n1,2\n3,text\n", "text"),
        ("x,y\n1,2\n3,inf\n", "'y'"),
        ("x,y\n1,2\n3,\n", "'y'"),
        ("x,y\n", "table.csv"),
        ("", "table.csv"),
    ],
)
def test_predict_refuses_a_table_that_does_not_fit_the_model(run, fitted, tmp_path, content, words):
    (tmp_path / "table.csv").write_text(content)
    assert_refused(run("predict", fitted, "table.csv", "-o", "out.csv"), 3, words)
    assert not (tmp_path / "out.csv").exists()


def test_predict_refuses_an_unseen_category_unless_told(run, tmp_path):
    write_csv(tmp_path / "table.csv")
    assert run("fit", "table.csv", "-k", "2", "--method", "em").exit_code == 0
    (tmp_path / "new.csv").write_text("x,y,kind\n1,2,odd\n3,4,strange\n")
    assert_refused(run("predict", "table.divmix", "new.csv", "-o", "out.csv"), 3, "'strange'")
    assert not (tmp_path / "out.csv").exists()
    done = run("predict", "table.divmix", "new.csv", "-o", "out.csv", "--unknown", "ignore")
    assert done.exit_code == 0 and len((tmp_path / "out.csv").read_text().splitlines()) == 3


def test_predict_refuses_a_number_without_a_logarithm_unless_told(run, tmp_path):
    loads = "".join(f"{x},{2**x}\n" for x in range(12))
    (tmp_path / "table.csv").write_text("x,load\n" + loads)
    assert run("fit", "table.csv", "-k", "2", "--method", "em", "--log", "load").exit_code == 0
    (tmp_path / "new.csv").write_text("x,load\n1,2\n3,-4\n")
    predict = ("predict", "table.divmix", "new.csv", "-o", "out.csv")
    assert_refused(run(*predict), 3, "--unknown ignore")
    done = run(*predict, "--unknown", "ignore")
    assert done.exit_code == 0
    lines = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    assert float(lines[2][3]) < float(lines[1][3]) - 10


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["--truth", "class"], 3, "'class'"),
        (["--truth", "kind"], 3, "'cluster'"),
    ],
)
def test_evaluate_refuses_what_it_cannot_compare(run, table, arguments, code, words):
    assert_refused(run("evaluate", table, *arguments), code, words)


def test_evaluate_refuses_tables_of_unequal_length(run, tmp_path):
    write_csv(tmp_path / "short.csv", rows=5)
    (tmp_path / "labels.csv").write_text("cluster\n" + "0\n1\n" * 3)
    told = run("evaluate", "labels.csv", "--truth", "kind", "--data", "short.csv")
    assert_refused(told, 3, "rows")


def test_require_convergence_is_exit_code_6(run, table):
    done = run(*FIT, table, "--max-iter", "1", "--require-convergence")
    assert done.exit_code == 6
    assert_two_lines(done.stderr)


def test_a_damaged_run_json_is_an_error_of_the_run(run, fitted, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(fitted, folder)
    (folder / "run.json").write_text('{"command": "fit", "input":')
    done = run("evaluate", folder, "--truth", "kind")
    assert done.exit_code == 4 and "run.json is damaged" in done.stderr
    assert_two_lines(done.stderr)
    with pytest.raises(ModelFileError, match=r"run\.json is damaged"):
        divmix.load(folder)
