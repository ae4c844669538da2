"""Where a setting comes from: flag, environment, config file, default, in this order."""

import json

import pytest

from divmix.settings import DiversifiedSettings, TableSettings
from tests.cli.helpers import assert_two_lines


@pytest.fixture
def parsed(run, monkeypatch):
    """Runs `fit` with a workflow that only keeps what it was given."""
    given = {}

    def keep(sources, settings, tables, output, **more):
        given.update(sources=sources, settings=settings, tables=tables, output=output, **more)

    monkeypatch.setattr("divmix.workflows.fit.run_fit", keep)

    def fit(*arguments, **more):
        done = run("fit", *arguments, "--quiet", **more)
        assert done.exit_code == 0, done.stderr
        return given

    return fit


def config(tmp_path, **values):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    return path


def test_flag_before_environment_before_config_before_default(parsed, tmp_path):
    path = config(tmp_path, clusters=5, alpha=0.5, seed=7, covariance="diag")
    given = parsed(
        "t.csv",
        "--config",
        path,
        "-k",
        3,
        env={"DIVMIX_FIT_ALPHA": "0.25", "DIVMIX_FIT_CLUSTERS": "4"},
    )
    assert given["settings"] == DiversifiedSettings(
        clusters=3, alpha=0.25, seed=7, covariance="diag"
    )
    origins = given["origins"]
    assert (origins["clusters"], origins["alpha"], origins["seed"], origins["family"]) == (
        "flag",
        "environment",
        "config",
        "default",
    )


def test_origins_name_every_setting(parsed):
    values = DiversifiedSettings(clusters=3).to_dict() | TableSettings().to_dict()
    assert parsed("t.csv", "-k", 3)["origins"].keys() == values.keys()


def test_names_of_columns_add_up_and_may_hold_commas(parsed):
    tables = parsed("t.csv", "-k", 3, "--exclude", "a,b", "--exclude", '"c,d"')["tables"]
    assert tables.exclude == ("a", "b", "c,d")
    tables = parsed("t.csv", "-k", 3, env={"DIVMIX_FIT_EXCLUDE": "a b,c"})["tables"]
    assert tables.exclude == ("a b", "c")


def test_names_in_a_config_file_are_taken_as_they_stand(parsed, tmp_path):
    path = config(tmp_path, clusters=3, exclude=["a,b", "c"])
    assert parsed("t.csv", "--config", path)["tables"].exclude == ("a,b", "c")


def test_flags_have_three_ways_too(parsed, tmp_path):
    assert parsed("t.csv", "-k", 3)["tables"].header is True
    assert parsed("t.csv", "-k", 3, "--no-header")["tables"].header is False
    assert parsed("t.csv", "-k", 3, env={"DIVMIX_FIT_HEADER": "no"})["tables"].header is False
    path = config(tmp_path, clusters=3, header=False, require_convergence=True)
    given = parsed("t.csv", "--config", path)
    assert given["tables"].header is False and given["settings"].require_convergence is True
    assert parsed("t.csv", "--config", path, "--header")["tables"].header is True


def test_a_former_run_gives_its_settings_and_its_input(parsed, tmp_path):
    settings = DiversifiedSettings(clusters=4, alpha=0.3, bandwidth="local", threads=1)
    tables = TableSettings(exclude=("id",), truth="class", log=("auto",))
    path = config(
        tmp_path,
        settings=settings.to_dict() | tables.to_dict(),
        input={"names": ["one.csv", "two.csv"]},
        version="0.1.0",
    )
    given = parsed("--config", path)
    assert (given["settings"], given["tables"]) == (settings, tables)
    assert given["sources"] == ("one.csv", "two.csv")
    assert parsed("other.csv", "--config", path)["sources"] == ("other.csv",)


@pytest.mark.parametrize(
    "data, folder",
    [
        ("iris.csv", "iris.divmix"),
        ("some/where/iris.csv.gz", "iris.divmix"),
        ("-", "stdin.divmix"),
        ("folder/", "folder.divmix"),
        ("a.b.parquet", "a.b.divmix"),
        (".hidden.csv", ".hidden.divmix"),
    ],
)
def test_the_run_folder_is_named_after_the_data_and_stands_here(parsed, data, folder):
    assert str(parsed(data, "-k", 3)["output"]) == folder


@pytest.mark.parametrize(
    "text, problem",
    [
        ("{", "is not JSON"),
        ("[]", "does not hold a JSON object"),
        ('{"alhpa": 1}', "there is no setting 'alhpa'"),
        ('{"clusters": 0}', '"clusters": 0: must be at least 1'),
        ('{"clusters": 3, "exclude": [1]}', '"exclude": [1]: must be column names'),
        ('{"settings": {"clusters": 3}}', "is no run.json"),
        ('{"settings": 3}', "is no run.json"),
    ],
)
def test_a_bad_config_file_is_named(run, tmp_path, text, problem):
    (tmp_path / "config.json").write_text(text)
    done = run("fit", "t.csv", "--config", "config.json")
    assert done.exit_code == 2
    assert_two_lines(done.stderr)
    assert problem in done.stderr and "config.json" in done.stderr


def test_a_missing_config_file_is_named(run):
    done = run("fit", "t.csv", "--config", "nope.json")
    assert done.exit_code == 2
    assert "nope.json: No such file" in done.stderr


def test_a_bad_value_in_the_environment_is_named_as_it_was_set(run):
    done = run("fit", "t.csv", "-k", "3", env={"DIVMIX_FIT_MAX_ITER": "0"})
    assert done.exit_code == 2
    assert_two_lines(done.stderr)
    assert "DIVMIX_FIT_MAX_ITER=0: must be at least 1" in done.stderr
