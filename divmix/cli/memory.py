"""Sizes of memory as options: 800MB, 1.5GB."""

import re

import click

UNITS = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
         "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}  # fmt: skip


class Memory(click.ParamType):
    """A size of memory, in bytes."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(value).strip())
        unit = UNITS.get(found[2].upper()) if found else None
        if found is None or unit is None or float(found[1]) == 0:
            self.fail(f"{value!r} is no size such as 800MB or 1.5GB", param, ctx)
        return int(float(found[1]) * unit)
