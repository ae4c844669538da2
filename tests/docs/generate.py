"""Writes the reference pages and the man pages from the commands and the docstrings themselves.

    python tests/docs/generate.py

docs/reference.md has every command, docs/api.md every public name of the package, man/ a page in
roff for each command. A test holds what is committed against what this writes.
"""

import inspect
import re
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import click

import divmix
from divmix.cli.main import HELP_NAMES, cli
from divmix.cli.options import Command

ROOT = Path(__file__).resolve().parents[2]
GENERATED = "<!-- Written by tests/docs/generate.py: change the help text, then run it. -->"
CODES = (
    (0, "fine"),
    (1, "a fault of divmix"),
    (2, "usage"),
    (3, "input data"),
    (4, "model file"),
    (5, "the fit failed"),
    (6, "not converged (with --require-convergence only)"),
    (7, "a checkpoint that does not fit"),
    (8, "rows flagged (with --fail-on-findings only), or drift (with --fail-on-drift)"),
    (129, "SIGHUP"),
    (130, "Ctrl-C"),
    (141, "the reader of a pipe left"),
    (143, "SIGTERM"),
)


class Page(NamedTuple):
    """What help tells of a command: its options by heading, each with its names and its text."""

    name: str
    short: str
    usage: str
    examples: list[str]
    paragraphs: list[str]
    sections: dict[str, list[tuple[str, str]]]


def pages() -> Iterator[Page]:
    """The page of `divmix` itself, then one for each command in the order of --help."""
    top = click.Context(cli, info_name="divmix", help_option_names=HELP_NAMES)
    yield _page("divmix", cli, top, "")
    for name in cli.list_commands(top):
        command = cli.get_command(top, name)
        assert command is not None
        ctx = click.Context(command, info_name=name, parent=top)
        yield _page(f"divmix {name}", command, ctx, command.short_help or "")


def _page(name: str, command: click.Command, ctx: click.Context, short: str) -> Page:
    examples, sections = [], {"Options": []}
    if isinstance(command, Command):
        examples = [command.example, *command.more]
        sections = command.sections(ctx)
    else:
        records = (param.get_help_record(ctx) for param in command.get_params(ctx))
        sections["Options"] = [record for record in records if record]
    usage = " ".join([name, *command.collect_usage_pieces(ctx)])
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return Page(name, short.rstrip("."), usage, examples, paragraphs, sections)


def reference() -> str:
    """docs/reference.md."""
    parts = [
        "# Commands",
        GENERATED,
        "What `divmix COMMAND --help` says; `man divmix-fit` and so on, where the package is installed.",
    ]
    for page in pages():
        parts.append(f"## {page.name}")
        parts += [f"{page.short}."] if page.short else []
        parts.append("```text\n" + "\n".join([page.usage, *page.examples]) + "\n```")
        parts += [_markdown(paragraph) for paragraph in page.paragraphs]
        for title, records in page.sections.items():
            rows = [f"| <code>{_cell(names)}</code> | {_cell(told)} |" for names, told in records]
            parts.append("\n".join([f"| {title} | |", "|---|---|", *rows]))
    parts += ["## Exit codes", "\n".join(["| code | means |", "|---|---|", *_codes()])]
    return "\n\n".join(parts) + "\n"


def _codes() -> list[str]:
    return [f"| {code} | {means} |" for code, means in CODES]


def _markdown(paragraph: str) -> str:
    if paragraph.startswith("\b"):
        return f"```text\n{paragraph.removeprefix(chr(8)).strip(chr(10))}\n```"
    return " ".join(paragraph.split()).replace("*", r"\*").replace("<", "&lt;")


def _cell(text: str) -> str:
    return escape(" ".join(text.split()), quote=False).replace("|", "&#124;")


def manual(page: Page) -> str:
    """A man page in roff."""
    title = page.name.replace(" ", "-")
    lines = [
        f'.TH {title.upper()} 1 "" "divmix {divmix.__version__}" "User Commands"',
        ".SH NAME",
        rf"{_roff(title)} \- {_roff(page.short or page.paragraphs[0].rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_roff(page.usage)}",
        ".SH DESCRIPTION",
    ]
    for paragraph in page.paragraphs:
        kept = paragraph.startswith("\b")
        lines += [".nf" if kept else ".PP"]
        lines += [_roff(line) for line in paragraph.removeprefix("\b").strip("\n").split("\n")]
        lines += [".fi"] if kept else []
    for title, records in page.sections.items():
        lines += [f'.SH "{title.upper()}"']
        for names, told in records:
            lines += [".TP", f".B {_roff(names)}", _roff(" ".join(told.split()))]
    if page.examples:
        lines += [".SH EXAMPLES", ".nf", *map(_roff, page.examples), ".fi"]
    lines += [".SH EXIT STATUS"]
    for code, means in CODES:
        lines += [".TP", f".B {code}", _roff(means)]
    lines += [
        ".SH ENVIRONMENT",
        "Each option can be set by a variable; --envlist of a command lists them.",
    ]
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


def api() -> str:
    """docs/api.md: signature and docstring of each public name and of its public methods."""
    parts = ["# Python", GENERATED, inspect.cleandoc(divmix.__doc__ or "").split("\n\n")[0]]
    for name in divmix.__all__:
        made = getattr(divmix, name)
        parts += [f"## divmix.{name}", _described(name, made)]
        if inspect.isclass(made) and not issubclass(made, Exception):
            parts += [_described(f"{name}.{own.__name__}", own) for own in methods(made)]
    return "\n\n".join(parts) + "\n"


def methods(cls: type) -> list[Any]:
    """The public methods that a class of the package, or one it is made of, defines, in their order."""
    own: dict[str, Any] = {}
    for made in cls.__mro__:
        if made.__module__.startswith("divmix."):
            own = own | {name: value for name, value in vars(made).items() if name not in own}
    public = [value for name, value in own.items() if not name.startswith("_")]
    return [inspect.unwrap(value) for value in public if inspect.isfunction(value)]


def _described(name: str, made: Any) -> str:
    try:
        signature = str(inspect.signature(made))
    except (TypeError, ValueError):
        signature = "(...)"
    signature = re.sub(r"\bself, |\(self\)", lambda m: "()" if m[0] == "(self)" else "", signature)
    head = textwrap.fill(f"{name}{signature}", 100, subsequent_indent="    ")
    return f"```text\n{head}\n\n{inspect.cleandoc(inspect.getdoc(made) or '')}\n```"


def files() -> dict[Path, str]:
    """All that is generated, by where it stands."""
    made = {ROOT / "docs/reference.md": reference(), ROOT / "docs/api.md": api()}
    for page in pages():
        made[ROOT / f"man/{page.name.replace(' ', '-')}.1"] = manual(page)
    return made


def main() -> None:
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
