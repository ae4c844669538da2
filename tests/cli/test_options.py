"""Where a setting comes from: flag, environment, config file, default, in this order."""

import dataclasses
import json

import pytest

from divmix.cli.method_options import method_options
from divmix.settings import (
    METHODS,
    DiversifiedSettings,
    EmSettings,
    NsvgdSettings,
    TableSettings,
    fit_settings,
)
from divmix.settings.option import option
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
    for method in METHODS:
        values = fit_settings(method, clusters=3).to_dict() | TableSettings().to_dict()
        origins = parsed("t.csv", "-k", 3, "--method", method)["origins"]
        assert origins.keys() == values.keys()


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
    settings = NsvgdSettings(clusters=4, alpha=0.3, bandwidth="local", threads=1)
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


def test_a_config_file_may_be_toml(parsed, run, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('clusters = 3\nmax-iter = 7\nexclude = ["a,b", "c"]\n')
    given = parsed("t.csv", "--config", path)
    assert given["settings"] == DiversifiedSettings(clusters=3, max_iter=7)
    assert given["tables"].exclude == ("a,b", "c")
    for text, problem in (("clusters 3", "is not TOML"), ("clusters = 0", "clusters = 0: must be")):
        path.write_text(text)
        done = run("fit", "t.csv", "--config", "config.toml")
        assert_two_lines(done.stderr)
        assert (
            done.exit_code == 2
            and f"config.toml{':' if '=' in text else ''} {problem}" in done.stderr
        )


def test_detect_and_select_take_config_files(run, tmp_path, monkeypatch):
    given = {}
    for name in ("detect", "select"):
        monkeypatch.setattr(
            f"divmix.workflows.{name}.run_{name}", lambda *a, **more: given.update(a=a)
        )
        (tmp_path / "c.toml").write_text('data = ["t.csv"]\nseed = 5\nscale = "robust"\n')
        run(name, "--config", "c.toml", "--quiet")
        settings, tables = [own for own in given.pop("a") if hasattr(own, "to_dict")]
        assert settings.seed == 5 and tables.scale == "robust"


def test_the_variables_of_a_command_are_listed(run):
    done = run("predict", "--envlist", env={"DIVMIX_PREDICT_TO": "jsonl"})
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert ["DIVMIX_PREDICT_TO", "--to  [now jsonl]"] in lines
    assert ["DIVMIX_PREDICT_ID_COLUMN", "--id"] in lines
    assert done.exit_code == 0


def test_a_missing_config_file_is_named(run):
    done = run("fit", "t.csv", "--config", "nope.json")
    assert done.exit_code == 2
    assert "nope.json: No such file" in done.stderr


def test_a_bad_value_in_the_environment_is_named_as_it_was_set(run):
    done = run("fit", "t.csv", "-k", "3", env={"DIVMIX_FIT_MAX_ITER": "0"})
    assert done.exit_code == 2
    assert_two_lines(done.stderr)
    assert "DIVMIX_FIT_MAX_ITER=0: must be at least 1" in done.stderr


def refused(done):
    """The two lines of a usage error."""
    assert done.exit_code == 2
    assert_two_lines(done.stderr)
    error, hint = done.stderr.splitlines()
    return error.removeprefix("Error: "), hint.removeprefix("Hint: ")


@pytest.mark.parametrize(
    "options, what, methods",
    [
        ("--method em --kernel rbf", "--kernel rbf: the method em has", "--method nsvgd has it"),
        ("--method nsvgd --noise", "--noise: the method nsvgd has", "diversified and --method em"),
        ("--step 1", "--step 1: the method diversified has", "--method nsvgd has it"),
        ("--method em --step 1 --alpha 1", "--alpha 1 --step 1: the method em", "nsvgd has them"),
        ("--method em --step 1 --merge kl", "--merge kl --step 1: the method", "'merge' is of"),
    ],
)
def test_an_option_that_the_method_lacks_is_refused(run, options, what, methods):
    error, hint = refused(run("fit", "t.csv", "-k", "3", *options.split()))
    assert error.startswith(what) and "no such option" in error
    assert methods in hint


def test_it_is_refused_from_the_environment(run):
    environment = {"DIVMIX_FIT_NOISE": "1", "DIVMIX_FIT_METHOD": "nsvgd"}
    error, hint = refused(run("fit", "t.csv", "-k", "3", env=environment))
    assert error == "DIVMIX_FIT_NOISE=1: the method nsvgd has no such option"
    assert hint.endswith("have it; or unset the variable")


def test_it_is_refused_from_a_config_file(run, tmp_path):
    path = config(tmp_path, clusters=3, method="em", kernel="rbf", step=0.1)
    error, hint = refused(run("fit", "t.csv", "--config", path.name))
    assert error == ('config.json: "kernel": "rbf", "step": 0.1: the method em has no such options')
    assert hint == "--method nsvgd has them; or leave it out of the file"


def run_json(tmp_path, settings, **given):
    """The run.json of a former run, where the settings but those given were defaults."""
    values = settings.to_dict() | TableSettings().to_dict()
    origins = {name: "flag" if name in given else "default" for name in values}
    return config(tmp_path, settings=values, origins=origins, input={"names": ["t.csv"]})


def test_another_method_over_a_former_run_leaves_its_defaults_behind(parsed, tmp_path):
    given = {"clusters": 4, "seed": 3}
    path = run_json(tmp_path, NsvgdSettings(**given), **given)
    found = parsed("--config", path, "--method", "em")
    assert found["settings"] == EmSettings(**given)
    assert found["origins"]["seed"] == "config" and found["origins"]["tol"] == "default"
    assert parsed("--config", path)["settings"] == NsvgdSettings(**given)


def test_another_method_over_a_former_run_refuses_what_was_chosen(run, tmp_path):
    given = {"clusters": 4, "kernel": "imq"}
    path = run_json(tmp_path, NsvgdSettings(**given), **given)
    error, hint = refused(run("fit", "--config", path.name, "--method", "em"))
    assert error == 'config.json: "kernel": "imq": the method em has no such option'
    assert hint.startswith("--method nsvgd has it")


def test_a_run_of_the_first_version_is_repeated(parsed, tmp_path):
    own = EmSettings(clusters=3).to_dict() | TableSettings().to_dict()
    all_methods = own | {"alpha": 0.03, "merge": "auto", "kernel": "rbf"}
    path = config(tmp_path, settings=all_methods, input={"names": ["t.csv"]})
    assert parsed("--config", path)["settings"] == EmSettings(clusters=3)


def test_what_is_not_given_is_the_default_of_the_method(parsed, monkeypatch):
    slow = dataclasses.make_dataclass(
        "Slow",
        [("max_iter", int, option(7, section="Search", at_least=1, help="Passes."))],
        bases=(EmSettings,),
        frozen=True,
        kw_only=True,
    )
    monkeypatch.setitem(METHODS, "em", slow)
    assert parsed("t.csv", "-k", 3, "--method", "em")["settings"].max_iter == 7
    assert parsed("t.csv", "-k", 3)["settings"].max_iter == 500
    texts = {made.name: made.help for made in method_options()}
    assert "[default: 500 (diversified), 20000 (nsvgd), 7 (em); at least 1]" in texts["max_iter"]
