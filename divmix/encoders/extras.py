"""Packages that an encoder needs and a plain installation lacks."""

from importlib import import_module
from types import ModuleType

from divmix.errors import MissingExtraError


def extra(module: str, name: str, needed_by: str) -> ModuleType:
    """The module, or MissingExtraError that says which extra brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{needed_by} needs {module}, which is not installed",
            hint=f"pip install 'divmix[{name}]'",
        ) from error
