"""Small models of every kind, made in milliseconds, and how a mutated one is sealed again."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pyarrow as pa

from divmix.design.design import Design
from divmix.design.preprocessing import Preprocessing
from divmix.families import Components, make_family
from divmix.merging.hierarchy import Hierarchy, MergeTree
from divmix.model.calibration import HELD_OUT, Calibration
from divmix.model.mixture import Mixture
from divmix.settings import TableSettings

ABOUT = {
    "divmix": "0",
    "settings": {"alpha": 0.1, "exclude": ["id"], "truth": None},
    "rows": 30,
    "rows_used": 30,
    "log_likelihood": -1.5,
    "entropy": 0.5,
    "effective_components": 1.6,
}
KINDS = (
    "gaussian-diag",
    "gaussian-spherical",
    "gaussian-tied",
    "gaussian-full",
    "student-full",
    "student-diag",
    "mixed-gaussian-full",
    "mixed-student-diag",
    "noise",
    "detector",
    "tree-kl",
    "tree-overlap",
    "logged",
)


def table(rows=30, seed=0):
    """Two numbers, a column of text and one of yes and no."""
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(2, rows)) + 4.0 * (np.arange(rows) % 2)
    return pa.table(
        {
            "x": x,
            "y": np.exp(y),
            "kind": np.array(["even", "odd", "=1+1"])[np.arange(rows) % 3],
            "sure": np.arange(rows) % 2 == 0,
        }
    )


def model(kind):
    """A mixture of three components in two clusters."""
    mixed = kind.startswith("mixed")
    settings = TableSettings(
        exclude=() if mixed else ("kind", "sure"), log=("y",) if kind == "logged" else ()
    )
    design = Design(Preprocessing.learn(table(), settings))
    words = kind.removeprefix("mixed-").split("-")
    law = words[0] if words[0] in ("gaussian", "student") else "gaussian"
    structure = words[1] if law == words[0] else "diag"
    d = design.n_features
    family = make_family(law, structure, np.full(d, 1e-6), design.categories)
    generator = np.random.default_rng(1)
    numbers = d if design.categories is None else len(design.categories.numeric)
    components = family.start(
        np.array([0.5, 0.3, 0.2]), 0.5 * generator.normal(size=(3, d)), np.eye(numbers)
    )
    more = {}
    if kind == "noise":
        left = components._replace(weights=0.9 * components.weights)
        more["noise"] = family.start(np.ones(1), np.zeros((1, d)), 9 * np.eye(numbers))
        components = left
    if kind == "detector":
        more["calibration"] = Calibration(
            np.arange(40.0),
            np.ones(len(design.blocks)),
            HELD_OUT,
            np.zeros(3, np.int64),
            np.ones(1),
            np.array([[1.0, 0.5], [2.0, 0.5], [0.0, 1.0]]),
            np.zeros(1, np.int64),
            np.arange(4.0) * np.where(np.arange(numbers) % 2, 1, -1)[:, None],
        )
    if kind.startswith("tree"):
        tree = MergeTree(np.array([[0, 1], [2, 3]]), np.array([0.1, 0.4]))
        relaxed = components if kind == "tree-kl" else None
        more["hierarchy"] = Hierarchy(kind.removeprefix("tree-"), tree, relaxed)
    assert isinstance(components, Components)
    return Mixture(family, components, np.array([0, 0, 1]), design, ABOUT, **more)


def parts(content):
    """The document and the arrays, as bytes, of a model file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        arrays = {name: archive.read(name) for name in archive.namelist() if name != "model.json"}
        return json.loads(archive.read("model.json")), arrays


def sealed(document, arrays):
    """The bytes of a model file with a right digest, as an attacker would make it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        text = document if isinstance(document, str) else json.dumps(document)
        for name, content in {"model.json": text, **arrays}.items():
            archive.writestr(zipfile.ZipInfo(name), content)
        archive.comment = b"0" * 64
    content = buffer.getvalue()[:-64]
    return content + hashlib.sha256(content).hexdigest().encode()
