"""The options of `fit`: those that every method has, and those of one or two.

Which settings there are depends on `--method`, so an option of a method keeps its value as it was
written until `collect` knows the method, and refuses or converts it then.
"""

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any

import click
from click.core import ParameterSource

from divmix import settings
from divmix.cli.config import FORMER
from divmix.cli.options import (
    ORIGINS,
    SettingOption,
    as_written,
    default_text,
    help_text,
    source_of,
)
from divmix.settings import METHODS, FitSettings

# What else helps against an option that the method does not have, by where the option was given.
WAYS_OUT = {
    ParameterSource.COMMANDLINE: "",
    ParameterSource.ENVIRONMENT: "or unset the variable",
    ParameterSource.DEFAULT_MAP: "or leave it out of the file",
}


class MethodOption(SettingOption):
    """The option of a setting that one or several methods have, each with its own default.

    homes: the setting in each of these methods.
    """

    def __init__(self, homes: Mapping[str, Field]) -> None:
        self.homes = homes
        method, setting = next(iter(homes.items()))
        super().__init__(METHODS[method], setting)
        self.help = help_text(setting, _defaults(homes))
        if len(homes) < len(METHODS):
            self.help += f"  [{', '.join(homes)}]"

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """The value as it was written; `convert_for` reads it."""
        return value

    def convert_for(self, method: str, ctx: click.Context) -> Any:
        """The value for a method that has the setting. Raises UsageError."""
        value = ctx.params[self.name]
        label = as_written(ctx, {self.name: value}, source_of(ctx, self.name))
        if self.is_flag and isinstance(value, str):  # from the environment
            value = click.Option.type_cast_value(self, ctx, value)
        return settings.convert(METHODS[method], self.homes[method], value, label)

    def is_given(self, ctx: click.Context) -> bool:
        """Whether the user chose the value, for this method or for any.

        What a former run by another method had by default is not chosen.
        """
        source, former = source_of(ctx, self.name), ctx.meta.get(FORMER)
        if source is ParameterSource.DEFAULT_MAP and former is not None:
            return former.method == ctx.params["method"] or self.name not in former.defaults
        return source in WAYS_OUT

    def typed(self, value: Any) -> str:
        """The option as typed: `--kernel rbf`, `--noise`."""
        return settings.flag(self.setting) + ("" if self.is_flag else f" {value}")


def method_options() -> list[SettingOption]:
    """`--method`, and the options of all methods in the order of their help."""
    common = {setting.name: setting for setting in fields(FitSettings)}
    order = list(common)
    homes: dict[str, dict[str, Field]] = {}
    for method, cls in METHODS.items():
        for setting in fields(cls):
            homes.setdefault(setting.name, {})[method] = setting
            if setting.name not in order:
                after = setting.metadata["after"]
                place = order.index(after) + 1 if after in order else len(order)
                order.insert(place, setting.name)
    return [
        SettingOption(FitSettings, common[name]) if name == "method" else MethodOption(homes[name])
        for name in order
    ]


def _defaults(homes: Mapping[str, Field]) -> str:
    """The default in words: `0.03`, or where methods differ `500 (diversified, em), 9 (nsvgd)`."""
    methods: dict[str, list[str]] = {}
    for method, setting in homes.items():
        methods.setdefault(default_text(setting), []).append(method)
    if len(methods) == 1:
        return next(iter(methods))
    return ", ".join(f"{told or 'none'} ({', '.join(which)})" for told, which in methods.items())


def collect(ctx: click.Context) -> tuple[FitSettings, dict[str, str]]:
    """The settings of the chosen method, and where each came from, by name.

    A setting that is not given has the method's own default. Raises UsageError for a value that
    does not fit, and for what is given that the method does not have.
    """
    method = ctx.params["method"]
    cls = METHODS[method]
    options = [option for option in ctx.command.params if isinstance(option, MethodOption)]
    given = [option for option in options if option.is_given(ctx)]
    _refuse_others(ctx, method, [option for option in given if method not in option.homes])
    own = {option.name: option for option in given if method in option.homes}
    values = {name: option.convert_for(method, ctx) for name, option in own.items()}
    origins = {
        setting.name: ORIGINS[source_of(ctx, setting.name)]
        if setting.name in own or setting.name == "method"
        else "default"
        for setting in fields(cls)
    }
    return cls(method=method, **values), origins


def _refuse_others(ctx: click.Context, method: str, options: list[MethodOption]) -> None:
    """Raise UsageError for options that the method does not have, those of one source at once."""
    for source, way_out in WAYS_OUT.items():
        values = {
            option.name: ctx.params[option.name]
            for option in options
            if source_of(ctx, option.name) is source and ctx.params[option.name] is not None
        }
        if values:
            typed = " ".join(o.typed(values[o.name]) for o in options if o.name in values)
            written = as_written(ctx, values, source) or typed
            raise settings.not_of_method(method, list(values), written, way_out)
