"""The benchmarks of anomalies and embeddings, on small made files."""

import json
from copy import deepcopy

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits

from divmix.benchmarks import anomaly, deep, deep_peers, kdd, mnist, planted
from divmix.benchmarks.made_tables import anomalies as made_anomalies
from divmix.benchmarks.made_tables.points import Points
from divmix.encoders import JointTraining, Learning, training
from divmix.encoders.autoencoder import Autoencoder
from divmix.encoders.joint import Joint
from divmix.errors import InputError, UsageError
from divmix.progress import Progress


def test_anomaly_bench_scores_every_table_beside_the_peers(tmp_path):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(300, 3))
    X[:9] += 8.0
    columns = {f"x{j}": X[:, j].copy() for j in range(3)}
    label = pa.array((np.arange(300) < 9).astype(int))
    pq.write_table(pa.table(columns | {"label": label}), tmp_path / "made.parquet")
    told = anomaly.run(str(tmp_path), seeds=1)
    json.dumps(told)
    auroc = told["means"][0]
    assert auroc["divmix"] > 0.99
    assert {"isolation forest", "LOF", "k-NN", "GMM 4"} <= set(auroc)
    assert told["means"][2]["divmix"] > 0.99  # precision at n
    assert told["flags"] == [
        {"set": "made", "anomalies": 9, "flags": 9.0, "found": 1.0, "false": 0.0}
    ]


@pytest.mark.parametrize("kind", made_anomalies.KINDS)
def test_made_anomalies_are_the_same_each_time_and_as_many_as_said(kind):
    for seed in range(5):  # one of each bulk
        table = made_anomalies.make(kind, seed)
        assert table.equals(made_anomalies.make(kind, seed))
        truth = np.asarray(table.column("label")) == 1
        n, count = len(truth), truth.sum()
        assert 150 <= n <= 8_000 and 3 <= table.num_columns <= 65
        assert count == 3 or (count > 3 and 0.004 <= count / n <= 0.21)


def test_each_kind_of_anomalies_is_what_it_says():
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=(4_000, 1)) @ np.ones((1, 4))
    normal = Points(hidden + 0.1 * generator.normal(size=(4_000, 4)), np.ones(4_000, np.int64))
    made = {name: kind(normal, 400, generator).X for name, kind in made_anomalies.KINDS.items()}
    low, high = normal.X.min(axis=0), normal.X.max(axis=0)
    inside = ((made["global"] > low - 0.4) & (made["global"] < high + 0.4)).all()
    assert inside and np.abs(np.corrcoef(made["global"].T)[0, 1]) < 0.2
    assert all(np.isin(made["dependency"][:, j], normal.X[:, j]).all() for j in range(4))
    assert np.abs(np.corrcoef(made["dependency"].T)[0, 1]) < 0.2
    assert 2.5 < made["local"].std() / normal.X.std() < 6.5
    assert np.corrcoef(made["local"].T)[0, 1] > 0.95
    wrong = (np.abs(made["values"] - np.median(made["values"], axis=1)[:, None]) > 3).sum(axis=1)
    assert (wrong >= 1).mean() > 0.9
    nearest = np.abs(made["clustered"][:, None] - made["clustered"][None]).max(axis=2)
    np.fill_diagonal(nearest, np.inf)
    assert np.median(nearest.min(axis=1)) < 0.5 * normal.X.std()
    with pytest.raises(InputError, match="no kind 'odd'"):
        made_anomalies.make("odd", 0)


def test_the_bench_of_made_anomalies_goes_through_their_kinds():
    told = anomaly.run(seeds=1, sets=("values",), first_seed=3)
    assert [row["set"] for row in told["flags"]] == ["values"]
    assert told["means"][0]["divmix"] > 0.9 and "seeds from 3" in told["title"]


def network_rows(n, normal, generator):
    """Attacks repeat a few rows; normal connections are spread."""
    base = generator.integers(0, 3, n) * 5.0
    x = np.where(normal, generator.normal(20.0, 5.0, n), base)
    return {
        "x": x,
        "y": np.where(normal, generator.normal(-9.0, 4.0, n), base + 1),
        "service": np.where(normal, "http", "icmp"),
    }


def test_kdd_bench_follows_the_protocol(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    attacks = network_rows(800, np.zeros(800, bool), generator)
    normal = network_rows(200, np.ones(200, bool), generator)
    columns = {name: np.concatenate([attacks[name], normal[name]]) for name in attacks}
    label = ["attack"] * 800 + ["normal"] * 200
    table = pa.table(columns | {"label": label})
    part = kdd.split(table, seed=0, contamination=0.05)
    # By hand: 400 attacks to train on and 21 normal rows among them, 5 % of 421.
    assert part.training.num_rows == 421 and part.test.num_rows == 579
    assert part.anomaly.sum() == 179 and part.seen[~part.anomaly].all()
    pq.write_table(table, tmp_path / kdd.FILE)
    # The other peers need more than these three distinct rows.
    monkeypatch.setattr(kdd, "PEERS", {"isolation forest": kdd.PEERS["isolation forest"]})
    told = kdd.run(str(tmp_path), seeds=1)
    json.dumps(told)
    mixed = [row for row in told["rows"] if row["method"] == "divmix, --training mixed"]
    assert [row["contamination"] for row in mixed] == [0.01, 0.05]
    assert len(told["rows"]) == len(kdd.CONTAMINATIONS) * (1 + len(kdd.PEERS)) + len(mixed)
    assert told["rows"][0]["auroc"] > 0.95


def test_mnist_bench_measures_heads_on_embeddings(tmp_path, monkeypatch):
    digits = load_digits()
    columns = {f"p{j}": digits.data[:500, j].astype(np.uint8) for j in range(64)}
    table = pa.table(columns | {"label": digits.target[:500]})
    pq.write_table(table, tmp_path / mnist.FILE)
    monkeypatch.setattr(mnist, "IMAGE", "8x8")
    monkeypatch.setattr(mnist, "ROWS", [mnist.Row("pca:10", (mnist.K_MEANS, mnist.MIXTURE))])
    monkeypatch.setattr(mnist, "SPECTRAL", "pca:10,spectral:8")
    monkeypatch.setattr(mnist, "HEAD_SEEDS", 2)
    monkeypatch.setattr(mnist, "TEST_ROWS", 100)
    told = mnist.run(str(tmp_path), seeds=1)
    json.dumps(told)
    assert [row["encoder"] for row in told["rows"]] == ["deskew,pca:10"] * 2 + ["pca:10"] * 2
    assert set(told["held_out"]) == {"predicted", "fitted"}
    assert told["rows"][3]["accuracy"] > 0.6


def test_mnist_bench_holds_methods_against_each_other_on_the_same_networks(monkeypatch):
    pytest.importorskip("torch", reason="the extra deep is not installed")
    digits = load_digits()
    heads = {method.name: method._replace(head=deep.BEST_K_MEANS) for method in deep.METHODS}
    chosen = ("joint", "deep embedded clustering", "as published, attracting")
    monkeypatch.setattr(deep, "METHODS", tuple(heads[name] for name in chosen))
    monkeypatch.setattr(training, "STEPS", 100)
    monkeypatch.setattr(deep_peers, "WARM_UP", 2)
    monkeypatch.setattr(deep_peers, "EPOCHS", 4)
    pictures = deep.Pictures(digits.data[:200], (8, 8), digits.target[:200])
    told = deep.run(pictures, ("4:moved",), 2, "cpu", Progress())
    json.dumps(told)
    rows = {row["method"]: row for row in told["networks"] if row["encoder"][0] != "d"}
    assert tuple(rows) == chosen
    assert all(row["accuracy"] > 0.3 for row in rows.values())
    for line in told["gain_of_joint"]:
        if not line["encoder"].startswith("deskew"):
            other, ours = rows[line["over"]], rows[deep.OURS.name]
            assert line["nmi"] == pytest.approx(ours["nmi"] - other["nmi"], abs=2e-4)
            assert line["nmi_standard_error"] >= 0


def test_each_method_goes_on_from_the_same_network(monkeypatch):
    pytest.importorskip("torch", reason="the extra deep is not installed")
    monkeypatch.setattr(training, "STEPS", 100)
    X = load_digits().data[:300]
    learning = Learning(np.random.default_rng(0), Progress(), joint=JointTraining(3, 0.03))
    pretrained = Autoencoder.pretrained(X, ("3",), learning)
    start = pretrained.training.state()

    def codes(encoder):
        pretrained.training.restore(start)
        own = learning._replace(generator=deepcopy(learning.generator))
        return encoder.refined(pretrained, own).transform(X)

    first = codes(Autoencoder)
    moved = codes(Joint)
    assert np.abs(moved - first).max() > 1e-3
    np.testing.assert_array_equal(codes(Autoencoder), first)
    np.testing.assert_array_equal(codes(Joint), moved)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_published_particle_step_repels_or_attracts(sign):
    torch = pytest.importorskip("torch", reason="the extra deep is not installed")
    means = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    moved = means + 0.1 * deep_peers._pull(torch, means, torch.zeros(3, 2), sign * 0.5)
    change = torch.pdist(moved) - torch.pdist(means)
    assert (sign * change > 0).all()


def test_a_network_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="no network dense"):
        mnist.run(str(tmp_path), sets=("dense",))


def test_a_device_for_nothing_is_told(tmp_path):
    with pytest.raises(UsageError, match="trains nothing"):
        mnist.run(str(tmp_path), device="cuda")


def test_all_digits_are_found_where_each_rules_one_cluster():
    truth = np.array([0, 0, 1, 1, 2, 2])
    assert mnist.finds_all(truth, np.array([2, 2, 0, 0, 1, 1]))
    assert not mnist.finds_all(truth, np.array([0, 0, 0, 0, 1, 2]))


@pytest.mark.parametrize("benchmark", [kdd, mnist])
def test_a_missing_file_is_named(benchmark, tmp_path):
    with pytest.raises(InputError, match=benchmark.FILE):
        benchmark.run(str(tmp_path))


@pytest.mark.parametrize("name", [name for name in planted.TABLES if name not in planted.NEEDS])
def test_planted_tables_have_as_many_anomalies_as_they_say(name):
    table = planted.make(name, 3)
    assert table.equals(planted.make(name, 3)) and not table.equals(planted.make(name, 4))
    truth = np.asarray(table.column("label")) == 1
    expected = {
        "breast cancer": (377, 20, 30),
        "digits": (188, 10, 64),
        "sensor log": (2_000, 20, 4),
    }
    if name != "wine":
        assert (len(truth), truth.sum(), table.num_columns - 1) == expected[name]
    assert truth[: len(truth) // 2].any() and truth[len(truth) // 2 :].any()


def test_the_bench_of_planted_tables_finds_spikes():
    told = planted.run(seeds=1, sets=("sensor log",), first_seed=5)
    assert told["flags"][0]["anomalies"] == 20 and told["flags"][0]["found"] == 1.0
    assert told["rows"][1]["measure"] == "average_precision" and told["rows"][1]["divmix"] > 0.95
    with pytest.raises(InputError, match="no table 'odd'"):
        planted.run(seeds=1, sets=("odd",))
