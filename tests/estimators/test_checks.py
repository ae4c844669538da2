"""scikit-learn's own checks of an estimator."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from divmix import DiversifiedMixture, MixtureOutlierDetector

ESTIMATORS = [DiversifiedMixture(), MixtureOutlierDetector(n_components=1)]
REASONS = {
    # The density is chosen, and calibrated, on random parts of the rows: repeated rows are other
    # parts than weighted ones.
    "MixtureOutlierDetector": {
        "check_sample_weight_equivalence_on_dense_data": "rows that calibrate are drawn by number"
    },
}
QUICK = {
    "check_estimators_unfitted", "check_fit2d_1sample", "check_fit2d_1feature", "check_fit1d",
    "check_estimator_tags_renamed", "check_dict_unchanged", "check_estimators_pickle",
    "check_dont_overwrite_attributes", "check_dataframe_column_names_consistency",
    "check_n_features_in_after_fitting", "check_estimator_sparse_array", "check_set_output_transform",
    "check_global_output_transform_pandas",
}  # fmt: skip


def reasons(estimator):
    return REASONS.get(type(estimator).__name__, {})


def quick_checks():
    for estimator in ESTIMATORS:
        for made, check in estimator_checks_generator(estimator):
            if check.func.__name__ in QUICK:
                name = f"{type(estimator).__name__}-{check.func.__name__}"
                yield pytest.param(made, check, id=name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator, check", list(quick_checks()))
def test_quick_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=reasons)
def test_every_check_passes(estimator, check):
    check(estimator)


def test_exceptions_are_few():
    assert sum(map(len, REASONS.values())) <= 2
