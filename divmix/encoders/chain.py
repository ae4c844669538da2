"""Encoders one after the other."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Self

import numpy as np

from divmix.encoders.encoder import Encoder, Learning, Responsibilities
from divmix.errors import InputError, UsageError
from divmix.tables.batches import BLOCK_ROWS

# Name -> module and class; a module is imported when its encoder is used.
REGISTRY = {
    "deskew": ("deskew", "Deskew"),
    "pca": ("pca", "Pca"),
    "spectral": ("spectral", "Spectral"),
    "umap": ("umap", "Umap"),
    "autoencoder": ("autoencoder", "Autoencoder"),
    "joint": ("joint", "Joint"),
}
PRESETS = {"images": "deskew,pca:50,spectral:15"}


@dataclass(frozen=True)
class Chain:
    """Encoders, each fed by the one before. An empty chain gives rows back as they are."""

    encoders: tuple[Encoder, ...] = ()

    def __len__(self) -> int:
        return len(self.encoders)

    def features(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the features that it makes of features `names`."""
        for encoder in self.encoders:
            names = encoder.features
        return names

    @property
    def far_rows(self) -> bool:
        """Whether clusters of the embedding are dense with far rows, as those of a graph are."""
        return len(self) > 0 and self.encoders[-1].far_rows

    def transform(self, X: np.ndarray) -> np.ndarray:
        """The embedding (n, e) of rows X (n, d), in blocks of rows.

        Blocks are counted from the first row, so that a batch that starts where one of them does
        has the bits of the whole. An empty chain copies nothing.
        """
        if not self.encoders:
            return X
        starts = range(0, len(X) or 1, BLOCK_ROWS)
        return np.concatenate([self._transform(X[start : start + BLOCK_ROWS]) for start in starts])

    def _transform(self, X: np.ndarray) -> np.ndarray:
        for encoder in self.encoders:
            X = encoder.transform(X)
        return np.ascontiguousarray(X, dtype=np.float64)

    def decode(self, means: np.ndarray, responsibilities: Responsibilities) -> np.ndarray:
        """Means (m, d) of the rows that components with means (m, e) in the embedding stand for.

        responsibilities: of rows (n, e) of the embedding, (n, m). Each encoder has its own way back.
        """

        def of_rows(place: int) -> Responsibilities:
            later = Chain(self.encoders[place + 1 :])
            return lambda rows: responsibilities(later.transform(rows))

        for place in reversed(range(len(self))):
            means = self.encoders[place].decode(means, of_rows(place))
        return means

    def to_parts(self) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        """A document for each encoder, and all arrays under names of their own."""
        documents: list[dict[str, Any]] = []
        arrays: dict[str, np.ndarray] = {}
        for place, encoder in enumerate(self.encoders):
            document, own = encoder.to_parts()
            documents.append({"name": encoder.name} | document)
            arrays |= {f"encoder_{place}_{name}": array for name, array in own.items()}
        return documents, arrays

    @classmethod
    def from_parts(cls, documents: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> Self:
        """From `to_parts`. Raises ValueError, KeyError where they are damaged."""
        encoders = []
        for place, document in enumerate(documents):
            prefix = f"encoder_{place}_"
            own = {
                name.removeprefix(prefix): array
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
            encoders.append(_encoder(document["name"]).from_parts(document, own))
        return cls(tuple(encoders))


def parse(text: str | None) -> list[tuple[str, tuple[str, ...]]]:
    """Names and arguments of a chain: `pca:50,spectral:15`, or of a preset; none of None.

    Raises UsageError.
    """
    steps: list[tuple[str, tuple[str, ...]]] = []
    if text is None:
        return steps
    for part in PRESETS.get(text, text).split(","):
        name, *arguments = part.strip().split(":")
        if name not in REGISTRY:
            known = ", ".join([*REGISTRY, *PRESETS])
            raise UsageError(
                f"--encoder {text}: there is no encoder '{name}'",
                hint=f"encoders are {known}; a chain is written deskew,pca:50",
            )
        steps.append((name, tuple(arguments)))
    return steps


def learn(text: str | None, X: np.ndarray, learning: Learning) -> tuple[Chain, np.ndarray]:
    """The chain `text` learned from rows X (n, d), and their embedding (n, e).

    The embedding is that of `transform`, bit for bit. Raises UsageError, InputError, FitError,
    MissingExtraError.
    """
    encoders: list[Encoder] = []
    rows = X
    for name, arguments in parse(text):
        learning.progress.stage(f"learning encoder {name}")
        try:
            encoder = _encoder(name).learn(rows, arguments, learning)
        except MemoryError as error:
            raise InputError(
                f"--encoder {name}: {len(rows):,} rows need more memory than there is",
                hint="fit on fewer rows, and label the others by predict",
            ) from error
        encoders.append(encoder)
        learning = learning._replace(image=encoder.pictures)
        rows = Chain((encoder,)).transform(rows)
    return Chain(tuple(encoders)), rows


def whole_number(name: str, arguments: tuple[str, ...], default: int) -> int:
    """The one argument of an encoder that counts something. Raises UsageError."""
    if not arguments:
        return default
    if len(arguments) > 1 or not arguments[0].isdecimal() or int(arguments[0]) < 1:
        raise UsageError(
            f"--encoder {':'.join([name, *arguments])}: {name} takes one whole number",
            hint=f"such as {name}:{default}",
        )
    return int(arguments[0])


def _encoder(name: str) -> type[Encoder]:
    module, cls = REGISTRY[name]
    return getattr(import_module(f"divmix.encoders.{module}"), cls)
