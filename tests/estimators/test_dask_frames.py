"""Frames of Dask: the bits of their rows in memory, with and without the workers of a cluster."""

import os
import signal
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import divmix
from divmix.rows import DaskRows, StreamedRows

dd = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")

N = 70_000  # two batches
CUTS = [0, 1_000, 40_000, 40_000, 66_000, N]  # partitions of all lengths, one of them empty


@pytest.fixture(autouse=True)
def short(cut_short):
    cut_short(30_000)


@pytest.fixture(scope="module")
def held():
    """Three clusters in numbers, a text, a category, a flag and weights."""
    generator = np.random.default_rng(3)
    label = generator.integers(0, 3, N)
    x, y = (np.array([[0, 0], [6, 1], [2, 7]])[label] + generator.normal(size=(N, 2))).T
    mixed_up = generator.random(N) < 0.2
    return pd.DataFrame(
        {
            "x": x * 100 + 1e4,
            "y": y,
            "noise": generator.normal(size=N),
            "kind": np.array(["a", "b", "c"])[(label + mixed_up) % 3],
            "grade": pd.Categorical((label + 2 * mixed_up) % 3),
            "flag": generator.random(N) < 0.2 + 0.3 * label,
            "w": generator.integers(0, 3, N) * 0.5,
        }
    )


@pytest.fixture(scope="module")
def frame(held):
    """The same, in partitions that are made where they are needed."""
    parts = [held.iloc[start:stop] for start, stop in pairwise(CUTS)]
    return dd.from_map(_itself, parts, meta=held.iloc[:0])


def _itself(part):
    return part


@pytest.fixture
def client():
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


MIXED = ["x", "y", "kind", "grade", "flag"]
CASES = {
    "numbers, one that knows nothing": (["x", "y", "noise"], {"covariance_type": "full"}),
    "mixed, weights": (MIXED, {"method": "em"}),
}


def fitted(frame, case):
    columns, options = CASES[case]
    model = divmix.DiversifiedMixture(n_clusters=3, random_state=0, max_iter=3, output="same")
    weights = frame["w"] if "weights" in case else None
    return model.set_params(**options).fit(frame[columns], sample_weight=weights)


def assert_same(model, other, tmp_path):
    """Bit for bit: what a model file holds, the labels and the trace."""
    for name, own in (("one", model), ("other", other)):
        own.save(tmp_path / name, overwrite=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    np.testing.assert_array_equal(np.asarray(model.labels_), np.asarray(other.labels_))
    traces = [[row._replace(seconds=0) for row in own.trace_] for own in (model, other)]
    assert traces[0] == traces[1] and model.notes_ == other.notes_


@pytest.mark.filterwarnings("ignore:Best performing:sklearn.exceptions.ConvergenceWarning")
class TestFit:
    def test_workers_sum_up_the_rows_to_the_bits_of_memory(
        self, client, frame, held, tmp_path, monkeypatch
    ):
        others = [fitted(held, case) for case in CASES]
        assert any("noise" in note for note in others[0].notes_)  # its segments are others
        monkeypatch.setattr(StreamedRows, "sums", None)  # this process has none
        monkeypatch.setattr("divmix.estimators.frames._check_room", None)  # nothing is gathered
        for case, other, own in zip(CASES, others, (frame, frame.persist())):
            assert_same(fitted(own, case), other, tmp_path)

    def test_a_killed_worker_changes_no_bit(self, client, frame, held, tmp_path, monkeypatch):
        pids, visits, sums = list(client.run(os.getpid).values()), [], DaskRows.sums

        def killing(self, *args, **options):
            visits.append(len(visits))
            if len(visits) == 2:
                os.kill(pids[0], signal.SIGKILL)
            return sums(self, *args, **options)

        case = "mixed, weights"
        monkeypatch.setattr(DaskRows, "sums", killing)
        model = fitted(frame, case)
        assert len(visits) > 2
        assert_same(model, fitted(held, case), tmp_path)

    def test_without_a_cluster_the_partitions_are_read_one_by_one(
        self, frame, held, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("divmix.estimators.frames._check_room", None)  # nothing is gathered
        for case in CASES:
            assert_same(fitted(frame, case), fitted(held, case), tmp_path)

    def test_components_to_go_on_from(self, frame, held, tmp_path):
        means = [[1e4, 0], [1.02e4, 7], [1.06e4, 1]]
        models = [
            divmix.DiversifiedMixture(3, means_init=means, random_state=0, max_iter=3).fit(own)
            for own in (frame[["x", "y"]], held[["x", "y"]])
        ]
        assert_same(*models, tmp_path)
        assert isinstance(models[0].labels_, np.ndarray)


@pytest.mark.filterwarnings("ignore:Best performing:sklearn.exceptions.ConvergenceWarning")
def test_labels_and_scores_are_frames_of_dask_that_nothing_has_computed_yet(frame, held):
    model = divmix.fit(held[MIXED], 3, method="em", max_iter=3)
    for method in ("predict", "score_samples", "predict_proba"):
        told, expected = getattr(model, method)(frame[MIXED]), getattr(model, method)(held[MIXED])
        assert type(told).__module__.startswith("dask") and told.npartitions == len(CUTS) - 1
        same = pd.testing.assert_frame_equal if told.ndim == 2 else pd.testing.assert_series_equal
        same(told.compute(), expected)
    assert model.bic(frame[MIXED]) == model.bic(held[MIXED])
    arrays = model.set_params(output="array")
    np.testing.assert_array_equal(arrays.predict(frame[MIXED]), arrays.predict(held[MIXED]))
    np.testing.assert_array_equal(arrays.transform(frame[MIXED]), arrays.transform(held[MIXED]))


def test_a_detector_scores_each_partition(frame, held):
    detector = divmix.MixtureOutlierDetector(random_state=0, output="same").fit(held[["x", "y"]])
    for method in ("predict", "p_values", "explain", "decision_function"):
        told = getattr(detector, method)(frame[["x", "y"]].partitions[:2]).compute()
        expected = getattr(detector, method)(held[["x", "y"]])[: CUTS[2]]
        pd.testing.assert_series_equal(told, expected)


def test_what_cannot_be_is_said(frame, held, monkeypatch):
    with pytest.raises(ValueError, match=r"no partitions \(give a Dask series"):
        divmix.DiversifiedMixture(2).fit(frame[["x"]], sample_weight=np.ones(N))
    monkeypatch.setattr("divmix.memory.available", lambda: 1_000)
    for held_only in (
        divmix.MixtureOutlierDetector(),
        divmix.DiversifiedMixture(2, method="nsvgd"),
    ):
        with pytest.raises(ValueError, match=r"of the Dask frame need .*frame\.sample"):
            held_only.fit(frame[["x"]])
    with pytest.raises(ValueError, match="no rows"):
        divmix.fit(frame[["x"]].partitions[2:3], 2)
    model = divmix.fit(held[["x", "kind"]].head(1000), 2)
    odd = frame[["x", "kind"]].assign(kind="pink")
    with pytest.raises(ValueError, match=r"partition \d: row 1: column 'kind' is 'pink'"):
        model.predict(odd).compute()
    with pytest.raises(ValueError, match="eature names"):
        model.predict(frame[["x"]])
