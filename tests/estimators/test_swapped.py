"""scikit-learn's own tests of GaussianMixture's interface, with the class swapped."""

import pytest
import sklearn.mixture.tests.test_gaussian_mixture as theirs

from divmix import DiversifiedMixture

# Of functions beside the class, which it does not have, and of arrays that are not NumPy's.
PRIVATE = (
    "suffstat", "log_det_cholesky", "array_api", "does_not_estimate", "log_probabilities",
    "estimate_log_prob_resp", "precisions_init_diag", "test_gaussian_mixture_precisions_init",
)  # fmt: skip
EXCEPTIONS = {}


class GaussianMixture(DiversifiedMixture):
    """Under the name that messages have, and without two parameters of no meaning here: the smallest
    variance follows from the values, and callbacks tell of iterations."""

    def __init__(self, n_components=1, *, covariance_type="full", reg_covar=None, verbose=0, **own):
        super().__init__(n_components, covariance_type=covariance_type, **own)
        self.reg_covar, self.verbose = reg_covar, verbose

    @classmethod
    def _get_param_names(cls):
        return DiversifiedMixture._get_param_names()


theirs.GaussianMixture = GaussianMixture
NAMES = [
    name for name in vars(theirs)
    if name.startswith("test_") and not any(part in name for part in PRIVATE)
]  # fmt: skip
for name in NAMES:
    globals()[name] = getattr(theirs, name)


@pytest.fixture
def global_dtype():
    return "float64"


@pytest.fixture
def global_random_seed():
    return 42
