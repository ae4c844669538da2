"""An autoencoder: features are the codes of rows, or codes and how badly rows are rebuilt.

`autoencoder:10` gives 10 codes. Words after the number: `conv` convolves pictures, `moved` trains
on pictures that are moved and turned a little, `errors` also gives the relative distance and the
cosine between a row and its reconstruction, the features of deep anomaly detection (Zong et al.
2018; Wang and Liu 2019). PyTorch trains the network, NumPy applies it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from divmix.encoders import network as networks
from divmix.encoders import training as trainings
from divmix.encoders.encoder import Learning, Responsibilities
from divmix.encoders.extras import extra
from divmix.encoders.network import Layer
from divmix.encoders.training import Training
from divmix.errors import UsageError

DEFAULT = 10
WORDS = {"conv", "moved", "errors"}
PICTURES = {"conv", "moved"}
SMALLEST_SIZE = 1e-12  # what is divided by: rows without any size have no relative error


class Pretrained(NamedTuple):
    """A network that rebuilds its rows, and what an `Autoencoder` has beside it."""

    training: Training
    center: np.ndarray
    scale: np.ndarray
    errors: bool
    image: tuple[int, int] | None


@dataclass(frozen=True)
class Autoencoder:
    """Layers from scaled features to codes and back.

    center, scale (d,): of the features. errors: whether features tell the reconstruction error.
    image: size of the pictures that the first layers convolve.
    """

    center: np.ndarray
    scale: np.ndarray
    layers: tuple[Layer, ...]
    errors: bool
    image: tuple[int, int] | None = None

    name = "autoencoder"
    far_rows = False
    pictures = None

    @classmethod
    def learn(cls, X: np.ndarray, arguments: tuple[str, ...], learning: Learning) -> Self:
        return cls.refined(cls.pretrained(X, arguments, learning), learning)

    @classmethod
    def pretrained(
        cls, X: np.ndarray, arguments: tuple[str, ...], learning: Learning
    ) -> Pretrained:
        """A network trained to rebuild rows X (n, d). Raises as `learn`."""
        codes, words = _arguments(cls.name, arguments)
        _check(cls.name, X, codes, words & PICTURES, learning)
        torch = extra("torch", "deep", f"--encoder {cls.name}")
        center = X.mean(axis=0)
        # One scale for all: pictures and columns of one range keep their proportions.
        scale = np.full(X.shape[1], max(float(np.sqrt(X.var(axis=0).mean())), SMALLEST_SIZE))
        rows = torch.from_numpy(((X - center) / scale).astype(np.float32))
        background = torch.from_numpy((-center / scale).astype(np.float32))
        with trainings.one_thread(torch):
            training = trainings.begin(
                torch,
                rows,
                codes,
                background,
                learning,
                convolved="conv" in words,
                moved="moved" in words,
            )
            trainings.train(training, learning)
        image = learning.image if "conv" in words else None
        return Pretrained(training, center, scale, "errors" in words, image)

    @classmethod
    def refined(cls, pretrained: Pretrained, learning: Learning) -> Self:
        """The encoder that a network becomes, which is trained further. Raises as `learn`."""
        training, center, scale, errors, image = pretrained
        with trainings.one_thread(training.torch):
            cls.refine(training, learning)
        layers = networks.layers_of(training.torch, training.network)
        return cls(center, scale, layers, errors, image)

    @classmethod
    def refine(cls, training: Training, learning: Learning) -> None:
        """What a network is trained for beyond rebuilding its rows: here nothing."""

    @property
    def features(self) -> tuple[str, ...]:
        codes = tuple(f"code{j + 1}" for j in range(len(self._encode[-1].bias)))
        return codes + (("relative_error", "cosine") if self.errors else ())

    def transform(self, X: np.ndarray) -> np.ndarray:
        scaled = (X - self.center) / self.scale
        codes = networks.forward(scaled, self._encode, self.image)
        if not self.errors:
            return codes
        rebuilt = networks.forward(codes, self._decode)
        size, rebuilt_size = (np.linalg.norm(rows, axis=1) for rows in (scaled, rebuilt))
        error = np.linalg.norm(scaled - rebuilt, axis=1) / np.maximum(size, SMALLEST_SIZE)
        product = np.einsum("ij,ij->i", scaled, rebuilt)
        cosine = product / np.maximum(size * rebuilt_size, SMALLEST_SIZE)
        # Errors are ratios and cosines crowd at 1: logarithms spread both.
        log_error = np.log(error + 1e-4)
        log_cosine = np.log1p(1e-4 - np.minimum(cosine, 1.0) + 1e-3)
        return np.column_stack([codes, log_error, log_cosine])

    def decode(self, means: np.ndarray, responsibilities: Responsibilities) -> np.ndarray:
        """What the network rebuilds from the mean codes."""
        codes = means[:, : len(self._encode[-1].bias)]
        return self.center + self.scale * networks.forward(codes, self._decode)

    @property
    def _encode(self) -> tuple[Layer, ...]:
        return self.layers[: len(self.layers) // 2]

    @property
    def _decode(self) -> tuple[Layer, ...]:
        return self.layers[len(self.layers) // 2 :]

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {"center": self.center, "scale": self.scale}
        for place, (weights, bias) in enumerate(self.layers):
            arrays |= {f"weights_{place}": weights, f"bias_{place}": bias}
        image = list(self.image) if self.image else None
        return {"errors": self.errors, "layers": len(self.layers), "image": image}, arrays

    @classmethod
    def from_parts(cls, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        layers = tuple(
            Layer(arrays[f"weights_{place}"], arrays[f"bias_{place}"])
            for place in range(document["layers"])
        )
        image = None
        if document.get("image"):
            height, width = map(int, document["image"])
            image = height, width
        networks.check(layers, len(arrays["center"]), image)
        return cls(arrays["center"], arrays["scale"], layers, bool(document["errors"]), image)


def _arguments(name: str, arguments: tuple[str, ...]) -> tuple[int, set[str]]:
    """The number of codes and the words after it."""
    from divmix.encoders.chain import whole_number

    count = next((i for i, argument in enumerate(arguments) if argument in WORDS), len(arguments))
    words = set(arguments[count:])
    if not words <= WORDS:
        raise UsageError(
            f"--encoder {':'.join([name, *arguments])}: there is no such word",
            hint=f"{name}:{DEFAULT} may be followed by {', '.join(sorted(WORDS))}, "
            f"such as {name}:{DEFAULT}:conv",
        )
    return whole_number(name, arguments[:count], DEFAULT), words


def _check(name: str, X: np.ndarray, codes: int, pictured: set[str], learning: Learning) -> None:
    d = X.shape[1]
    if codes >= d:
        raise UsageError(
            f"--encoder {name}:{codes} of {d} features", hint="codes are to be fewer than features"
        )
    if pictured and (learning.image is None or np.prod(learning.image) != d):
        raise UsageError(
            f"--encoder {name}:{codes}:{min(pictured)} needs the pixels of pictures",
            hint="give --image HxW, and no encoder before it but deskew",
        )
