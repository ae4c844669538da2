"""The anomaly detector as a scikit-learn estimator, with PyOD's fitted attributes."""

from dataclasses import replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from divmix.anomaly.detector import (
    Scored,
    calibration_of,
    fit_density,
    reasons_of,
    score_itself,
    score_rows,
    score_seen,
)
from divmix.design.learning import in_batches
from divmix.estimators.base import TableEstimator
from divmix.estimators.dask_frame import by_partition
from divmix.estimators.settings import of_detector
from divmix.estimators.validation import weighted, with_value_errors
from divmix.model.calibration import HELD_OUT
from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.workflows.resources import limited_threads


class MixtureOutlierDetector(OutlierMixin, TableEstimator):
    """Rows that a mixture finds improbable, with p-values and the columns that make them so.

    Same table, settings and seed: the scores of `divmix detect`. Source: docs/method-anomalies.md; p-values of
    clean rows are split conformal (Vovk, Gammerman and Shafer 2005), those of mixed rows a model of
    the tail of the scores (Renyi 1953).

    Parameters
    ----------
    contamination : float in (0, .5] or "auto", default "auto"
        Share of the training rows that are outliers. "auto": those with a p-value up to
        `alpha_level`.
    alpha_level : float in (0, 1], default .01
        Share of normal rows that may be taken for outliers; only where contamination is "auto".
    training : {"mixed", "clean"}, default "mixed"
        What the training rows are: with outliers among them, or normal ones (novelty detection).
    n_components : int or None, default None
        Most components of a mixture. None: 64 for clean rows, 4 for mixed ones and, of 100 rows or
        more, one mixture of a component for each 20, of 64 at most.
    scale : {"standard", "robust", "minmax", "none"}, default "minmax"
        How columns are brought to one scale.
    log, categorical, missing : as of `DiversifiedMixture`
        By default log("auto") is taken of non-negative columns with a heavy tail. Scores of rows
        that missing="drop" leaves out are NaN; they count as inliers.
    random_state : int, RandomState instance or None, default None
        An int is the seed of `divmix detect --seed`.
    n_jobs : int or None, default None
        Threads; the result does not depend on it.
    output : {"array", "same"}, default "array"
        As of `DiversifiedMixture`.

    Attributes
    ----------
    offset_ : float, `decision_function` = `score_samples` - offset_.
    decision_scores_ : (n,) score of the training rows, nats, high for outliers (as in PyOD).
    labels_ : (n,) 1 for outliers among the training rows, 0 for the others (as in PyOD).
    threshold_ : float, the score above which a row is an outlier.
    mixture_ : the `divmix.model.mixture.Mixture` with the scores that calibrate.
    n_features_in_, feature_names_in_ : of X.

    Raises
    ------
    ValueError for input or parameters that cannot be used, with what to do in brackets;
    `divmix.errors.FitError` for a fit that could not be carried to its end.
    """

    decision_scores_: np.ndarray
    labels_: np.ndarray

    def __init__(
        self,
        contamination: float | str = "auto",
        *,
        alpha_level: float = 0.01,
        training: str = "mixed",
        n_components: int | None = None,
        scale: str = "minmax",
        log: Any = ("auto",),
        categorical: Any = (),
        missing: str = "error",
        random_state: Any = None,
        n_jobs: int | None = None,
        output: str = "array",
    ) -> None:
        self.contamination = contamination
        self.alpha_level = alpha_level
        self.training = training
        self.n_components = n_components
        self.scale = scale
        self.log = log
        self.categorical = categorical
        self.missing = missing
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.output = output

    @with_value_errors
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the density to X, an array (n, d) or a frame; y is ignored. Returns the estimator.

        sample_weight (n,), at least 0, counts in the density; 0 leaves a row out. The scores that
        calibrate count once each. Raises ValueError, FitError.
        """
        settings, tables = of_detector(self)
        table = self._table(X, training=True)
        self._column_names = table.column_names
        columns, weight = weighted(table, sample_weight)
        with limited_threads(settings.threads, Progress()):
            tables = replace(tables, weight=weight)
            fitted = fit_density(columns, settings, tables, itself=self.training == "mixed")
            self.mixture_ = fitted.mixture
            scored = score_seen(fitted)
            # Rows that the density has seen are judged by ones that have not.
            judged = scored if fitted.scores is None else score_itself(fitted)
            self._settle(scored.score, judged)
        return self

    def _settle(self, scores: np.ndarray, judged: Scored) -> None:
        """The threshold that the training rows give, and what it makes of their scores (n,)."""
        if self.contamination != "auto":
            known = scores[~np.isnan(scores)]
            self.threshold_ = float(np.quantile(known, 1 - float(self.contamination)))
        else:
            flagged = judged.p_value <= self.alpha_level
            highest = np.nanmax(np.where(flagged, np.nan, judged.score))
            lowest = np.nanmin(np.where(flagged, judged.score, np.inf))
            self.threshold_ = float((highest + lowest) / 2 if flagged.any() else highest)
        self.offset_ = -self.threshold_
        self.mixture_.about["threshold"] = self.threshold_  # for `load`
        self.decision_scores_ = scores
        self.labels_ = (scores > self.threshold_).astype(int)

    @classmethod
    def of_model(cls, mixture: Mixture) -> Self:
        """A detector from the model of `divmix detect`; `alpha_level` flags. Raises UsageError for a
        mixture that holds no scores."""
        made = cls(missing=mixture.design.preprocessing.missing, output="same")
        calibration = calibration_of(mixture)
        made.training = "clean" if calibration.source == HELD_OUT else "mixed"
        made.mixture_ = mixture
        of_known = np.quantile(calibration.scores, 1 - made.alpha_level)
        made.threshold_ = float(mixture.about.get("threshold", of_known))
        made.offset_ = -made.threshold_
        return made

    @by_partition("inlier", int)
    def predict(self, X: Any) -> Any:
        """1 for inliers and -1 for outliers, (n,) int. Raises NotFittedError, ValueError."""
        found = np.where(self._score(X) > self.threshold_, -1, 1)
        return self._like(X, "inlier", found)

    @by_partition("log_density")
    def score_samples(self, X: Any) -> Any:
        """Log-density of each row, (n,) nats, in the units of the prepared columns: low for outliers.

        Raises NotFittedError, ValueError.
        """
        return self._like(X, "log_density", -self._score(X))

    @by_partition("decision")
    def decision_function(self, X: Any) -> Any:
        """score_samples - offset_, (n,) nats: negative for outliers. Raises NotFittedError, ValueError."""
        return self._like(X, "decision", -self._score(X) - self.offset_)

    @by_partition("p_value")
    @with_value_errors
    def p_values(self, X: Any) -> Any:
        """How likely a normal row is at least as improbable, (n,).

        With training="clean" a rank among rows that the density has not seen (split conformal;
        Vovk et al. 2005), which is valid whatever the density. With "mixed" an estimate: a rank
        among the training rows, each by densities that have not seen it. Raises NotFittedError,
        ValueError.
        """
        check_is_fitted(self)
        return self._like(X, "p_value", self._scored(self._table(X)).p_value)

    @by_partition("because", object)
    @with_value_errors
    def explain(self, X: Any) -> Any:
        """The columns that make each row improbable, (n,) str, in the units of X: `temp_c 84.1, usually
        18 to 43`; None where there is none. Raises NotFittedError, ValueError."""
        check_is_fitted(self)
        told, because = reasons_of(self.mixture_), []
        for batch in in_batches(self._table(X)):
            done = self.mixture_.design.of_columns.transform(batch, unknown="ignore")
            own = np.full(len(done.X), None, dtype=object)
            empty = self.mixture_.design.empty_cells(batch)
            own[done.complete] = told(done.X[done.complete], empty[done.complete])
            because.append(own)
        return self._like(X, "because", np.concatenate(because))

    @with_value_errors
    def _score(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self._scored(self._table(X)).score

    def _scored(self, table: pa.Table) -> Scored:
        with limited_threads(self.n_jobs, Progress()):
            return score_rows(self.mixture_, in_batches(table))
