"""From a table to a model in one line, and from a model file back."""

from pathlib import Path
from typing import Any

import numpy as np

from divmix.estimators.mixture import DiversifiedMixture
from divmix.estimators.outliers import MixtureOutlierDetector
from divmix.model.mixture import Mixture
from divmix.workflows import run_folder


def fit(X: Any, k: int | str = "auto", *, seed: int = 0, **options: Any) -> DiversifiedMixture:
    """Fit a mixture of k clusters to a table: the result of `divmix fit TABLE -k k --seed seed`.

    X is a frame of pandas, polars, pyarrow, Dask or any library that narwhals or Arrow's C
    interface knows, or an array (n, d); text columns are categories. k is a number or "auto",
    `options` are other parameters of `DiversifiedMixture`. What the model returns of a frame is
    a frame of the same kind. Source: as of `DiversifiedMixture`.

    Raises ValueError for a table or options that cannot be used, TypeError for an unknown
    option, `divmix.errors.FitError`.
    """
    options = {"output": "same"} | options
    return DiversifiedMixture(n_clusters=k, random_state=seed, **options).fit(X)


def load(path: str | Path) -> DiversifiedMixture | MixtureOutlierDetector:
    """The model in a run folder or a model file, that of `divmix detect` as a detector.

    What it returns of a frame is a frame of the same kind. Raises `divmix.errors.ModelFileError`.
    """
    mixture = Mixture.load(path)
    settings = mixture.about.get("settings", {})
    names = [*mixture.design.schema.names]
    made: DiversifiedMixture | MixtureOutlierDetector
    if mixture.calibration is not None:
        made = MixtureOutlierDetector.of_model(mixture)
    else:
        made = DiversifiedMixture(
            n_clusters=mixture.n_clusters,
            missing=mixture.design.preprocessing.missing,
            random_state=settings.get("seed", 0),
            output="same",
        )
        made._take(mixture)
        if run_folder.is_run(path):
            _tell_of_run(made, run_folder.read_document(Path(path)))
    made._column_names, made._kind = names, "pandas"
    made.n_features_in_ = len(names)
    made.feature_names_in_ = np.array(names, dtype=object)
    return made


def _tell_of_run(made: DiversifiedMixture, document: dict[str, Any]) -> None:
    """How the fit ended, where run.json says so."""
    result = document.get("result", {})
    if "converged" in result:
        made.converged_, made.n_iter_ = result["converged"], result["iterations"]
