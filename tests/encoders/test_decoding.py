"""What clusters of an embedding are like in the table's columns."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from sklearn.datasets import load_digits

from divmix.model.profile import pictures_of, profile_of
from divmix.report.plane import plane_of
from divmix.settings import DiversifiedSettings, TableSettings
from divmix.workflows.describe import describe_model
from divmix.workflows.fit import fit_table, run_fit
from divmix.workflows.summary import what_sets_apart

DIGITS = load_digits()
PIXELS = pa.table({f"p{j}": DIGITS.data[:600, j].astype(np.uint8) for j in range(64)})


def fitted(encoder, k=4):
    tables = TableSettings(encoder=encoder, image="8x8")
    return fit_table(PIXELS, DiversifiedSettings(clusters=k, family="gaussian"), tables)


@pytest.mark.parametrize("encoder", ["pca:40", "pca:40,spectral:6", "pca:40,spectral:6,pca:4"])
def test_means_of_clusters_are_led_back_to_those_of_their_rows(encoder):
    fit = fitted(encoder)
    shares = fit.mixture.score(fit.X, posterior=True).posterior
    own = (shares / shares.sum(axis=0)).T @ DIGITS.data[:600]
    # Brightness is 0 to 16, and pca leaves some of it out.
    assert np.abs(profile_of(fit.mixture).means - own).max() < 0.3


def test_a_network_rebuilds_the_mean_pictures():
    pytest.importorskip("torch", reason="the extra deep is not installed")
    fit = fitted("autoencoder:4:errors")
    means = profile_of(fit.mixture).means
    for c in range(4):
        own = DIGITS.data[:600][fit.scores.cluster == c].mean(axis=0)
        assert np.corrcoef(means[c], own)[0, 1] > 0.8


def test_upright_pictures_are_shown_in_the_size_of_the_table():
    mixture = fitted("deskew,pca:20").mixture
    assert mixture.design.chain.encoders[0].margin == 1
    pictures = pictures_of(mixture, profile_of(mixture))
    assert pictures.shape == (4, 8, 8)
    upright = mixture.design.chain.encoders[0].transform(DIGITS.data[:600]).reshape(-1, 10, 10)
    overall = mixture.cluster_weights @ pictures.reshape(4, -1)
    np.testing.assert_allclose(overall, upright[:, 1:9, 1:9].mean(axis=0).ravel(), atol=0.05)


def test_the_column_that_sets_clusters_apart_is_named_with_its_deviations():
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, 400)
    X = generator.normal(size=(400, 12))
    X[:, 6:9] += np.outer(label, [3, 6, 3])
    table = pa.table({f"x{j}": X[:, j].copy() for j in range(12)})
    for scale, known in (("standard", True), ("none", False)):
        tables = TableSettings(encoder="pca:3", scale=scale)
        fit = fit_table(table, DiversifiedSettings(clusters=2), tables)
        for cluster, (first, *_) in enumerate(what_sets_apart(fit.mixture)):
            own = X[fit.scores.cluster == cluster, 7].mean()
            assert first["column"] == "x7"
            assert first["mean"] == pytest.approx(own, abs=0.3)
            if known:
                told = (own - X[:, 7].mean()) / X[:, 7].std()
                assert first["difference"] == pytest.approx(told, abs=0.15)
            else:
                assert first["difference"] is None
        assert plane_of(fit.mixture).names[0].startswith("x7")


def test_pictures_stand_in_the_summary_the_description_and_the_page(tmp_path, capsys):
    from divmix.cli.summary import print_summary
    from divmix.cli.views import print_model
    from divmix.workflows.report import run_report

    pa.csv.write_csv(PIXELS, tmp_path / "digits.csv")
    tables = TableSettings(encoder="images", image="8x8")
    run = run_fit(
        [str(tmp_path / "digits.csv")], DiversifiedSettings(clusters=4), tables, tmp_path / "run"
    )
    described = describe_model(tmp_path / "run")
    assert np.shape(described["clusters"][0]["picture"]) == (8, 8)
    print_summary(run, tmp_path / "run")
    print_model(described)
    said = capsys.readouterr()
    for text in (said.err, said.out):
        assert "⣿" in text and "sets it apart" not in text
    assert "eigenvector" not in said.err
    run_report(tmp_path / "run", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count('<img class="mean"') == 4
    assert "eigenvector" not in page[: page.index('id="outliers"')]
    assert ">p36<" in page[page.index('id="profile"') :]


def test_the_mean_pictures_are_drawn_to_a_file(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra report is not installed")
    from matplotlib.image import imread

    from divmix.report.figures import means_figure

    means_figure(fitted("pca:20").mixture, tmp_path / "means.png", overwrite=False)
    assert imread(tmp_path / "means.png").std() > 0.05
    plain = fit_table(PIXELS, DiversifiedSettings(clusters=2), TableSettings())
    means_figure(plain.mixture, tmp_path / "none.png", overwrite=False)
    assert not (tmp_path / "none.png").exists()
