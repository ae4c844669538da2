"""MNIST by networks: what refines one pre-trained network best, over seeds.

Each seed trains a network once; every method goes on from this same one, so that differences are
those of the methods and have a standard error.
"""

import time
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from divmix.benchmarks.deep_peers import Attracting, Dec, Published, Still
from divmix.benchmarks.heads import (
    BEST_K_MEANS,
    DIGITS,
    MIXTURE,
    PLAIN_MIXTURE,
    Head,
    agreement,
    summary,
)
from divmix.encoders import JointTraining, Learning
from divmix.encoders.autoencoder import Autoencoder
from divmix.encoders.deskew import Deskew
from divmix.encoders.joint import Joint
from divmix.progress import Progress
from divmix.settings import DEFAULT_ALPHA

NETWORKS = ("10", "10:moved", "10:conv:moved")  # codes, and words of the encoder autoencoder


class Method(NamedTuple):
    """What refines a network, and what makes clusters of its codes."""

    name: str
    encoder: type[Autoencoder]
    head: Head
    alpha: float = DEFAULT_ALPHA


OURS = Method("joint", Joint, MIXTURE)
METHODS = (
    OURS,
    Method("joint, components that stay", Still, MIXTURE),
    Method("joint, alpha 0", Joint, PLAIN_MIXTURE, alpha=0.0),
    Method("autoencoder, k-means", Autoencoder, BEST_K_MEANS),
    Method("autoencoder, mixture", Autoencoder, MIXTURE),
    Method("autoencoder, mixture of alpha 0", Autoencoder, PLAIN_MIXTURE),
    Method("deep embedded clustering", Dec, BEST_K_MEANS),
    Method("as published, repelling", Published, BEST_K_MEANS),
    Method("as published, attracting", Attracting, BEST_K_MEANS),
)


class Pictures(NamedTuple):
    """Pixels X (n, height width) of pictures, their size, and the digits (n,) that only score."""

    X: np.ndarray
    size: tuple[int, int]
    truth: np.ndarray


def run(
    pictures: Pictures,
    networks: tuple[str, ...],
    seeds: int,
    device: str,
    progress: Progress,
) -> dict[str, Any]:
    """Rows of all methods on all networks, with and without deskewing, and how much better OURS is
    than each of the others on the same networks."""
    rows, differences = [], []
    for network in networks:
        for deskewed in (True, False):
            own = _deskewed(pictures, progress) if deskewed else pictures
            encoder = f"deskew,autoencoder:{network}" if deskewed else f"autoencoder:{network}"
            found: dict[str, list[dict[str, float]]] = {method.name: [] for method in METHODS}
            for seed in range(seeds):
                progress.stage(f"{encoder}, seed {seed}")
                for name, scores in _of_seed(own, network, seed, device, progress).items():
                    found[name].append(scores)
            for name, each in found.items():
                told = {"encoder": encoder, "method": name, "seeds": seeds} | summary(each)
                rows.append(told)
                progress.note(f"{encoder}, {name}: accuracy {told['accuracy']}, NMI {told['nmi']}")
            differences += _differences(encoder, found)
    return {"networks": rows, "gain_of_joint": differences}


def _deskewed(pictures: Pictures, progress: Progress) -> Pictures:
    learning = Learning(np.random.default_rng(0), progress, pictures.size)
    made = Deskew.learn(pictures.X, (), learning)
    return Pictures(made.transform(pictures.X), made.pictures, pictures.truth)


def _of_seed(
    pictures: Pictures, network: str, seed: int, device: str, progress: Progress
) -> dict[str, dict[str, float]]:
    """Scores and seconds of each method, all of them from one pre-trained network."""
    learning = Learning(np.random.default_rng(seed), progress, pictures.size, device)
    started = time.perf_counter()
    pretrained = Autoencoder.pretrained(pictures.X, tuple(network.split(":")), learning)
    pretraining = time.perf_counter() - started
    start = pretrained.training.state()
    found = {}
    for method in METHODS:
        pretrained.training.restore(start)
        own = learning._replace(
            generator=deepcopy(learning.generator), joint=JointTraining(DIGITS, method.alpha)
        )
        started = time.perf_counter()
        Z = np.ascontiguousarray(method.encoder.refined(pretrained, own).transform(pictures.X))
        embedded = time.perf_counter()
        family = "student" if method.encoder.far_rows else "gaussian"
        clusters = method.head.clusters(Z, seed, family)
        found[method.name] = agreement(pictures.truth, clusters) | {
            "embedding": pretraining + embedded - started,
            "clusters": time.perf_counter() - embedded,
        }
    return found


def _differences(encoder: str, found: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """Mean and standard error of how much higher OURS scores, over seeds; no error of one seed."""
    told = []
    for name in found:
        if name == OURS.name:
            continue
        line: dict[str, Any] = {"encoder": encoder, "over": name}
        for score in ("accuracy", "nmi"):
            gains = np.array(
                [ours[score] - other[score] for ours, other in zip(found[OURS.name], found[name])]
            )
            error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else None
            line[score] = round(float(gains.mean()), 4)
            line[f"{score}_standard_error"] = None if error is None else round(float(error), 4)
        told.append(line)
    return told
