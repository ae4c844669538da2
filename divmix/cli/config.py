"""`--config FILE`: settings from a JSON file, or those of a former run."""

import json
from pathlib import Path
from typing import Any

import click

from divmix.cli.options import SettingOption
from divmix.errors import UsageError
from divmix.settings import unknown_setting

EXAMPLE = 'a config file looks like {"clusters": 3, "alpha": 0.1}'


def read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Callback of --config: its values stand between the environment and the defaults."""
    if path is None:
        return None
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror}", hint=EXAMPLE) from error
    except ValueError as error:
        raise UsageError(f"--config {path} is not JSON: {error}", hint=EXAMPLE) from error
    ctx.default_map = _settings_of(document, path, ctx)
    return path


def _settings_of(document: Any, path: Path, ctx: click.Context) -> dict[str, Any]:
    """Settings by name, from a plain JSON object or from a former run.json with its input."""
    if not isinstance(document, dict):
        raise UsageError(f"--config {path} does not hold a JSON object", hint=EXAMPLE)
    values = document
    if "settings" in document:
        try:
            values = document["settings"] | {"data": document["input"]["names"]}
        except (KeyError, TypeError) as error:
            raise UsageError(
                f"--config {path} is no run.json: it lacks settings or input", hint=EXAMPLE
            ) from error
    known = {param.name for param in ctx.command.params if isinstance(param, SettingOption)}
    for name in values:
        if name not in known | {"data"}:
            error = unknown_setting(name, known)
            raise UsageError(f"--config {path}: {error}", hint=error.hint)
    return values


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    callback=read_config,
    metavar="FILE",
    help="Take settings from a JSON file; the run.json of a run repeats that run.",
)
