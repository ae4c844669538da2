"""What the document and the arrays of a model file hold, part by part."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from divmix.families import AnyFamily, Categories, Components, Mixed, make_family
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
    """Its arrays that are there, and its source; nothing without a calibration."""
    if calibration is None:
        return {}, {}
    arrays = {
        f"calibration_{name}": getattr(calibration, name)
        for name in Calibration._fields
        if name != "source"
    }
    there = {name: array for name, array in arrays.items() if array is not None}
    return {"calibration": calibration.source}, there


def of_family(family: AnyFamily) -> Parts:
    """Its name and covariance, the floor, and for each column of categories whether it has one
    distribution in all components."""
    document: dict[str, Any] = {"family": family.name, "covariance": family.structure.name}
    if isinstance(family, Mixed):
        document["categories"] = [column.common for column in family.categories.columns]
    return document, {"floor": family.floor}


def family(document: Document, arrays: Arrays, categories: Categories | None) -> AnyFamily:
    """The kind of components; `categories` are those of the design.

    A file without an entry of categories has Gaussians or Student-t for them.
    """
    if "categories" not in document or categories is None:
        return make_family(document["family"], document["covariance"], arrays["floor"])
    categories = categories.with_common(document["categories"])
    return make_family(document["family"], document["covariance"], arrays["floor"], categories)


def components(arrays: Arrays, prefix: str = "") -> Components | None:
    """The components whose arrays have this prefix; None where there are none."""
    if f"{prefix}means" not in arrays:
        return None
    weights, means, covariances = (
        arrays[prefix + name] for name in ("weights", "means", "covariances")
    )
    return Components(weights, means, covariances, arrays.get(prefix + "dof"))


def hierarchy(document: Document, arrays: Arrays, own: Components) -> Hierarchy | None:
    """The merge tree, None where the file holds none. Raises ValueError where it is no tree."""
    if "merge" not in document:
        return None
    tree = MergeTree(arrays["tree_pairs"], arrays["tree_costs"])
    found = Hierarchy(document["merge"], tree, components(arrays, "relaxed_"))
    found.check(own)
    return found


def calibration(document: Document, arrays: Arrays, components: int) -> Calibration | None:
    """The scores of known rows, None where the file holds none; without members of components
    they all belong to one mixture."""
    if "calibration" not in document:
        return None
    return Calibration(
        arrays["calibration_scores"],
        arrays["calibration_typical"],
        document["calibration"],
        arrays.get("calibration_members", np.zeros(components, np.int64)),
        arrays.get("calibration_centres"),
        arrays.get("calibration_opinions"),
        arrays.get("calibration_opinion_of"),
        arrays.get("calibration_margins"),
        arrays.get("calibration_usual"),
    )
