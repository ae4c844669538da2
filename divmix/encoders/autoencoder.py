"""A dense autoencoder: features are the codes of rows, or codes and how badly rows are rebuilt.

`autoencoder:10` gives 10 codes; `autoencoder:4:errors` also the relative distance and the cosine
between a row and its reconstruction, the features of deep anomaly detection (Zong et al. 2018; Wang
and Liu 2019). PyTorch trains it; the network is small matrices, which NumPy applies.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from divmix.encoders.encoder import Learning
from divmix.encoders.extras import extra
from divmix.errors import FitError, UsageError

DEFAULT = 10
HIDDEN_LAYERS, WIDTH = 2, 500  # between the features and the codes; at most ten times the features
HELD_OUT_SHARE = 0.1
BATCH_ROWS, STEPS = 256, 4_000
EPOCHS = (3, 40)  # fewest and most: so many as the steps allow
PATIENCE = 5  # epochs without a better reconstruction of the held-out rows
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-6
NOISE = 0.3  # standard deviation of the noise on inputs, in those of the features


@dataclass(frozen=True)
class Autoencoder:
    """Layers (weights (in, out), bias (out,)) from scaled features to codes and back.

    center, scale (d,): of the features. errors: whether features tell the reconstruction error.
    """

    center: np.ndarray
    scale: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    errors: bool

    name = "autoencoder"

    @classmethod
    def learn(cls, X: np.ndarray, arguments: tuple[str, ...], learning: Learning) -> Self:
        codes, errors = _arguments(arguments)
        if codes >= X.shape[1]:
            raise UsageError(
                f"--encoder autoencoder:{codes} of {X.shape[1]} features",
                hint="codes are to be fewer than features")
        torch = extra("torch", "deep", "--encoder autoencoder")
        center = X.mean(axis=0)
        # One scale for all: pictures and columns of one range keep their proportions.
        scale = np.full(X.shape[1], max(float(np.sqrt(X.var(axis=0).mean())), 1e-12))
        rows = torch.from_numpy(((X - center) / scale).astype(np.float32))
        with one_thread(torch):
            network, device, generator = start(torch, X.shape[1], codes, learning)
            train(torch, network, rows, device, generator, learning)
            cls.refine(torch, network, rows, device, generator, learning)
        return cls(center, scale, layers_of(torch, network), errors)

    @classmethod
    def refine(cls, torch, network, rows, device, generator, learning: Learning) -> None:
        """What a network is trained for beyond rebuilding its rows: here nothing."""

    @property
    def features(self) -> tuple[str, ...]:
        codes = tuple(f"code{j + 1}" for j in range(self._codes))
        return codes + (("relative_error", "cosine") if self.errors else ())

    def transform(self, X: np.ndarray) -> np.ndarray:
        scaled = (X - self.center) / self.scale
        half = len(self.layers) // 2
        codes = _forward(scaled, self.layers[:half])
        if not self.errors:
            return codes
        rebuilt = _forward(codes, self.layers[half:])
        size, rebuilt_size = (np.linalg.norm(rows, axis=1) for rows in (scaled, rebuilt))
        error = np.linalg.norm(scaled - rebuilt, axis=1) / np.maximum(size, 1e-12)
        product = np.einsum("ij,ij->i", scaled, rebuilt)
        cosine = product / np.maximum(size * rebuilt_size, 1e-12)
        # Errors are ratios and cosines crowd at 1: logarithms spread both.
        told = [np.log(error + 1e-4), np.log1p(1e-4 - np.minimum(cosine, 1.0) + 1e-3)]
        return np.column_stack([codes, *told])

    @property
    def _codes(self) -> int:
        return len(self.layers[len(self.layers) // 2 - 1][1])

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {"center": self.center, "scale": self.scale}
        for place, (weights, bias) in enumerate(self.layers):
            arrays |= {f"weights_{place}": weights, f"bias_{place}": bias}
        return {"errors": self.errors, "layers": len(self.layers)}, arrays

    @classmethod
    def from_parts(cls, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        layers = tuple((arrays[f"weights_{place}"], arrays[f"bias_{place}"])
                       for place in range(document["layers"]))
        widths = [len(arrays["center"])] + [len(bias) for _, bias in layers]
        shapes = [weights.shape for weights, _ in layers]
        if shapes != list(zip(widths[:-1], widths[1:])) or len(layers) % 2 or not layers:
            raise ValueError("the layers of its autoencoder do not fit together")
        return cls(arrays["center"], arrays["scale"], layers, bool(document["errors"]))


def _arguments(arguments: tuple[str, ...]) -> tuple[int, bool]:
    from divmix.encoders.chain import whole_number

    errors = arguments[-1:] == ("errors",)
    codes = whole_number("autoencoder", arguments[:-1] if errors else arguments, DEFAULT)
    return codes, errors


def _forward(rows: np.ndarray, layers) -> np.ndarray:
    """Rectified layers, the last one linear."""
    for place, (weights, bias) in enumerate(layers):
        rows = rows @ weights + bias
        if place < len(layers) - 1:
            rows = np.maximum(rows, 0.0)
    return rows


@contextmanager
def one_thread(torch) -> Iterator[None]:
    """PyTorch on one thread: sums depend on their number, and the result must not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def start(torch, features: int, codes: int, learning: Learning):
    """An untrained encoder and decoder, and the generator of all that is random in training.

    Raises UsageError for a device that is not there.
    """
    device = _device(torch, learning.device)
    seed = int(learning.generator.integers(2**31))
    widths = [features, *[min(WIDTH, 10 * features)] * HIDDEN_LAYERS, codes]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encode, decode = _network(torch, widths), _network(torch, widths[::-1])
    network = torch.nn.Sequential(encode, decode).to(device)
    return network, device, torch.Generator().manual_seed(seed)


def train(torch, network, rows, device, generator, learning: Learning) -> None:
    """Make a network rebuild rows (n, d), a tensor, from noisy ones; it keeps the best epoch.

    Held-out rows decide which that is and when to stop. Raises FitError where the loss is no
    number.
    """
    order = torch.randperm(len(rows), generator=generator)
    held_out = max(1, int(HELD_OUT_SHARE * len(rows)))
    check, kept = rows[order[:held_out]].to(device), order[held_out:]
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    epochs = int(np.clip(STEPS * BATCH_ROWS / max(len(kept), 1), *EPOCHS))
    best, best_loss, waited = None, np.inf, 0
    for epoch in range(epochs):
        for part in kept[torch.randperm(len(kept), generator=generator)].split(BATCH_ROWS):
            clean = rows[part].to(device)
            noisy = clean + NOISE * torch.randn(clean.shape, generator=generator).to(device)
            loss = torch.nn.functional.mse_loss(network(noisy), clean)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            loss = float(torch.nn.functional.mse_loss(network(check), check))
        check_loss(loss, epoch)
        learning.progress.rows(epoch + 1, epochs)
        waited += 1
        if loss < best_loss:
            best, best_loss, waited = deepcopy(network.state_dict()), loss, 0
        elif waited >= PATIENCE:
            break
    network.load_state_dict(best)


def check_loss(loss: float, epoch: int) -> None:
    """Raises FitError where it is no number."""
    if not np.isfinite(loss):
        raise FitError(f"the autoencoder's loss is {loss} after epoch {epoch + 1}",
                       hint="use --scale standard or --scale minmax")


def _device(torch, wanted: str):
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch finds no such device here",
                         hint="use --device cpu, or auto")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def _network(torch, widths: list[int]):
    layers = []
    for before, after in zip(widths[:-1], widths[1:]):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def layers_of(torch, network):
    """Weights (in, out) and biases as float64."""
    return tuple(
        (layer.weight.detach().cpu().numpy().T.astype(np.float64).copy(),
         layer.bias.detach().cpu().numpy().astype(np.float64).copy())
        for layer in network.modules() if isinstance(layer, torch.nn.Linear))
