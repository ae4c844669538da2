"""What the mixture and the detector have in common: a table in, a model file, columns out."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from divmix.estimators import frames
from divmix.estimators.validation import table_of
from divmix.model.mixture import Mixture


class TableEstimator(BaseEstimator):
    """An estimator of a table, an array or a frame, with the parameters `missing` and `output`."""

    mixture_: Mixture
    missing: str
    output: str

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model file, which `divmix.load` and the commands take (docs/model-format.md).

        Raises NotFittedError, OutputError.
        """
        check_is_fitted(self)
        self.mixture_.save(path, overwrite=overwrite)

    def _table(self, X: Any, *, training: bool = False) -> pa.Table:
        return table_of(self, X, training=training, may_lack=self.missing != "error")

    def _gives_frames(self, X: Any) -> bool:
        return self.output == "same" and frames.is_frame(X)

    def _like(self, X: Any, name: str, values: np.ndarray) -> Any:
        """Values (n,) of the rows of X, as `output` has them."""
        return frames.series_like(X, name, values) if self._gives_frames(X) else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing != "error"
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags
