"""Embeddings: learned once, applied in batches, stored without pickle."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.datasets import load_digits, make_moons

from divmix.anomaly.detector import fit_density, score_rows
from divmix.encoders import Chain, JointTraining, Learning, learn, memory, neighbours, parse
from divmix.encoders.deskew import MOST_LOST, Deskew
from divmix.encoders.neighbours import NEIGHBOURS
from divmix.encoders.pca import Pca
from divmix.errors import FitError, InputError, MissingExtraError, UsageError
from divmix.metrics import clustering_metrics
from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.settings import DetectSettings, DetectTableSettings, DiversifiedSettings, TableSettings
from divmix.workflows.fit import fit_table, run_fit
from divmix.workflows.predict import run_predict

DIGITS = load_digits()
CHAINS = ["pca:5", "deskew,pca:5", "pca:10,spectral:6"]
CORE = "pca:30,spectral:12"


def learning(seed=0, image=None):
    return Learning(np.random.default_rng(seed), Progress(), image)


def digits_table(rows=slice(None)):
    columns = {f"p{j}": DIGITS.data[rows, j].astype(np.uint8) for j in range(64)}
    return pa.table(columns | {"label": DIGITS.target[rows]})


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "digits.csv"
    pd.DataFrame(digits_table(slice(0, 600)).to_pandas()).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("seed", range(3))
def test_spectral_clusters_of_digits_agree_with_the_digits(seed):
    fit = fit_table(
        digits_table(),
        DiversifiedSettings(clusters=10, seed=seed),
        TableSettings(encoder=CORE, image="8x8", truth="label"),
    )
    told = clustering_metrics(DIGITS.target, fit.scores.cluster)
    # Measured: .89 to .96 in accuracy over ten seeds; k-means on the pixels .79.
    assert told["accuracy"] >= 0.8 and told["nmi"] >= 0.84


def test_the_preset_for_pictures_keeps_what_deskewing_moves_to_the_edge():
    fit = fit_table(
        digits_table(),
        DiversifiedSettings(clusters=10),
        TableSettings(encoder="images", image="8x8", truth="label"),
    )
    # Measured: .835 over five seeds; .58 where upright pictures are cut to 8 x 8.
    assert clustering_metrics(DIGITS.target, fit.scores.cluster)["ari"] >= 0.8


@pytest.mark.parametrize("seed", range(2))
def test_new_pictures_are_told_apart_nearly_as_well_as_those_of_the_fit(seed):
    tables = TableSettings(encoder=CORE, image="8x8", truth="label")
    known, new = digits_table(slice(0, 1_300)), digits_table(slice(1_300, None))
    fit = fit_table(known, DiversifiedSettings(clusters=10, seed=seed), tables)
    fitted = clustering_metrics(DIGITS.target[:1_300], fit.scores.cluster)["nmi"]
    predicted = clustering_metrics(DIGITS.target[1_300:], fit.mixture.score_batch(new).cluster)[
        "nmi"
    ]
    assert predicted >= fitted - 0.06  # measured: .01 to .04 less over four seeds


def wide_table(seed, k=5):
    """500 rows of 2,000 columns, of which a tenth tells k clusters apart."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, k, 500)
    X = generator.normal(size=(500, 2_000))
    X[:, :200] += 0.6 * generator.normal(size=(k, 200))[label]
    return X, label


@pytest.mark.parametrize("arguments", [(), ("3",)])
def test_pca_of_blocks_is_that_of_all_rows(arguments):
    generator = np.random.default_rng(5)
    X = generator.normal(size=(900, 3)) @ generator.normal(size=(3, 12))
    X += 0.01 * generator.normal(size=(900, 12)) + np.repeat([0.0, 5.0, 90.0], 300)[:, None]
    blocks = Pca.learn_from_blocks(np.split(X, [300, 450, 899]), arguments)
    whole = Pca.learn(X, arguments, learning())
    assert blocks.directions.shape == whole.directions.shape
    np.testing.assert_allclose(blocks.directions, whole.directions, rtol=0, atol=1e-8)
    np.testing.assert_allclose(blocks.mean, whole.mean, rtol=1e-12)
    with pytest.raises(InputError, match="pca:13 of 900 rows and 12 features"):
        Pca.learn_from_blocks([X], ("13",))


@pytest.mark.parametrize("seed", range(2))
def test_pca_without_a_number_keeps_what_stands_out_of_noise(seed):
    X, _ = wide_table(seed)
    made, _ = learn("pca", X, learning())
    assert len(made.features(())) == 4  # what five means span
    noise = np.random.default_rng(seed).normal(size=(300, 90))
    assert len(learn("pca", noise, learning())[0].features(())) == 1
    given, _ = learn("pca:7", X, learning())
    assert len(given.features(())) == 7


@pytest.mark.parametrize("encoder", ["pca", "pca,spectral:6"])
def test_clusters_of_a_wide_table_are_found_in_its_embedding(encoder):
    X, label = wide_table(0)
    table = pa.table({f"x{j}": X[:, j].copy() for j in range(2_000)})
    fit = fit_table(table, DiversifiedSettings(clusters=5), TableSettings(encoder=encoder))
    # Measured: 1.00, without an encoder .99 to 1.00 and with pca:50,spectral:15 .95 to .97.
    assert clustering_metrics(label, fit.scores.cluster)["ari"] >= 0.99


@pytest.mark.parametrize("chain", CHAINS)
def test_predict_repeats_the_assignments_of_the_fit_bit_for_bit(chain, digits, tmp_path):
    run_fit(
        [str(digits)],
        DiversifiedSettings(clusters=4),
        TableSettings(encoder=chain, image="8x8", truth="label"),
        tmp_path / "run",
    )
    run_predict(tmp_path / "run", [str(digits)], str(tmp_path / "predicted.csv"))
    assert (tmp_path / "predicted.csv").read_bytes() == (
        tmp_path / "run" / "assignments.csv"
    ).read_bytes()


@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_survives_being_stored(chain):
    X = DIGITS.data[:200]
    made, embedded = learn(chain, X, learning(image=(8, 8)))
    documents, arrays = made.to_parts()
    again = Chain.from_parts(documents, arrays)
    np.testing.assert_array_equal(again.transform(X), embedded)
    assert again.features(()) == made.features(())
    assert len(made.features(())) == embedded.shape[1]
    with pytest.raises((ValueError, KeyError)):
        Chain.from_parts(documents, {name: arrays[name] for name in list(arrays)[1:]})


def test_a_model_of_an_embedding_tells_its_features_and_draws_no_rows(digits, tmp_path):
    from divmix.workflows.describe import describe_model
    from divmix.workflows.sample import run_sample

    run_fit(
        [str(digits)],
        DiversifiedSettings(clusters=3),
        TableSettings(encoder="pca:5", image="8x8", truth="label"),
        tmp_path / "run",
    )
    assert Mixture.load(tmp_path / "run").design.feature_names == tuple(
        f"pc{j}" for j in range(1, 6)
    )
    assert "pc1_mean" in pd.read_csv(tmp_path / "run" / "components.csv")
    assert describe_model(tmp_path / "run")["components"]
    with pytest.raises(UsageError, match="embedding"):
        run_sample(tmp_path / "run", 5, str(tmp_path / "drawn.csv"))


def sheared(shear, shift=0):
    """A vertical bar of 9 x 9 pixels, its rows moved apart by `shear` columns each."""
    picture = np.zeros((9, 9))
    for row in range(1, 8):
        picture[row, round(4 + shear * (row - 4)) + shift] = 1.0
    return picture


@pytest.mark.parametrize("shear, shift", [(0, 0), (1, 0), (-1, 0), (0, 2)])
def test_deskew_sets_a_bar_upright_and_in_the_middle(shear, shift):
    upright = Deskew(9, 9).transform(sheared(shear, shift).reshape(1, -1)).reshape(9, 9)
    np.testing.assert_allclose(upright, sheared(0), atol=1e-9)


def test_upright_pictures_are_as_large_as_what_they_show():
    framed = np.stack([sheared(shear, 0) for shear in (-0.5, 0, 0.5)])
    assert Deskew.learn(framed.reshape(3, -1), (), learning(image=(9, 9))).margin == 0
    close = np.tri(9).reshape(1, -1)  # a full triangle, whose slope is set upright
    made = Deskew.learn(close, (), learning(image=(9, 9)))
    assert made.margin > 0
    assert made.transform(close).sum() >= (1 - MOST_LOST) * close.sum()
    less = Deskew(9, 9, made.margin - 1).transform(close)
    assert less.sum() < (1 - MOST_LOST) * close.sum()


def test_later_encoders_learn_on_the_enlarged_picture():
    pytest.importorskip("torch", reason="the extra deep is not installed")
    made, embedded = learn("deskew,autoencoder:3:conv", DIGITS.data[:200], learning(0, (8, 8)))
    assert made.encoders[0].pictures == (10, 10)
    again = Chain.from_parts(*made.to_parts())
    np.testing.assert_array_equal(again.transform(DIGITS.data[:200]), embedded)


def test_a_model_from_before_margins_is_read():
    made = Chain.from_parts([{"name": "deskew", "height": 8, "width": 8}], {})
    assert made.transform(DIGITS.data[:5]).shape == (5, 64)


def test_an_empty_picture_stays_empty():
    assert not Deskew(4, 4).transform(np.zeros((2, 16))).any()


@pytest.mark.parametrize("seed", range(3))
def test_spectral_tells_two_moons_and_separate_parts_apart(seed):
    X, label = make_moons(400, noise=0.05, random_state=seed)
    notes = []

    class Listening(Progress):
        def note(self, message):
            notes.append(message)

    X = np.vstack([X, X + 100.0])  # two pairs of moons, far apart: a graph of several parts
    label = np.concatenate([label, label + 2])
    fit = fit_table(
        pa.table({f"x{j}": X[:, j].copy() for j in range(2)}),
        DiversifiedSettings(clusters=4, seed=seed),
        TableSettings(scale="none", encoder="spectral:3"),
        progress=Listening(),
    )
    assert any("separate parts" in note for note in notes)
    assert clustering_metrics(label, fit.scores.cluster)["ari"] > 0.95


def test_equal_rows_do_not_break_the_graph():
    X = np.repeat(np.random.default_rng(0).normal(size=(30, 2)), 8, axis=0)
    _, Z = learn("spectral:3", X, learning())
    assert np.isfinite(Z).all()


@pytest.mark.parametrize(
    "encoder, image, error, message",
    [
        ("pcb:3", None, UsageError, "no encoder 'pcb'"),
        ("pca:0", None, UsageError, "one whole number"),
        ("pca:3:4", None, UsageError, "one whole number"),
        ("pca:65", "8x8", InputError, "pca:65"),
        ("deskew", None, UsageError, "size of the pictures"),
        ("deskew:2", "8x8", UsageError, "takes no argument"),
        ("pca:5", "9x8", UsageError, "72 pixels, the table 64 columns"),
        ("pca:5", "8by8", UsageError, "not a size"),
        ("pca:5,spectral:30", "8x8", InputError, "spectral:30 of 20 rows|needs more"),
    ],
)
def test_what_cannot_work_is_told(encoder, image, error, message):
    rows = slice(0, 20) if "spectral" in encoder else slice(0, 100)
    with pytest.raises(error, match=message):
        fit_table(
            digits_table(rows),
            DiversifiedSettings(clusters=2),
            TableSettings(encoder=encoder, image=image, truth="label"),
        )


def test_too_few_rows_for_a_graph_are_told():
    with pytest.raises(InputError, match="spectral of 8 rows") as caught:
        learn("spectral:3", DIGITS.data[:8], learning())
    assert str(NEIGHBOURS) in caught.value.hint


def test_no_memory_for_the_graph_is_told_beforehand(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 100_000)
    with pytest.raises(
        InputError, match=r"1,797 rows needs 0.00.* GB of memory, 0.0001 GB are free"
    ):
        learn("pca:10,spectral:6", DIGITS.data, learning())


def test_memory_that_runs_out_while_learning_is_told(monkeypatch):
    def run_out(*arguments):
        raise MemoryError

    monkeypatch.setattr(neighbours, "nearest", run_out)
    with pytest.raises(InputError, match="spectral: 300 rows need more memory than there is"):
        learn("spectral:3", DIGITS.data[:300], learning())


@pytest.mark.parametrize(
    "chain, module, extra", [("umap:2", "umap", "manifold"), ("autoencoder:2", "torch", "deep")]
)
def test_a_missing_extra_is_named(chain, module, extra, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=module) as caught:
        learn(chain, DIGITS.data[:100], learning())
    assert f"divmix[{extra}]" in caught.value.hint


def test_a_preset_is_a_chain():
    assert [name for name, _ in parse("images")] == ["deskew", "pca", "spectral"]


def test_umap_is_not_needed_to_predict():
    pytest.importorskip("umap", reason="the extra manifold is not installed")
    X = DIGITS.data[:300]
    made, embedded = learn("umap:2", X, learning())
    import sys
    from unittest import mock

    documents, arrays = made.to_parts()
    with mock.patch.dict(sys.modules, umap=None):
        np.testing.assert_array_equal(Chain.from_parts(documents, arrays).transform(X), embedded)


class TestAutoencoder:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch", reason="the extra deep is not installed")

    def test_it_rebuilds_rows_of_few_directions(self):
        generator = np.random.default_rng(0)
        X = generator.normal(size=(1_000, 2)) @ generator.normal(size=(2, 12))
        made, embedded = learn("autoencoder:2:errors", X, learning())
        assert embedded.shape == (1_000, 4)
        # log of the relative error: the rows lie on a plane, which two codes can hold.
        assert np.exp(np.median(embedded[:, 2])) < 0.3
        far, _ = made.transform(X[:1] + 5 * generator.normal(size=(50, 12))), None
        assert np.median(far[:, 2]) > np.median(embedded[:, 2]) + 0.5

    def test_the_same_seed_gives_the_same_bits_and_numpy_applies_it(self):
        X = DIGITS.data[:200]
        made, first = learn("autoencoder:3", X, learning(seed=4))
        _, second = learn("autoencoder:3", X, learning(seed=4))
        np.testing.assert_array_equal(first, second)
        documents, arrays = made.to_parts()
        np.testing.assert_array_equal(Chain.from_parts(documents, arrays).transform(X), first)

    @pytest.mark.parametrize("image", [(8, 8), (4, 16), (7, 9)])
    def test_numpy_convolves_as_pytorch_does(self, torch, image):
        from divmix.encoders import network

        features = image[0] * image[1]
        made = network.build(torch, features, 3, image)
        layers = network.layers_of(torch, made)
        rows = np.random.default_rng(0).normal(size=(5, features))
        with torch.no_grad():
            codes = made[0](torch.from_numpy(rows).float())
            rebuilt = made[1](codes).numpy()
        own = network.forward(rows, layers[:3], image)
        np.testing.assert_allclose(own, codes.numpy(), atol=1e-5)
        np.testing.assert_allclose(network.forward(own, layers[3:]), rebuilt, atol=1e-5)
        network.check(layers, features, image)
        with pytest.raises(ValueError):
            network.check(layers, features + 1, (1, features + 1))

    def test_convolutions_on_moved_pictures_are_stored_and_repeat(self):
        X = DIGITS.data[:200]
        made, first = learn("autoencoder:3:conv:moved:errors", X, learning(4, (8, 8)))
        _, second = learn("autoencoder:3:conv:moved:errors", X, learning(4, (8, 8)))
        assert first.shape == (200, 5)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(Chain.from_parts(*made.to_parts()).transform(X), first)

    def test_pictures_move_by_little_and_keep_their_background(self, torch):
        from divmix.encoders import training

        pictures = torch.zeros((50, 28 * 28))
        pictures.reshape(50, 28, 28)[:, 10:18, 10:18] = 1.0
        background = torch.full((28 * 28,), 0.5)
        generator = torch.Generator().manual_seed(0)
        move = training._mover(torch, (28, 28), background, generator)
        moved = (move(pictures + background) - background).reshape(50, 28, 28)
        assert torch.abs(moved[:, :4]).max() < 1e-5  # the frame stays empty
        mass = moved.sum((1, 2))
        assert torch.all(torch.abs(mass - 64) < 2)
        across = (moved.sum(1) @ torch.arange(28.0)) / mass
        assert 0.5 < across.std() < 2 and torch.abs(across - 13.5).max() < 2.1

    @pytest.mark.parametrize("chain", ["autoencoder:3:conv", "pca:20,joint:3:moved"])
    def test_words_about_pictures_need_pixels(self, chain):
        with pytest.raises(UsageError, match="needs the pixels of pictures"):
            learn(chain, DIGITS.data[:100], learning(image=(8, 8) if "pca" in chain else None))

    def test_an_unknown_word_is_told(self):
        with pytest.raises(UsageError, match="no such word"):
            learn("autoencoder:3:errors:deep", DIGITS.data[:100], learning())

    def test_a_loss_that_is_no_number_is_told(self, torch, monkeypatch):
        from divmix.encoders import training

        monkeypatch.setattr(training, "NOISE", np.inf)
        with pytest.raises(FitError, match="loss is nan after epoch 1"):
            learn("autoencoder:3", DIGITS.data[:300], learning())

    def test_detect_scores_its_features_and_names_them(self):
        generator = np.random.default_rng(1)
        X = generator.normal(size=(1_000, 2)) @ generator.normal(size=(2, 8))
        table = pa.table({f"x{j}": X[:, j].copy() for j in range(8)})
        tables = DetectTableSettings(encoder="autoencoder:2:errors")
        mixture = fit_density(table, DetectSettings(), tables, itself=False).mixture
        off_plane = X[:40] + 3 * generator.normal(size=(40, 8))
        new = pa.table({f"x{j}": off_plane[:, j].copy() for j in range(8)})
        known = score_rows(mixture, iter([table])).score
        assert np.median(score_rows(mixture, iter([new])).score) > np.quantile(known, 0.99)

    def test_more_codes_than_features_are_refused(self):
        with pytest.raises(UsageError, match="autoencoder:64 of 64 features"):
            learn("autoencoder:64", DIGITS.data[:50], learning())

    def test_a_device_that_is_not_there_is_told(self, torch):
        if torch.cuda.is_available():
            pytest.skip("there is such a device here")
        with pytest.raises(UsageError, match="no such device"):
            learn(
                "autoencoder:2",
                DIGITS.data[:50],
                Learning(np.random.default_rng(0), Progress(), device="cuda"),
            )

    def test_the_rate_falls_so_that_codes_and_clusters_settle(self):
        from divmix.encoders.autoencoder import Autoencoder
        from divmix.encoders.joint import Joint

        seen = []

        class Seen(Progress):
            def rows(self, done, total):
                if training is not None:
                    seen.append(training.codes())

        training = None
        own = Learning(np.random.default_rng(0), Seen(), joint=JointTraining(5, 0.03))
        pretrained = Autoencoder.pretrained(DIGITS.data[:300], ("4",), own)
        training = pretrained.training
        Joint.refined(pretrained, own)
        steps = [np.abs(after - before).mean() for before, after in pairwise(seen)]
        assert steps[-1] < 0.1 * steps[0]

    def test_far_codes_leave_the_clusters_of_joint_training_narrow(self):
        from divmix.encoders import joint

        generator = np.random.default_rng(0)
        centers = np.repeat([[-3.0, 0.0], [0.0, 0.0], [3.0, 0.0]], 300, axis=0)
        codes = centers + 0.1 * generator.standard_t(2, centers.shape)
        _, components = joint._start(codes, JointTraining(3, 0.03), 0)
        widest = np.linalg.eigvalsh(components.covariances).max(axis=1)
        assert np.sqrt(widest.max()) < 0.15  # of normal components all are wider than .25

    def test_codes_have_the_densities_of_their_components(self, torch):
        from divmix.encoders import joint

        codes = np.random.default_rng(0).standard_t(4, (400, 3))
        family, components = joint._start(codes, JointTraining(2, 0.03), 0)
        told = joint._log_joint(torch, components, "cpu")(torch.from_numpy(codes).float())
        expected = np.log(components.weights) + family.log_densities(codes, components)
        np.testing.assert_allclose(told.numpy(), expected, atol=1e-3)

    def test_joint_training_on_moved_pictures_tells_digits_apart(self):
        tables = TableSettings(encoder="joint:10:moved", image="8x8", truth="label")
        rows = slice(0, 1_200)
        fit = fit_table(digits_table(rows), DiversifiedSettings(clusters=10), tables)
        # Measured: .95, .94 and .92 over three seeds; of k-means on the pixels of all rows .79.
        assert clustering_metrics(DIGITS.target[rows], fit.scores.cluster)["accuracy"] >= 0.88

    def test_joint_training_follows_other_encoders(self):
        tables = TableSettings(encoder="pca:20,joint:6", image="8x8", truth="label")
        fit = fit_table(digits_table(), DiversifiedSettings(clusters=10), tables)
        told = clustering_metrics(DIGITS.target, fit.scores.cluster)
        assert told["accuracy"] >= 0.75  # k-means on the pixels: .79, of a plain autoencoder less
        again = Chain.from_parts(*fit.mixture.design.chain.to_parts())
        assert [encoder.name for encoder in again.encoders] == ["pca", "joint"]

    def test_joint_training_moves_components_apart_not_together(self):
        from divmix.encoders.joint import Joint
        from divmix.families import Components, make_family

        generator = np.random.default_rng(0)
        codes = generator.normal(size=(500, 2))
        family = make_family("gaussian", "full", np.full(2, 1e-3))
        start = Components(
            np.array([0.5, 0.5]),
            np.array([[-0.2, 0.0], [0.2, 0.0]]),
            np.repeat(np.eye(2)[None], 2, axis=0),
        )
        apart = [
            np.linalg.norm(np.diff(Joint.move(family, start, codes, alpha).means, axis=0))
            for alpha in (0.0, 0.5)
        ]
        assert apart[1] > apart[0]

    def test_joint_training_needs_a_number_of_clusters(self):
        with pytest.raises(UsageError, match="number of clusters"):
            learn("joint:3", DIGITS.data[:300], learning())
