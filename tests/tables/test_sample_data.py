"""The tables that ship with the project are what their README says."""

from collections import Counter
from pathlib import Path

import pytest

from divmix.design.preprocessing import Preprocessing
from divmix.settings import TableSettings
from divmix.tables.reading import open_table, reading_options

FOLDER = Path(__file__).parents[2] / "sample_data"

TABLES = {
    "wine.csv": ("class", 13, {"class_0": 59, "class_1": 71, "class_2": 48}),
    "iris.csv": ("species", 4, {"setosa": 50, "versicolor": 50, "virginica": 50}),
    "breast_cancer.parquet": ("diagnosis", 30, {"benign": 357, "malignant": 212}),
    "customers.csv": ("segment", 11, {"A": 121, "B": 128, "C": 151}),
}


@pytest.mark.parametrize("name", TABLES)
def test_sample_table_has_the_rows_columns_and_classes_its_readme_tells(name):
    truth, features, classes = TABLES[name]
    settings = TableSettings(truth=truth, missing="model")
    table = open_table([FOLDER / name], **reading_options(settings)).read()
    assert Counter(table[truth].to_pylist()) == classes
    preprocessing = Preprocessing.learn(table, settings)
    assert preprocessing.n_features == features
    assert preprocessing.transform(table).complete.all()


def test_readme_tells_of_every_sample_table_and_they_are_small():
    files = [path for path in FOLDER.iterdir() if path.name != "README.md"]
    assert {path.name for path in files} == set(TABLES)
    assert sum(path.stat().st_size for path in files) < 200_000
    readme = (FOLDER / "README.md").read_text()
    for name, (truth, _, _) in TABLES.items():
        assert f"divmix fit sample_data/{name} " in readme
        assert f"--truth {truth}" in readme
