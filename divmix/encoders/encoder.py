"""What an encoder has to know."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

import numpy as np

from divmix.progress import Progress

# Of rows (n, e) the shares (n, m) that m components have in each.
Responsibilities: TypeAlias = Callable[[np.ndarray], np.ndarray]


class JointTraining(NamedTuple):
    """The mixture that an encoder is trained along with: its number of clusters, and alpha."""

    clusters: int
    alpha: float


class Learning(NamedTuple):
    """What encoders learn with.

    image: height and width of the pictures whose pixels the features are, if they are such.
    device: where a network is trained: "cpu", "cuda" or "auto".
    joint: the mixture of a joint training; None where its number of clusters is not known.
    """

    generator: np.random.Generator
    progress: Progress
    image: tuple[int, int] | None = None
    device: str = "cpu"
    joint: JointTraining | None = None


class Encoder(Protocol):
    """Learned once on rows X (n, d), then applied in batches; stored without pickle.

    name: as in the registry and in model files.
    far_rows: whether clusters of the embedding are dense with far rows, as those of a graph are.
    """

    name: str
    far_rows: bool

    @property
    def pictures(self) -> tuple[int, int] | None:
        """Height and width of the pictures whose pixels its features are; None where it makes none."""
        ...

    @classmethod
    def learn(cls, X: np.ndarray, arguments: tuple[str, ...], learning: Learning) -> Self:
        """Learn from X (n, d). Raises UsageError, InputError, FitError, MissingExtraError."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features it makes."""
        ...

    def transform(self, X: np.ndarray) -> np.ndarray:
        """The embedding (n, e) of rows X (n, d)."""
        ...

    def decode(self, means: np.ndarray, responsibilities: Responsibilities) -> np.ndarray:
        """Means (m, d) of the rows that components stand for, whose features have means (m, e).

        responsibilities: of features (n, e). Where nothing is kept that leads back exactly, it is
        the best guess of the encoder.
        """
        ...

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What JSON can hold, and arrays of numbers."""
        ...

    @classmethod
    def from_parts(cls, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """From `to_parts`. Raises ValueError, KeyError."""
        ...
