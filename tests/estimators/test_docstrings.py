"""Every public name tells what goes in and out: shapes, units, errors and source."""

import inspect
import re

import numpy as np
import pytest

import divmix
from tests.docs.generate import methods

CLASSES = [divmix.DiversifiedMixture, divmix.MixtureOutlierDetector]
SHAPE = re.compile(r"\((?:n|k|m|n_samples)\b[\w, ]*\)|\bfloat\b|\bframe\b|\bfile\b|\bmodel\b")
# What a number is measured in, by the names of what returns numbers with a unit.
UNITS = {
    "score_samples": "nats", "score": "nats", "bic": "nats", "aic": "nats", "decision_function": "nats",
    "sample": "units of X", "explain": "units of X", "precisions_": "units",
    "precisions_cholesky_": "units",
}  # fmt: skip
ERRORS = re.compile(r"Raises\s.*?Error", re.DOTALL)


def public():
    for cls in CLASSES:
        for method in methods(cls):
            yield pytest.param(method.__name__, method, id=f"{cls.__name__}.{method.__name__}")
        for name, value in vars(cls).items():
            if isinstance(value, property) and not name.startswith("_"):
                yield pytest.param(name, value, id=f"{cls.__name__}.{name}")
    for name in ("fit", "load"):
        yield pytest.param(name, getattr(divmix, name), id=f"divmix.{name}")


@pytest.mark.parametrize("name, made", list(public()))
def test_shapes_units_and_errors_are_told(name, made):
    told = inspect.getdoc(made)
    assert told, "no docstring"
    assert ERRORS.search(told), "what it raises"
    assert SHAPE.search(told) or "shape of" in told, "shapes of what goes in or out"
    assert UNITS.get(name, "") in told, "units"


@pytest.mark.parametrize("cls", CLASSES)
def test_a_class_tells_its_source_every_parameter_and_every_attribute(cls):
    told = inspect.getdoc(cls)
    assert re.search(r"Source: .*\d{4}", told, re.DOTALL) and "Raises\n---" in told
    parameters, attributes = told.split("Attributes\n---")
    for name in inspect.signature(cls).parameters:
        assert re.search(rf"^\s*(?:\w+, )*{name}(?:, \w+)* : ", parameters, re.MULTILINE), name
    generator = np.random.default_rng(0)
    fitted = cls(random_state=0).fit(generator.normal(size=(60, 2)))
    for name in vars(fitted):
        if name.endswith("_") and not name.startswith("_"):
            assert re.search(rf"\b{name}\b", attributes), name


def test_every_public_name_is_documented():
    assert all(inspect.getdoc(getattr(divmix, name)) for name in divmix.__all__)
