"""Each method has its own options; one that it lacks is refused, never ignored."""

import dataclasses
import json

import pytest

from divmix.errors import UsageError
from divmix.settings import (
    METHODS,
    DiversifiedSettings,
    EmSettings,
    FitSettings,
    NsvgdSettings,
    fit_settings,
)

COMMON = {
    "clusters", "family", "covariance", "components", "weights", "seed", "method", "max_iter",
    "tol", "time_budget", "restarts", "bootstrap", "gap", "require_convergence", "floor", "precision", "threads",
}  # fmt: skip
OWN = {
    "diversified": {"alpha", "prior", "merge", "noise", "init"},
    "nsvgd": {
        "alpha", "init", "anneal", "kernel", "bandwidth", "normalize", "optimizer", "step", "batch_size",
    },
    "em": {"noise", "init", "batch_size"},
}  # fmt: skip
FOREIGN = [
    (method, name)
    for method, own in OWN.items()
    for name in sorted(set().union(*OWN.values()) - own)
]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_the_common_options_and_its_own(method):
    names = {setting.name for setting in dataclasses.fields(METHODS[method])}
    assert names == COMMON | OWN[method]
    assert METHODS[method](clusters=2).method == method


def test_the_choices_of_method_are_the_methods():
    method = next(f for f in dataclasses.fields(FitSettings) if f.name == "method")
    assert method.metadata["choices"] == tuple(METHODS)


@pytest.mark.parametrize("method, name", FOREIGN)
def test_an_option_of_another_method_is_refused_and_its_methods_are_named(method, name):
    with pytest.raises(UsageError) as caught:
        fit_settings(method=method, clusters=2, **{name: 1})
    assert f"the method {method} has no such option" in str(caught.value)
    for other, own in OWN.items():
        assert (f"--method {other}" in caught.value.hint) == (name in own)


def test_the_class_of_a_method_takes_no_option_of_another():
    with pytest.raises(TypeError, match="kernel"):
        EmSettings(clusters=2, kernel="rbf")
    with pytest.raises(UsageError, match="no setting 'kernel'"):
        EmSettings.from_dict({"clusters": 2, "kernel": "rbf"})


def test_a_class_keeps_to_its_own_method():
    with pytest.raises(UsageError, match="--method nsvgd: must be one of em"):
        EmSettings(clusters=2, method="nsvgd")


def test_what_methods_share_is_no_method():
    with pytest.raises(TypeError, match="fit_settings"):
        FitSettings(clusters=2)


def test_an_unknown_option_is_told_from_one_of_another_method():
    with pytest.raises(UsageError, match="no setting 'kernl'") as caught:
        fit_settings(method="em", clusters=2, kernl="rbf")
    assert caught.value.hint == "did you mean 'kernel'?"


@pytest.mark.parametrize(
    "made",
    [
        DiversifiedSettings(clusters="auto", alpha="auto", merge="kl", noise=True),
        NsvgdSettings(clusters=3, alpha=0.5, kernel="imq", bandwidth=2.0, batch_size=10),
        EmSettings(clusters=3, init="random", noise=True, time_budget=1.5),
    ],
)
def test_a_document_makes_the_same_settings_again(made):
    document = json.loads(json.dumps(made.to_dict()))
    assert fit_settings(**document) == made
    assert type(made).from_dict(document) == made


def test_every_method_answers_for_alpha_and_noise():
    assert (EmSettings(clusters=2).alpha, NsvgdSettings(clusters=2).noise) == (0.0, False)
    assert EmSettings(clusters=2, noise=True).noise is True
    assert DiversifiedSettings(clusters=2, alpha=0.5).alpha == 0.5
