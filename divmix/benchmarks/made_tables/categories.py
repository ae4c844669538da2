"""Yes/no and text columns that know the class of a row fully, in part, or not at all."""

import numpy as np

KNOWLEDGE = {"fully": 0.25, "partly": 0.5, "nothing": 0.25}  # how often
PARTLY = (0.5, 0.9)  # share of the rows that have what their class has
MOST_COLUMNS = 4
MOST_CATEGORIES = 8
WORDS = np.array(
    ["amber", "birch", "cedar", "dune", "ember", "fern", "grove", "heath", "iris", "jade"]
)


def knowing(label: np.ndarray, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """1 to 4 columns (n,) for labels (n,); label 0, an outlier, has any category."""
    columns: dict[str, np.ndarray] = {}
    for j in range(int(generator.integers(1, MOST_COLUMNS + 1))):
        level = generator.choice(list(KNOWLEDGE), p=list(KNOWLEDGE.values()))
        share = {"fully": 1.0, "partly": generator.uniform(*PARTLY), "nothing": 0.0}[level]
        kind = (yes_no, text)[generator.integers(2)]
        columns[f"{kind.__name__}{j + 1}_{level}"] = kind(label, share, generator)
    return columns


def yes_no(label: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Whether a row's class is one of some classes, for `share` of the rows of each; else a coin."""
    k = int(label.max())
    half = np.zeros(k + 1, np.int64)
    half[1:] = generator.permutation(np.arange(k) % 2)
    return drawn(half, 2, label, share, generator).astype(bool)


def text(label: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """A word for each class, in `share` of its rows; else any of the words."""
    k = int(label.max())
    count = int(generator.integers(max(2, k), MOST_CATEGORIES + 1))
    word = np.concatenate([[0], generator.permutation(count)[:k]])
    return WORDS[:count][drawn(word, count, label, share, generator)]


def drawn(
    code: np.ndarray, count: int, label: np.ndarray, share: float, generator: np.random.Generator
) -> np.ndarray:
    """Codes (n,) below `count`: `code` of the label with probability `share`, else any."""
    knows = (generator.uniform(size=len(label)) < share) & (label > 0)
    return np.where(knows, code[label], generator.integers(count, size=len(label)))


def as_number(column: np.ndarray) -> np.ndarray:
    """A column (n,) of yes/no as 0 and 1, one of words as their numbers; numbers as they are."""
    if column.dtype.kind == "f":
        return column
    return np.unique(column, return_inverse=True)[1]
