"""Two clusterings held against each other, and numbers kept across fits."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from divmix.errors import InputError, UsageError
from divmix.metrics import clustering_metrics
from divmix.model.mixture import Mixture
from divmix.settings import TableSettings, fit_settings
from divmix.workflows.command_line import command_of
from divmix.workflows.compare import run_compare
from divmix.workflows.fit import run_fit
from divmix.workflows.run_folder import read_document
from tests.workflows.groups import groups


def fitted(folder, name, table, tables=None, match=None, **settings):
    source = folder / f"{name}.parquet"
    parquet.write_table(table, source)
    own = dict(method="em", clusters=3, covariance="full") | settings
    run_fit(
        [str(source)], fit_settings(**own), tables or TableSettings(), folder / name, match=match
    )
    return str(folder / name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two fits of one table, of 3 and of 4 clusters, and one of a table that has moved."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        "three": fitted(folder, "three", groups(1500, 0)),
        "four": fitted(folder, "four", groups(1500, 0), clusters=4),
        "moved": fitted(folder, "moved", groups(1500, 1, shift=0.5)),
        "table": str(folder / "moved.parquet"),
        "folder": folder,
    }


def labels(run):
    return pd.read_csv(f"{run}/assignments.csv")["cluster"].to_numpy()


def test_runs_of_one_table_are_compared_on_its_rows(runs):
    found = run_compare(runs["three"], runs["four"])
    a, b = labels(runs["three"]), labels(runs["four"])
    known = clustering_metrics(a, b)
    assert found["rows"] == 1500
    for name in ("ari", "nmi", "ami"):
        assert found[name] == pytest.approx(known[name])
    table = pd.crosstab(a, b).to_numpy()
    np.testing.assert_array_equal(np.array(found["contingency"]["rows"])[1:, 1:], table)
    pairs = [(pair["a"], pair["b"]) for pair in found["clusters"]]
    assert len(pairs) == 3 and len(found["only_b"]) == 1
    both = sum(pair["both"] for pair in found["clusters"])
    assert both == sum(table[i, j] for i, j in pairs)
    assert found["same"] == both / 1500 == known["accuracy"]


def test_models_of_other_tables_are_compared_on_rows_drawn_from_both(runs):
    found = run_compare(runs["three"], runs["moved"])
    assert "drawn" in found["compared_on"]
    assert found["symmetric_kl"] > 10 * found["standard_error"] > 0
    for pair in found["clusters"]:
        assert pair["moved"][0]["column"] == "x1"
        assert pair["moved"][0]["b"] - pair["moved"][0]["a"] == pytest.approx(0.5, abs=0.25)
    alike = run_compare(f"{runs['three']}/model.divmix", f"{runs['three']}/model.divmix")
    assert alike["same"] == 1.0 and alike["symmetric_kl"] == 0.0


def test_what_moved_is_told_in_the_units_of_the_table(tmp_path):
    scaled = [
        groups(1500, seed, shift=shift).set_column(
            1, "x1", pa.array(1000 * groups(1500, seed, shift=shift).column("x1").to_numpy() + 7)
        )
        for seed, shift in ((0, 0.0), (1, 0.5))
    ]
    one, other = (fitted(tmp_path, f"run{i}", table) for i, table in enumerate(scaled))
    for pair in run_compare(one, other)["clusters"]:
        moved = {own["column"]: own for own in pair["moved"]}["x1"]
        assert moved["b"] - moved["a"] == pytest.approx(500, abs=250)
        spread = 1000 * groups(1500, 0).column("x1").to_numpy().std()
        assert moved["difference"] == pytest.approx((moved["b"] - moved["a"]) / spread, rel=0.05)


def test_a_common_table_has_the_rows(runs):
    found = run_compare(runs["three"], runs["moved"], data=[runs["table"]])
    own = [
        Mixture.load(runs[name]).score_batch(parquet.read_table(runs["table"]))
        for name in ("three", "moved")
    ]
    assert found["rows"] == 1500
    assert found["ari"] == pytest.approx(clustering_metrics(own[0].cluster, own[1].cluster)["ari"])
    for side, scores in zip("ab", own):
        assert found["log_density"][side] == pytest.approx(scores.log_density.mean())
    assert found["log_density"]["b"] > found["log_density"]["a"]


def test_tables_of_labels_are_compared_with_models_and_each_other(runs):
    one, other = f"{runs['three']}/assignments.csv", f"{runs['four']}/assignments.csv"
    known = run_compare(runs["three"], runs["four"])
    assert run_compare(one, other)["ari"] == known["ari"]
    assert run_compare(one, runs["four"])["ari"] == known["ari"]
    named = runs["folder"] / "named.csv"
    pd.DataFrame({"kind": np.array(["x", "y", "z"])[labels(runs["three"])]}).to_csv(
        named, index=False
    )
    assert run_compare(str(named), one, column="kind")["ari"] == 1.0


def test_labels_of_other_rows_are_not_compared_row_by_row(runs):
    """As many rows of another table would give a figure that means nothing."""
    labels_of_moved = f"{runs['moved']}/assignments.csv"
    for one, other in ((runs["three"], labels_of_moved), (labels_of_moved, runs["three"])):
        with pytest.raises(UsageError, match="labels alone") as error:
            run_compare(one, other)
        assert "--data" in error.value.hint
    short = runs["folder"] / "short.csv"
    pd.DataFrame({"cluster": [0, 1]}).to_csv(short, index=False)
    with pytest.raises(InputError, match="1,500 rows"):
        run_compare(runs["three"], str(short))
    other = runs["folder"] / "other.csv"
    pd.DataFrame({"group": [0, 1]}).to_csv(other, index=False)
    with pytest.raises(InputError, match="no column 'cluster'"):
        run_compare(str(short), str(other))


def test_models_of_other_columns_need_a_table(runs, tmp_path):
    fewer = fitted(tmp_path, "fewer", groups(500, 0).drop_columns(["x2"]))
    with pytest.raises(InputError, match="'x2'") as error:
        run_compare(runs["three"], fewer)
    assert "--data" in error.value.hint
    assert run_compare(runs["three"], fewer, data=[runs["table"]])["rows"] == 1500
    embedded = fitted(tmp_path, "embedded", groups(500, 0), TableSettings(encoder="pca:2"))
    with pytest.raises(UsageError, match="embedding") as error:
        run_compare(runs["three"], embedded)
    assert "--data" in error.value.hint


def test_noise_is_no_cluster_but_counts(tmp_path):
    scattered = np.random.default_rng(0).uniform(-15, 15, size=(150, 3))
    table = pa.concat_tables(
        [groups(1350, 0), pa.table({f"x{j}": scattered[:, j] for j in range(3)})]
    )
    one = fitted(tmp_path, "noise", table, noise=True)
    other = fitted(tmp_path, "plain", table)
    found = run_compare(one, other)
    counts = np.array(found["contingency"]["rows"])
    assert found["contingency"]["a"][0] == "noise"
    assert counts[0].sum() == (labels(one) == -1).sum() > 0
    assert counts[:, 0].sum() == 0 and counts.sum() == 1500
    assert all(pair["a"] >= 0 and pair["b"] >= 0 for pair in found["clusters"])


def test_a_fit_keeps_the_numbers_of_a_former_model(tmp_path):
    former = fitted(tmp_path, "former", groups(2000, 0, shares=(0.6, 0.3, 0.1), spread=0.7))
    new = groups(2000, 1, shares=(0.1, 0.3, 0.6), spread=0.7)
    free = fitted(tmp_path, "free", new)
    kept = fitted(tmp_path, "kept", new, match=former)
    old = Mixture.load(former).score_batch(new).cluster
    assert (labels(free) == old).mean() < 0.5
    assert (labels(kept) == old).mean() > 0.85
    document = read_document(tmp_path / "kept")
    assert [one["former"] for one in document["match"]["clusters"]] == [0, 1, 2]
    assert document["match"]["gone"] == []
    assert any("3 of 3 clusters are those of" in note for note in document["notes"])
    sizes = [one["size"] for one in document["result"]["clusters"]]
    np.testing.assert_array_equal(sizes, np.bincount(labels(kept)))
    # The same mixture but for the numbers, and the model agrees with its table of labels.
    one, other = (Mixture.load(run).components.means for run in (free, kept))
    np.testing.assert_allclose(np.sort(one, axis=0), np.sort(other, axis=0))
    np.testing.assert_array_equal(Mixture.load(kept).score_batch(new).cluster, labels(kept))
    assert f"--match {former}" in command_of(document)


def test_new_clusters_have_new_numbers_and_gone_ones_are_named(tmp_path):
    former = fitted(tmp_path, "former", groups(2000, 0))
    more = fitted(tmp_path, "more", groups(2000, 1, far=0.2), clusters=4, match=former)
    match = read_document(tmp_path / "more")["match"]
    assert [one["former"] for one in match["clusters"]] == [0, 1, 2, None]
    far = groups(2000, 1, far=0.2).column("x0").to_numpy() > 7
    assert (labels(more)[far] == 3).mean() > 0.95
    fitted(tmp_path, "fewer", groups(2000, 1), clusters=2, match=more)
    match = read_document(tmp_path / "fewer")["match"]
    assert 3 in match["gone"] and len(match["clusters"]) == 2


def test_a_former_model_of_other_columns_is_refused(tmp_path):
    former = fitted(tmp_path, "former", groups(500, 0))
    with pytest.raises(InputError, match="no column 'x2'"):
        fitted(tmp_path, "new", groups(500, 0).drop_columns(["x2"]), match=former)
    assert not (tmp_path / "new").exists()
