"""The line that repeats a run."""

import shlex
from dataclasses import fields
from typing import Any

from divmix.settings import (
    DEFAULT_METHOD,
    METHODS,
    DetectSettings,
    DetectTableSettings,
    TableSettings,
    UpdateSettings,
    as_typed,
)


def command_of(document: dict[str, Any]) -> str:
    """The line that repeats a run: its input, and every setting that is not the default."""
    command, settings = document["command"], document["settings"]
    if command == "cut":
        return f"divmix cut {shlex.quote(document['model'])} -k {document['n_clusters']} -o DIR"
    method = settings.get("method", DEFAULT_METHOD)
    of_commands: dict[str, tuple[Any, ...]] = {
        "detect": (DetectSettings, DetectTableSettings),
        "update": (UpdateSettings,),
    }
    owners = of_commands.get(command, (METHODS[method], TableSettings))
    words = ["divmix", command, *([document["model"]] if command == "update" else [])]
    words += document.get("input", {}).get("names", ["TABLE"])
    for name in document.get("scored", {}).get("names", []):
        words += ["--score", name]
    words += ["--match", document["match"]["model"]] if document.get("match") else []
    words += ["--method", method] if method != DEFAULT_METHOD and command != "update" else []
    for setting in (one for owner in owners for one in fields(owner)):
        value = settings.get(setting.name)
        default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        if value is None or value == default or setting.name == "method":
            continue
        words += as_typed(setting, value)
    return shlex.join(words)
