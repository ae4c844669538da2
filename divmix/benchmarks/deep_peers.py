"""What joint training is held against: the same network refined in other ways."""

import numpy as np

from divmix.encoders.autoencoder import Autoencoder
from divmix.encoders.encoder import Learning
from divmix.encoders.joint import LEARNING_RATE, ROUNDS, WEIGHT_DECAY, Joint, sharpened
from divmix.encoders.training import Training, check_loss


class Dec(Autoencoder):
    """Deep embedded clustering (Xie, Girshick and Farhadi, ICML 2016).

    Codes and cluster centres move towards the sharpened assignments of a Student-t kernel, from
    k-means on the codes; as there, nothing is rebuilt meanwhile.
    """

    name = "dec"

    @classmethod
    def refine(cls, training: Training, learning: Learning) -> None:
        from sklearn.cluster import KMeans

        torch, network = training.torch, training.network
        seed = int(learning.generator.integers(2**31))
        assert learning.joint is not None  # the bench gives it
        found = KMeans(learning.joint.clusters, n_init=20, random_state=seed).fit(training.codes())
        centers = torch.tensor(
            found.cluster_centers_, dtype=torch.float32, device=training.device, requires_grad=True
        )

        def assignments(z):
            kernel = 1 / (1 + torch.cdist(z, centers).square())
            return kernel / kernel.sum(1, keepdim=True)

        optimizer = torch.optim.AdamW(
            [*network[0].parameters(), centers], LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
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
            check_loss(float(loss.detach()), done)
            learning.progress.rows(done + 1, ROUNDS)


class Still(Joint):
    """Joint training whose components stay where the first fit put them."""

    name = "still"

    @staticmethod
    def move(family, components, codes: np.ndarray, alpha: float):
        return components


PEERS = {peer.name: peer for peer in (Dec, Still)}
