"""`divmix sniff`: how a table is read, and what a fit would make of it."""

import click

from divmix.cli import options
from divmix.cli.completion import FILE
from divmix.settings import TableSettings

READING = (
    "columns", "exclude", "truth", "weight", "categorical", "log", "missing", "max_categories",
    "header", "encoding", "dates",
)  # fmt: skip


@options.setting_options(TableSettings, only={TableSettings: READING})
@click.command(
    "sniff",
    cls=options.Command,
    short_help="Show how a table is read.",
    example="divmix sniff sample_data/iris.csv",
)
@click.argument("data", nargs=-1, required=True, type=FILE)
@options.as_json
@options.quiet
@click.pass_context
def command(
    ctx: click.Context, data: tuple[str, ...], as_json: bool, quiet: bool, **values: object
) -> None:
    """How DATA is read: format, the type and role of each column, empty cells, what a fit does
    with it and why; every problem at once; and a fit to type that works. Nothing is written.

    DATA as for fit. Columns are left out of a fit unasked where they are ids, codes, dates, free
    text or empty; --columns names those that are used whatever they are.
    """
    from divmix.cli import show, terminal, views
    from divmix.workflows.sniff import run_sniff

    with terminal.progress(quiet, verbose=False) as progress:
        found = run_sniff(data, options.collect(ctx, TableSettings), progress)
    if as_json:
        show.print_json(found)
    else:
        views.print_sniffed(found)
