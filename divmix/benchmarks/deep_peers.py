"""What joint training is held against: the same network refined in other ways."""

import numpy as np

from divmix.encoders.autoencoder import Autoencoder
from divmix.encoders.encoder import Learning
from divmix.encoders.joint import LEARNING_RATE, ROUNDS, WEIGHT_DECAY, Joint, sharpened
from divmix.encoders.training import Training, check_loss
from divmix.kernels.particles import pairs
from divmix.particles.bandwidths import bandwidth_of

# Of the released program: epochs before the particle step, its floor in nats, and Adam's rate.
WARM_UP, ENERGY_FLOOR, RATE = 20, 1.0, 1e-4
EPOCHS = 2 * WARM_UP  # of it here; there up to 400


class Dec(Autoencoder):
    """Deep embedded clustering (Xie, Girshick and Farhadi, ICML 2016).

    Codes and cluster centres move towards the sharpened assignments of a Student-t kernel, from
    k-means on the codes; as there, nothing is rebuilt meanwhile. The rate falls as in joint training.
    """

    name = "dec"

    @classmethod
    def refine(cls, training: Training, learning: Learning) -> None:
        torch, network = training.torch, training.network
        centers = _k_means_centers(training, learning, training.codes())

        def assignments(z):
            kernel = 1 / (1 + torch.cdist(z, centers).square())
            return kernel / kernel.sum(1, keepdim=True)

        moved = [*network[0].parameters(), centers]
        optimizer, rate = training.optimizer(LEARNING_RATE, WEIGHT_DECAY, ROUNDS, moved)
        for done in range(ROUNDS):
            with torch.no_grad():
                codes = torch.from_numpy(training.codes()).float().to(training.device)
                target = sharpened(torch, assignments(codes))
            for part in training.batches(torch.arange(len(codes))):
                rows = training.move(training.rows[part]).to(training.device)
                own = assignments(network[0](rows))
                loss = (target[part] * (target[part] / own).log()).sum(1).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            rate.step()
            check_loss(float(loss.detach()), done)
            learning.progress.rows(done + 1, ROUNDS)


class Still(Joint):
    """Joint training whose components stay where the first fit put them."""

    name = "still"

    @staticmethod
    def move(family, components, codes: np.ndarray, alpha: float):
        return components


class Published(Autoencoder):
    """The refinement of the released program (Wang and Liu, ICML 2019, section 5).

    Means from k-means, one spherical covariance and equal weights that stay. Network and means go
    down reconstruction and cross-entropy with the sharpened assignments of the epoch before; after
    WARM_UP epochs the means also take a particle step on the energy of each batch, floored at
    ENERGY_FLOOR, by RBF kernel, median bandwidth and row sums. The program adds the repulsion to a
    gradient that it descends, so that there it attracts: `temperature` below 0.

    It ends where no assignment changes. What differs from the program: our network and
    pre-training, EPOCHS epochs in place of up to 400, and the variance of the covariance, which
    there is 1 for codes between -1 and 1 and here the mean variance of the codes. There the floor
    never acts: ten codes of unit variance have an energy of 9.2 nats or more.
    """

    name = "published"
    temperature = 0.5

    @classmethod
    def refine(cls, training: Training, learning: Learning) -> None:
        torch, (encode, decode) = training.torch, training.network
        codes = training.codes()
        means = _k_means_centers(training, learning, codes)
        variance = float(codes.var(axis=0).mean())
        constant = 0.5 * codes.shape[1] * np.log(2 * np.pi * variance) + np.log(len(means))

        def log_joint(z):
            return -0.5 * torch.cdist(z, means).square() / variance - constant

        own = torch.optim.Adam([*training.network.parameters(), means], RATE)
        particles = torch.optim.Adam([means], RATE)
        before = None
        for done in range(EPOCHS):
            with torch.no_grad():
                codes = torch.from_numpy(training.codes()).float().to(training.device)
                target = sharpened(torch, torch.softmax(log_joint(codes), 1))
            clusters = target.argmax(1)
            if before is not None and torch.equal(before, clusters):
                break
            before = clusters
            for part in training.batches(torch.arange(len(codes))):
                clean, noisy = training.pair(part)
                z = encode(noisy)
                assigned = -(target[part] * torch.log_softmax(log_joint(z), 1)).sum(1).mean()
                loss = torch.nn.functional.mse_loss(decode(z), clean) + assigned
                own.zero_grad()
                loss.backward()
                own.step()
                if done >= WARM_UP:
                    energy = -torch.logsumexp(log_joint(z.detach()), 1)
                    floored = energy.clamp(min=ENERGY_FLOOR).mean()
                    (gradient,) = torch.autograd.grad(floored, means)
                    particles.zero_grad()
                    means.grad = -_pull(torch, means, -gradient, cls.temperature)
                    particles.step()
            check_loss(float(loss.detach()), done)
            learning.progress.rows(done + 1, EPOCHS)


class Attracting(Published):
    """The same with the sign of the released program."""

    name = "attracting"
    temperature = -Published.temperature


def _k_means_centers(training: Training, learning: Learning, codes: np.ndarray):
    """Centres (k, e) of the best of 20 runs of k-means on codes (n, e), to be trained."""
    from sklearn.cluster import KMeans

    seed = int(learning.generator.integers(2**31))
    assert learning.joint is not None  # the bench gives it
    found = KMeans(learning.joint.clusters, n_init=20, random_state=seed).fit(codes)
    return training.torch.tensor(
        found.cluster_centers_,
        dtype=training.torch.float32,
        device=training.device,
        requires_grad=True,
    )


def _pull(torch, means, drive, temperature: float):
    """The published direction of means (k, e): drive shared by the kernel, and repulsion."""
    theta, ascent = (one.detach().cpu().numpy().astype(np.float64) for one in (means, drive))
    bandwidth = bandwidth_of("median", theta, np.random.default_rng(0))
    weights = np.full(len(theta), 1 / len(theta))
    found = pairs(theta, ascent, weights, temperature, bandwidth)
    pull = found.pull / found.row_sums[:, None]
    return torch.tensor(pull, dtype=torch.float32, device=means.device)
