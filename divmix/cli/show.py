"""Results for the eye: JSON, documents as text, tables, facts in two columns."""

import errno
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDE = 200  # columns of text where no terminal sets the width


def show(document: dict[str, Any], as_json: bool) -> None:
    """Print a result on stdout, as one JSON object or as text."""
    if as_json:
        print_json(document)
    else:
        print_document(console(), document)


def print_json(document: dict[str, Any]) -> None:
    """Print a document on stdout as one JSON object; NumPy's numbers become plain ones."""
    click.echo(
        json.dumps(
            document,
            indent=2,
            ensure_ascii=False,
            allow_nan=False,
            default=lambda value: value.tolist(),
        )
    )


def console(stderr: bool = False) -> Console:
    """A console on stdout or stderr that cuts nothing off where the output is not a terminal."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return _Console(stderr=stderr, width=None if terminal else WIDE, highlight=False)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `exits`, which knows the code of a closed pipe; Rich would exit with 1."""
        raise BrokenPipeError(errno.EPIPE, "the reader has left")


def print_document(out: Console, document: dict[str, Any], indent: int = 0) -> None:
    """Names and values in two columns, nested ones indented, a list of objects as a table."""
    width = max((len(str(name)) for name in document), default=0)
    for name, value in document.items():
        title = f"{'':{indent}}{str(name).replace('_', ' '):<{width}}"
        if isinstance(value, dict) and value:
            out.print(Text(title.rstrip(), style="bold"))
            print_document(out, value, indent + 2)
        elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            out.print(Text(title.rstrip(), style="bold"))
            out.print(table(value))
        else:
            line = Table.grid(padding=(0, 2, 0, 0))
            line.add_column(width=indent + width)
            line.add_column(overflow="fold")
            line.add_row(Text(title), Text(as_text(value)))
            out.print(line)


def table(rows: list[dict[str, Any]]) -> Table:
    """A table with a column for each name in the rows; numbers stand to the right."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    made = Table(box=None, header_style="bold")
    for name in names:
        numbers = all(isinstance(row.get(name), (int, float, type(None))) for row in rows)
        made.add_column(Text(name.replace("_", " ")), justify="right" if numbers else "left")
    for row in rows:
        made.add_row(*(Text(as_text(row.get(name))) for name in names))
    return made


def as_text(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(as_text(part) for part in value)
    return str(value)


def print_facts(out: Console, facts: Sequence[tuple[str, str]], width: int = 14) -> None:
    """Names and values in two columns; a long value goes on below itself."""
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(width=width)
    lines.add_column(overflow="fold")
    for name, value in facts:
        lines.add_row(Text(name), Text(value))
    out.print(Padding(lines, (0, 0, 0, 2), expand=False))


def print_written(output: str | Path, rows: int | None) -> None:
    """What a command wrote and how much, on stderr: rows, or where it has none bytes."""
    where = "standard output" if str(output) == "-" else output
    if rows is not None:
        told = "1 row" if rows == 1 else f"{rows:,} rows"
    else:
        files = [Path(output), *Path(output).glob("*")]
        size = sum(file.stat().st_size for file in files if file.is_file())
        told = f"{max(1, round(size / 1000)):,} kB"
    console(stderr=True).print(Text(f"  {'wrote':<14}  {where} ({told})"), soft_wrap=True)
