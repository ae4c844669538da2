import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divmix.benchmarks import ablation, density, peers, robustness, suite
from divmix.benchmarks.labelled import find_sets, read_set
from divmix.errors import InputError
from divmix.settings import DiversifiedSettings

CENTERS = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])


def write_blobs(path, rows_each=40, noise=0, seed=0):
    """Three far blobs, classes 1 to 3, and rows of noise, class 0."""
    generator = np.random.default_rng(seed)
    X = np.repeat(CENTERS, rows_each, axis=0)
    X = X + generator.normal(scale=0.5, size=X.shape)
    X = np.vstack([X, generator.uniform(2.0, 7.0, (noise, 2))])
    label = np.concatenate([np.repeat([1, 2, 3], rows_each), np.zeros(noise, int)])
    pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "label": label}), path)


@pytest.fixture
def folder(tmp_path):
    write_blobs(tmp_path / "made_three.parquet")
    write_blobs(tmp_path / "made_noisy.parquet", noise=5, seed=1)
    pq.write_table(pa.table({"a": [1.0, 2.0]}), tmp_path / "unlabelled.parquet")
    return tmp_path


def test_only_tables_with_labels_are_sets(folder):
    assert [path.stem for path in find_sets(str(folder))] == ["made_noisy", "made_three"]


def test_a_set_is_found_by_the_end_of_its_name(folder):
    for name in ("three", "made_three"):
        assert [path.stem for path in find_sets(str(folder), (name,))] == ["made_three"]


def test_what_is_not_there_is_told_with_a_hint(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for data, sets, message, hint in [
        (folder / "absent", None, "is not a folder", "--data"),
        (empty, None, "no Parquet file with a column 'label'", "--data"),
        (folder, ("hree",), "no set 'hree'", "made_three"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            find_sets(str(data), sets)
        assert hint in caught.value.hint


def test_class_0_is_noise_and_text_classes_are_counted(tmp_path):
    path = tmp_path / "set.parquet"
    pq.write_table(pa.table({"a": [1.0, 2.0, 3.0, 4.0], "label": [7, 0, 3, 7]}), path)
    numbers = read_set(path)
    np.testing.assert_array_equal(numbers.classes, [0, -1, 1, 0])
    pq.write_table(pa.table({"a": [1.0, 2.0, 3.0], "label": ["x", None, "y"]}), path)
    words = read_set(path)
    np.testing.assert_array_equal(words.classes, [0, -1, 1])
    assert numbers.n_classes == words.n_classes == 2


def test_a_set_of_noise_alone_is_refused(tmp_path):
    pq.write_table(pa.table({"a": [1.0, 2.0], "label": [0, 0]}), tmp_path / "set.parquet")
    with pytest.raises(InputError, match="0 or empty in all rows"):
        read_set(tmp_path / "set.parquet")


def test_labels_do_not_reach_the_design_matrix(folder):
    assert read_set(folder / "made_three.parquet").matrix().shape == (120, 2)


def test_suite_finds_far_blobs_and_leaves_noise_unscored(folder):
    document = suite.run(str(folder), seeds=2)
    assert [(row["set"], row["rows"], row["k"]) for row in document["rows"]] == [
        ("made_noisy", 125, 3), ("made_three", 120, 3)]  # fmt: skip
    for row in document["rows"]:
        assert row["ari"] == row["worst"] == row["nmi"] == row["accuracy"] == 1.0
        assert row["seconds"] > 0
    assert document["references"] == []
    assert [row["set"] for row in document["summary"]] == ["mean of all 2"]


def test_suite_puts_references_of_the_parent_folder_beside(folder, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    for name in ("both", "one", "none"):
        write_blobs(inner / f"{name}.parquet")
    known = {"both": {"A": 1.0, "B": 0.25}, "one": {"A": 0.5}}
    (tmp_path / suite.REFERENCES).write_text(json.dumps(known))
    document = suite.run(str(inner))
    assert {row["set"]: (row["A"], row["B"]) for row in document["rows"]} == {
        "both": (1.0, 0.25), "none": (None, None), "one": (0.5, None)}  # fmt: skip
    everything, compared, worst_seed, wins = document["summary"]
    assert (everything["set"], everything["ari"]) == ("mean of all 3", 1.0)
    assert (compared["set"], compared["A"], compared["B"]) == (
        "mean of 1 with references",
        1.0,
        0.25,
    )
    assert worst_seed["ari"] == 1.0
    assert (wins["ari"], wins["A"], wins["B"]) == (1, 1, 0)


@pytest.mark.parametrize("text", ["{", "[1]", '{"set": {"A": "high"}}', '{"set": 0.5}'])
def test_suite_refuses_a_broken_file_of_references(folder, text):
    (folder / suite.REFERENCES).write_text(text)
    with pytest.raises(InputError, match=suite.REFERENCES):
        suite.run(str(folder))


def test_all_found_needs_one_cluster_for_each_class():
    X = np.repeat(CENTERS, 4, axis=0) + np.tile([[0.1], [-0.1]], (6, 1))
    classes = np.repeat([0, 1, 2], 4)
    assert robustness.all_found(X, classes, np.array([5, 3, 9])[classes])
    split_and_joined = np.array([0, 1, 0, 1, 2, 2, 2, 2, 2, 2, 2, 2])
    assert not robustness.all_found(X, classes, split_and_joined)
    assert not robustness.all_found(X, classes, np.minimum(classes, 1))


def test_all_found_leaves_noise_out():
    X = np.vstack([CENTERS, [[500.0, 500.0]]])
    assert robustness.all_found(X, np.array([0, 1, 2, -1]), np.array([0, 1, 2, 0]))


def test_robustness_has_a_row_for_each_method_and_set(folder):
    document = robustness.run(str(folder), seeds=2, sets=("three",))
    by_method = {row["method"]: row for row in document["rows"]}
    assert list(by_method) == list(robustness.methods())
    assert all(row["seeds"] == 2 and row["seconds"] > 0 for row in document["rows"])
    default = next(name for name in by_method if "default" in name)
    for name in (default, "scikit-learn, n_init 10"):
        assert by_method[name]["success"] == by_method[name]["worst"] == 1.0
    assert [row["method"] for row in document["summary"]] == list(by_method)


def test_robustness_counts_failures_and_cuts_seeds_of_long_peers(folder, monkeypatch):
    labelled = read_set(folder / "made_three.parquet")
    X = labelled.matrix()

    def fails_on_odd_seeds(labelled, X, seed):
        return labelled.classes if seed % 2 == 0 else np.zeros(len(X), int)

    row = robustness.measure(labelled, X, "peer", fails_on_odd_seeds, seeds=4)
    assert (row["seeds"], row["success"], row["ari"], row["worst"]) == (4, 0.5, 0.5, 0.0)
    monkeypatch.setattr(robustness, "LONG", 100)
    assert robustness.measure(labelled, X, "peer", fails_on_odd_seeds, seeds=4)["seeds"] == 3
    ours = robustness.measure(labelled, X, "diversified", fails_on_odd_seeds, seeds=4)
    assert ours["seeds"] == 4


def test_robustness_names_the_default_and_every_alpha():
    names = list(robustness.methods())
    default = DiversifiedSettings(clusters=1).alpha
    assert f"diversified, alpha {default} (default)" in names
    for alpha in robustness.ALPHAS:
        assert sum(f"alpha {alpha:g}" in name.split(" (")[0].split(", ") for name in names) == 1


def test_a_split_shares_no_row_and_standardises_by_its_training_rows():
    n = 50
    table = pa.table({"square": np.arange(n) ** 2 + 0.5, "same": np.ones(n)})
    part = density.split(table, seed=3)
    assert part.training.column_names == ["square"]
    assert (len(part.X), len(part.X_test)) == (35, 15)
    assert len(np.unique(np.vstack([part.X, part.X_test]))) == n
    assert part.X.mean() == pytest.approx(0.0, abs=1e-12)
    assert part.X.std() == pytest.approx(1.0)
    np.testing.assert_array_equal(part.X_test, density.split(table, seed=3).X_test)


def test_models_of_both_sides_score_in_the_same_units():
    X = np.random.default_rng(0).normal(5.0, 3.0, (600, 2))
    part = density.split(pa.table({"a": X[:, 0], "b": X[:, 1]}), seed=0)
    truth = -np.log(2 * np.pi) - 0.5 * (part.X_test**2).sum(axis=1).mean()
    for name in ("scikit-learn diag, BIC", "scikit-learn full, BIC"):
        assert density.MODELS[name](part) == pytest.approx(truth, abs=0.05)
    # Thirty components for one Gaussian memorise some of it: below the truth, not far.
    for name in density.OURS:
        assert truth - 1.0 < density.MODELS[name](part) < truth


def test_density_has_a_figure_for_each_model_and_leaves_long_tables_out(folder, monkeypatch):
    monkeypatch.setattr(density, "MOST_ROWS", 120)
    document = density.run(str(folder), seeds=1)
    assert document["left_out"] == ["made_noisy"]
    (row,) = document["rows"]
    assert all(np.isfinite(row[name]) for name in density.MODELS)
    summary = {line["model"]: line for line in document["summary"]}
    assert summary["alpha 0"]["better than alpha 0"] == 0
    best = max(row[name] for name in density.PEERS)
    for name, line in summary.items():
        assert line["median"] == row[name]
        assert line["better than the best peer"] == int(row[name] > best)


def test_bic_chooses_the_number_of_blobs():
    X = np.repeat(CENTERS, 40, axis=0) + np.random.default_rng(0).normal(size=(120, 2))
    assert peers.gaussian_mixture_by_bic(X, 6, "diag", seed=0).n_components == 3


def test_peers_take_no_more_components_than_rows():
    X = np.random.default_rng(0).normal(size=(4, 1))
    assert peers.bayesian_mixture(X, 20, seed=0).n_components == 4
    assert peers.gaussian_mixture_by_bic(X, 20, "diag", seed=0).n_components <= 4


def test_an_ablation_leaves_out_what_its_name_says(folder):
    three = read_set(folder / "made_three.parquet")
    X, variants = three.matrix(), ablation.variants()
    fitted = {name: ablation.fit(variant, X, 3, 0) for name, variant in variants.items()}
    assert fitted["unions only"].hierarchy.criterion == "saddle"
    assert fitted["ellipses only"].hierarchy.criterion == "kl"
    assert "reduced from 3" in fitted["no merge tree (m = k)"].notes[-1]
    assert "reduced from 3" not in fitted["default (alpha 0.03)"].notes[-1]
    assert fitted["alpha 1"].settings.alpha == 1
    assert fitted["start: centre"].settings.init == "centre"


def test_ablation_has_a_row_for_each_variant_and_set(folder, monkeypatch):
    few = {name: ablation.variants()[name] for name in ("default (alpha 0.03)", "em")}
    monkeypatch.setattr(ablation, "variants", lambda: few)
    document = ablation.run(str(folder), seeds=2)
    assert [(row["set"], row["variant"]) for row in document["rows"]] == [
        (name, variant) for name in ("made_noisy", "made_three") for variant in few
    ]
    assert all(row["found"] == 1 and row["ari"] == 1 for row in document["rows"])
    default, em = document["summary"]
    assert default["gain"] == 0 and em["gain"] == 0
    assert default["effective"] > 2.9 and np.isfinite(default["held_out"])
