"""MNIST: clusters of embeddings of 70,000 handwritten digits, without labels.

Deskewing is a prior about handwriting: rows with it say so. Labels only score.
"""

import resource
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from divmix.benchmarks import deep as networks
from divmix.benchmarks.heads import (
    DIGITS,
    K_MEANS,
    MIXTURE,
    PLAIN_MIXTURE,
    Head,
    agreement,
    summary,
)
from divmix.choosing.settle import settle
from divmix.design.prepare import prepare
from divmix.engine.monitor import Monitor
from divmix.errors import InputError, UsageError
from divmix.progress import Progress
from divmix.rows import Features, MemoryRows
from divmix.settings import DiversifiedSettings, TableSettings
from divmix.tables.reading import open_table
from divmix.workflows.fit import fit_table
from divmix.workflows.resources import limited_threads

FILE, LABEL, IMAGE = "mnist.parquet", "label", "28x28"
TEST_ROWS = 10_000  # the last ones
HEAD_SEEDS, K_AUTO_SEEDS = 20, 5
SLOW_SEEDS = 1  # of umap, which takes minutes
PUBLISHED = {  # accuracy, NMI
    "DEC": (0.844, 0.816),
    "JULE": (0.964, 0.913),
    "DEPICT": (0.965, 0.917),
    "nonlinear SVGD": (0.974, 0.933),
    "N2D": (0.979, 0.942),
    "ASPC-DA": (0.988, 0.966),
    "SPC": (0.992, 0.975),
}
SPECTRAL = "pca:50,spectral:15"
NEEDS = {"umap": "umap"}


class Row(NamedTuple):
    """A chain of encoders, and what makes clusters of it."""

    chain: str
    heads: tuple[Head, ...]


ROWS = [
    Row("pca:50", (K_MEANS, MIXTURE)),
    Row(SPECTRAL, (K_MEANS, MIXTURE)),
    Row("pca:50,umap:10", (MIXTURE,)),
]


def run(
    data: str,
    seeds: int = 5,
    subset: str | None = None,
    deep: bool = False,
    sets: tuple[str, ...] = (),
    device: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Accuracy, NMI and ARI over `seeds` of embedding and mixture, and the seconds of each stage.

    subset "test" takes the last 10,000 pictures. `deep` adds autoencoders, trained on `device`, the
    processor where it is None; `sets` names some of them, such as "10:moved", and leaves out all
    else. Raises InputError where mnist.parquet is not in folder `data`, UsageError for what is not
    there.
    """
    progress = progress or Progress()
    if unknown := sorted(set(sets) - set(networks.NETWORKS)):
        raise UsageError(
            f"bench mnist has no network {unknown[0]}",
            hint=f"--deep --sets takes some of {', '.join(networks.NETWORKS)}",
        )
    if device and not (deep or sets):
        raise UsageError("bench mnist --device trains nothing", hint="give --deep too")
    table = read(data)
    if subset == "test":
        table = table.slice(table.num_rows - TEST_ROWS)
    truth = np.asarray(table.column(LABEL)).astype(np.int64)
    document: dict[str, Any] = {"title": f"MNIST, {table.num_rows:,} pictures, {seeds} seeds"}
    left_out: list[str] = []
    with limited_threads(None, progress):
        if not sets:
            document["rows"] = _embeddings(table, truth, seeds, left_out, progress)
            document |= on_one_embedding(table, truth, progress)
            if subset is None:
                document["held_out"] = held_out(table, truth, progress)
        if (deep or sets) and not find_spec("torch"):
            left_out.append("networks: torch is not installed")
        elif deep or sets:
            pictures = _pictures(table, truth)
            chosen = sets or networks.NETWORKS
            document |= networks.run(pictures, chosen, seeds, device or "cpu", progress)
    published = [
        {"method": name, "accuracy": accuracy, "nmi": nmi}
        for name, (accuracy, nmi) in PUBLISHED.items()
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return document | {"published": published, "peak_mb": round(peak), "left_out": left_out}


def _embeddings(
    table: pa.Table, truth: np.ndarray, seeds: int, left_out: list[str], progress: Progress
) -> list[dict[str, Any]]:
    """The lines of ROWS, deskewed and not; what needs a package that is not there is left out."""
    rows = []
    for row in ROWS:
        chain = row.chain
        lacking = [
            module for name, module in NEEDS.items() if name in chain and not find_spec(module)
        ]
        if lacking:
            left_out.append(f"{chain}: {lacking[0]} is not installed")
            continue
        for encoder in (f"deskew,{chain}", chain):
            runs = min(seeds, SLOW_SEEDS) if any(name in chain for name in NEEDS) else seeds
            rows += measure(table, truth, row._replace(chain=encoder), runs, progress)
    return rows


def _pictures(table: pa.Table, truth: np.ndarray) -> networks.Pictures:
    tables = TableSettings(image=IMAGE, truth=LABEL)
    _, rows = prepare(table, tables, np.random.default_rng(0), Progress())
    size = tables.image_size(rows.X.shape[1])
    assert size is not None  # IMAGE tells it
    return networks.Pictures(rows.X, size, truth)


def read(data: str) -> pa.Table:
    """The pictures and their labels. Raises InputError."""
    path = Path(data) / FILE
    if not path.is_file():
        raise InputError(f"{data} holds no {FILE}", hint="--data names the folder it lies in")
    return open_table([path]).read()


def embed(table: pa.Table, encoder: str, seed: int) -> tuple[np.ndarray, str]:
    """The embedding (n, e) of pictures, and the family of components that suits it."""
    tables = TableSettings(encoder=encoder, image=IMAGE, truth=LABEL)
    design, rows = prepare(table, tables, np.random.default_rng(seed), Progress())
    return rows.X, "student" if design.far_rows else "gaussian"


def measure(table, truth, row: Row, seeds: int, progress) -> list[dict[str, Any]]:
    """One line for each head on the embeddings by one chain of encoders."""
    encoder, heads = row.chain, row.heads
    found: dict[str, list[dict[str, float]]] = {head.name: [] for head in heads}
    for seed in range(seeds):
        progress.stage(f"{encoder}, seed {seed}")
        started = time.perf_counter()
        Z, family = embed(table, encoder, seed)
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
        told.append({"encoder": encoder, "head": name, "seeds": seeds} | summary(each))
        progress.note(f"{encoder}, {name}: accuracy {told[-1]['accuracy']}, NMI {told[-1]['nmi']}")
    return told


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
    settled, *_ = settle(rows, settings, Monitor(), [])
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
