"""Tables with known classes: every Parquet file of a folder that has a column `label`.

Label 0 stands for noise. Labels only score: no fit sees them, and rows of noise are not scored.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from divmix.design.design import Design
from divmix.design.prepare import design_matrix
from divmix.design.preprocessing import Preprocessing
from divmix.errors import InputError
from divmix.progress import Progress
from divmix.settings import DiversifiedSettings, TableSettings
from divmix.tables.reading import open_table
from divmix.workflows.fit import fit_table

LABEL = "label"
COLUMNS = TableSettings(truth=LABEL)  # how a fit reads such a table
WARM_UP_ROWS, WARM_UP_COLUMNS = 200, 2


class LabelledSet(NamedTuple):
    """A table, the class (n,) of each row counted from 0, -1 for noise, and how many classes."""

    name: str
    table: pa.Table
    classes: np.ndarray
    n_classes: int

    def matrix(self) -> np.ndarray:
        """The rows as a default fit sees them, columns standardised: (n, d)."""
        design = Design(Preprocessing.learn(self.table, COLUMNS))
        return design_matrix(self.table, design, Progress()).X


def find_sets(data: str, wanted: tuple[str, ...] | None = None) -> list[Path]:
    """The labelled Parquet files in folder `data`, by name; only the `wanted` ones, if given.

    `s1` finds `s1.parquet` and `sipu_s1.parquet`. Raises InputError where there is nothing.
    """
    folder = Path(data)
    hint = f"--data names a folder of Parquet files with a column '{LABEL}'"
    if not folder.is_dir():
        raise InputError(f"{data} is not a folder", hint=hint)
    files = [path for path in sorted(folder.glob("*.parquet")) if LABEL in open_table([path]).names]
    if not files:
        raise InputError(f"{data} holds no Parquet file with a column '{LABEL}'", hint=hint)
    if wanted is None:
        return files
    for name in wanted:
        if not any(_is_named(path, name) for path in files):
            known = ", ".join(path.stem for path in files)
            raise InputError(f"{data} holds no set '{name}'", hint=f"its sets are {known}")
    return [path for path in files if any(_is_named(path, name) for name in wanted)]


def read_set(path: Path) -> LabelledSet:
    """One labelled table. Raises InputError for a broken file, or where all labels are noise."""
    return labelled_set(path.stem, open_table([path]).read(), path.name)


def labelled_set(name: str, table: pa.Table, source: str | None = None) -> LabelledSet:
    """A table with a column `label`. Raises InputError where all labels are noise."""
    label = table.column(LABEL).combine_chunks()
    if pa.types.is_integer(label.type) or pa.types.is_floating(label.type):
        label = pc.if_else(pc.equal(label, 0), None, label)
    codes = label.dictionary_encode()
    if not len(codes.dictionary):
        raise InputError(
            f"{source or name}: column '{LABEL}' is 0 or empty in all rows",
            hint="0 is noise, which is not scored; classes are counted from 1",
        )
    classes = np.asarray(pc.fill_null(codes.indices, -1)).astype(np.int64)
    return LabelledSet(name, table, classes, len(codes.dictionary))


def warm_up() -> None:
    """Fit a small made table, so that no clock runs while kernels are compiled."""
    X = np.random.default_rng(0).standard_normal((WARM_UP_ROWS, WARM_UP_COLUMNS))
    table = pa.table({f"x{j}": column for j, column in enumerate(X.T)})
    for covariance in ("diag", "full"):
        fit_table(table, DiversifiedSettings(clusters=2, covariance=covariance))


def _is_named(path: Path, name: str) -> bool:
    return path.stem == name or path.stem.endswith(f"_{name}")
