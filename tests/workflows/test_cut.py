"""Other numbers of clusters from the merge tree of a model, without a fit."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score

from divmix.errors import InputError, ModelFileError, OutputError, UsageError
from divmix.merging import tree as reduction
from divmix.model.mixture import Mixture
from divmix.model.model_file import read_model, write_model
from divmix.settings import TableSettings, fit_settings
from divmix.workflows.cut import run_cut
from divmix.workflows.describe import describe_model
from divmix.workflows.fit import run_fit
from divmix.workflows.predict import run_predict

CENTRES = np.array([[0.0, 0], [1, 9], [12, 0], [12, 9], [30, 3]])


def blobs(path):
    """Five round groups, at places whose distances order their merges."""
    generator = np.random.default_rng(0)
    label = np.arange(500) % 5
    points = CENTRES[label] + generator.normal(size=(500, 2))
    pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "label": label}).to_csv(path, index=False)
    return path


def moons(path):
    points, label = make_moons(600, noise=0.05, random_state=0)
    pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "label": label}).to_csv(path, index=False)
    return path


def fit(csv, output, **changes):
    run_fit([str(csv)], fit_settings(**changes), TableSettings(truth="label"), output)
    return output


@pytest.fixture(scope="module")
def ellipses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ellipses")
    return fit(blobs(folder / "table.csv"), folder / "run", clusters=3, merge="kl")


@pytest.fixture(scope="module")
def unions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unions")
    return fit(moons(folder / "table.csv"), folder / "run", clusters=2)


def labels_of(folder):
    return pd.read_csv(folder / "assignments.csv")["cluster"].to_numpy()


def truth_of(run):
    return pd.read_csv(run.parent / "table.csv")["label"].to_numpy()


def test_a_fit_of_three_is_cut_at_the_true_five(ellipses, tmp_path):
    done = run_cut(ellipses, 5, tmp_path / "five", sources=[str(ellipses.parent / "table.csv")])
    assert (done["n_clusters"], done["n_components"], done["merge"]) == (5, 5, "kl")
    assert adjusted_rand_score(truth_of(ellipses), labels_of(tmp_path / "five")) == 1
    sizes = np.array(done["cluster_weights"])
    assert (np.diff(sizes) <= 0).all() and sizes.sum() == pytest.approx(1)


def test_cuts_of_one_tree_are_nested(unions, tmp_path):
    source = [str(unions.parent / "table.csv")]
    run_cut(unions, 3, tmp_path / "three", sources=source)
    mixture, coarse = Mixture.load(tmp_path / "three"), Mixture.load(unions)
    # Sorted by their means, the components of both are the same and can be told apart.
    fine, rough = (m.clusters[np.lexsort(m.components.means.T)] for m in (mixture, coarse))
    assert all(len(set(rough[fine == c])) == 1 for c in range(3))


def test_unions_at_another_number_leave_every_density_as_it_is(unions, tmp_path):
    run_cut(unions, 4, tmp_path / "four", sources=[str(unions.parent / "table.csv")])
    before, after = (
        pd.read_csv(folder / "assignments.csv")["log_density"]
        for folder in (unions, tmp_path / "four")
    )
    np.testing.assert_allclose(after, before, rtol=1e-12)


@pytest.mark.parametrize("kind", ["ellipses", "unions"])
def test_the_models_own_number_gives_its_assignments_bit_for_bit(kind, request, tmp_path):
    run = request.getfixturevalue(kind)
    k = Mixture.load(run).n_clusters
    run_cut(run, k, tmp_path / "same", sources=[str(run.parent / "table.csv")])
    for name in ("assignments.csv", "model.divmix", "components.csv"):
        assert (tmp_path / "same" / name).read_bytes() == (run / name).read_bytes()


def test_unions_are_found_again_from_a_cut_of_a_cut(unions, tmp_path):
    run_cut(unions, 4, tmp_path / "four")
    run_cut(tmp_path / "four", 2, tmp_path / "two", sources=[str(unions.parent / "table.csv")])
    assert adjusted_rand_score(labels_of(unions), labels_of(tmp_path / "two")) == 1
    assert Mixture.load(tmp_path / "two").about["cut_from"] == 2


@pytest.mark.parametrize("kind", ["ellipses", "unions"])
@pytest.mark.parametrize("k", [1, 6])
def test_predict_reads_a_cut_model(kind, k, request, tmp_path):
    run = request.getfixturevalue(kind)
    source = [str(run.parent / "table.csv")]
    run_cut(run, k, tmp_path / "cut", sources=source)
    run_predict(tmp_path / "cut", source, str(tmp_path / "labels.csv"))
    assert (tmp_path / "labels.csv").read_bytes() == (
        tmp_path / "cut" / "assignments.csv"
    ).read_bytes()
    assert set(labels_of(tmp_path / "cut")) == set(range(k))


@pytest.mark.parametrize("kind, criterion", [("ellipses", "kl"), ("unions", "saddle")])
def test_describe_tells_the_whole_tree(kind, criterion, request):
    tree = describe_model(request.getfixturevalue(kind))["merge_tree"]
    assert tree["criterion"] == criterion
    merges = tree["merges"]
    assert [merge["clusters"] for merge in merges] == list(range(tree["components"] - 1, 0, -1))
    assert sum(merges[-1]["weights"]) == pytest.approx(1)
    assert sum(merges[-1]["components"]) == tree["components"]
    json.dumps(tree, allow_nan=False)


def test_merges_of_unions_name_the_components_of_the_model(unions):
    mixture = Mixture.load(unions)
    m = mixture.components.count
    merges = describe_model(unions)["merge_tree"]["merges"]
    first = next(merge for merge in merges if max(merge["joins"]) < m)
    np.testing.assert_allclose(first["weights"], mixture.components.weights[first["joins"]])
    cut = reduction.cut(mixture.hierarchy.tree, mixture.n_clusters)
    assert adjusted_rand_score(cut, mixture.clusters) == 1


def test_merge_is_forced_by_its_setting(tmp_path):
    round_groups, bent_groups = blobs(tmp_path / "blobs.csv"), moons(tmp_path / "moons.csv")
    fit(round_groups, tmp_path / "unions", clusters=5, merge="overlap")
    fit(bent_groups, tmp_path / "ellipses", clusters=2, merge="kl")
    assert Mixture.load(tmp_path / "unions").hierarchy.criterion == "saddle"
    truth = pd.read_csv(round_groups)["label"]
    assert adjusted_rand_score(truth, labels_of(tmp_path / "unions")) > 0.95
    forced = Mixture.load(tmp_path / "ellipses")
    assert forced.hierarchy.criterion == "kl" and forced.components.count == 2


def test_a_model_without_a_tree_cannot_be_cut(tmp_path):
    fit(blobs(tmp_path / "table.csv"), tmp_path / "run", clusters=3, method="em")
    with pytest.raises(UsageError, match="no merge tree"):
        run_cut(tmp_path / "run", 2, tmp_path / "cut")
    assert "merge_tree" not in describe_model(tmp_path / "run")
    assert not (tmp_path / "cut").exists()


def test_bad_input_is_refused_and_nothing_is_written(ellipses, tmp_path):
    source = str(ellipses.parent / "table.csv")
    most = Mixture.load(ellipses).hierarchy.count
    with pytest.raises(UsageError, match=f"the model has {most} components"):
        run_cut(ellipses, most + 1, tmp_path / "cut")
    (tmp_path / "bad.csv").write_text("x\n1\n")
    with pytest.raises(InputError, match="y"):
        run_cut(ellipses, 4, tmp_path / "cut", sources=[str(tmp_path / "bad.csv")])
    assert not (tmp_path / "cut").exists()
    run_cut(ellipses, 4, tmp_path / "cut", sources=[source])
    with pytest.raises(OutputError):
        run_cut(ellipses, 5, tmp_path / "cut")
    run_cut(ellipses, 5, tmp_path / "cut", overwrite=True)
    names = sorted(path.name for path in (tmp_path / "cut").iterdir())
    assert names == ["components.csv", "model.divmix", "run.json"]
    assert Mixture.load(tmp_path / "cut").n_clusters == 5


@pytest.mark.parametrize(
    "name, change",
    [
        ("tree_pairs", lambda pairs: pairs[:-1]),
        ("tree_pairs", lambda pairs: pairs[::-1].copy()),
        ("tree_pairs", np.zeros_like),
        ("tree_costs", lambda costs: costs * np.nan),
        ("relaxed_means", lambda means: means[:, :1].copy()),
        ("relaxed_weights", lambda weights: weights / 0.0),
    ],
)
def test_a_tree_that_is_none_is_a_model_file_error(ellipses, tmp_path, name, change):
    document, arrays = read_model(ellipses)
    with np.errstate(divide="ignore"):
        arrays[name] = change(arrays[name])
    write_model(tmp_path / "broken.divmix", document, arrays)
    with pytest.raises(ModelFileError):
        Mixture.load(tmp_path / "broken.divmix")


@pytest.mark.parametrize("kind, name", [("ellipses", "relaxed_means"), ("unions", "tree_costs")])
def test_a_tree_whose_arrays_are_missing_is_a_model_file_error(kind, name, request, tmp_path):
    document, arrays = read_model(request.getfixturevalue(kind))
    del arrays[name]
    write_model(tmp_path / "broken.divmix", document, arrays)
    with pytest.raises(ModelFileError):
        Mixture.load(tmp_path / "broken.divmix")
