"""Settings are checked and converted wherever they come from, and survive a document."""

import dataclasses
import json
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from divmix import settings
from divmix.errors import UsageError
from divmix.settings import (
    METHODS,
    DiversifiedSettings,
    NsvgdSettings,
    TableSettings,
    fit_settings,
    in_shell,
)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"clusters": 0}, "-k 0: must be at least 1, or auto"),
        ({"clusters": "some"}, "-k some: must be a whole number, or auto"),
        ({"clusters": 2.5}, "-k 2.5: must be a whole number, or auto"),
        ({"clusters": True}, "-k True: must be a whole number, or auto"),
        ({"clusters": None}, "-k None: must be a whole number, or auto"),
        ({"alpha": -1}, "--alpha -1: must be at least 0, or auto"),
        ({"alpha": float("nan")}, "--alpha nan: must be a number, or auto"),
        ({"alpha": "inf"}, "--alpha inf: must be a number, or auto"),
        ({"max_iter": 0}, "--max-iter 0: must be at least 1"),
        ({"method": "nsvgd", "step": 0}, "--step 0: must be above 0"),
        ({"floor": 2}, "--floor 2: must be above 0, at most 1"),
        ({"family": "cauchy"}, "--family cauchy: must be one of auto, gaussian, student"),
        ({"family": None}, "--family None: must be one of auto, gaussian, student"),
        (
            {"method": "nsvgd", "bandwidth": "wide"},
            "--bandwidth wide: must be a number, or one of median, narrow, local",
        ),
        ({"method": "nsvgd", "alpha": "auto"}, "--alpha auto: must be a number"),
        ({"method": "svgd"}, "--method svgd: must be one of diversified, nsvgd, em"),
        ({"require_convergence": 1}, "--require-convergence 1: must be true or false"),
    ],
)
def test_a_value_that_does_not_fit_is_named_as_typed(values, message):
    with pytest.raises(UsageError) as caught:
        fit_settings(**{"clusters": 3} | values)
    assert str(caught.value) == message
    assert caught.value.hint.startswith(message.split()[0])


@pytest.mark.parametrize(
    "values",
    [
        {"columns": 3},
        {"exclude": [1]},
        {"log": [""]},
        {"exclude": None},
        {"truth": ""},
        {"truth": 5},
    ],
)
def test_column_names_must_be_names(values):
    with pytest.raises(UsageError):
        TableSettings(**values)


@pytest.mark.parametrize("names", [("a", "b"), ("Income ($)",), ("x, y", "it's", 'a "b", c')])
def test_names_in_a_hint_are_those_that_a_shell_passes_on(names):
    (word,) = shlex.split(in_shell(*names))
    assert TableSettings(exclude=word).exclude == names


def test_text_is_read_as_the_command_line_would():
    made = NsvgdSettings(clusters="3", alpha="1e-2", bandwidth="0.5", seed="12")
    assert (made.clusters, made.alpha, made.bandwidth, made.seed) == (3, 0.01, 0.5, 12)
    assert TableSettings(columns='a, "b,c",d').columns == ("a", "b,c", "d")


def test_numbers_take_the_type_of_the_setting():
    assert isinstance(DiversifiedSettings(clusters=3, alpha=1).alpha, float)
    assert isinstance(DiversifiedSettings(clusters=3.0).clusters, int)


@given(
    clusters=st.integers(1, 10**6),
    alpha=st.floats(0, 1e300),
    seed=st.integers(0),
    names=st.lists(st.text(min_size=1)),
)
def test_settings_survive_a_document(clusters, alpha, seed, names):
    for made in (
        DiversifiedSettings(clusters=clusters, alpha=alpha, seed=seed),
        TableSettings(columns=names, exclude=names),
    ):
        assert type(made).from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_an_unknown_name_in_a_document_suggests_the_near_one():
    with pytest.raises(UsageError, match="no setting 'alhpa'") as caught:
        DiversifiedSettings.from_dict({"clusters": 3, "alhpa": 1})
    assert caught.value.hint == "did you mean 'alpha'?"


def test_the_number_of_clusters_is_chosen_unless_given():
    assert DiversifiedSettings.from_dict({}).clusters == "auto"


@pytest.mark.parametrize("cls", [*METHODS.values(), TableSettings])
def test_every_setting_is_explained_and_frozen(cls):
    for setting in dataclasses.fields(cls):
        assert setting.metadata["help"].endswith(".")
        assert settings.explain(setting).startswith(settings.flag(setting))
    made = cls() if cls is TableSettings else cls(clusters=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.threads = 2


def test_the_command_line_starts_without_heavy_packages():
    heavy = {"numpy", "pandas", "pyarrow", "numba", "rich", "sklearn", "scipy", "torch"}
    code = (
        "import sys, divmix.settings, divmix.errors, divmix.cli.main as m;"
        "[m.cli.get_command(None, name) for name in m.COMMANDS]; print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(run.stdout.split())
