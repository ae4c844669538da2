"""Options made from the settings' metadata, and the options that commands share."""

import csv
import json
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from divmix import settings
from divmix.cli.completion import COLUMN, FILE, ColumnName
from divmix.cli.duration import Duration

if TYPE_CHECKING:
    from divmix.workflows.beside import Beside

ORIGINS = {
    ParameterSource.COMMANDLINE: "flag",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "config",
    ParameterSource.DEFAULT: "default",
}


class Command(click.Command):
    """A command whose help leads with examples and lists its options under headings.

    `example` is a line that can be typed as it stands, `more` are others. `everyday` names the
    options that come first. Every command also has `--debug`.
    """

    def __init__(
        self,
        *args: Any,
        example: str,
        more: Sequence[str] = (),
        everyday: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.example, self.more, self.everyday = example, more, everyday
        self.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_remember_debug,
                help="Show the traceback of an error.",
            )
        )
        self.params.append(
            click.Option(
                ["--envlist"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_list_environment,
                help="List the environment variables that set these options, and which are set.",
            )
        )

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        more = "".join(f"         {line}\n" for line in self.more)
        formatter.write(f"Example: {self.example}\n{more}\n")
        super().format_help(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, records in self.sections(ctx).items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=24)

    def sections(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        """The options by heading, each with its names and its help text."""
        found: dict[str, list[tuple[str, str]]] = {}
        first = {name: place for place, name in enumerate(self.everyday)}
        params = sorted(
            self.get_params(ctx), key=lambda param: first.get(str(param.name), len(first))
        )
        for param in params:
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)):
                section = getattr(param, "section", "More" if first else "Options")
                section = "Everyday" if param.name in first else section
                found.setdefault(section, []).append(record)
        return found


def _remember_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta["divmix.debug"] = True


def _list_environment(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Callback of --envlist: a line for each option that a variable can set, and no more."""
    if not value:
        return
    records = []
    for own in ctx.command.params:
        if isinstance(own, click.Option) and own.name and not own.is_eager:
            name = f"{ctx.auto_envvar_prefix}_{own.name.upper()}"
            now = f"  [now {os.environ[name]}]" if name in os.environ else ""
            records.append((name, max(own.opts, key=len) + now))
    width = max(len(name) for name, _ in records) + 2 if records else 0
    for name, told in records:
        click.echo(f"{name:<{width}}{told}")
    ctx.exit()


class SettingOption(click.Option):
    """The option of one setting; converting and checking are left to the setting."""

    name: str  # never None, as it may be of an option in general

    def __init__(self, owner: type, setting: Field) -> None:
        self.owner, self.setting, self.section = owner, setting, setting.metadata["section"]
        kinds = settings.types(owner, setting)
        super().__init__(
            _names(setting),
            is_flag=True if bool in kinds else None,
            multiple=tuple in kinds,
            required=setting.default is MISSING,
            metavar=None if bool in kinds else _metavar(setting, kinds),
            help=help_text(setting, default_text(setting)),
            **{} if setting.default is MISSING else {"default": setting.default},
        )

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        source = ctx.get_parameter_source(self.name)
        if self.is_flag and isinstance(value, str):  # from the environment
            value = super().type_cast_value(ctx, value)
        if self.multiple and source is ParameterSource.COMMANDLINE:  # --exclude a,b --exclude c
            return tuple(chain.from_iterable(self._convert(text, ctx) for text in value))
        return self._convert(value, ctx)

    def value_from_envvar(self, ctx: click.Context) -> Any:
        # As typed: Click would split a list of names at its blanks.
        return self.resolve_envvar_value(ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        rules = self.setting.metadata
        if rules["metavar"] in ("A,B", "COL"):
            names = ColumnName(many=rules["metavar"] == "A,B")
            return names.shell_complete(ctx, self, incomplete)
        words = rules["choices"] or ()
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]

    def _convert(self, value: Any, ctx: click.Context) -> Any:
        label = as_written(ctx, {self.name: value}, source_of(ctx, self.name))
        return settings.convert(self.owner, self.setting, value, label)


def as_written(
    ctx: click.Context, values: Mapping[str, Any], source: ParameterSource
) -> str | None:
    """Settings as they stand in the environment or the config file; None for the command line.

    `DIVMIX_FIT_ALPHA=0.5`; `my.json: "alpha": 0.5, "step": 1`; `my.toml: alpha = 0.5, step = 1`.
    """
    if source is ParameterSource.ENVIRONMENT:
        prefix = ctx.auto_envvar_prefix
        return " ".join(f"{prefix}_{name.upper()}={value}" for name, value in values.items())
    if source is ParameterSource.DEFAULT_MAP:
        path = ctx.params["config"]
        form = "{} = {}" if path.suffix == ".toml" else '"{}": {}'
        settled = (form.format(name, json.dumps(value)) for name, value in values.items())
        return f"{path}: {', '.join(settled)}"
    return None


def source_of(ctx: click.Context, name: str) -> ParameterSource:
    """Where the value of an option came from."""
    return ctx.get_parameter_source(name) or ParameterSource.DEFAULT


def _names(setting: Field) -> list[str]:
    long = f"--{setting.name.replace('_', '-')}"
    if setting.default is True:
        long += f"/--no-{long[2:]}"
    short = setting.metadata["flag"]
    return [*([short] if short else []), long, setting.name]


def _metavar(setting: Field, kinds: tuple[type, ...]) -> str:
    """What stands for the value in help: `diag|full`, `median|local|X`, `N`, `SECONDS`."""
    number = ("N",) if int in kinds else ("X",) if float in kinds else ()
    words = setting.metadata["choices"] or ()
    return setting.metadata["metavar"] or "|".join((*words, *number))


def help_text(setting: Field, default: str) -> str:
    """What a setting is, and in brackets its default in words ("" untold), range and unit."""
    rules = setting.metadata
    facts = (f"default: {default}" if default else "", settings.limits(setting), rules["unit"])
    told = "; ".join(fact for fact in facts if fact)
    return f"{rules['help']}  [{told}]" if told else rules["help"]


def default_text(setting: Field) -> str:
    """The default as help tells it; "" where the help text says it, or there is none."""
    value = setting.default
    told = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return str(value) if told else ""


def setting_options(
    *owners: type, only: Mapping[type, Collection[str]] = {}, more: Sequence[SettingOption] = ()
) -> Callable[[Command], Command]:
    """Decorator: an option for each setting of these dataclasses, in their order.

    `only` names the settings that a command has options for, where it does not need all; `more`
    are options made elsewhere, which stand before these.
    """

    def decorate(command: Command) -> Command:
        made = [
            *more,
            *(
                SettingOption(owner, setting)
                for owner in owners
                for setting in fields(owner)
                if owner not in only or setting.name in only[owner]
            ),
        ]
        model = [option for option in made if option.section == "Model"]
        others = [option for option in made if option.section != "Model"]
        others.sort(key=lambda option: option.section)
        command.params[:] = [*model, *command.params, *others]
        return command

    return decorate


def collect(ctx: click.Context, owner: type, **given: Any) -> Any:
    """The settings of one dataclass from the options of this command, but those `given`."""
    own = {
        setting.name: ctx.params[setting.name]
        for setting in fields(owner)
        if setting.name in ctx.params
    }
    return owner(**own | given)


def origins(ctx: click.Context, *owners: type) -> dict[str, str]:
    """Where the value of each setting came from: flag, environment, config or default."""
    return {
        setting.name: ORIGINS[source_of(ctx, setting.name)]
        for owner in owners
        for setting in fields(owner)
        if setting.name in ctx.params
    }


force = click.option("--force", is_flag=True, help="Overwrite what exists.")
assignments_format = click.option(
    "--format",
    "assignments_format",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    help="Format of the assignments.  [default: csv]",
)
csv_safe = click.option(
    "--csv-safe",
    is_flag=True,
    help="Put an apostrophe before text in a CSV that a spreadsheet would run as a formula.",
)
moved_data = click.option(
    "--data",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="The table of the run, where it has moved; can be given several times.",
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as one JSON object on stdout."
)
quiet = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
verbose = click.option(
    "-v", "--verbose", is_flag=True, help="Say what is done, also where stderr is not a terminal."
)


def looked_at(quiet: bool = False, verbose: bool = False) -> bool:
    """Whether there is somebody to read what a command says at its end."""
    return not quiet and (verbose or sys.stderr.isatty())


def beside(command: Callable) -> Callable:
    """--keep, --id and --digits of the commands that write a line for each row of a table."""
    keep = click.option(
        "--keep",
        type=ColumnName(many=True, words=("all",)),
        metavar="all|A,B",
        default="",
        help="Columns of DATA to write beside the results, as they stand there.",
    )
    label = click.option(
        "--id",
        "id_column",
        type=COLUMN,
        metavar="COL",
        help="Label rows by this column, not by their number.",
    )
    digits = click.option(
        "--digits",
        type=click.IntRange(1, 17),
        metavar="N",
        help="Significant digits of the results.  [default: all]",
    )
    return keep(label(digits(command)))


to = click.option(
    "--to",
    type=click.Choice(["csv", "tsv", "jsonl", "parquet", "arrow"]),
    default="csv",
    help="Format of what goes to stdout.  [default: csv]",
)
unknown = click.option(
    "--unknown",
    type=click.Choice(["error", "ignore"]),
    default="error",
    help="A category that the model never saw, or a number at or below -1 in a column of logarithms: "
    "refuse the table, or take the row as having none, and the number as just above -1.  [default: error]",
)
encoding = click.option(
    "--encoding", metavar="NAME", help="Encoding of text tables, such as latin-1.  [default: utf-8]"
)


def beside_of(keep: str, id_column: str | None, digits: int | None) -> "Beside":
    """What those options say."""
    from divmix.workflows.beside import Beside

    names = next(csv.reader([keep], skipinitialspace=True), []) if keep else []
    return Beside(tuple(names), id_column, digits)


def run_output(table: str) -> Callable:
    """-o of the commands that write a run folder of `table`."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help=f"The run folder. Default: the name of {table} with .divmix, where you stand.",
    )


def checkpoints(command: Callable) -> Callable:
    """--checkpoint-every and --resume of the commands that keep unfinished work in a run folder."""
    every = click.option(
        "--checkpoint-every",
        type=Duration(),
        default="60s",
        metavar="SPAN",
        help="Write DIR/checkpoint.divmix every so often, such as 30s, 5m or 2h, and when a signal "
        "stops the command; never: at no time.  [default: 60s]",
    )
    resume = click.option(
        "--resume",
        is_flag=True,
        help="Go on from the checkpoint that an interrupted run has left in DIR, to the same bits; "
        "where there is none, begin anew.",
    )
    return every(resume(command))


def default_output(data: tuple[str, ...]) -> Path:
    """`path/to/table.csv.gz` gives `table.divmix`, standard input `stdin.divmix`."""
    name = Path(data[0]).resolve().name
    if data[0] == "-" or name.startswith("pipe:["):  # <(...) has no name of its own
        name = "stdin"
    return Path(Path(name.removesuffix(".gz").removesuffix(".zst")).stem + ".divmix")


def table_output(default: str | None) -> Callable:
    """-o of the commands that write one table."""
    return click.option(
        "-o",
        "--output",
        type=FILE,
        default=default,
        required=default is None,
        metavar="FILE",
        help="The table to write: .csv, .tsv, .jsonl, also .gz and .zst, .parquet or .arrow; - is "
        "stdout." + (f"  [default: {default}]" if default else ""),
    )
