"""The layers of an autoencoder: built and trained by PyTorch, applied by NumPy.

Dense layers, rectified between; for pictures the first two of the encoder may be convolutions.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np

# PyTorch comes with an extra: its module is handed around, and its objects have no types here.
Torch: TypeAlias = Any
Module: TypeAlias = Any
Tensor: TypeAlias = Any

HIDDEN_LAYERS, WIDTH = 2, 500  # between the features and the codes; at most ten times the features
CHANNELS = (16, 32)  # of the convolutions: 3 x 3 pixels wide, every second pixel
BLOCK = 512  # pictures convolved at a time, which bounds the patches in memory


class Layer(NamedTuple):
    """weights (in, out) of a dense layer, (channels out, channels in, 3, 3) of a convolution."""

    weights: np.ndarray
    bias: np.ndarray

    @property
    def convolves(self) -> bool:
        return self.weights.ndim == 4


def build(torch: Torch, features: int, codes: int, image: tuple[int, int] | None) -> Module:
    """An untrained encoder and decoder; the encoder convolves pictures of size `image`."""
    widths = [features, *[min(WIDTH, 10 * features)] * HIDDEN_LAYERS, codes]
    decode = _dense(torch, widths[::-1])
    if image is None:
        return torch.nn.Sequential(_dense(torch, widths), decode)
    steps = [torch.nn.Unflatten(1, (1, *image))]
    before, (height, width) = 1, image
    for channels in CHANNELS:
        steps += [torch.nn.Conv2d(before, channels, 3, stride=2, padding=1), torch.nn.ReLU()]
        before, height, width = channels, (height + 1) // 2, (width + 1) // 2
    steps += [torch.nn.Flatten(), torch.nn.Linear(before * height * width, codes)]
    return torch.nn.Sequential(torch.nn.Sequential(*steps), decode)


def _dense(torch: Torch, widths: list[int]) -> Module:
    layers: list[Module] = []
    for before, after in pairwise(widths):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def layers_of(torch: Torch, network: Module) -> tuple[Layer, ...]:
    """The layers of a trained network in float64, in the order they are applied."""

    def array(tensor: Tensor) -> np.ndarray:
        return tensor.detach().cpu().numpy().astype(np.float64)

    return tuple(
        Layer(
            np.ascontiguousarray(
                array(one.weight).T if one.weight.ndim == 2 else array(one.weight)
            ),
            array(one.bias),
        )
        for one in network.modules()
        if isinstance(one, torch.nn.Linear | torch.nn.Conv2d)
    )


def forward(
    rows: np.ndarray, layers: Sequence[Layer], image: tuple[int, int] | None = None
) -> np.ndarray:
    """Rows (n, in) through the layers: each is rectified, the last one is linear.

    image: height and width of the pictures that the first layers convolve.
    """
    if image is not None:
        rows = np.concatenate(
            [
                _convolved(rows[start : start + BLOCK], layers, image)
                for start in range(0, len(rows) or 1, BLOCK)
            ]
        )
        layers = [layer for layer in layers if not layer.convolves]
    for place, (weights, bias) in enumerate(layers):
        rows = rows @ weights + bias
        if place < len(layers) - 1:
            rows = np.maximum(rows, 0.0)
    return rows


def _convolved(rows: np.ndarray, layers: Sequence[Layer], image: tuple[int, int]) -> np.ndarray:
    """Pictures (n, h w) after the convolutions among the layers, (n, features)."""
    pictures = rows.reshape(len(rows), 1, *image)
    for weights, bias in (layer for layer in layers if layer.convolves):
        framed = np.pad(pictures, ((0, 0), (0, 0), (1, 1), (1, 1)))
        patches = np.lib.stride_tricks.sliding_window_view(framed, (3, 3), axis=(2, 3))
        sums = np.tensordot(patches[:, :, ::2, ::2], weights, axes=((1, 4, 5), (1, 2, 3)))
        pictures = np.maximum(np.moveaxis(sums + bias, 3, 1), 0.0)
    return pictures.reshape(len(rows), -1)


def check(layers: tuple[Layer, ...], features: int, image: tuple[int, int] | None) -> None:
    """Raises ValueError where layers do not take `features` and give them back."""
    if len(layers) < 2 or len(layers) % 2:
        raise ValueError("its autoencoder has no two halves")
    rebuilt = forward(
        forward(np.zeros((1, features)), layers[: len(layers) // 2], image),
        layers[len(layers) // 2 :],
    )
    if rebuilt.shape != (1, features):
        raise ValueError("the layers of its autoencoder do not fit together")
