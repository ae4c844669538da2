"""The diversified mixture as a scikit-learn estimator."""

import warnings
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from divmix.design.learning import in_batches
from divmix.estimators import frames, parameters
from divmix.estimators.base import TableEstimator
from divmix.estimators.callbacks import CallbackSupportMixin, Listening, with_callbacks
from divmix.estimators.criteria import DensityCriteria
from divmix.estimators.dask_frame import by_partition, fit_frame
from divmix.estimators.settings import of_mixture
from divmix.estimators.starting import start_of
from divmix.estimators.validation import (
    check_names,
    seed_of,
    weighted,
    with_value_errors,
)
from divmix.model.mixture import Mixture
from divmix.model.scores import Scores, joined
from divmix.progress import Progress
from divmix.tables.batches import BATCH_ROWS
from divmix.workflows.fit import Fit, fit_table
from divmix.workflows.resources import single_blas_thread

# In scikit-learn's words, since filters of warnings go by them.
NOT_CONVERGED = (
    "Best performing initialization did not converge. Try different init parameters, or increase "
    "max_iter, tol, or check for degenerate data."
)


class DiversifiedMixture(CallbackSupportMixin, TransformerMixin, DensityCriteria, TableEstimator):
    """A mixture whose components cover the data and differ from each other.

    It maximises J = F + alpha H, the mean log-likelihood F of the rows in nats and the entropy H
    of the components. Same table, settings and seed: the labels and the bits of `divmix fit`.
    Source: Wang and Liu, "Nonlinear Stein Variational Gradient Descent for Learning Diversified
    Mixture Models", ICML 2019, (1) to (6); the default search is that of docs/method.md.

    Parameters
    ----------
    n_components : int or None, default None
        As in `GaussianMixture` the components, each a cluster of its own; None is 1. With
        `n_clusters` the components of the mixture that is reduced to clusters, as many as these at
        least; None for a number that suits the table.
    n_clusters : int, "auto" or None, default None
        Clusters, each one component or a union of several, as `divmix fit -k`; "auto" takes the
        number with the lowest ICL. None: `n_components` of them.
    alpha : float >= 0, "auto" or None, default None
        Weight of the entropy. None: the method's default, .03 for "diversified".
    prior : float >= 0, "auto" or None, default None
        Smoothing of covariances: `prior` (d + 1) rows for each component. None: 0.
    covariance_type : {"auto", "full", "tied", "diag", "spherical"}, default "auto"
        Shape of a component; "auto" chooses by held-out rows, `covariance_type_` tells what.
    family : {"auto", "gaussian", "student"}, default "auto"
        Density of a component.
    merge : {"auto", "kl", "overlap"} or None, default None
        What a cluster is where `n_clusters` is given: one component, a union, or chosen by AIC3.
    noise : bool, default False
        A broad component for scattered rows; their cluster is -1.
    method : {"diversified", "nsvgd", "em"}, default "diversified"
        The search.
    init_params : {"kmeans++", "random", "centre"}, default "kmeans++"
        Where components start.
    max_iter : int or None, default None
        Most iterations of the last phase. None: the method's default, 500 for "diversified".
    tol : float >= 0, default 1e-5
        Stop when J changes by less, nats per row.
    n_init : int, default 1
        Starts, of which the best is kept.
    weights_init, means_init, precisions_init : array-likes or None, default None
        Weights (m,), means (m, f) and inverse covariances, in the shape of `covariance_type`, to go
        on from in place of a search; in the units of X. What is None is from `init_params`.
        Components, and the clusters that they are, keep this order.
    warm_start : bool, default False
        Go on from the components of the last fit, in place of a search. They keep their order.
    scale : {"standard", "robust", "minmax", "none"}, default "standard"
        How columns are brought to one scale before the fit; results are in their own units.
    log, categorical : sequences of str, default ()
        Columns to take log(1 + x) of, and columns of numbers that are codes of categories. Text
        columns of a frame are categories anyway.
    missing : {"error", "model", "drop", "mean", "median"}, default "error"
        Empty cells: refused; the row taken by the cells that it has, under its exact likelihood; the
        row left out (its cluster is then -2); or the column's mean or median.
    handle_unknown : {"error", "ignore"}, default "error"
        A category that the fit did not see: refused, or the row judged by its other columns. A number at
        or below -1 in a logged column: refused, or taken as just above -1.
    random_state : int, RandomState instance or None, default None
        An int is the seed of `divmix fit --seed`.
    n_jobs : int or None, default None
        Threads; the result does not depend on it. None: the cores this process may use.
    output : {"array", "same"}, default "array"
        What methods return where X is a frame: arrays, as everywhere in scikit-learn, or a column
        or frame of the same library with the index of X. Of a frame of Dask arrays are computed by
        partition, and "same" is a Dask frame that is yet to be computed.

    Attributes
    ----------
    weights_ : (m,) mixing weights; they sum to 1, to less beside noise.
    means_ : (m, f), covariances_ : in the shape of `covariance_type_`, both in the units of X.
    precisions_, precisions_cholesky_ : as of `GaussianMixture`.
    covariance_type_ : the shape of `covariances_`: full (m, f, f), tied (f, f), diag (m, f) or
        spherical (m,). Spherical components of columns that were scaled apart are diag.
    component_features_ : names of the f features: columns, and `column=category`.
    clusters_ : (m,) the cluster of each component; n_clusters_ : their number.
    labels_ : (n,) clusters of the training rows, the largest first where they were searched for;
        -1 noise, -2 incomplete.
    converged_, n_iter_ : whether the fit converged, and its iterations over all phases.
    lower_bound_ : J at the end, nats per row; lower_bounds_ : J over the last phase.
    trace_ : the iterations, `divmix.progress.TraceRow` each; notes_ : what was chosen, in sentences.
    mixture_ : the `divmix.model.mixture.Mixture` itself.
    n_features_in_, feature_names_in_ : of X.

    Raises
    ------
    ValueError for input or parameters that cannot be used, with what to do in brackets;
    `divmix.errors.FitError` for a fit that could not be carried to its end. Warns
    (`sklearn.exceptions.ConvergenceWarning`) of one that stopped before it converged.
    """

    # Of a fit, and untold by a model file.
    labels_: np.ndarray
    n_iter_: int
    converged_: bool
    lower_bound_: float

    def __init__(
        self,
        n_components: int | None = None,
        *,
        n_clusters: int | str | None = None,
        alpha: float | str | None = None,
        prior: float | str | None = None,
        covariance_type: str = "auto",
        family: str = "auto",
        merge: str | None = None,
        noise: bool = False,
        method: str = "diversified",
        init_params: str = "kmeans++",
        max_iter: int | None = None,
        tol: float = 1e-5,
        n_init: int = 1,
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        warm_start: bool = False,
        scale: str = "standard",
        log: Any = (),
        categorical: Any = (),
        missing: str = "error",
        handle_unknown: str = "error",
        random_state: Any = None,
        n_jobs: int | None = None,
        output: str = "array",
    ) -> None:
        self.n_components = n_components
        self.n_clusters = n_clusters
        self.alpha = alpha
        self.prior = prior
        self.covariance_type = covariance_type
        self.family = family
        self.merge = merge
        self.noise = noise
        self.method = method
        self.init_params = init_params
        self.max_iter = max_iter
        self.tol = tol
        self.n_init = n_init
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.warm_start = warm_start
        self.scale = scale
        self.log = log
        self.categorical = categorical
        self.missing = missing
        self.handle_unknown = handle_unknown
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.output = output

    @with_callbacks
    @with_value_errors
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the mixture to X, an array (n, d) or a frame; y is ignored. Returns the estimator.

        sample_weight (n,), at least 0: a whole number equals a repeated row, 0 leaves a row out.
        Raises ValueError, FitError; warns (ConvergenceWarning) of a fit that did not converge.
        """
        listening = Listening(self, X)
        found = self._fitted(X, sample_weight, listening)
        listening.close()
        self._kind = frames.kind_of(X) if frames.is_frame(X) else None
        self._take(found.mixture)
        self._tell(found)
        if frames.is_dask(X):
            self.labels_ = self.predict(X)
        if not self.converged_:
            warnings.warn(
                f"{NOT_CONVERGED} ({found.stop_reason})",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    def _fitted(self, X: Any, sample_weight: Any, progress: Progress) -> Fit:
        settings, tables = of_mixture(self)
        start = start_of(self, settings.seed)
        made = None if start is None else start.components
        if frames.is_dask(X) and self.method != "nsvgd":  # whose mini-batches are drawn from memory
            check_names(self, X, training=True)
            self._column_names = [str(name) for name in X.columns]
            return fit_frame(X, sample_weight, settings, tables, made, progress)
        table = self._table(X, training=True)
        self._column_names = table.column_names
        table, weight = weighted(table, sample_weight)
        tables = replace(tables, weight=weight)
        return fit_table(table, settings, tables, start=made, progress=progress)

    def _take(self, mixture: Mixture) -> None:
        """The attributes that a mixture alone tells."""
        self.mixture_ = mixture
        self.weights_ = mixture.components.weights
        self.means_, self.covariance_type_ = parameters.means(mixture), parameters.kind_of(mixture)
        self.component_features_ = np.array(mixture.design.feature_names, dtype=object)
        self.clusters_, self.n_clusters_ = mixture.clusters, mixture.n_clusters

    def _tell(self, found: Fit) -> None:
        """The attributes that are those of a fit."""
        self.labels_ = found.scores.cluster
        self.converged_ = found.stop_reason == "converged"
        self.trace_, self.n_iter_ = found.trace, len(found.trace)
        self.lower_bounds_ = [
            row.objective for row in found.trace if row.phase == found.trace[-1].phase
        ]
        self.lower_bound_ = self.lower_bounds_[-1]
        self.notes_ = found.notes

    @property
    def covariances_(self) -> np.ndarray:
        """Covariances in the shape of `covariance_type_`, in the units of X. Raises AttributeError
        before a fit."""
        return parameters.covariances(self.mixture_)

    @property
    def precisions_cholesky_(self) -> np.ndarray:
        """Factors P of the inverse covariances, P P^T, in the shape of `covariances_` and in one
        over the units of X. Raises AttributeError before a fit."""
        return parameters.precisions_cholesky(self._covariances())

    @property
    def precisions_(self) -> np.ndarray:
        """The inverse covariances, in the shape of `covariances_` and in one over the squared units
        of X. Raises AttributeError before a fit."""
        return parameters.precisions(self._covariances())

    def _covariances(self) -> parameters.Covariances:
        return parameters.Covariances(self.covariances_, self.covariance_type_)

    @by_partition("cluster", int)
    def predict(self, X: Any) -> Any:
        """Cluster of each row of X, (n,) int; -1 for noise, -2 for a row left out.

        Raises NotFittedError, ValueError.
        """
        return self._like(X, "cluster", self._scores(X).cluster)

    @by_partition(None)
    def predict_proba(self, X: Any) -> Any:
        """Probability of each cluster given a row, (n, k); beside noise a row sums to less than 1.

        Raises NotFittedError, ValueError.
        """
        posterior = self._posterior(X)
        if not self._gives_frames(X):
            return posterior
        return frames.frame_like(X, dict(zip(self.get_feature_names_out(), posterior.T)))

    def transform(self, X: Any) -> np.ndarray:
        """As `predict_proba`, (n, k), as features for the next step of a pipeline; see `set_output`.

        Raises NotFittedError, ValueError.
        """
        return np.asarray(self.predict_proba(X)) if frames.is_dask(X) else self._posterior(X)

    def _posterior(self, X: Any) -> np.ndarray:
        posterior = self._scores(X, posterior=True).posterior
        assert posterior is not None  # it was asked for
        return posterior

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of what `transform` returns: probability_0, probability_1, ..., (k,) str.

        Raises NotFittedError.
        """
        check_is_fitted(self)
        return np.array([f"probability_{c}" for c in range(self.n_clusters_)], dtype=object)

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit, and tell the cluster of each row of X, (n,) int. Raises as `fit`: ValueError, FitError."""
        labels = self.fit(X, y, sample_weight).labels_
        return labels if frames.is_dask(X) else self._like(X, "cluster", labels)

    @by_partition("log_density")
    def score_samples(self, X: Any) -> Any:
        """Log-density of each row of X, (n,), in nats and the units of X.

        Raises NotFittedError, ValueError.
        """
        return self._like(X, "log_density", self._scores(X).log_density)

    @with_value_errors
    def sample(self, n_samples: int = 1) -> tuple[Any, np.ndarray]:
        """Rows drawn from the mixture, in the units of X, and the cluster of each (n_samples,) int.

        The rows are an array (n_samples, d), of objects where there are text columns, or with
        output="same" a frame of the kind that was fitted. Raises NotFittedError, and ValueError for
        a model of an embedding.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(
                f"Invalid value for 'n_samples': {n_samples}, at least one row is drawn"
            )
        generator = np.random.default_rng(seed_of(self.random_state))
        X, clusters = self.mixture_.draw(n_samples, generator)
        table = self.mixture_.design.inverse(X)
        if self.output == "same" and self._kind is not None:
            return frames.of_kind(table, self._kind), clusters
        columns = [np.asarray(column) for column in table.columns]
        return np.column_stack(columns), clusters

    @with_value_errors
    def cut(self, k: int) -> "DiversifiedMixture":
        """The same model at k clusters, by its merge tree and without a fit.

        Clusters join in the order of the tree (docs/method.md; Runnalls 2007 for ellipses). Raises
        NotFittedError, and ValueError where k is not between 1 and the components of the tree, or
        there is none.
        """
        check_is_fitted(self)
        made = copy(self)
        made._take(self.mixture_.cut(k))
        made.n_clusters = k
        for name in ("labels_", "converged_", "n_iter_", "lower_bound_", "lower_bounds_", "trace_"):
            made.__dict__.pop(name, None)  # those of the fit
        return made

    @with_value_errors
    def report(self, path: str | Path, X: Any, *, overwrite: bool = False) -> None:
        """Write a page of the model and the rows of X, as `divmix report` does of a run: one HTML
        file that needs nothing else. X is an array (n, d) or a frame. Raises NotFittedError,
        ValueError, OutputError.
        """
        from divmix.workflows.report import contents_of_fit, write_page

        table, scores = self._table(X), self._scores(X)
        result: dict[str, Any] = {}
        if hasattr(self, "trace_"):
            ended = "converged" if self.converged_ else "max_iter"
            result = {"converged": self.converged_, "iterations": self.n_iter_}
            result |= {"stop_reason": ended}
        contents = contents_of_fit(
            Path(path).stem,
            self.mixture_,
            table,
            scores,
            trace=getattr(self, "trace_", []),
            result=result,
            notes=getattr(self, "notes_", []),
        )
        write_page(contents, path, overwrite=overwrite)

    @with_value_errors
    def _scores(self, X: Any, *, posterior: bool = False) -> Scores:
        """What the mixture says of the rows of X, with the bits of `divmix predict`."""
        check_is_fitted(self)
        table, parts = self._table(X), []
        with single_blas_thread():
            for place, batch in enumerate(in_batches(table)):
                parts.append(
                    self.mixture_.score_batch(
                        batch,
                        unknown=self.handle_unknown,
                        posterior=posterior,
                        first_row=place * BATCH_ROWS,
                    )
                )
        return joined(parts)
