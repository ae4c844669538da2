"""The commands on a small table, from fit to evaluate."""

import csv
import json
import random
import re

import pytest

from divmix.cli import clusters
from divmix.cli import options as options_of_commands
from divmix.cli.main import COMMANDS, cli
from tests.cli.helpers import FIT, ROOT, assert_two_lines, write_csv


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def test_fit_writes_the_run_folder_and_is_silent(run, table, tmp_path):
    done = run(*FIT, table)
    assert (done.exit_code, done.output) == (0, "")
    assert sorted(path.name for path in (tmp_path / "table.divmix").iterdir()) == [
        "assignments.csv",
        "components.csv",
        "model.divmix",
        "run.json",
        "trace.csv",
    ]


def test_fit_finds_the_two_groups(run, table):
    done = run(*FIT, table, "--truth", "kind", "--json")
    result = json.loads(done.stdout)["result"]
    assert [cluster["size"] for cluster in result["clusters"]] == [30, 30]
    assert result["evaluation"]["ari"] == 1.0


def test_format_parquet_replaces_the_csv_of_a_former_run(run, table, tmp_path):
    assert run(*FIT, table).exit_code == 0
    assert run(*FIT, table, "--force", "--format", "parquet").exit_code == 0
    names = {path.name for path in (tmp_path / "table.divmix").iterdir()}
    assert "assignments.parquet" in names and "assignments.csv" not in names


def test_a_run_repeated_from_its_run_json_gives_the_same_bytes(run, table, tmp_path):
    assert run(*FIT, table, "--exclude", "kind", "--seed", "5").exit_code == 0
    done = run("fit", "--config", "table.divmix/run.json", "-o", "again")
    assert done.exit_code == 0, done.stderr
    for name in ("assignments.csv", "components.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (
            tmp_path / "table.divmix" / name
        ).read_bytes()
    first, again = (
        json.loads((tmp_path / folder / "run.json").read_text())
        for folder in ("table.divmix", "again")
    )
    assert again["settings"] == first["settings"]
    assert first["origins"]["seed"] == "flag" and again["origins"]["seed"] == "config"


@pytest.mark.parametrize("options", [[], ["-o", "-"]])
def test_predict_labels_new_rows_on_stdout(run, fitted, tmp_path, options):
    write_csv(tmp_path / "new.csv", rows=7, seed=3)
    done = run("predict", fitted, "new.csv", *options)
    labels = [row["cluster"] for row in rows_of(done.stdout)]
    assert len(labels) == 7 and labels[::2] == ["0"] * 4 and labels[1::2] == ["1"] * 3


def test_predict_probabilities_sum_to_one(run, fitted):
    done = run("predict", fitted, fitted.parent / "table.csv", "--probabilities")
    for row in rows_of(done.stdout):
        assert float(row["probability_0"]) + float(row["probability_1"]) == pytest.approx(1)


def test_evaluate_reads_the_truth_from_another_table(run, fitted, tmp_path):
    arguments = [
        "evaluate",
        fitted / "assignments.csv",
        "--truth",
        "kind",
        "--data",
        fitted.parent / "table.csv",
    ]
    assert json.loads(run(*arguments, "--json").stdout)["accuracy"] == 1.0
    lines = dict(line.split() for line in run(*arguments).stdout.splitlines())
    assert lines["ari"] == "1"


def test_describe_shows_columns_clusters_and_components(run, fitted):
    text = run("describe", fitted).stdout
    assert "columns" in text and "what sets it apart" in text and "component 1" in text
    document = json.loads(run("describe", fitted, "--json").stdout)
    assert [column["name"] for column in document["schema"]] == ["x", "y"]
    assert len(document["components"]) == 2


def test_what_tells_nothing_is_not_told(run, tmp_path):
    generator = random.Random(0)
    lines = [
        f"{generator.gauss(9 * (i % 2), 1)},{generator.gauss(0, 1)},{'ab'[i % 2]},EUR"
        for i in range(80)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["x,y,kind,currency", *lines]))
    for k in (1, 2):
        assert run("fit", "t.csv", "-k", k, "-o", f"{k}.divmix").exit_code == 0
    told = run("describe", "1.divmix").stdout
    assert "like the table as a whole" in told and "sd)" not in told
    told = run("describe", "2.divmix").stdout
    assert "kind=a" in told and "100.0%" in told and "100.0% ±" not in told
    assert "kind (2 categories), currency\n" in told
    told = run("compare", "2.divmix", "2.divmix").stdout
    assert "what moved most" not in told and "jaccard" in told
    told = json.loads(run("sniff", "t.csv", "--json").stdout)["columns"]
    assert [column["fit"] for column in told[2:]] == ["used, 2 categories", "used"]


def test_sample_draws_rows_that_predict_can_read(run, fitted, tmp_path):
    assert run("sample", fitted, "-n", "5", "-o", "new.csv").exit_code == 0
    assert run("sample", fitted, "-n", "5").stdout == (tmp_path / "new.csv").read_text()
    assert (
        run("sample", fitted, "-n", "5", "--seed", "1").stdout != (tmp_path / "new.csv").read_text()
    )
    assert len(rows_of(run("predict", fitted, "new.csv").stdout)) == 5


def test_doctor_tells_threads_and_cache(run):
    document = json.loads(run("doctor", "--json").stdout)
    assert 1 <= document["threads"]["used"] <= document["threads"]["affinity"]
    assert document["kernel_cache"]["writable"] == (document["kernel_cache"]["folder"] is not None)
    assert "kernel cache" in run("doctor").stdout


def test_bench_passes_its_options_on_and_refuses_those_of_others(run, monkeypatch):
    given = {}

    def toy(seeds=100, progress=None):
        given.update(seeds=seeds)
        return {"title": "a table", "rows": [{"method": "EM", "found": 0.5}]}

    monkeypatch.setattr("divmix.benchmarks.toy.run", toy)
    assert json.loads(run("bench", "toy", "--seeds", "3", "--json").stdout)["title"] == "a table"
    assert given == {"seeds": 3}
    lines = run("bench", "toy").stdout.splitlines()
    assert lines[-1].split() == ["EM", "0.5"] and given == {"seeds": 100}
    done = run("bench", "toy", "--quick")
    assert done.exit_code == 2 and "bench toy has no --quick" in done.stderr


def test_the_examples_of_the_help_run_one_after_the_other(run, tmp_path):
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    examples = [cli.get_command(None, name).example for name in COMMANDS if name != "bench"]
    for example in examples:
        done = run(*example.split()[1:])
        assert done.exit_code == 0, f"{example}: {done.stderr}"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_terminal_of_80_columns(run, name):
    shown = run("help", name, terminal_width=80).stdout.splitlines()
    assert max(map(len, shown)) <= 80 and len(shown) > 10


def test_cut_reads_another_number_of_clusters_from_the_tree(run, table, tmp_path):
    assert run("fit", "-k", "2", "--merge", "kl", table, "-o", "two").exit_code == 0
    done = run("cut", "two", "-k", "3", "-o", "three", "--data", table, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["n_clusters"] == 3
    labels = rows_of((tmp_path / "three" / "assignments.csv").read_text())
    assert len(labels) == 60 and {row["cluster"] for row in labels} <= {
        "0",
        "1",
        "2",
    }  # one may win no row
    told = run("describe", "two").stdout
    assert "merge tree by kl" in told and "2 to 1" in told


def test_cut_refuses_a_model_without_a_tree(run, fitted):
    done = run("cut", fitted, "-k", "1", "-o", "one")
    assert done.exit_code == 2
    assert_two_lines(done.stderr)
    assert "--method diversified" in done.stderr


def test_evaluate_takes_a_run_folder_and_finds_the_table_that_was_fitted(run, table):
    assert run(*FIT, table, "--truth", "kind").exit_code == 0
    by_folder = run("evaluate", "table.divmix", "--truth", "kind", "--json")
    named = ["--truth", "kind", "--data", table, "--json"]
    assert by_folder.output == run("evaluate", "table.divmix/assignments.csv", *named).output
    assert json.loads(by_folder.output)["ari"] == 1.0


def test_every_command_that_writes_ends_with_what_and_how_much(run, table, monkeypatch):
    monkeypatch.setattr(options_of_commands, "looked_at", lambda *_: True)
    options, wrote = ("--exclude", "kind"), "  wrote           "
    for words, told in (
        (("fit", table, "-k", 2, *options), r"table.divmix/ \(60 rows\) *\n  next .*"),
        (("predict", "table.divmix", table, "-o", "labels.csv"), r"labels.csv \(60 rows\)"),
        (("cut", "table.divmix", "-k", 1, "-o", "one"), r"one/ \(\d+ kB\)"),
        (("cut", "table.divmix", "-k", 1, "-o", "1", "--data", table), r"1/ \(60 rows\)"),
        (("sample", "table.divmix", "-n", 7, "-o", "drawn.csv"), r"drawn.csv \(7 rows\)"),
        (("select", table, "-k", "1:2", *options, "-o", "k.csv"), r"k.csv \(2 rows\)"),
        (("detect", table, *options, "-o", "scores.csv"), r"scores.csv \(60 rows\)"),
        (("update", "table.divmix", table, "-o", "later"), r"later/ \(60 rows\)"),
        (("report", "table.divmix"), r"table.divmix/report.html \(\d+ kB\)"),
        (("plot", "table.divmix", "-o", "plane.svg"), r"plane.svg \(\d+ kB\)"),
    ):
        done = run(*words)
        assert done.exit_code == 0, done.stderr
        assert re.search(f"{wrote}{told}\\s*\\Z", done.stderr), done.stderr


def test_a_folder_parted_by_folders_is_named_in_its_run_and_read_again(run, tmp_path):
    for country in ("CH", "DE"):
        (tmp_path / f"shops/country={country}").mkdir(parents=True)
        write_csv(tmp_path / f"shops/country={country}/part.csv", seed=ord(country[0]))
    assert run(*FIT, "shops").exit_code == 0
    document = json.loads((tmp_path / "shops.divmix/run.json").read_text())
    assert document["input"]["names"] == ["shops"] and document["input"]["rows"] == 120
    again = run("fit", "--config", "shops.divmix/run.json", "-o", "again")
    assert again.exit_code == 0, again.stderr
    for name in ("assignments.csv", "components.csv"):
        same = (tmp_path / "shops.divmix" / name, tmp_path / "again" / name)
        assert same[0].read_bytes() == same[1].read_bytes()
    done = run("report", "shops.divmix")
    assert done.exit_code == 0, done.stderr
    assert "--data" not in (tmp_path / "shops.divmix/report.html").read_text()
    assert run("evaluate", "shops.divmix", "--truth", "country").exit_code == 0
    write_csv(tmp_path / "shops/country=DE/more.csv")
    assert run("report", "shops.divmix", "--force").exit_code == 0
    assert "has changed since the run" in (tmp_path / "shops.divmix/report.html").read_text()


@pytest.mark.parametrize(
    "value, told",
    [
        (87740.2, "87740"),
        (-1234567.0, "-1235000"),
        (1.5e9, "1500000000"),
        (1.5e12, "1.5e+12"),
        (0.12345, "0.1235"),
        (0.0000123, "1.23e-05"),
        (12.0, "12"),
    ],
)
def test_numbers_of_clusters_have_no_exponent_where_zeros_do(value, told):
    assert clusters.short(value) == told


def test_a_matrix_beyond_the_memory_there_is_is_refused_before_it_is_made(run, table, monkeypatch):
    from divmix.encoders import memory

    monkeypatch.setattr(memory, "available", lambda: 1000)
    done = run(*FIT, table)
    assert done.exit_code == 3
    assert "60 rows of 4 features need 1.92e-06 GB of memory, 1e-06 GB are free" in done.stderr
    assert "--exclude kind, which has 2 of them" in done.stderr
