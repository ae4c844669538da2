"""Diversified mixture models: clusters, densities and anomalies from tables.

    import divmix

    model = divmix.fit(table, 3)        a frame or an array -> DiversifiedMixture
    model.predict(table)                the cluster of each row
    model.save("table.divmix")
    divmix.load("table.divmix")         from a model file or a run folder

`DiversifiedMixture` and `MixtureOutlierDetector` are scikit-learn estimators; errors with a remedy
are `DivmixError`. Each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from divmix.errors import DivmixError
    from divmix.estimators import DiversifiedMixture, MixtureOutlierDetector, fit, load

__all__ = ["DiversifiedMixture", "DivmixError", "MixtureOutlierDetector", "fit", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'divmix' has no attribute '{name}'")
    home = "divmix.errors" if name == "DivmixError" else "divmix.estimators"
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
