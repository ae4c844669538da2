"""Preprocessing followed by encoders: stands where a preprocessing stands."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from divmix.design.preprocessing import ColumnSummary, Locate, Preprocessing, Transformed, row_name
from divmix.encoders.chain import Chain
from divmix.errors import UsageError


@dataclass(frozen=True)
class EncodedPreprocessing(Preprocessing):
    """Columns become features, and these an embedding, of which the mixture is.

    Densities are in the units of the embedding: there is no way back to those of the table.
    """

    encoder: Chain | None = None

    @classmethod
    def of(cls, preprocessing: Preprocessing, encoder: Chain) -> "EncodedPreprocessing":
        return cls(
            preprocessing.columns,
            preprocessing.weight,
            preprocessing.missing,
            preprocessing.header,
            encoder,
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.encoder.features

    @property
    def n_features(self) -> int:
        return len(self.encoder.features)

    @property
    def plain(self) -> Preprocessing:
        """Without the encoders."""
        return Preprocessing(self.columns, self.weight, self.missing, self.header)

    def transform(
        self,
        batch,
        *,
        unknown: str = "error",
        first_row: int = 0,
        locate: Locate = row_name,
        out: np.ndarray | None = None,
    ) -> Transformed:
        """The embedding of a batch; the Jacobian is left out, where there may be none."""
        done = self.plain.transform(batch, unknown=unknown, first_row=first_row, locate=locate)
        X = self.encoder.transform(done.X)
        if out is not None:
            out[:] = X
            X = out
        return Transformed(X, done.complete, np.zeros(len(X)))

    def inverse(self, X: np.ndarray) -> pa.Table:
        """Raises UsageError: rows of an embedding are no rows of the table."""
        raise UsageError(
            "the model is one of an embedding, which cannot be turned back into rows",
            hint="fit without --encoder to draw rows",
        )

    def column_summary(self, means: np.ndarray, variances: np.ndarray) -> ColumnSummary:
        """Mean and spread of the features of the embedding."""
        return ColumnSummary(self.feature_names, means, np.sqrt(variances))

    def to_dict(self) -> dict[str, Any]:
        return self.plain.to_dict()
