"""The picture of a run and the climb of J in characters, eight dots each (Unicode's braille)."""

from collections.abc import Callable, Sequence

import numpy as np

from divmix.progress import TraceRow
from divmix.report.colours import colour, rgb
from divmix.report.contents import Contents
from divmix.report.plane import plane_of
from divmix.report.raster import frame_of

BLANK = 0x2800  # the character without dots
# The bit of each dot of a character, by row and column.
BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
NARROWEST, WIDEST = 16, 40  # dots of a picture
EDGE = 72  # points around an ellipse, where there are no rows to draw

Paint = Callable[[str, tuple[int, int, int]], str]


def clusters(contents: Contents, width: int, height: int, paint: Paint) -> str:
    """Rows in the plane of the clusters, in so many characters; without rows the ellipses."""
    mixture = contents.mixture
    plane = plane_of(mixture)
    if contents.X is not None and contents.clusters is not None:
        places, labels = plane.places(contents.X), contents.clusters
    else:
        angles = np.linspace(0, 2 * np.pi, EDGE)
        circle = np.column_stack([np.cos(angles), np.sin(angles)])
        outlines = []
        for left, up, major, minor, angle in plane.ellipses(mixture.family, mixture.components):
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            outlines.append([left, up] + circle * [major, minor] @ turn)
        places, labels = np.concatenate(outlines), np.repeat(mixture.clusters, EDGE)
    frame = frame_of(places)
    x = (places[:, 0] - frame.left) / (frame.right - frame.left)
    y = (frame.top - places[:, 1]) / (frame.top - frame.bottom)
    keys = "  ".join(
        paint("●", rgb(colour(c))) + f" {c}" for c in range(min(mixture.n_clusters, 20))
    )
    axes = f"across mostly {plane.names[0]}, up mostly {plane.names[1]}"
    return f"{_dots(x, y, labels, width, height, paint)}\n{keys}\n{axes}"


def picture(values: np.ndarray) -> list[str]:
    """Lines of characters of a picture (height, width): a dot for a pixel above the middle.

    A picture narrower than NARROWEST dots is drawn larger, one wider than WIDEST of every second,
    third, ... pixel.
    """
    values = values[:: -(-values.shape[1] // WIDEST), :: -(-values.shape[1] // WIDEST)]
    size = max(1, NARROWEST // values.shape[1])
    dots = np.kron(values > (values.min() + values.max()) / 2, np.ones((size, size), bool))
    dots = np.pad(dots, [(0, -dots.shape[0] % 4), (0, -dots.shape[1] % 2)])
    height, width = dots.shape[0] // 4, dots.shape[1] // 2
    bits = np.einsum("yaxb,ab->yx", dots.reshape(height, 4, width, 2).astype(int), BITS)
    return ["".join(chr(BLANK + own) for own in line) for line in bits.tolist()]


def objective(trace: Sequence[TraceRow], width: int, height: int, paint: Paint) -> str:
    """J by iteration, a colour for each phase."""
    phases = list(dict.fromkeys(row.phase for row in trace))
    values = np.array([row.objective for row in trace])
    low, high = float(np.quantile(values, 0.02)), float(values.max())
    x = np.arange(len(values)) / max(len(values) - 1, 1)
    y = (high - values) / max(high - low, 1e-9)
    labels = np.array([phases.index(row.phase) for row in trace])
    keys = "  ".join(paint("●", rgb(colour(j))) + f" {phase}" for j, phase in enumerate(phases))
    told = f"J, {low:.4g} to {high:.4g} nats per row, over {len(values)} iterations"
    return f"{_dots(x, np.minimum(y, 1), labels, width, height, paint)}\n{keys}\n{told}"


def _dots(
    x: np.ndarray, y: np.ndarray, labels: np.ndarray, width: int, height: int, paint: Paint
) -> str:
    """Lines of characters for points (n,) with x and y from 0 to 1, y downwards; a character has
    the colour of most of its points."""
    inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
    x, y, labels = x[inside], y[inside], labels[inside]
    column = np.minimum((x * 2 * width).astype(int), 2 * width - 1)
    row = np.minimum((y * 4 * height).astype(int), 4 * height - 1)
    bits = np.zeros((height, width), np.int64)
    np.bitwise_or.at(bits, (row // 4, column // 2), BITS[row % 4, column % 2])
    lowest = int(labels.min(initial=0))
    counts = np.zeros((height, width, int(labels.max(initial=0)) - lowest + 1), np.int64)
    np.add.at(counts, (row // 4, column // 2, labels - lowest), 1)
    likeliest = counts.argmax(axis=2) + lowest
    lines = [
        "".join(
            paint(chr(BLANK + own), rgb(colour(int(label)))) if own else " "
            for own, label in zip(line.tolist(), of_line)
        ).rstrip()
        for line, of_line in zip(bits, likeliest)
    ]
    return "\n".join(lines)
