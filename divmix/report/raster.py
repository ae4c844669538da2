"""Rows as one picture whose size does not depend on their number."""

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from divmix.report.colours import rgb

WIDTH, HEIGHT = 600, 450
MOST_LABELS = 254  # of a palette of 256, of which one is for no row
MARGIN = 0.04
FEW_ROWS, SOME_ROWS = 2_000, 8_000  # up to which a row is drawn larger


class Frame(NamedTuple):
    """The part of the plane that is shown: x and y from and to, y upwards."""

    left: float
    right: float
    bottom: float
    top: float

    def pixels(self, places: np.ndarray) -> np.ndarray:
        """Places (n, 2) as (n, 2) numbers of pixels from the upper left corner."""
        x = (places[:, 0] - self.left) / (self.right - self.left) * WIDTH
        y = (self.top - places[:, 1]) / (self.top - self.bottom) * HEIGHT
        return np.column_stack([x, y])


def frame_of(places: np.ndarray) -> Frame:
    """The frame that holds all but the farthest few of the places (n, 2), with the aspect ratio of
    the picture: a length is the same in x and y."""
    low, high = np.quantile(places, [0.002, 0.998], axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2 * (1 + 2 * MARGIN), 1e-6)
    half = np.maximum(half, half[::-1] * [WIDTH / HEIGHT, HEIGHT / WIDTH])
    return Frame(middle[0] - half[0], middle[0] + half[0], middle[1] - half[1], middle[1] + half[1])


def raster(places: np.ndarray, labels: np.ndarray, frame: Frame) -> np.ndarray:
    """(HEIGHT, WIDTH) uint8: 1 + the label (n,) of the last row drawn at a pixel, 0 for none.

    Rows are drawn in an order that does not depend on labels, so that none hides another's.
    """
    n = len(places)
    radius = 3 if n <= FEW_ROWS else 2 if n <= SOME_ROWS else 1
    order = np.random.default_rng(0).permutation(n)
    at = np.floor(frame.pixels(places[order])).astype(np.int64)
    values = (labels[order] + 1).astype(np.uint8)
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    reach = range(-radius, radius + 1)
    for dx, dy in (
        (dx, dy) for dx in reach for dy in reach if dx * dx + dy * dy <= radius * (radius + 0.5)
    ):
        x, y = at[:, 0] + dx, at[:, 1] + dy
        inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
        picture[y[inside], x[inside]] = values[inside]
    return picture


def png(picture: np.ndarray, colours: Sequence[str]) -> bytes:
    """A picture of labels (height, width) as PNG with a palette: label j in colours[j - 1], 0 clear."""
    height, width = picture.shape
    lines = np.zeros((height, width + 1), np.uint8)
    lines[:, 1:] = picture
    palette = bytes([255, 255, 255]) + b"".join(bytes(rgb(colour)) for colour in colours)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
        + _chunk(b"PLTE", palette)
        + _chunk(b"tRNS", b"\x00")
        + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + _chunk(b"IEND", b"")
    )


def grey_png(picture: np.ndarray, low: float, high: float) -> bytes:
    """Values (height, width) as PNG: low white, high black."""
    share = (picture - low) / (high - low if high > low else 1.0)
    levels = np.rint(1 + (MOST_LABELS - 1) * share).astype(np.uint8)
    greys = 255 - np.rint(np.linspace(0, 255, MOST_LABELS)).astype(int)
    return png(levels, [f"#{grey:02x}{grey:02x}{grey:02x}" for grey in greys])


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
