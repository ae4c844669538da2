"""Parameters in scikit-learn's words as the settings of a fit."""

from typing import TYPE_CHECKING, Any

from divmix.errors import UsageError
from divmix.estimators.validation import seed_of
from divmix.settings import (
    DetectSettings,
    DetectTableSettings,
    FitSettings,
    TableSettings,
    fit_settings,
)

if TYPE_CHECKING:
    from divmix.estimators.mixture import DiversifiedMixture
    from divmix.estimators.outliers import MixtureOutlierDetector


def of_mixture(asked: "DiversifiedMixture") -> tuple[FitSettings, TableSettings]:
    """Settings of a mixture. Raises UsageError."""
    own = {
        "clusters": asked.n_clusters,
        "components": asked.n_components,
        "alpha": asked.alpha,
        "prior": asked.prior,
        "merge": asked.merge,
        "noise": asked.noise or None,
        "init": asked.init_params if asked.init_params != "kmeans++" else None,
        "max_iter": asked.max_iter,
    }
    settings = fit_settings(
        asked.method,
        **{name: value for name, value in (own | _sizes(asked)).items() if value is not None},
        covariance=asked.covariance_type,
        family=asked.family,
        tol=asked.tol,
        restarts=asked.n_init,
        seed=seed_of(asked.random_state),
        threads=_threads(asked.n_jobs),
    )
    _check_output(asked.output)
    return settings, TableSettings.from_dict(_of_tables(asked))


def _sizes(asked: "DiversifiedMixture") -> dict[str, Any]:
    """What numbers of components and of clusters mean together."""
    m, k = asked.n_components, asked.n_clusters
    if k is not None:
        return {"components": max(m, k)} if m is not None and isinstance(k, int) else {}
    sizes: dict[str, Any] = {"clusters": 1 if m is None else m, "components": None}
    if asked.method == "diversified" and asked.merge is None:
        sizes["merge"] = "kl"  # each component a cluster of its own
    return sizes


def of_detector(asked: "MixtureOutlierDetector") -> tuple[DetectSettings, DetectTableSettings]:
    """Settings of a detector. Raises UsageError."""
    share = asked.contamination
    if share != "auto" and not (isinstance(share, int | float) and 0 < share <= 0.5):
        raise UsageError(f"contamination={share!r}", hint="give 'auto' or a share up to 0.5")
    if asked.training not in ("mixed", "clean"):
        raise UsageError(f"training={asked.training!r}", hint="choose 'mixed' or 'clean'")
    _check_output(asked.output)
    settings = DetectSettings.from_dict(
        {
            "alpha_level": asked.alpha_level,
            "training": asked.training,
            "components": asked.n_components,
            "seed": seed_of(asked.random_state),
            "threads": _threads(asked.n_jobs),
        }
    )
    return settings, DetectTableSettings.from_dict(_of_tables(asked))


def _check_output(output: Any) -> None:
    if output not in ("array", "same"):
        raise UsageError(f"output={output!r}", hint="choose 'array' or 'same'")


def _threads(n_jobs: int | None) -> int | None:
    return n_jobs if n_jobs != -1 else None


def _of_tables(asked: Any) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in ("scale", "log", "categorical", "missing")}
