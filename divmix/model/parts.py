"""What the document and the arrays of a model file hold, part by part."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from divmix.families import (
    FAMILIES,
    STRUCTURES,
    AnyFamily,
    Categories,
    Components,
    Mixed,
    make_family,
)
from divmix.merging.hierarchy import Hierarchy, MergeTree
from divmix.model.calibration import Calibration

Document = Mapping[str, Any]
Arrays = Mapping[str, np.ndarray]
Parts = tuple[dict[str, Any], dict[str, np.ndarray]]
"""Entries of the document, and arrays by name."""


def of_components(components: Components | None, prefix: str = "") -> dict[str, np.ndarray]:
    """The arrays that hold components; none without components."""
    named = components._asdict() if components else {}
    return {prefix + name: values for name, values in named.items() if values is not None}


def of_hierarchy(hierarchy: Hierarchy | None) -> Parts:
    """The criterion, the tree and the components it joins; nothing without a hierarchy."""
    if hierarchy is None:
        return {}, {}
    tree = {f"tree_{name}": values for name, values in hierarchy.tree._asdict().items()}
    return {"merge": hierarchy.criterion}, tree | of_components(hierarchy.relaxed, "relaxed_")


def of_calibration(calibration: Calibration | None) -> Parts:
    """Scores, typical surprisals, members and source; nothing without a calibration."""
    if calibration is None:
        return {}, {}
    return {"calibration": calibration.source}, {
        "calibration_scores": calibration.scores,
        "calibration_typical": calibration.typical,
        "calibration_members": calibration.members,
    }


def of_family(family: AnyFamily) -> Parts:
    """Its name and covariance, the floor, and for each column of categories whether it has one
    distribution in all components."""
    document: dict[str, Any] = {"family": family.name, "covariance": family.structure.name}
    if isinstance(family, Mixed):
        document["categories"] = [column.common for column in family.categories.columns]
    return document, {"floor": family.floor}


def family(document: Document, arrays: Arrays, categories: Categories | None) -> AnyFamily:
    """The kind of components; `categories` are those of the design. Raises KeyError, ValueError.

    A file without an entry of categories, of an older divmix, has Gaussians or Student-t for them.
    """
    if document["family"] not in FAMILIES or document["covariance"] not in STRUCTURES:
        raise ValueError("unknown family or covariance")
    if "categories" not in document:
        return make_family(document["family"], document["covariance"], arrays["floor"])
    if categories is None or arrays["floor"].shape != (categories.d,):
        raise ValueError("its categories do not fit its columns")
    categories = categories.with_common(document["categories"])
    return make_family(document["family"], document["covariance"], arrays["floor"], categories)


def components(arrays: Arrays, family: AnyFamily, prefix: str = "") -> Components:
    """The components whose arrays have this prefix. Raises KeyError, ValueError."""
    weights, means, covariances = (
        arrays[prefix + name] for name in ("weights", "means", "covariances")
    )
    found = Components(weights, means, covariances, arrays.get(prefix + "dof"))
    m, d = means.shape
    own = len(family.categories.numeric) if isinstance(family, Mixed) else d
    expected = family.structure.from_full(np.zeros((m, own, own))).shape
    consistent = (
        m >= 1
        and weights.shape == (m,)
        and covariances.shape == expected
        and d == len(family.floor)
        and (family.name != "student" or (found.dof is not None and found.dof.shape == (m,)))
    )
    if not consistent:
        raise ValueError("its arrays do not fit together")
    if not all(np.isfinite(part).all() for part in found if part is not None):
        raise ValueError("its parameters are not all finite")
    return found


def clusters(arrays: Arrays, own: Components, d: int) -> np.ndarray:
    """The cluster (m,) of each of the components of d features. Raises KeyError, ValueError."""
    found = arrays["clusters"].astype(np.int64)
    consistent = (
        own.means.shape == (own.count, d)
        and found.shape == (own.count,)
        and arrays["floor"].shape == (d,)
        and found[0] == 0
        and np.isin(np.diff(found), (0, 1)).all()
    )
    if not consistent:
        raise ValueError("its arrays do not fit together")
    return found


def hierarchy(
    document: Document, arrays: Arrays, family: AnyFamily, own: Components
) -> Hierarchy | None:
    """The merge tree, None where the file holds none. Raises KeyError, ValueError."""
    if "merge" not in document:
        return None
    tree = MergeTree(arrays["tree_pairs"].astype(np.int64), arrays["tree_costs"])
    relaxed = components(arrays, family, "relaxed_") if "relaxed_means" in arrays else None
    found = Hierarchy(document["merge"], tree, relaxed)
    found.check(own)
    return found


def calibration(
    document: Document, arrays: Arrays, blocks: int, components: int
) -> Calibration | None:
    """The scores of known rows, None where the file holds none. Raises KeyError, ValueError.

    A file without members, of an older divmix, has one mixture.
    """
    if "calibration" not in document:
        return None
    members = arrays.get("calibration_members", np.zeros(components))
    found = Calibration(
        arrays["calibration_scores"],
        arrays["calibration_typical"],
        document["calibration"],
        members.astype(np.int64),
    )
    found.check(blocks, components)
    return found


def noise(arrays: Arrays, family: AnyFamily) -> Components | None:
    """The broad component, None where the file holds none. Raises KeyError, ValueError."""
    return components(arrays, family, "noise_") if "noise_means" in arrays else None
