"""Deep embedded clustering: an autoencoder trained along with a diversified mixture of its codes.

Wang and Liu (ICML 2019), section 5, and their program: the network goes down reconstruction and
the cross-entropy of cluster assignments with sharper ones (the target of Xie, Girshick and Farhadi,
ICML 2016), both with weight 1. Between its epochs the components take particle steps, the ones of
every fit: up the log-likelihood of the codes and away from each other.

Codes draw together in clusters, and doubtful rows stay between these, so components are Student-t
ones, as the kernel of Xie, Girshick and Farhadi: normal ones grow wide by a few far rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from divmix.core import fit_rows
from divmix.encoders.autoencoder import Autoencoder
from divmix.encoders.encoder import JointTraining, Learning
from divmix.encoders.network import Tensor, Torch
from divmix.encoders.training import Training, check_loss
from divmix.engine.loop import Limits, ascend
from divmix.engine.monitor import Monitor
from divmix.engine.objective import Objective
from divmix.engine.state import State
from divmix.errors import UsageError
from divmix.families import Components, Family, Prior
from divmix.families.posterior import log_weights
from divmix.families.student import log_constants
from divmix.rows import MemoryRows
from divmix.settings import DiversifiedSettings

ROUNDS, PARTICLE_STEPS = 20, 3
LEARNING_RATE, WEIGHT_DECAY = 5e-4, 1e-2
PRIOR = 0.1  # rows of the prior on covariances, for each n / m rows
FLOOR = 1e-3  # smallest variance of a component, as a share of that of a code


@dataclass(frozen=True)
class Joint(Autoencoder):
    """An autoencoder whose codes form the clusters of a mixture."""

    name = "joint"
    far_rows = True

    @classmethod
    def refine(cls, training: Training, learning: Learning) -> None:
        """Epochs of the network and steps of the components in turn.

        Raises FitError, and UsageError where the number of clusters is not known.
        """
        if learning.joint is None:
            raise UsageError(
                "--encoder joint needs a number of clusters to train for",
                hint="fit with -k N; autoencoder:E needs none",
            )
        torch, (encode, decode) = training.torch, training.network
        codes = training.codes()
        family, components = _start(codes, learning.joint, int(learning.generator.integers(2**31)))
        optimizer, rate = training.optimizer(LEARNING_RATE, WEIGHT_DECAY, ROUNDS)
        for done in range(ROUNDS):
            components = cls.move(family, components, codes, learning.joint.alpha)
            log_joint = _log_joint(torch, components, training.device)
            with torch.no_grad():
                target = sharpened(
                    torch,
                    torch.softmax(
                        log_joint(torch.from_numpy(codes).float().to(training.device)), 1
                    ),
                )
            for part in training.batches(torch.arange(len(codes))):
                clean, noisy = training.pair(part)
                z = encode(noisy)
                refined = -(target[part] * torch.log_softmax(log_joint(z), 1)).sum(1).mean()
                loss = torch.nn.functional.mse_loss(decode(z), clean) + refined
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            rate.step()
            check_loss(float(loss.detach()), done)
            codes = training.codes()
            learning.progress.rows(done + 1, ROUNDS)

    @staticmethod
    def move(family: Family, components: Components, codes: np.ndarray, alpha: float) -> Components:
        """Particle steps of the components on codes (n, e): drive, and repulsion by alpha."""
        rows = MemoryRows(codes)
        prior = Prior(PRIOR * len(codes) / components.count, family.pooled(components))
        objective = Objective(family, alpha, prior)
        state = State(np.random.default_rng(0), components)
        limits = Limits(PARTICLE_STEPS + 1, 0.0)
        return ascend(objective, rows, state, Monitor(), "joint", limits, share=True).moved


def sharpened(torch: Torch, responsibilities: Tensor) -> Tensor:
    """Targets (n, k): squared responsibilities over the size of each cluster, normalised."""
    target = responsibilities**2 / responsibilities.sum(0)
    return target / target.sum(1, keepdim=True)


def _start(codes: np.ndarray, joint: JointTraining, seed: int) -> tuple[Family, Components]:
    settings = DiversifiedSettings(
        clusters=joint.clusters,
        alpha=joint.alpha,
        merge="kl",
        family="student",
        covariance="full",
        floor=FLOOR,
        seed=seed,
    )
    fitted = fit_rows(codes, settings)
    components = fitted.components  # outliers count too
    weights = components.weights / components.weights.sum()
    return fitted.family, components._replace(weights=weights)


def _log_joint(torch: Torch, components: Components, device: str) -> Callable[[Tensor], Tensor]:
    """log w_j p(z | theta_j) as a function of codes (n, e) that gradients flow through, (n, k)."""

    def tensor(values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    e = components.means.shape[1]
    factors = np.linalg.inv(np.linalg.cholesky(components.covariances))
    log_factor = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    constants = log_constants(e, components.degrees_of_freedom)
    whiten, means = tensor(factors), tensor(components.means)
    dof = tensor(components.degrees_of_freedom)
    offsets = tensor(log_weights(components.weights) + log_factor + constants)

    def log_joint(z: Tensor) -> Tensor:
        whitened = torch.einsum("kij,nkj->nki", whiten, z[:, None] - means)
        return offsets - 0.5 * (dof + e) * torch.log1p(whitened.square().sum(-1) / dof)

    return log_joint
