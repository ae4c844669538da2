"""Two clusterings held against each other: runs, models or tables of labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from divmix.drift import distance, spreads
from divmix.errors import InputError, UsageError
from divmix.matching import matched, shared_weight
from divmix.metrics import clustering_metrics
from divmix.model.mixture import Mixture
from divmix.model.scores import INCOMPLETE, NOISE
from divmix.progress import Progress
from divmix.tables import arrays
from divmix.tables.batches import BATCH_ROWS
from divmix.tables.reading import open_table
from divmix.tables.schema import unknown_column
from divmix.workflows import run_folder
from divmix.workflows.resources import single_blas_thread

CLUSTER = "cluster"  # the column of labels in what divmix writes
DRAWN = 20_000  # rows from each model, where there is no table
MOVED = 3  # columns that are named for each pair of clusters
AGREEMENT = ("ari", "nmi", "ami")


class Side(NamedTuple):
    """What is compared: a model, where there is one, and labels (n,) of rows, where it has some.

    digest: of the table that the labels are of, None where that is not known. Labels count from 0;
    -1 is noise, -2 a row without a label.
    """

    name: str
    mixture: Mixture | None
    labels: np.ndarray | None
    digest: str | None = None


class Rows(NamedTuple):
    """Labels (n,) of the same rows on both sides, and which rows those are, in words.

    densities: mean log-density of the rows under each model, nats; None for one without a model.
    kl: symmetric Kullback-Leibler divergence and its standard error, of rows that were drawn.
    """

    labels: tuple[np.ndarray, np.ndarray]
    told: str
    densities: tuple[float | None, float | None] = (None, None)
    kl: dict[str, float] | None = None


def run_compare(
    one: str,
    other: str,
    *,
    data: Sequence[str] = (),
    column: str = CLUSTER,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What two runs, models or tables of labels have in common.

    Rows are those of `data`, else those that both have labels of, else drawn from both models in
    equal parts. `column` holds the clusters of a table of labels. Raises ModelFileError,
    InputError, UsageError.
    """
    progress = progress or Progress()
    sides = _side(one, column), _side(other, column)
    with single_blas_thread():
        rows = _rows(*sides, data, progress)
        names = ["noise", *map(str, range(max(map(_count, rows.labels))))]
        complete = (rows.labels[0] != INCOMPLETE) & (rows.labels[1] != INCOMPLETE)
        a, b = (labels[complete] + 1 for labels in rows.labels)  # 0 is noise
        shared = shared_weight(a, b)
        agreement = clustering_metrics(a, b)
        pairs = matched(shared[1:, 1:])
        same = sum(shared[pair.one + 1, pair.other + 1] for pair in pairs) + shared[0, 0]
        clusters = [
            {
                "a": pair.one,
                "b": pair.other,
                "rows_a": int(shared[pair.one + 1].sum()),
                "rows_b": int(shared[:, pair.other + 1].sum()),
                "both": int(shared[pair.one + 1, pair.other + 1]),
                "jaccard": pair.jaccard,
                "moved": _moved(sides[0].mixture, sides[1].mixture, pair.one, pair.other),
            }
            for pair in pairs
        ]
    return {
        "a": one,
        "b": other,
        "compared_on": rows.told,
        "rows": len(a),
        "same": float(same / max(len(a), 1)),
        **{name: agreement.get(name) for name in AGREEMENT},
        "log_density": dict(zip("ab", rows.densities)),
        **(rows.kl or {}),
        "clusters": clusters,
        "only_a": _alone(shared[1:].sum(axis=1), [pair.one for pair in pairs]),
        "only_b": _alone(shared[:, 1:].sum(axis=0), [pair.other for pair in pairs]),
        "contingency": {
            "a": names[: shared.shape[0]],
            "b": names[: shared.shape[1]],
            "rows": shared.astype(int).tolist(),
        },
    }


def _side(path: str, column: str) -> Side:
    """A run folder, a model file or a table of labels. Raises ModelFileError, InputError."""
    if Path(path).is_dir() and (Path(path) / "model.divmix").is_file():
        return _run(Path(path))
    if Path(path).suffix == ".divmix":
        return Side(path, Mixture.load(path), None)
    own = Path(path).name.startswith("assignments.")
    return Side(
        path, None, _labels(path, column), run_folder.digest_of(Path(path).parent) if own else None
    )


def _run(folder: Path) -> Side:
    found = [path for path in folder.glob("assignments.*") if path.is_file()]
    labels = _labels(str(found[0]), CLUSTER) if found else None
    return Side(str(folder), Mixture.load(folder), labels, run_folder.digest_of(folder))


def _labels(path: str, column: str) -> np.ndarray:
    """The clusters (n,) in a table, of `column` or else of what divmix calls them: as they are where
    they are whole numbers, else by name."""
    table = open_table([path]).read()
    if column not in table.schema.names:
        if CLUSTER not in table.schema.names:
            raise unknown_column(column, table.schema.names, path)
        column = CLUSTER
    values = table.column(column).combine_chunks()
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        numbers = arrays.to_floats(values)
        known = ~np.isnan(numbers)
        whole = numbers[known] == np.floor(numbers[known])
        if whole.all() and (numbers[known] >= NOISE).all() and numbers[known].max(initial=0) < 1e6:
            return np.where(known, numbers, INCOMPLETE).astype(np.int64)
    encoded = values.dictionary_encode()
    return np.asarray(encoded.indices.fill_null(INCOMPLETE)).astype(np.int64)


def _rows(a: Side, b: Side, data: Sequence[str], progress: Progress) -> Rows:
    """Labels of the same rows. Raises InputError, UsageError."""
    if data:
        of_a, of_b = (_on_data(side, data, progress) for side in (a, b))
        _check_as_many(a, b, of_a.labels[0], of_b.labels[0])
        return Rows(
            (of_a.labels[0], of_b.labels[0]),
            ", ".join(data),
            (of_a.densities[0], of_b.densities[0]),
        )
    if a.labels is not None and b.labels is not None and _one_table(a, b):
        _check_as_many(a, b, a.labels, b.labels)
        return Rows((a.labels, b.labels), "the rows of their tables of labels")
    if a.mixture is None or b.mixture is None:
        side = a if a.mixture is None else b
        raise UsageError(
            f"{side.name} has labels alone, which are of no rows that the other knows",
            hint="--data FILE names the table that the labels were made for",
        )
    return _drawn(a, b)


def _one_table(a: Side, b: Side) -> bool:
    """Whether labels are of the same rows, or one has no mixture and is not known to be of others."""
    alone = a.mixture is None or b.mixture is None
    return a.digest == b.digest or (alone and None in (a.digest, b.digest))


def _check_as_many(a: Side, b: Side, one: np.ndarray, other: np.ndarray) -> None:
    if len(one) != len(other):
        raise InputError(
            f"{a.name} has labels of {len(one):,} rows, {b.name} of {len(other):,}",
            hint="labels are compared row by row: give those of one table, or two models",
        )


def _on_data(side: Side, data: Sequence[str], progress: Progress) -> Rows:
    """Labels and mean log-density of one side for the rows of a table."""
    if side.mixture is None:
        assert side.labels is not None
        return Rows((side.labels, side.labels), side.name)
    progress.stage(f"labelling by {side.name}")
    reader = open_table(data, **side.mixture.design.reading_options())
    labels, total, known, done = [], 0.0, 0, 0
    for batch in reader.batches(BATCH_ROWS):
        scores = side.mixture.score_batch(
            batch, unknown="ignore", first_row=done, locate=reader.locate
        )
        labels.append(scores.cluster)
        there = scores.cluster != INCOMPLETE
        total += float(scores.log_density[there].sum())
        known, done = known + int(there.sum()), done + batch.num_rows
        progress.rows(done, reader.rows)
    every = np.concatenate(labels)
    return Rows((every, every), side.name, (total / known if known else None, None))


def _drawn(a: Side, b: Side) -> Rows:
    """Rows drawn from both models in equal parts, in the table's own units."""
    labels: list[list[np.ndarray]] = [[], []]
    ratios, densities = [], np.zeros(2)
    for side in (a, b):
        assert side.mixture is not None
        X, _ = side.mixture.draw(DRAWN, np.random.default_rng(0))
        table = _table_of(side.mixture, X)
        scores = [_scored(mixture, table, a, b) for mixture in (a.mixture, b.mixture)]
        for own, score in zip(labels, scores):
            own.append(score.cluster)
        of_a, of_b = (score.log_density for score in scores)
        ratios.append(of_a - of_b)
        densities += [of_a.mean() / 2, of_b.mean() / 2]
    one, other = (np.concatenate(own) for own in labels)
    kl = None
    if set(_names(a)) == set(_names(b)):
        kl = distance(*ratios)._asdict()
    told = f"{DRAWN:,} rows drawn from each model"
    return Rows((one, other), told, (float(densities[0]), float(densities[1])), kl)


def _table_of(mixture: Mixture, X: np.ndarray) -> pa.Table:
    """Drawn rows as a table. Raises UsageError for a model of an embedding."""
    if mixture.design.is_embedding:
        raise UsageError(
            "rows of an embedding cannot be turned back into a table",
            hint="--data FILE names a table that both models label",
        )
    return mixture.design.inverse(X)


def _scored(mixture: Mixture | None, table: pa.Table, a: Side, b: Side) -> Any:
    assert mixture is not None
    lacking = sorted(set(mixture.design.schema.names) - set(table.schema.names))
    if lacking:
        raise InputError(
            f"{a.name} and {b.name} know different columns: '{lacking[0]}' is in one of them",
            hint="--data FILE compares them on a table that has the columns of both",
        )
    return mixture.score_batch(table, unknown="ignore")


def _names(side: Side) -> tuple[str, ...]:
    return side.mixture.design.schema.names if side.mixture else ()


def _count(labels: np.ndarray) -> int:
    return int(labels.max(initial=-1)) + 1


def _alone(weights: np.ndarray, paired: list[int]) -> list[int]:
    """Clusters with rows that are in no pair."""
    return [c for c in np.flatnonzero(weights > 0).tolist() if c not in paired]


def _moved(a: Mixture | None, b: Mixture | None, i: int, j: int) -> list[dict[str, Any]]:
    """The features of cluster i of one model that differ most from cluster j of the other, in the
    data's own units and in standard deviations of the first model; none where they have no
    features in common."""
    if a is None or b is None:
        return []
    (names, one), (others, two) = _profile(a, i), _profile(b, j)
    both = [name for name in names if name in others]
    spread = dict(zip(a.design.feature_names, _spread(a)))
    found: list[dict[str, Any]] = [
        {
            "column": name,
            "a": one[names.index(name)],
            "b": two[others.index(name)],
            "difference": (two[others.index(name)] - one[names.index(name)]) / spread[name],
        }
        for name in both
    ]
    return sorted(found, key=lambda own: -abs(own["difference"]))[:MOVED]


def _profile(mixture: Mixture, cluster: int) -> tuple[list[str], list[float]]:
    """Means of a cluster by feature, in the data's own units."""
    own = mixture.clusters == cluster
    weights = mixture.components.weights[own] / max(mixture.components.weights[own].sum(), 1e-300)
    means = (weights @ mixture.components.means[own])[None]
    summary = mixture.design.column_summary(means, np.zeros_like(means))
    return list(summary.names), summary.mean[0].tolist()


def _spread(mixture: Mixture) -> list[float]:
    """Standard deviation of each feature of a mixture, in the data's own units."""
    components = mixture.components
    overall = components.weights @ components.means / components.weights.sum()
    own = mixture.design.column_summary(overall[None], spreads(mixture)[None] ** 2).spread[0]
    return np.where(own > 0, own, 1.0).tolist()
