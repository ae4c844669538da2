"""The command line that was typed, with what it takes to work."""

import shlex
from collections.abc import Sequence
from dataclasses import fields

import click

from divmix.errors import DivmixError
from divmix.settings import TableSettings, as_typed


def remedy(error: DivmixError, typed: Sequence[str], command: click.Command) -> str:
    """`; try: divmix fit t.csv -k 3 --exclude a`, or `; then: ...` where the user has to act first.

    `typed` are the words after `divmix`, `command` is what they call. "" where no change of them
    gets round the error.
    """
    words, instead = ["divmix", *typed], error.instead
    known = {setting.name: setting for setting in fields(TableSettings)}
    if not (error.fix or instead) or not {one.name for one in command.params} >= error.fix.keys():
        return ""
    for name, value in error.fix.items():
        words += as_typed(known[name], value)
    if instead is None:
        return f"; try: {shlex.join(words)}"
    if instead.table not in words:  # it may be one of a folder
        return ""
    words[words.index(instead.table)] = instead.by
    if instead.through:
        return f"; try: {instead.through} | {shlex.join(words)}"
    return f"; then: {shlex.join(words)}"
