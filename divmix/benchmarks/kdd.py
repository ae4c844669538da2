"""KDD Cup 1999, 10 %: the protocol of the published figures, and what it flatters.

The class `normal` is the anomaly. Training rows are a random half of the attacks, test rows the
other half and all normal ones. The published rule flags the highest 20 % of training and test
scores together, which knows the share of anomalies and caps F1 at about .99; so F1 is also told
for a threshold from training rows alone, and all figures for test rows that do not stand in the
training table, since most attack rows are repetitions.
"""

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from divmix.anomaly.density import without_repetitions
from divmix.anomaly.detector import fit_density, score_rows
from divmix.benchmarks import anomaly_peers
from divmix.design.design import Design
from divmix.design.prepare import design_matrix
from divmix.design.preprocessing import Preprocessing
from divmix.errors import InputError
from divmix.metrics import anomaly_metrics
from divmix.progress import Progress
from divmix.rows import MemoryRows
from divmix.settings import DetectSettings, DetectTableSettings
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import open_table
from divmix.workflows.audit import row_digests
from divmix.workflows.resources import limited_threads

FILE, LABEL, NORMAL = "kddcup99_10pct.parquet", "label", "normal"
CONTAMINATIONS = (0.0, 0.01, 0.05)
TOP_SHARE = 0.2  # of training and test rows, flagged by the published rule
DEEP, DEEP_SEEDS = "autoencoder:8:errors", 3
ALPHA_LEVEL = 0.01  # of the threshold from training rows
PUBLISHED = {"DAGMM": 0.9369, "nonlinear SVGD": 0.9573, "GOAD": 0.984, "NeuTraL AD": 0.993}
PEERS = {
    "Mahalanobis": anomaly_peers.mahalanobis,
    "isolation forest": anomaly_peers.isolation_forest,
    "k-NN, distinct rows": anomaly_peers.nearest_neighbours,
    "scikit-learn GMM 8, distinct rows": anomaly_peers.gaussian_mixture(anomaly_peers.SEVERAL),
}


class Split(NamedTuple):
    """Training table, test table, which test rows are anomalies, and which are in training."""

    training: pa.Table
    test: pa.Table
    anomaly: np.ndarray
    seen: np.ndarray


def run(
    data: str,
    seeds: int = 5,
    quick: bool = False,
    deep: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Figures for each contamination of the training rows, means over `seeds`.

    `data` is the folder of the file, peers are measured on the first seed; `quick` takes a tenth
    of the rows, `deep` adds the features of an autoencoder, trained before the density, on clean
    rows. Raises InputError where the file is not there.
    """
    progress = progress or Progress()
    path = Path(data) / FILE
    if not path.is_file():
        raise InputError(f"{data} holds no {FILE}", hint="--data names the folder it lies in")
    table = open_table([path]).read()
    if quick:
        table = table.take(np.arange(0, table.num_rows, 10))
    rows = []
    with limited_threads(None, progress):
        for contamination in CONTAMINATIONS:
            found: dict[str, list[dict[str, float]]] = {}
            for seed in range(seeds):
                progress.stage(f"contamination {contamination:g}, seed {seed}")
                part = split(table, seed, contamination)
                found.setdefault("divmix", []).append(own_figures(part, seed))
                if contamination:
                    mixed = own_figures(part, seed, training="mixed")
                    found.setdefault("divmix, --training mixed", []).append(mixed)
                if deep and seed < DEEP_SEEDS and not contamination:
                    found.setdefault(f"divmix, {DEEP}", []).append(own_figures(part, seed, DEEP))
                if seed == 0:
                    for name, figures in peer_figures(part, seed).items():
                        found.setdefault(name, []).append(figures)
            for name, each in found.items():
                rows.append(
                    {"method": name, "contamination": contamination, "seeds": len(each)}
                    | _means(each)
                )
                progress.note(f"{contamination:g} {name}: F1 {rows[-1]['f1']}")
    return {
        "title": "KDD Cup 1999 (10 %): normal connections among attacks",
        "rows": rows,
        "published_f1": PUBLISHED,
        "caveats": [
            "f1, precision, recall: the highest 20 % of training and test scores are flagged, "
            "which knows the share of anomalies",
            f"f1_training: flagged by a p-value up to {ALPHA_LEVEL}, from training rows alone",
            "auroc_unseen, f1_unseen: test rows that do not stand in the training table",
        ],
    }


def split(table: pa.Table, seed: int, contamination: float = 0.0) -> Split:
    """Half of the attacks to train on; `contamination` is the share of normal rows among them."""
    generator = np.random.default_rng(seed)
    normal = np.asarray(table.column(LABEL).combine_chunks().cast(pa.string())) == NORMAL
    attacks = generator.permutation(np.flatnonzero(~normal))
    half = len(attacks) // 2
    mixed_in = int(half * contamination / (1 - contamination))
    normal_rows = generator.permutation(np.flatnonzero(normal))
    training = np.concatenate([attacks[:half], normal_rows[:mixed_in]])
    test = np.sort(np.concatenate([attacks[half:], normal_rows[mixed_in:]]))
    features = table.drop_columns([LABEL])
    parts = features.take(np.sort(training)), features.take(test)
    known, new = (row_digests(part, part.column_names) for part in parts)
    return Split(*parts, normal[test], np.isin(new, known))


def own_figures(
    part: Split, seed: int, encoder: str | None = None, training: str = "auto"
) -> dict[str, float]:
    """What default settings make of a split, but for the encoder and what the rows are said to be."""
    started = time.perf_counter()
    tables = DetectTableSettings(encoder=encoder)
    settings = DetectSettings(seed=seed, training=training)
    mixture = fit_density(part.training, settings, tables, itself=False).mixture
    known, new = (
        score_rows(mixture, table.to_batches(BATCH_ROWS)) for table in (part.training, part.test)
    )
    seconds = time.perf_counter() - started
    flagged = new.p_value <= ALPHA_LEVEL
    return figures(part, known.score, new.score, flagged) | {"seconds": seconds}


def peer_figures(part: Split, seed: int) -> dict[str, dict[str, float]]:
    """The same of other detectors, on the columns as divmix prepares them."""
    design = Design(Preprocessing.learn(part.training, DetectTableSettings()))
    X = design_matrix(part.training, design, Progress()).X
    X_test = np.concatenate(
        [design.transform(batch, unknown="ignore").X for batch in part.test.to_batches(BATCH_ROWS)]
    )
    told = {}
    for name, fit in PEERS.items():
        started = time.perf_counter()
        rows = without_repetitions(MemoryRows(X)).matrix.X if "distinct" in name else X
        scorer = fit(rows, seed)
        known, new = scorer(X), scorer(X_test)
        seconds = time.perf_counter() - started
        flagged = new > np.quantile(known, 1 - ALPHA_LEVEL)
        told[name] = figures(part, known, new, flagged) | {"seconds": seconds}
    return told


def figures(part: Split, known: np.ndarray, new: np.ndarray, flagged) -> dict[str, float]:
    """All measures of training scores (n,) and test scores (t,)."""
    by_rule = new > np.quantile(np.concatenate([known, new]), 1 - TOP_SHARE)
    protocol = anomaly_metrics(part.anomaly, new, by_rule)
    fresh = ~part.seen
    unseen = anomaly_metrics(part.anomaly[fresh], new[fresh], flagged[fresh])
    return {
        name: protocol[name] for name in ("f1", "precision", "recall", "auroc", "average_precision")
    } | {
        "f1_training": anomaly_metrics(part.anomaly, new, flagged)["f1"],
        "auroc_unseen": unseen.get("auroc", np.nan),  # where only one kind of rows is left
        "f1_unseen": unseen["f1"],
    }


def _means(each: list[dict[str, float]]) -> dict[str, float | None]:
    means = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
    told = {name: None if np.isnan(mean) else round(mean, 4) for name, mean in means.items()}
    return told | {"f1_sd": round(float(np.std([one["f1"] for one in each])), 4)}
