"""What a setting is: default, range, unit and help text, written once beside its type.

The command line, the `--config` file, the model file and the Python API all read the dataclasses
made of it. A setting is converted and checked by `convert`, whichever way it came in.
"""

import csv
import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from functools import cache
from typing import Any, Self, get_args, get_type_hints

from divmix.errors import UsageError


def option(
    default: Any = MISSING,
    *,
    help: str,
    section: str,
    flag: str | None = None,
    metavar: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    choices: tuple[str, ...] | None = None,
    unit: str | None = None,
    after: str | None = None,
) -> Any:
    """A dataclass field that knows its range, unit, help text and name on the command line.

    `section` is the heading it stands under in `--help`, `flag` its name as typed where that is not
    the field's name with dashes. A field without default is required. Where the type admits numbers
    as well as text, `choices` are the words allowed beside a number. `after` names the setting that
    it follows in `--help`, where that is not the one before it in its class.
    """
    rules = dict(
        help=help,
        section=section,
        flag=flag,
        metavar=metavar,
        at_least=at_least,
        above=above,
        at_most=at_most,
        choices=choices,
        unit=unit,
        after=after,
    )
    return field(default=default, metadata=rules)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the frozen dataclasses below share: checking, and the way to and from a document."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = convert(type(self), setting, getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON knows them: tuples become lists."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """The settings from `to_dict`. Raises UsageError for a name or value that does not fit."""
        known = {setting.name for setting in fields(cls)}
        for name in document:
            if name not in known:
                raise unknown_setting(name, known)
        missing = [f for f in fields(cls) if f.default is MISSING and f.name not in document]
        if missing:
            raise UsageError(f"{flag(missing[0])} is not given", hint=explain(missing[0]))
        return cls(**document)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def types(cls: type, setting: Field) -> tuple[type, ...]:
    """The plain types that a setting's values may have: int, float, str, bool, tuple, NoneType."""
    hint = _hints(cls)[setting.name]
    if isinstance(hint, type):
        return (hint,)
    members = get_args(hint)
    if Ellipsis in members:
        return (tuple,)
    return tuple(m if isinstance(m, type) and not get_args(m) else tuple for m in members)


def flag(setting: Field) -> str:
    """The option as typed on the command line: `--max-iter`, `-k`, `--no-header`."""
    negation = "no-" if setting.default is True else ""
    return setting.metadata["flag"] or f"--{negation}{setting.name.replace('_', '-')}"


def as_typed(setting: Field, value: Any) -> list[str]:
    """A setting with its value as words of a command line: `--exclude a,b`, `--no-header`."""
    if isinstance(value, bool):
        return [flag(setting)]
    names = value if isinstance(value, tuple | list) else ()
    return [flag(setting), _listed(names) if names else str(value)]


def _listed(names: Iterable[str]) -> str:
    return ",".join('"' + name.replace('"', '""') + '"' if "," in name else name for name in names)


def in_shell(*names: str) -> str:
    """Names as the value of an option, typed in a shell: `a,b`, `'Income ($)'`."""
    return shlex.quote(_listed(names))


def limits(setting: Field) -> str:
    """The range in words, '' where there is none: `at least 0`, `above 0, at most 1`."""
    rules = setting.metadata
    words = {"at least": "at_least", "above": "above", "at most": "at_most"}
    return ", ".join(
        f"{word} {rules[rule]:g}" for word, rule in words.items() if rules[rule] is not None
    )


def explain(setting: Field) -> str:
    """One line that says what a setting is, for the hint of an error."""
    return f"{flag(setting)}: {setting.metadata['help'].split('. ')[0].rstrip('.')}"


def unknown_setting(name: str, known: set[str]) -> UsageError:
    """The error for a name that no setting has, with the nearest one in its hint."""
    from difflib import get_close_matches

    near = get_close_matches(str(name), known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"settings are: {', '.join(sorted(known))}"
    return UsageError(f"there is no setting '{name}'", hint=hint)


def convert(cls: type, setting: Field, value: Any, label: str | None = None) -> Any:
    """The value of a setting in its own type, checked against its range.

    Text is read as the command line would; `label` names the setting in the error as the user
    wrote it (default `--alpha -1`). Raises UsageError.
    """
    label = label or f"{flag(setting)} {value}"
    allowed, rules = types(cls, setting), setting.metadata
    if value is None and type(None) in allowed:
        return None
    if bool in allowed:
        converted, problem = value, "must be true or false" if not isinstance(value, bool) else None
    elif tuple in allowed:
        converted, problem = _names(value)
    elif rules["choices"] and value in rules["choices"]:
        return value
    elif float in allowed or int in allowed:
        converted, problem = _number(value, int if int in allowed else float)
        problem = problem or _out_of_range(converted, setting)
        if problem and rules["choices"]:
            words = ", ".join(rules["choices"])
            problem += f", or one of {words}" if len(rules["choices"]) > 1 else f", or {words}"
    elif rules["choices"]:
        converted, problem = value, f"must be one of {', '.join(rules['choices'])}"
    else:
        converted = value
        problem = None if isinstance(value, str) and value else "must be a name"
    if problem:
        raise UsageError(f"{label}: {problem}", hint=explain(setting))
    return converted


def _number(value: Any, kind: type) -> tuple[Any, str | None]:
    problem = "must be a whole number" if kind is int else "must be a number"
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        return None, problem
    exact = isinstance(value, str) or number == value
    if isinstance(value, bool) or not exact or not math.isfinite(number):
        return None, problem
    return number, None


def _out_of_range(number: float, setting: Field) -> str | None:
    rules = setting.metadata
    fits = (
        (rules["at_least"] is None or number >= rules["at_least"])
        and (rules["above"] is None or number > rules["above"])
        and (rules["at_most"] is None or number <= rules["at_most"])
    )
    return None if fits else f"must be {limits(setting)}"


def _names(value: Any) -> tuple[Any, str | None]:
    """Column names from `a,b`, a list of such or a list of names; a name with a comma in quotes."""
    if isinstance(value, str):
        value = next(csv.reader([value], skipinitialspace=True), [])
    names = tuple(value) if isinstance(value, (list, tuple)) else (None,)
    if not all(isinstance(name, str) and name for name in names):
        return None, "must be column names separated by commas"
    return names, None
