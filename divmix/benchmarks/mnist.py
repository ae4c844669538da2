"""MNIST: clusters of embeddings of 70,000 handwritten digits, without labels.

Deskewing is a prior about handwriting: rows with it say so. Labels only score.
"""

import resource
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from divmix import encoders
from divmix.benchmarks.deep_peers import PEERS
from divmix.choosing.settle import settle
from divmix.design.prepare import prepare
from divmix.engine.monitor import Monitor
from divmix.errors import InputError
from divmix.metrics import clustering_metrics
from divmix.progress import Progress
from divmix.rows import Features, MemoryRows
from divmix.settings import DEFAULT_ALPHA, DiversifiedSettings, FitSettings, TableSettings
from divmix.tables.reading import open_table
from divmix.workflows.fit import Fit, fit_table
from divmix.workflows.resources import limited_threads

FILE, LABEL, IMAGE, DIGITS = "mnist.parquet", "label", "28x28", 10
TEST_ROWS = 10_000  # the last ones
HEAD_SEEDS, K_AUTO_SEEDS = 20, 5
SLOW_SEEDS = 1  # of umap and the autoencoder, which take minutes each
PUBLISHED = {  # accuracy, NMI
    "DEC": (0.844, 0.816),
    "JULE": (0.964, 0.913),
    "DEPICT": (0.965, 0.917),
    "nonlinear SVGD": (0.974, 0.933),
    "N2D": (0.979, 0.942),
}
SPECTRAL = "pca:50,spectral:15"
NEEDS = {"umap": "umap"} | dict.fromkeys(("autoencoder", "joint", *PEERS), "torch")


class Head(NamedTuple):
    """What makes clusters of an embedding (n, e): from it, a seed and the family that suits it."""

    name: str
    clusters: Callable[[np.ndarray, int, str], np.ndarray]


def _mixture(**settings: Any) -> Callable[[np.ndarray, int, str], np.ndarray]:
    def clusters(Z: np.ndarray, seed: int, family: str) -> np.ndarray:
        known: dict[str, Any] = {"clusters": DIGITS, "seed": seed, "family": family}
        chosen = DiversifiedSettings(**known | settings)
        return fit_embedding(Z, chosen).scores.cluster

    return clusters


def _k_means(Z: np.ndarray, seed: int, family: str) -> np.ndarray:
    from sklearn.cluster import KMeans

    return KMeans(DIGITS, n_init=1, random_state=seed).fit_predict(Z)


K_MEANS = Head("k-means", _k_means)
MIXTURE = Head("diversified mixture", _mixture())
PLAIN_MIXTURE = Head("diversified mixture, alpha 0", _mixture(alpha=0))


class Row(NamedTuple):
    """A chain of encoders, what makes clusters of it, and the alpha of a joint training."""

    chain: str
    heads: tuple[Head, ...]
    alpha: float = DEFAULT_ALPHA


ROWS = [
    Row("pca:50", (K_MEANS, MIXTURE)),
    Row(SPECTRAL, (K_MEANS, MIXTURE)),
    Row("pca:50,umap:10", (MIXTURE,)),
]
DEEP_ROWS = [
    Row("autoencoder:10", (K_MEANS, MIXTURE, PLAIN_MIXTURE)),
    Row("dec:10", (K_MEANS, MIXTURE)),
    Row("joint:10", (MIXTURE,)),
    Row("dec:10:moved", (K_MEANS, MIXTURE)),
    Row("joint:10:moved", (MIXTURE,)),
    Row("still:10:moved", (MIXTURE,)),
    Row("joint:10:moved", (PLAIN_MIXTURE,), alpha=0),
    Row("joint:10:conv:moved", (MIXTURE,)),
]


def run(
    data: str,
    seeds: int = 5,
    subset: str | None = None,
    deep: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Accuracy, NMI and ARI over `seeds` of embedding and mixture, and the seconds of each stage.

    subset "test" takes the last 10,000 pictures; `deep` adds autoencoders. Raises InputError
    where mnist.parquet is not in folder `data`.
    """
    progress = progress or Progress()
    table = read(data)
    if subset == "test":
        table = table.slice(table.num_rows - TEST_ROWS)
    truth = np.asarray(table.column(LABEL)).astype(np.int64)
    rows, left_out = [], []
    with limited_threads(None, progress):
        for row in ROWS + (DEEP_ROWS if deep else []):
            chain = row.chain
            lacking = [
                module for name, module in NEEDS.items() if name in chain and not find_spec(module)
            ]
            if lacking:
                left_out.append(f"{chain}: {lacking[0]} is not installed")
                continue
            for encoder in (f"deskew,{chain}", chain):
                slow = any(name in chain for name in NEEDS)
                runs = min(seeds, SLOW_SEEDS) if slow else seeds
                rows += measure(table, truth, row._replace(chain=encoder), runs, progress)
        document: dict[str, Any] = {
            "title": f"MNIST, {table.num_rows:,} pictures, {seeds} seeds",
            "rows": rows,
        }
        document |= on_one_embedding(table, truth, progress)
        if subset is None:
            document["held_out"] = held_out(table, truth, progress)
    published = [
        {"method": name, "accuracy": accuracy, "nmi": nmi}
        for name, (accuracy, nmi) in PUBLISHED.items()
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return document | {"published": published, "peak_mb": round(peak), "left_out": left_out}


def read(data: str) -> pa.Table:
    """The pictures and their labels. Raises InputError."""
    path = Path(data) / FILE
    if not path.is_file():
        raise InputError(f"{data} holds no {FILE}", hint="--data names the folder it lies in")
    return open_table([path]).read()


def embed(
    table: pa.Table, encoder: str, seed: int, alpha: float = DEFAULT_ALPHA
) -> tuple[np.ndarray, str]:
    """The embedding (n, e) of pictures, and the family of components that suits it.

    The last encoder may be one of `deep_peers`, which the package does not offer.
    """
    known, _, last = encoder.rpartition(",")
    name, *arguments = last.split(":")
    peer = PEERS.get(name)
    tables = TableSettings(encoder=(known or None) if peer else encoder, image=IMAGE, truth=LABEL)
    joint = encoders.JointTraining(DIGITS, alpha)
    generator = np.random.default_rng(seed)
    design, rows = prepare(table, tables, generator, Progress(), joint=joint)
    if not peer:
        return rows.X, "student" if design.far_rows else "gaussian"
    size = tables.image_size(table.num_columns - 1)
    learning = encoders.Learning(generator, Progress(), size, joint=joint)
    made = peer.learn(rows.X, tuple(arguments), learning)
    return np.ascontiguousarray(made.transform(rows.X)), "gaussian"


def fit_embedding(Z: np.ndarray, settings: FitSettings) -> Fit:
    """A fit to an embedding (n, e), in its own units."""
    columns = {f"e{j}": column for j, column in enumerate(np.ascontiguousarray(Z.T))}
    return fit_table(pa.table(columns), settings, TableSettings(scale="none"))


def measure(table, truth, row: Row, seeds: int, progress) -> list[dict[str, Any]]:
    """One line for each head on the embeddings by one chain of encoders."""
    encoder, heads = row.chain, row.heads
    found: dict[str, list[dict[str, float]]] = {head.name: [] for head in heads}
    for seed in range(seeds):
        progress.stage(f"{encoder}, seed {seed}")
        started = time.perf_counter()
        Z, family = embed(table, encoder, seed, row.alpha)
        embedding = time.perf_counter() - started
        for head in heads:
            started = time.perf_counter()
            clusters = head.clusters(Z, seed, family)
            seconds = time.perf_counter() - started
            found[head.name].append(
                agreement(truth, clusters) | {"embedding": embedding, "clusters": seconds}
            )
    told = []
    for name, each in found.items():
        told.append({"encoder": encoder, "head": name, "seeds": seeds} | _summary(each))
        progress.note(f"{encoder}, {name}: accuracy {told[-1]['accuracy']}, NMI {told[-1]['nmi']}")
    return told


def agreement(truth: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """Accuracy, NMI (arithmetic and, as in old papers, geometric mean) and ARI."""
    from sklearn.metrics import normalized_mutual_info_score

    told = clustering_metrics(truth, clusters)
    geometric = normalized_mutual_info_score(truth, clusters, average_method="geometric")
    return {name: told[name] for name in ("accuracy", "nmi", "ari")} | {"nmi_geometric": geometric}


def _summary(each: list[dict[str, float]]) -> dict[str, float]:
    told: dict[str, float] = {}
    for name in ("accuracy", "nmi", "nmi_geometric", "ari"):
        values = [one[name] for one in each]
        told |= {
            name: round(float(np.mean(values)), 4),
            f"worst_{name}": round(float(np.min(values)), 4),
        }
    seconds = {
        f"{name}_seconds": round(float(np.median([one[name] for one in each])), 1)
        for name in ("embedding", "clusters")
    }
    return told | seconds


def on_one_embedding(table, truth: np.ndarray, progress) -> dict[str, Any]:
    """How often a head finds all ten digits on one embedding, and what `-k auto` counts there."""
    progress.stage("heads on one embedding")
    Z, family = embed(table, f"deskew,{SPECTRAL}", 0)
    share = {
        head.name: float(
            np.mean(
                [finds_all(truth, head.clusters(Z, seed, family)) for seed in range(HEAD_SEEDS)]
            )
        )
        for head in (MIXTURE, PLAIN_MIXTURE, K_MEANS)
    }
    counted = [k_auto(Z, family, seed) for seed in range(K_AUTO_SEEDS)]
    return {"all_digits_found": share | {"seeds": HEAD_SEEDS}, "k_auto": counted}


def k_auto(Z: np.ndarray, family: str, seed: int) -> int:
    """The number of clusters that `-k auto` finds in the embedding (n, e) of a graph."""
    settings = DiversifiedSettings(clusters="auto", seed=seed, family=family)
    rows = MemoryRows(Z, features=Features(np.zeros(Z.shape[1], bool), far_rows=True))
    settled, _ = settle(rows, settings, Monitor(), [])
    return int(settled.clusters)


def finds_all(truth: np.ndarray, clusters: np.ndarray) -> bool:
    """Whether each digit is the most frequent one in exactly one cluster."""
    table = np.zeros((clusters.max() + 1, truth.max() + 1))
    np.add.at(table, (clusters, truth), 1)
    return len(set(table.argmax(axis=1))) == table.shape[1] == len(table)


def held_out(table: pa.Table, truth: np.ndarray, progress) -> dict[str, float]:
    """Accuracy on the last 10,000 pictures, by a fit of the others and by one of all."""
    progress.stage("held-out pictures")
    tables = TableSettings(encoder=f"deskew,{SPECTRAL}", image=IMAGE, truth=LABEL)
    settings = DiversifiedSettings(clusters=DIGITS)
    known, new = table.slice(0, len(truth) - TEST_ROWS), table.slice(len(truth) - TEST_ROWS)
    predicted = fit_table(known, settings, tables).mixture.score_batch(new).cluster
    fitted = fit_table(table, settings, tables).scores.cluster[-TEST_ROWS:]
    last = truth[-TEST_ROWS:]
    return {
        "predicted": round(agreement(last, predicted)["accuracy"], 4),
        "fitted": round(agreement(last, fitted)["accuracy"], 4),
    }
