"""`--config FILE`: settings from a JSON or TOML file, or those of a former run."""

import json
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import click

from divmix.cli.options import SettingOption
from divmix.errors import UsageError
from divmix.settings import DEFAULT_METHOD, METHODS, methods_with, unknown_setting

EXAMPLE = 'a config file looks like {"clusters": 3, "alpha": 0.1}'
TOML_EXAMPLE = "a config file .toml has lines like alpha = 0.1"
FORMER = "divmix.former"  # where the context keeps the FormerRun


class FormerRun(NamedTuple):
    """What a run.json says beyond its settings: the method, and which of them were its defaults."""

    method: str
    defaults: frozenset[str]


def read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Callback of --config: its values stand between the environment and the defaults."""
    if path is None:
        return None
    toml = path.suffix == ".toml"
    kind, hint = ("TOML", TOML_EXAMPLE) if toml else ("JSON", EXAMPLE)
    try:
        read = path.read_bytes()
        document = tomllib.loads(read.decode()) if toml else json.loads(read)
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise UsageError(f"--config {path} is not {kind}: {error}", hint=hint) from error
    ctx.default_map = _settings_of(document, path, ctx)
    return path


def _settings_of(document: Any, path: Path, ctx: click.Context) -> dict[str, Any]:
    """Settings by name (max_iter or max-iter), from a plain object or from a former run.json with
    its input."""
    if not isinstance(document, dict):
        raise UsageError(f"--config {path} does not hold a JSON object", hint=EXAMPLE)
    values = document
    if "settings" in document:
        try:
            values, former = _settings_of_run(document)
        except (AttributeError, KeyError, TypeError) as error:
            raise UsageError(
                f"--config {path} is no run.json: it lacks settings or input", hint=EXAMPLE
            ) from error
        ctx.meta[FORMER] = former
    values = {str(name).replace("-", "_"): value for name, value in values.items()}
    known = {
        str(param.name)
        for param in ctx.command.params
        if isinstance(param, SettingOption) or param.name in ("clusters", "match")
    }
    for name in values:
        if name not in known | {"data"}:
            unknown = unknown_setting(name, known)
            raise UsageError(f"--config {path}: {unknown}", hint=unknown.hint)
    return values


def _settings_of_run(document: dict[str, Any]) -> tuple[dict[str, Any], FormerRun]:
    """The settings of a run.json and its input as "data".

    The first version wrote the options of all methods into it. Those which the method of the run
    does not have had no effect on it, so they are left out for the run to be repeated.
    """
    values = document["settings"] | {"data": document["input"]["names"]}
    if document.get("match"):
        values["match"] = document["match"]["model"]
    method = values.get("method", DEFAULT_METHOD)
    if method in METHODS:
        values = {
            name: value
            for name, value in values.items()
            if not methods_with(name) or method in methods_with(name)
        }
    origins = document.get("origins", {})
    defaults = frozenset(name for name, origin in origins.items() if origin == "default")
    return values, FormerRun(method, defaults)


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    callback=read_config,
    metavar="FILE",
    help="Take settings from a JSON or TOML file; the run.json of a run repeats that run.",
)
