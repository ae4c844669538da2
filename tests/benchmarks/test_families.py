import numpy as np
import pyarrow as pa
import pytest

from divmix.benchmarks import families
from divmix.benchmarks.made_tables import FAMILIES, OUTLIERS, categories, ellipses, make, points
from divmix.errors import InputError

SEEDS = (0, 1, 2, 3)


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_table_is_a_function_of_family_and_seed(family):
    made = make(family, 4)
    assert made.table.equals(make(family, 4).table)
    assert not made.table.equals(make(family, 5).table)
    assert made.name == f"{family} 4"


@pytest.mark.parametrize("family", FAMILIES)
def test_tables_are_of_the_size_that_is_promised_and_outliers_have_label_0(family):
    for seed in SEEDS:
        made = make(family, seed)
        assert 100 <= made.table.num_rows <= 20_000
        label = made.table["label"].to_numpy()
        rows = np.bincount(label)
        assert len(rows) - 1 == made.n_classes and rows[1:].min() >= 5
        assert rows[1:].max() <= 50 * rows[1:].min() + 50
        share = OUTLIERS[seed % len(OUTLIERS)]
        assert rows[0] / len(label) == pytest.approx(share, abs=0.5 / 100)
        np.testing.assert_array_equal(made.classes == -1, label == 0)
        assert made.matrix().shape[0] == len(label)


def test_the_numbers_of_clusters_cover_their_range():
    assert {make("sine", seed).n_classes for seed in SEEDS} == {100}
    assert all(50 <= make("ellipses-many", seed).n_classes <= 100 for seed in SEEDS)
    small = [make("ellipses-small", seed) for seed in range(20)]
    assert {2, 3, 4, 5, 6, 7, 8} >= {made.n_classes for made in small} >= {2, 5}
    assert all(120 <= made.table.num_rows <= 400 for made in small)


def test_a_coded_table_holds_whole_numbers_where_a_mixed_one_has_yes_no_and_words():
    for seed in SEEDS:
        made = make("coded", seed)
        columns = made.table.drop_columns(["label"])
        codes = [column for column in columns.itercolumns() if pa.types.is_integer(column.type)]
        assert codes and all(2 <= len(column.unique()) <= 10 for column in codes)
        assert all(pa.types.is_floating(c.type) for c in columns.itercolumns() if c not in codes)


@pytest.mark.parametrize("target", [0.001, 0.1])
@pytest.mark.parametrize("k, d", [(2, 2), (12, 3), (4, 20)])
def test_the_closest_clusters_misclassify_as_often_as_asked_for(k, d, target):
    means, covariances = ellipses.clusters(k, d, target, generator(k))
    overlaps = [
        wrong(means, covariances, i, j) + wrong(means, covariances, j, i)
        for i in range(k)
        for j in range(i)
    ]
    assert max(overlaps) == pytest.approx(target, rel=0.35)


def wrong(means, covariances, i, j, draws=20_000):
    """Share of draws of cluster i that are likelier in cluster j."""
    from scipy.stats import multivariate_normal

    own, other = (multivariate_normal(means[at], covariances[at]) for at in (i, j))
    X = own.rvs(draws, random_state=i)
    return float((other.logpdf(X) > own.logpdf(X)).mean())


def test_overlap_of_two_equal_normals_is_that_of_the_formula():
    from scipy.stats import norm

    means, covariances = np.array([[0.0, 0.0], [4.0, 0.0]]), np.array([np.eye(2)] * 2)
    found = ellipses.largest_overlap(means, covariances, generator().standard_normal((4_000, 2)))
    assert found == pytest.approx(2 * norm.cdf(-2.0), rel=0.03)


def test_sizes_add_up_and_keep_to_ratio_and_least():
    rows = points.sizes(1_000, 7, 50.0, 20, generator(3))
    assert rows.sum() == 1_000 and rows.min() >= 20
    assert points.sizes(70, 7, 50.0, 10, generator(3)).tolist() == [10] * 7
    many = points.sizes(100_000, 50, 50.0, 1, generator(3))
    assert 20 < many.max() / many.min() < 55


def test_outliers_are_scattered_over_a_wider_box():
    made = make("moons", 2)
    X = np.column_stack([made.table["x1"], made.table["x2"]])
    inside, outliers = X[made.classes >= 0], X[made.classes < 0]
    span = np.ptp(inside, axis=0)
    assert (outliers >= inside.min(axis=0) - 0.126 * span).all()
    assert (outliers <= inside.max(axis=0) + 0.126 * span).all()
    np.testing.assert_allclose(np.ptp(outliers, axis=0), 1.25 * span, rtol=0.1)


def test_irrelevant_columns_know_no_class():
    from sklearn.feature_selection import f_classif

    values, counts = [], []
    for seed in range(24):
        made = make("ellipses-small", seed)
        others = [name for name in made.table.column_names if name.startswith("other")]
        counts.append(len(others))
        if others:
            X = np.column_stack([made.table[name] for name in others])
            values += list(f_classif(X[made.classes >= 0], made.classes[made.classes >= 0])[1])
    assert 0 in counts and max(counts) > 4 and max(counts) <= 10
    # p-values of an F test of columns that know nothing are uniform.
    assert 0.3 < np.mean(values) < 0.7 and np.mean(np.array(values) < 0.05) < 0.2


def test_categories_know_as_much_as_they_say():
    label = np.repeat([1, 2, 3, 4], 500)
    for column in (categories.text, categories.yes_no):
        full, half, none = (agreement(label, column(label, s, generator())) for s in (1, 0.6, 0))
        assert full == pytest.approx(1.0) and 0.1 < half < 0.9 and none < 0.02


def agreement(label, column):
    """Share of the column's entropy that the label explains."""
    from sklearn.metrics import mutual_info_score

    return mutual_info_score(label, column) / mutual_info_score(column, column)


def test_mixed_tables_have_numbers_text_and_yes_no():
    kinds, levels = set(), set()
    for seed in range(20):
        schema = make("mixed", seed).table.schema
        kinds |= {str(field.type) for field in schema}
        levels |= {name.split("_")[-1] for name in schema.names if "_" in name}
    assert kinds == {"double", "bool", "string", "int64"}
    assert levels == set(categories.KNOWLEDGE)


def test_an_unknown_family_is_told_with_those_there_are():
    for call in (lambda: make("squares", 0), lambda: families.run(sets=("squares",))):
        with pytest.raises(InputError, match="no family 'squares'") as caught:
            call()
        assert "zigzags" in caught.value.hint


def test_families_have_a_row_for_each_method_and_the_best_peer(monkeypatch):
    def truth(labelled, X, seed):
        return labelled.classes

    def one_cluster(labelled, X, seed):
        return np.zeros(len(X), int)

    some = {"divmix": one_cluster, "good": truth, "bad": one_cluster, "absent": None}
    monkeypatch.setattr(families, "methods", lambda: some)
    document = families.run(seeds=2, first_seed=0, sets=("zigzags", "moons"))
    assert [(row["family"], row["method"]) for row in document["rows"]] == [
        (family, name) for family in ("moons", "zigzags") for name in some
    ]
    good = next(row for row in document["rows"] if row["method"] == "good")
    assert good["ari"] == good["worst"] == good["found"] == 1.0
    absent = next(row for row in document["rows"] if row["method"] == "absent")
    assert absent["ari"] is None and absent["seconds"] is None
    assert [row["families"] for row in document["summary"]] == [2, 2, 2, 0]
    for row in document["differences"]:
        assert (row["best peer"], row["its ARI"], row["difference"]) == ("good", 1.0, -1.0)


def test_published_tables_are_none_of_those_that_settings_were_chosen_on(monkeypatch):
    seen = []
    monkeypatch.setattr(families, "methods", lambda: {"divmix": no_clusters, "peer": no_clusters})
    monkeypatch.setattr(
        families, "make", lambda family, seed: seen.append(seed) or make("moons", 0)
    )
    families.run(seeds=2, sets=("moons",))
    assert [seed for seed in seen if seed != families.WARM_UP[1]] == [1_000_000, 1_000_001]


def no_clusters(labelled, X, seed):
    return np.zeros(len(X), int)


def test_methods_find_far_blobs():
    pytest.importorskip("genieclust")
    made = make("unequal", 0)
    by_name = {name: families.score(made, method) for name, method in families.methods().items()}
    for name, (ari, found, seconds) in by_name.items():
        assert ari > 0.9 and seconds > 0, name
        assert found == 1.0 or name == "HDBSCAN"
