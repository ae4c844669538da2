"""The mixture and the detector as scikit-learn estimators; `divmix` itself names what is here."""

from divmix.estimators.mixture import DiversifiedMixture
from divmix.estimators.models import fit, load
from divmix.estimators.outliers import MixtureOutlierDetector

__all__ = ["DiversifiedMixture", "MixtureOutlierDetector", "fit", "load"]
