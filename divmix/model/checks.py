"""What a value of a JSON document, or an array, may be: small rules that are put together.

A rule is called with a value and where it stands, and raises ValueError where it is broken.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

Rule = Callable[[Any, str], None]
Sizes = dict[str, int]
"""Sizes that array shapes name, as far as they are known."""


def text(value: Any, where: str) -> None:
    """Text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise ValueError(f"{where} is no text")
    value.encode()  # a lone surrogate is a ValueError


def truth(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{where} is neither true nor false")


def number(low: float, high: float) -> Rule:
    """A finite number from low to high."""

    def check(value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{where} is no number")
        if not low <= value <= high or not math.isfinite(value):
            raise ValueError(f"{where} is out of range")

    return check


def whole(low: int, high: int) -> Rule:
    """A whole number from low to high."""

    def check(value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{where} is no whole number")
        if not low <= value <= high:
            raise ValueError(f"{where} is out of range")

    return check


def word(*choices: str) -> Rule:
    """One of some words."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{where} is none of {', '.join(choices)}")

    return check


def null_or(rule: Rule) -> Rule:
    """Nothing, or what the rule says."""

    def check(value: Any, where: str) -> None:
        if value is not None:
            rule(value, where)

    return check


def number_or(word_instead: str, low: float, high: float) -> Rule:
    """A finite number from low to high, or a word that stands for none."""
    own = number(low, high)

    def check(value: Any, where: str) -> None:
        if value != word_instead:
            own(value, where)

    return check


def list_of(rule: Rule, least: int = 0, most: float = math.inf) -> Rule:
    """A list of `least` to `most` values that all keep the rule."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            raise ValueError(f"{where} is no list of the right length")
        for place, item in enumerate(value):
            rule(item, f"{where}[{place}]")

    return check


def record(optional: Collection[str] = (), **entries: Rule) -> Rule:
    """An object of these entries and no other; those in `optional` may be absent."""
    known = holding(optional, **entries)

    def check(value: Any, where: str) -> None:
        if isinstance(value, dict) and (unknown := sorted(set(value) - set(entries))):
            raise ValueError(f"{where} has an unknown entry {unknown[0]!r}")
        known(value, where)

    return check


def holding(optional: Collection[str] = (), **entries: Rule) -> Rule:
    """An object with these entries, whatever else it has; those in `optional` may be absent."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{where} is no object")
        for name, rule in entries.items():
            if name in value:
                rule(value[name], f"{where}.{name}")
            elif name not in optional:
                raise ValueError(f"{where} lacks {name}")

    return check


def by_kind(key: str, **records: Rule) -> Rule:
    """An object whose entry `key` tells which of the records it is."""

    def check(value: Any, where: str) -> None:
        kind = value.get(key) if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in records:
            raise ValueError(f"{where}.{key} is none of {', '.join(records)}")
        records[kind]({name: own for name, own in value.items() if name != key}, where)

    return check


def scalar(value: Any, where: str) -> None:
    """Null, text, a truth value or a finite number."""
    if isinstance(value, str):
        text(value, where)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is not finite")
    elif value is not None and not isinstance(value, bool | int):
        raise ValueError(f"{where} is no plain value")


def settings(**known: Rule) -> Rule:
    """An object of plain values and of lists of them; those known keep their rules where they are there."""
    rules = holding(known, **known)

    def check(value: Any, where: str) -> None:
        rules(value, where)
        for name, own in value.items():
            text(name, where)
            for item in own if isinstance(own, list | tuple) else [own]:
                scalar(item, f"{where}.{name}")

    return check


def texts(value: Any, where: str) -> None:
    """An object of texts."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no object")
    for name, own in value.items():
        text(name, where)
        text(own, f"{where}.{name}")


class Array(NamedTuple):
    """An array of numbers.

    dtype: as NumPy spells it, little-endian. shape: sizes, or names of sizes, which are the same
    in all arrays of a file. low, high: the range of the values, all finite.
    """

    dtype: str
    shape: tuple[int | str, ...]
    low: float
    high: float

    def check(self, values: np.ndarray, where: str, sizes: Sizes) -> None:
        """Raise ValueError where the array is another one; sizes are added to."""
        if values.dtype != np.dtype(self.dtype):
            raise ValueError(f"the array {where} is {values.dtype}, not {self.dtype}")
        if values.ndim != len(self.shape):
            raise ValueError(f"the array {where} has {values.ndim} axes")
        for size, wanted in zip(values.shape, self.shape):
            known = sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted
            if size != known:
                raise ValueError(f"the array {where} has {size} {wanted}, not {known}")
        # With NaN all comparisons are false.
        if values.size and not self.low <= float(values.min()) <= float(values.max()) <= self.high:
            raise ValueError(f"the array {where} has values out of range")


def check_arrays(
    expected: Mapping[str, Array], arrays: Mapping[str, np.ndarray], sizes: Sizes
) -> None:
    """Raise ValueError where the arrays are not exactly those expected."""
    if odd := sorted(set(expected) ^ set(arrays)):
        raise ValueError(f"the array {odd[0]} is {'missing' if odd[0] in expected else 'unknown'}")
    for name, array in expected.items():
        array.check(arrays[name], name, sizes)
