"""What a model file of format 1 holds, declared once: entries of the document, arrays, ranges.

Everything is checked before anything is built of it, and before it is written. The page
docs/model-format.md says the same in words.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from divmix.design.date_column import PARTS
from divmix.design.date_text import ORDERS
from divmix.design.numeric_column import LARGEST, SMALLEST
from divmix.design.powers import POWERS
from divmix.families import FAMILIES, STRUCTURES
from divmix.families.student import DOF_RANGE
from divmix.merging.criteria import CRITERIA
from divmix.model import checks
from divmix.model.calibration import HELD_OUT, TRAINING
from divmix.model.checks import Array, Sizes
from divmix.settings import METHODS

FAR = 1e301  # beyond the square of LARGEST: what a computation can meet and still be finite
VARIANCES = (1e-301, 1e302)
MOST_FEATURES = 1_000_000
MOST_LAYERS = 100
NUMBERS = ("numeric", "date")  # kinds of columns that are numbers to components
ROUNDING = 1e-6  # by which shares may miss their sum

_share = checks.number(0, 1)
_value = checks.number(-FAR, FAR)
_count = checks.whole(0, 2**63 - 1)
_any_number = checks.number(-np.finfo(float).max, np.finfo(float).max)

NUMBER = checks.record(
    optional=("power",),
    name=checks.text,
    center=checks.number(-2 * LARGEST, 2 * LARGEST),
    scale=checks.number(SMALLEST, 3 * LARGEST),
    fill=checks.number(-LARGEST, LARGEST),
    minimum=_any_number,
    maximum=_any_number,
    log=checks.truth,
    power=checks.number(*POWERS),
)
COLUMN = checks.by_kind(
    "kind",
    numeric=NUMBER,
    date=checks.record(
        name=checks.text,
        order=checks.word("", *ORDERS),
        times=checks.truth,
        parts=checks.list_of(checks.word(*PARTS), 1, len(PARTS)),
        columns=checks.list_of(NUMBER, 1, len(PARTS)),
    ),
    boolean=checks.record(name=checks.text, share=_share),
    categorical=checks.record(
        name=checks.text,
        categories=checks.list_of(checks.text, 1),
        shares=checks.list_of(_share, 1),
    ),
)

_side = checks.whole(1, MOST_FEATURES)
_network = checks.record(
    errors=checks.truth,
    layers=checks.whole(2, MOST_LAYERS),
    image=checks.null_or(checks.list_of(_side, 2, 2)),
)
ENCODER = checks.by_kind(
    "name",
    deskew=checks.record(
        optional=("margin",), height=_side, width=_side, margin=checks.whole(0, MOST_FEATURES)
    ),
    pca=checks.record(),
    spectral=checks.record(),
    umap=checks.record(),
    autoencoder=_network,
    joint=_network,
)

# Of a fit, as far as anything goes by them later.
SETTINGS = checks.settings(
    method=checks.word(*METHODS),
    covariance=checks.word("auto", *STRUCTURES),
    alpha=checks.number_or("auto", 0, FAR),
    weights=checks.null_or(checks.word("learned", "uniform")),
    tol=checks.number(0, FAR),
    seed=_count,
    truth=checks.null_or(checks.text),
    encoding=checks.null_or(checks.text),
    image=checks.null_or(checks.text),
)
DOCUMENT = checks.record(
    optional=("categories", "encoders", "merge", "calibration", "noise_joins"),
    family=checks.word(*FAMILIES),
    covariance=checks.word(*STRUCTURES),
    categories=checks.list_of(checks.truth, 1),
    preprocessing=checks.record(
        columns=checks.list_of(COLUMN, 1, MOST_FEATURES),
        weight=checks.null_or(checks.text),
        missing=checks.word("error", "drop", "mean", "median", "model"),
        header=checks.truth,
    ),
    encoders=checks.list_of(ENCODER, 1, 20),
    merge=checks.word(*CRITERIA),
    calibration=checks.word(HELD_OUT, TRAINING),
    noise_joins=checks.truth,
    about=checks.record(
        optional=(
            "entropy",
            "effective_components",
            "cut_from",
            "common_numbers",
            "threshold",
            "weight",
        ),
        divmix=checks.text,
        settings=SETTINGS,
        rows=_count,
        rows_used=_count,
        log_likelihood=checks.null_or(_any_number),
        entropy=_any_number,
        effective_components=_any_number,
        cut_from=_count,
        common_numbers=checks.list_of(checks.text, 1, MOST_FEATURES),
        threshold=_any_number,
        weight=checks.number(0, FAR),
    ),
)


def check(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError where document and arrays are not those of a model."""
    DOCUMENT(document, "model.json")
    _check_columns(document)
    features = sum(map(_features, document["preprocessing"]["columns"]))
    if features > MOST_FEATURES:
        raise ValueError(f"it has {features:,} features")
    sizes: Sizes = {"features": features, "d": features, "inputs": features}
    _check_encoders(document.get("encoders", []), arrays, sizes)
    columns = document["preprocessing"]["columns"]
    numbers = sum(_features(column) for column in columns if column["kind"] in NUMBERS)
    sizes["numbers"] = numbers if "categories" in document else sizes["d"]
    if "encoders" in document:
        sizes["blocks"] = sizes["d"]
    else:
        sizes["blocks"] = len(document["preprocessing"]["columns"])
    own = {name: array for name, array in arrays.items() if not name.startswith("encoder_")}
    checks.check_arrays(_expected(document, arrays), own, sizes)
    structure = document["covariance"]
    for prefix in ("", "relaxed_", "noise_"):
        if f"{prefix}covariances" in arrays:
            _check_covariances(arrays[f"{prefix}covariances"], structure)
    _check_weights(arrays)
    _check_clusters(arrays["clusters"])
    if "calibration" in document and not _ascends(arrays["calibration_scores"]):
        raise ValueError("the scores of its calibration do not ascend")
    members = arrays.get("calibration_members", np.zeros(1, np.int64))
    if members[0] != 0 or not np.isin(np.diff(members), (0, 1)).all():
        raise ValueError("its mixtures are not in order")
    centres = arrays.get("calibration_centres")
    if centres is not None and len(centres) != members[-1] + 1:
        raise ValueError(f"it has {members[-1] + 1} mixtures and centres of {len(centres)}")
    _check_opinions(arrays, members[-1] + 1)


def _check_opinions(arrays: Mapping[str, np.ndarray], mixtures: int) -> None:
    opinions = arrays.get("calibration_opinions")
    if opinions is None:
        return
    of = arrays.get("calibration_opinion_of", np.arange(mixtures) == 0).astype(np.int64)
    margins = arrays.get("calibration_margins")
    own = len(opinions) if margins is None else len(opinions) - 2
    if set(of) != set(range(own)) or not (opinions[:, 1] > 0).all():
        raise ValueError("its opinions are not those of its mixtures, or have no scale")
    if margins is not None and not _each_ascends_or_descends(margins):
        raise ValueError("the margins of its calibration neither ascend nor descend")


def _each_ascends_or_descends(margins: np.ndarray) -> bool:
    steps = np.diff(margins, axis=1)
    each = (steps >= 0).all(axis=1) | (steps <= 0).all(axis=1)
    return margins.shape[1] >= 1 and bool(each.all())


def _ascends(values: np.ndarray) -> bool:
    return len(values) >= 1 and bool((np.diff(values) >= 0).all())


def _features(column: Mapping[str, Any]) -> int:
    of_kind = {"categorical": "categories", "date": "columns"}
    return len(column[of_kind[column["kind"]]]) if column["kind"] in of_kind else 1


def _check_columns(document: Mapping[str, Any]) -> None:
    """Names are distinct, shares belong to categories, and the whole to the kind of components."""
    columns = document["preprocessing"]["columns"]
    if len({column["name"] for column in columns}) < len(columns):
        raise ValueError("two of its columns have one name")
    for column in columns:
        if column["kind"] == "date" and len(column["parts"]) != len(column["columns"]):
            raise ValueError(f"column {column['name']!r} has no numbers for each part of its dates")
        for own in column["columns"] if column["kind"] == "date" else [column]:
            if "minimum" in own and own["minimum"] > own["maximum"]:
                raise ValueError(f"column {own['name']!r} has its largest value below its smallest")
        if column["kind"] == "categorical":
            _check_categories(column)
    told = [column for column in columns if column["kind"] not in NUMBERS]
    if "categories" in document and len(document["categories"]) != len(told):
        raise ValueError("its categories do not fit its columns")
    if "categories" in document and "encoders" in document:
        raise ValueError("an embedding has no categories")
    if document["family"] == "student" and document["covariance"] == "tied":
        raise ValueError("Student-t components have no tied covariance")
    if "categories" in document and len(told) == len(columns) and document["covariance"] != "diag":
        raise ValueError("without numbers its covariances are diagonal")


def _check_categories(column: Mapping[str, Any]) -> None:
    categories, shares = column["categories"], column["shares"]
    if len(categories) != len(shares) or abs(sum(shares) - 1) > ROUNDING:
        raise ValueError(f"column {column['name']!r} has no share for each category")
    if any(one >= other for one, other in pairwise(categories)):
        raise ValueError(f"the categories of column {column['name']!r} are not in order")


def _expected(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Array]:
    """The arrays, those of encoders aside, that a model of this document has."""
    expected = _components(document, "m") | {
        "clusters": Array("<i8", ("m",), 0, MOST_FEATURES),
        "floor": Array("<f8", ("d",), 0, FAR),
    }
    if "merge" in document:
        joined = "m"
        if document["merge"] == "kl":
            joined = "relaxed"
            expected |= _components(document, joined, "relaxed_")
        expected["tree_pairs"] = Array("<i8", ("merges", 2), 0, 2**62)
        expected["tree_costs"] = Array("<f8", ("merges",), -FAR, FAR)
    if "calibration" in document:
        expected["calibration_scores"] = Array("<f8", ("scores",), -FAR, FAR)
        expected["calibration_typical"] = Array("<f8", ("blocks",), -FAR, FAR)
        if "calibration_members" in arrays:
            expected["calibration_members"] = Array("<i8", ("m",), 0, MOST_FEATURES)
        if "calibration_centres" in arrays:
            expected["calibration_centres"] = Array("<f8", ("pooled",), -FAR, FAR)
            if "calibration_opinions" in arrays:
                expected["calibration_opinions"] = Array("<f8", ("opinions", 2), -FAR, FAR)
                if "calibration_opinion_of" in arrays:
                    expected["calibration_opinion_of"] = Array("<i8", ("pooled",), 0, 2)
                    if "calibration_margins" in arrays:
                        margins = Array("<f8", ("numbers", "knots"), -FAR, FAR)
                        expected["calibration_margins"] = margins
        if "calibration_usual" in arrays:
            expected["calibration_usual"] = Array("<f8", (3, "inputs"), -FAR, FAR)
    if "noise_joins" in document and "noise_means" not in arrays:
        raise ValueError("its noise is missing")
    if "noise_means" in arrays:
        if document["covariance"] == "tied":
            raise ValueError("noise has a covariance of its own, and its components have none")
        expected |= _components(document, 1, "noise_")
    return expected


def _components(document: Mapping[str, Any], m: int | str, prefix: str = "") -> dict[str, Array]:
    """Arrays of m components."""
    c = "numbers"
    shapes: dict[str, tuple[int | str, ...]] = {
        "spherical": (m,),
        "diag": (m, c),
        "known": (m, c),
        "tied": (1, c, c),
        "full": (m, c, c),
    }
    shape = shapes[document["covariance"]]
    low, high = VARIANCES if len(shape) < 3 else (-VARIANCES[1], VARIANCES[1])
    found = {
        "weights": Array("<f8", (m,), 0, 1 + ROUNDING),
        "means": Array("<f8", (m, "d"), -FAR, FAR),
        "covariances": Array("<f8", shape, low, high),
    }
    if document["family"] == "student":
        found["dof"] = Array("<f8", (m,), *DOF_RANGE)
    return {prefix + name: array for name, array in found.items()}


def _check_covariances(covariances: np.ndarray, structure: str) -> None:
    """Matrices are symmetric, positive definite and have a finite inverse."""
    if structure not in ("full", "tied") or not covariances.size:
        return
    diagonal = np.diagonal(covariances, axis1=1, axis2=2)
    if not diagonal.min() >= VARIANCES[0]:
        raise ValueError("a variance is not positive")
    roots = np.sqrt(diagonal)
    scaled = covariances / roots[:, :, None] / roots[:, None, :]
    if not np.allclose(scaled, scaled.transpose(0, 2, 1), rtol=0, atol=ROUNDING):
        raise ValueError("a covariance is not symmetric")
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(covariances))
    except np.linalg.LinAlgError as error:
        raise ValueError("a covariance is not positive definite") from error
    if not np.isfinite(inverse).all():
        raise ValueError("a covariance has no finite inverse")


def _check_weights(arrays: Mapping[str, np.ndarray]) -> None:
    """Weights sum to 1; beside noise, which has the rest, to 1 at most."""
    for prefix in ("", "relaxed_"):
        if f"{prefix}weights" not in arrays:
            continue
        total = arrays[f"{prefix}weights"].sum()
        enough = total > 0 if "noise_means" in arrays else total >= 1 - ROUNDING
        if not (enough and total <= 1 + ROUNDING):
            raise ValueError("its weights do not sum to 1")


def _check_clusters(clusters: np.ndarray) -> None:
    """Components stand in the order of their clusters, counted from 0 without a gap."""
    if not len(clusters) or clusters[0] != 0 or not np.isin(np.diff(clusters), (0, 1)).all():
        raise ValueError("its components are not in the order of clusters")


def _check_encoders(
    encoders: list[dict[str, Any]], arrays: Mapping[str, np.ndarray], sizes: Sizes
) -> None:
    """Each takes the features that the one before makes; sizes["d"] is what the last one makes."""
    expected: dict[str, Array] = {}
    for place, encoder in enumerate(encoders):
        given, made = "features" if place == 0 else f"made_{place - 1}", f"made_{place}"
        for name, array in _arrays_of(encoder, given, made, place).items():
            expected[f"encoder_{place}_{name}"] = array
    own = {name: array for name, array in arrays.items() if name.startswith("encoder_")}
    if set(own) != set(expected):
        raise ValueError("the arrays of its encoders are not those of such encoders")
    for place, encoder in enumerate(encoders):
        taken = sizes["features"] if place == 0 else sizes[f"made_{place - 1}"]
        prefix = f"encoder_{place}_"
        part = {name: array for name, array in expected.items() if name.startswith(prefix)}
        checks.check_arrays(part, {name: own[name] for name in part}, sizes)
        count = sizes.setdefault(f"made_{place}", taken)
        if encoder["name"] == "deskew" or encoder.get("image"):
            height, width = encoder.get("image") or (encoder["height"], encoder["width"])
            if height * width != taken:
                raise ValueError(f"its pictures of {height} x {width} are no {taken} features")
            if encoder["name"] == "deskew":
                margins = 2 * encoder.get("margin", 0)
                count = sizes[f"made_{place}"] = (height + margins) * (width + margins)
        if encoder.get("errors"):
            count = sizes[f"made_{place}"] = count + 2
        if not count:
            raise ValueError("an encoder makes no feature")
        if count > MOST_FEATURES:
            raise ValueError(f"an encoder makes {count:,} features")
        sizes["d"] = count


def _arrays_of(encoder: Mapping[str, Any], given: str, made: str, place: int) -> dict[str, Array]:
    """The arrays of an encoder that makes `made` features of `given`."""
    rows = f"rows_{place}"
    if encoder["name"] == "pca":
        return {
            "mean": Array("<f8", (given,), -FAR, FAR),
            "directions": Array("<f8", (made, given), -FAR, FAR),
        }
    if encoder["name"] in ("spectral", "umap"):
        return {
            "rows": Array("<f4", (rows, given), -3.5e38, 3.5e38),
            "scale": Array("<f8", (rows,), 1e-300, FAR),
            "embedding": Array("<f8", (rows, made), -FAR, FAR),
        }
    if encoder["name"] == "deskew":
        return {}
    return _layers(encoder, given, made, place) | {
        "center": Array("<f8", (given,), -FAR, FAR),
        "scale": Array("<f8", (given,), 1e-300, FAR),
    }


def _layers(encoder: Mapping[str, Any], given: str, made: str, place: int) -> dict[str, Array]:
    """Weights and biases: from features to codes in the first half of the layers, and back."""
    found: dict[str, Array] = {}
    count = encoder["layers"]
    convolved = 2 if encoder["image"] else 0
    for layer in range(count):
        ends = {0: given, count // 2: made, count: given}
        first = ends.get(layer, f"width_{place}_{layer}")
        last = ends.get(layer + 1, f"width_{place}_{layer + 1}")
        shape: tuple[int | str, ...] = (first, last)
        if layer < convolved:
            before = 1 if layer == 0 else f"width_{place}_{layer}"
            shape = (last, before, 3, 3)
        elif layer == convolved and convolved:
            shape = (f"flat_{place}", last)
        found[f"weights_{layer}"] = Array("<f8", shape, -FAR, FAR)
        found[f"bias_{layer}"] = Array("<f8", (last,), -FAR, FAR)
    return found
