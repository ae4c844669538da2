"""The command `divmix`: finds a command, runs it, and turns every error into its exit code."""

import codecs
import io
import os
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from shlex import quote
from typing import Any, NoReturn

import click
from click.shell_completion import shell_complete

from divmix import __version__
from divmix.cli import address_space, completion, exits, signals
from divmix.errors import DivmixError, UsageError

HELP_NAMES = ["-h", "--help"]
COMMANDS = (
    "fit",
    "sniff",
    "predict",
    "detect",
    "audit",
    "evaluate",
    "select",
    "describe",
    "report",
    "plot",
    "cut",
    "update",
    "compare",
    "sample",
    "bench",
    "doctor",
)


class LazyGroup(click.Group):
    """Commands live in modules of their own name, imported when one is used or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return _command(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant. Raises UsageError that names the nearest one, and InputError
        where there is no room to load it."""
        name = args[0]
        if name == "help":
            name = args[1] if len(args) > 1 else "--help"
            args = [name, "--help"]
        if name == "--help":
            click.echo(ctx.get_help())
            ctx.exit()
        if name not in COMMANDS:
            raise _unknown_command(name)
        if not {"-h", "--help"} & set(args):
            address_space.check()
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *click_only: Any,
        **extra: Any,
    ) -> NoReturn:
        """Run one command line and leave with its exit code.

        Always called `divmix`, and always leaving: what else Click would be told has no effect.
        """
        if instruction := os.environ.get("_DIVMIX_COMPLETE"):
            sys.exit(shell_complete(self, {}, "divmix", "_DIVMIX_COMPLETE", instruction))
        arguments = sys.argv[1:] if args is None else list(args)
        meta: dict[str, Any] = {}
        # NumPy's of an overflow and scikit-learn's of equal rows: results are checked where they
        # are made and written, and equal rows are no news to the user.
        for words in (r".*encountered in", "Number of distinct clusters"):
            warnings.filterwarnings("ignore", words)
        if "--debug" not in arguments:  # what a library could not raise, such as in a callback
            sys.unraisablehook = lambda _: None
        try:
            _check_working_folder()
            with signals.terminate_raises():
                with self.make_context("divmix", list(arguments), **extra) as ctx:
                    meta = ctx.meta
                    meta[signals.ARGUMENTS] = arguments
                    self.invoke(ctx)
                sys.stdout.flush()  # a closed pipe must show here, not at the interpreter's end
            code = 0
        except BaseException as error:
            code = exits.report(
                error,
                debug=meta.get("divmix.debug", False),
                as_json="--json" in arguments,
                remedy=self._remedy(error, arguments),
            )
        sys.exit(code)

    def _remedy(self, error: BaseException, arguments: list[str]) -> str:
        """The command line that gets round the error, "" where there is none."""
        command = _command(arguments[0]) if arguments else None
        if command is None or not isinstance(error, DivmixError):
            return ""
        from divmix.cli.remedy import remedy

        return remedy(error, arguments, command)


@click.group(
    cls=LazyGroup,
    context_settings=dict(
        auto_envvar_prefix="DIVMIX", max_content_width=100, help_option_names=HELP_NAMES
    ),
)
@click.option(
    "--completion",
    type=click.Choice(completion.SHELLS),
    is_eager=True,
    expose_value=False,
    callback=completion.print_script,
    help='Print the script that completes lines: eval "$(divmix --completion bash)".',
)
@click.version_option(__version__, prog_name="divmix", message="%(prog)s %(version)s")
def cli() -> None:
    """Diversified mixture models from the command line.

    \b
    divmix sniff table.csv                how a table is read, a fit that works
    divmix fit table.csv -k 3             fit a mixture, write table.divmix/
    divmix predict table.divmix new.csv   label new rows
    divmix help COMMAND                   options, each with its default and range

    Options can also be set in the environment (DIVMIX_FIT_ALPHA=0.5). Exit codes: 0 fine,
    1 internal error, 2 usage, 3 input data, 4 model file, 5 fit failed, 6 not converged,
    7 a checkpoint that does not fit, 8 rows flagged or drifted, 129 SIGHUP, 130 Ctrl-C, 143 SIGTERM,
    141 closed pipe.
    """


def _command(name: str) -> click.Command | None:
    return import_module(f"divmix.cli.{name}").command if name in COMMANDS else None


def _unknown_command(name: str) -> UsageError:
    near = get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean divmix {near[0]}?" if near else f"commands are {', '.join(COMMANDS)}"
    if not near and Path(name).exists():
        hint = f"divmix fit {quote(name)} fits a table, divmix sniff {quote(name)} looks at it"
    return UsageError(f"there is no command '{name}'", hint=hint)


def _open_closed_descriptors() -> None:
    """Nothing that is opened later may take the number of a standard stream and its text.

    Closed ones become empty; stdout cannot be written, so that data sent there is an error.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  to the end


def _check_working_folder() -> None:
    """Raise UsageError where it is gone: libraries ask for it, and say nothing that helps."""
    try:
        os.getcwd()
    except OSError as error:
        raise UsageError(
            "the folder that divmix was started in is gone", hint="cd to a folder that exists"
        ) from error


def _write_any_name() -> None:
    """Names of files and columns can be written, also where the locale knows ASCII alone."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            ascii_only = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding="utf-8" if ascii_only else None, errors="backslashreplace")


def main() -> NoReturn:
    """The entry point of the console script."""
    _open_closed_descriptors()
    _write_any_name()
    sys.exit(cli())
