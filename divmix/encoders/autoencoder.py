"""A dense autoencoder: features are the codes of rows, or codes and how badly rows are rebuilt.

`autoencoder:10` gives 10 codes; `autoencoder:4:errors` also the relative distance and the cosine
between a row and its reconstruction, the features of deep anomaly detection (Zong et al. 2018; Wang
and Liu 2019). PyTorch trains it; the network is small matrices, which NumPy applies.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from divmix.encoders.encoder import Learning
from divmix.encoders.extras import extra
from divmix.errors import FitError, UsageError

DEFAULT = 10
HIDDEN = (500, 100)  # widths between the features and the codes, where there are more features
HELD_OUT_SHARE = 0.1
BATCH_ROWS, MOST_EPOCHS, LEAST_STEPS = 512, 30, 1500
PATIENCE = 3  # epochs without a better reconstruction of the held-out rows
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-6
NOISE = 0.1  # standard deviation of the noise on inputs, in those of the features


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
        scaled = ((X - center) / scale).astype(np.float32)
        layers = _train(torch, scaled, codes, learning)
        return cls(center, scale, layers, errors)

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


def _train(torch, X: np.ndarray, codes: int, learning: Learning):
    """Layers of the network that rebuilds rows X (n, d) best, held-out ones deciding when to stop.

    Raises FitError where the loss is no number, UsageError for a device that is not there.
    """
    device = _device(torch, learning.device)
    seed = int(learning.generator.integers(2**31))
    generator = torch.Generator().manual_seed(seed)
    widths = [X.shape[1], *(w for w in HIDDEN if codes < w < 2 * X.shape[1]), codes]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encode, decode = _network(torch, widths), _network(torch, widths[::-1])
    network = torch.nn.Sequential(encode, decode).to(device)
    rows = torch.from_numpy(X)
    order = torch.randperm(len(X), generator=generator)
    held_out = max(1, int(HELD_OUT_SHARE * len(X)))
    check, train = rows[order[:held_out]].to(device), order[held_out:]
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    epochs = max(MOST_EPOCHS, -(-LEAST_STEPS * BATCH_ROWS // max(len(train), 1)))
    best, best_loss, waited = None, np.inf, 0
    for epoch in range(epochs):
        shuffled = train[torch.randperm(len(train), generator=generator)]
        for part in shuffled.split(BATCH_ROWS):
            clean = rows[part].to(device)
            noise = torch.randn(clean.shape, generator=generator).to(device)
            loss = torch.nn.functional.mse_loss(network(clean + NOISE * noise), clean)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            held_out_loss = float(torch.nn.functional.mse_loss(network(check), check))
        if not np.isfinite(held_out_loss):
            raise FitError(f"the autoencoder's loss is {held_out_loss} after epoch {epoch + 1}",
                           hint="use --scale standard or --scale minmax")
        learning.progress.rows(epoch + 1, epochs)
        waited += 1
        if held_out_loss < 0.999 * best_loss:
            best, best_loss, waited = _layers(torch, network), held_out_loss, 0
        elif waited >= PATIENCE * max(1, epochs // MOST_EPOCHS):
            break
    return best


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


def _layers(torch, network):
    """Weights (in, out) and biases as float64."""
    return tuple(
        (layer.weight.detach().cpu().numpy().T.astype(np.float64).copy(),
         layer.bias.detach().cpu().numpy().astype(np.float64).copy())
        for layer in network.modules() if isinstance(layer, torch.nn.Linear))
