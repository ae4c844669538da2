"""A module imports only from its own folder and from layers above it in this list."""

import ast
from pathlib import Path

import divmix

PACKAGE = Path(divmix.__file__).parent
LAYERS = [
    "errors", "progress", "memory", "metrics", "matching", "sampling", "settings", "kernels", "families", "rows", "particles",
    "engine", "merging", "certificate", "problem", "search", "methods", "choosing", "core", "tables", "encoders",
    "design", "model", "checkpoints", "drift", "anomaly", "report", "workflows", "estimators", "benchmarks", "cli", "__main__",
]  # fmt: skip


def imported_layers(source):
    """Names of the layers that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(source.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        inside = (name.split(".")[1] for name in names if name.startswith("divmix."))
        yield from (layer for layer in inside if layer != "__version__")


def test_imports_follow_the_order_of_the_layers():
    for source in PACKAGE.rglob("*.py"):
        if (
            source == PACKAGE / "__init__.py"
        ):  # names what is public, and imports it when it is used
            continue
        layer = source.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for other in imported_layers(source):
            assert LAYERS.index(other) <= LAYERS.index(layer), f"{source} imports {other}"
