"""The one place where errors become exit codes and two lines on stderr, or one JSON object."""

import contextlib
import errno
import json
import os
import sys
import traceback

import click

from divmix.cli.signals import Interrupted
from divmix.errors import DivmixError

INTERNAL, USAGE, INPUT, FIT, FINDINGS, CTRL_C, CLOSED_PIPE = 1, 2, 3, 5, 8, 130, 141


def report(
    error: BaseException, debug: bool = False, as_json: bool = False, remedy: str = ""
) -> int:
    """Tell the user about `error` on stderr, in two lines or `as_json` as one object, and return
    the exit code that belongs to it. `remedy` stands at the end of the hint."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, Interrupted | KeyboardInterrupt):  # the latter before there are handlers
        if left := getattr(error, "left", ""):
            print(f"Stopped ({error}): {left}", file=sys.stderr)
        elif sys.stderr.isatty():
            print(f"Stopped ({error or 'Ctrl-C'}): no file was written.", file=sys.stderr)
        return error.exit_code if isinstance(error, Interrupted) else CTRL_C
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        _silence_stdout()
        return CLOSED_PIPE
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return USAGE
    if debug:
        traceback.print_exception(error)
    code, message, hint = _explain(error)
    hint = _line(hint) + _printable(remedy)
    told = f"Error: {message}\nHint: {hint}"
    if as_json:
        document = {"error": {"code": code, "message": message, "hint": hint}}
        told = json.dumps(document, ensure_ascii=False)
    print(told, file=sys.stderr)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # what could not be written would be told a second time
        _silence_stdout()
    return code


def _explain(error: BaseException) -> tuple[int, str, str]:
    """Exit code, what went wrong and what to do, each text on one line."""
    if isinstance(error, DivmixError):
        return error.exit_code, _line(error), error.hint
    if isinstance(error, click.ClickException):
        return USAGE, _line(error.format_message()), _usage_hint(error)
    if _out_of_memory(error):
        return (
            INPUT,
            "out of memory",
            ("use fewer rows, columns or components, or a machine with more memory"),
        )
    if type(error).__name__ == "LinAlgError":  # NumPy's, which is not imported for it
        return (
            FIT,
            f"the numbers of the table leave no covariance to compute with ({_line(error)})",
            "bring columns to one scale with --scale standard, or --exclude those far off",
        )
    if isinstance(error, OSError):
        what = f"{error.filename}: {error.strerror}" if error.filename else _line(error)
        return USAGE, what, "check that the path is writable and that the disk has room"
    return (
        INTERNAL,
        f"internal error: {type(error).__name__}: {_line(error)}",
        ("this is a fault of divmix: run again with --debug and report what it prints"),
    )


def _out_of_memory(error: BaseException | None) -> bool:
    """Also where a library that could not be loaded or a thread not started says so in words."""
    if error is None:
        return False
    words = (
        "cannot allocate memory",
        "failed to map segment",
        "can't start new thread",
        "failed to launch worker thread",
    )
    return (
        isinstance(error, MemoryError)
        or any(word in str(error).lower() for word in words)
        or _out_of_memory(error.__cause__ or error.__context__)
    )


def _line(text: object) -> str:
    """The text on one line; what a terminal would obey, in a name from a file, is spelled out."""
    return _printable(" ".join(str(text).split()))


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _usage_hint(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    if ctx is None:
        return "see divmix --help"
    example = getattr(ctx.command, "example", None)
    see = f"see {ctx.command_path} --help"
    return f"for example: {example}; {see}" if example else see


def _silence_stdout() -> None:
    """What is still buffered has no reader: without this the interpreter complains at its end."""
    with contextlib.suppress(OSError, ValueError):  # stdout is not a file, as in a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
