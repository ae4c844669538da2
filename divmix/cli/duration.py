"""Spans of time on the command line: `90`, `60s`, `5m`, `2h`, `never`."""

from typing import Any

import click

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType):
    """A span of time, in seconds; infinite for `never`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float) or value == "never":
            return float("inf") if value == "never" else value
        text = str(value).strip()
        number = text.rstrip("smh")
        try:
            seconds = float(number) * UNITS[text[len(number) :]]
        except (KeyError, ValueError):
            seconds = -1.0
        if not 0 < seconds < float("inf"):
            self.fail(f"{value} is no span of time such as 60s, 5m or 2h", param, ctx)
        return seconds
