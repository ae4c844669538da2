"""What scikit-learn expects of input: names and widths that match, ValueError for what does not."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, validate_data

from divmix.errors import InputError, OutputError, UsageError
from divmix.estimators import frames
from divmix.tables import arrays

Method = TypeVar("Method", bound=Callable[..., Any])
LARGEST_SEED = np.iinfo(np.int32).max


def with_value_errors(method: Method) -> Method:
    """What a user did wrong is a ValueError, as everywhere in scikit-learn; the hint stays."""

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except OutputError:  # a file that cannot be written is no wrong value
            raise
        except (InputError, UsageError) as error:
            raise ValueError(f"{error} ({error.hint})") from error

    return cast(Method, called)


def table_of(estimator: Any, X: Any, *, training: bool, may_lack: bool) -> pa.Table:
    """The columns of X, an array (n, d) or a frame, checked as scikit-learn checks them.

    training: the estimator learns number and names of columns, else it compares. may_lack: whether
    NaN stands for an empty cell. Columns of an array have the names of the training table.
    Raises InputError, ValueError, TypeError.
    """
    if frames.is_frame(X):
        return _table_of_frame(estimator, X, training)
    if training and hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    X = validate_data(
        estimator,
        X,
        reset=training,
        dtype=np.float64,
        ensure_all_finite="allow-nan" if may_lack else True,
        ensure_min_samples=2 if training else 1,
    )
    names = [f"x{j + 1}" for j in range(X.shape[1])]
    if not training:
        names = estimator._column_names
    return pa.Table.from_arrays([arrays.floats(column) for column in X.T], names=names)


def check_names(estimator: Any, X: Any, *, training: bool) -> None:
    """Names and number of the columns of a frame: learned in training, else compared. Raises
    ValueError, TypeError."""
    # They are all that is compared, and any library's frame has them.
    named = pd.DataFrame(columns=frames.names_of(X))
    validate_data(estimator, named, reset=training, skip_check_array=True)


def _table_of_frame(estimator: Any, X: Any, training: bool) -> pa.Table:
    check_names(estimator, X, training=training)
    table = frames.to_arrow(X)
    if training:
        return table
    if table.num_rows == 0:
        raise ValueError(f"Found array with 0 sample(s) (shape={table.shape})")
    return table.rename_columns(estimator._column_names)


def weighted(table: pa.Table, sample_weight: Any) -> tuple[pa.Table, str | None]:
    """The table with a column of the weights (n,), and its name; None without weights."""
    if sample_weight is None:
        return table, None
    stand_in = np.empty((table.num_rows, 0))
    weights = _check_sample_weight(
        sample_weight, stand_in, dtype=np.float64, ensure_non_negative=True
    )
    name = frames.unused_name("sample_weight", table.column_names)
    return table.append_column(name, arrays.floats(weights)), name


def seed_of(random_state: Any) -> int:
    """A whole number as it is, so that the command line's --seed gives the same fit; else drawn."""
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        return int(random_state)
    return int(check_random_state(random_state).randint(LARGEST_SEED))
