"""Numbers at the ends of what a number can be: finite labels, or a documented error in two lines."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ugly import commands

EXTREMES = (0.0, 1.0, -1.0, 5e-324, 1e-310, 1e-200, 1e-150, 1e-9, 1e9, 1e15, 1e149, 1e200, 1e308)
SCALES = (1.0, 1e-300, 1e-200, 1e-151, 1e-20, 1e20, 1e140, 1e149)


@st.composite
def tables(draw):
    """A table of numbers, weights or none, and the number of clusters."""
    rows, columns = draw(st.integers(2, 25)), draw(st.integers(1, 4))
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    X = generator.normal(size=(rows, columns)) + draw(st.sampled_from((0.0, 1.0, 1e8)))
    X *= np.array(draw(st.lists(st.sampled_from(SCALES), min_size=columns, max_size=columns)))
    kind = draw(st.sampled_from(("plain", "near", "repeated", "gap", "cells", "empty")))
    if kind == "near" and columns > 1:
        X[:, 1] = X[:, 0] * (1 + 1e-15 * generator.normal(size=rows))
    if kind == "repeated":
        X[: rows // 2 + 1] = X[0]
    if kind == "gap":
        X[0] *= 1e9
    for _ in range(draw(st.integers(0, 3)) if kind == "cells" else 0):
        place = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
        X[place] = draw(st.sampled_from(EXTREMES) | st.floats(allow_nan=False))
    if kind == "empty":
        X[draw(st.integers(0, rows - 1)), 0] = np.nan
    data = {f"x{j}": column for j, column in enumerate(X.T)}
    if draw(st.booleans()):
        kinds = (0.0, 1.0, 3.0, 1e-9, 1e9, 1e-100, 1e100, 5e-324, 1e308)
        weights = st.sampled_from(kinds[: draw(st.sampled_from((3, 5, 7, 9)))])
        data["w"] = np.array(draw(st.lists(weights, min_size=rows, max_size=rows)))
    return pa.table(data), draw(st.integers(1, rows))


def check(folder, table, k, command):
    path, run = folder / "table.csv", folder / "run"
    pyarrow.csv.write_csv(table, path)
    weight = ["--weight", "w"] if "w" in table.column_names else []
    more = ["--missing", "mean", "--threads", 1, *weight]
    if command == "detect":
        call = ("detect", path, "-o", "-", "--threshold", 0.9, *more)
    else:
        method = ["--method", "em"] if command == "em" else []
        call = ("fit", path, "-k", k, "-o", run, "--force", "--max-iter", 5, *method, *more)
    code, out, err = commands.run(*call)
    wrong = commands.complaint(code, out, err)
    if not wrong and code == 0 and command == "detect":
        wrong = "not finite" if "nan" in out or "inf" in out else None
    if not wrong and code == 0 and command != "detect":
        written = (run / "assignments.csv").read_text()
        wrong = commands.odd_labels(written)
        code, out, err = commands.run("predict", run, path, "--probabilities")
        # Beside clusters there may be a broad component for outliers, which has the rest.
        alone = b"noise_means" not in (run / "model.divmix").read_bytes()
        wrong = wrong or commands.complaint(code, out, err) or commands.odd_labels(out, alone)
    return wrong


QUICK = dict(deadline=None, suppress_health_check=list(HealthCheck), database=None)


@settings(max_examples=25, **QUICK)
@given(tables(), st.sampled_from(("em", "em", "detect", "diversified")))
def test_numbers_of_any_size(tmp_path_factory, made, command):
    wrong = check(tmp_path_factory.mktemp("numbers"), *made, command)
    assert not wrong, wrong


@pytest.mark.long
@settings(max_examples=1000, **QUICK)
@given(tables(), st.sampled_from(("em", "detect", "diversified")))
def test_a_thousand_tables_of_numbers_of_any_size(tmp_path_factory, made, command):
    wrong = check(tmp_path_factory.mktemp("numbers"), *made, command)
    assert not wrong, wrong
