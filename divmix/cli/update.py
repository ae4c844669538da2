"""`divmix update`: continue from a model with new rows."""

from pathlib import Path

import click

from divmix.cli import exits, options
from divmix.cli.completion import FILE
from divmix.cli.signals import GracefulStop
from divmix.settings import UpdateSettings


@options.setting_options(UpdateSettings)
@click.command(
    "update",
    cls=options.Command,
    short_help="Continue from a model with new rows, and tell their drift.",
    example="divmix update wine.divmix sample_data/wine.csv -o wine_today.divmix",
    more=("divmix update model.divmix today.parquet -o model.divmix --force",),
)
@click.argument("model", type=FILE)
@click.argument("new", nargs=-1, required=True, type=FILE)
@options.run_output("NEW")
@options.force
@options.csv_safe
@options.assignments_format
@click.option("--fail-on-drift", is_flag=True, help="Exit with code 8 when the new rows drifted.")
@options.beside
@options.unknown
@options.encoding
@options.as_json
@options.quiet
@options.verbose
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    new: tuple[str, ...],
    output: Path | None,
    force: bool,
    csv_safe: bool,
    assignments_format: str,
    fail_on_drift: bool,
    keep: str,
    id_column: str | None,
    digits: int | None,
    unknown: str,
    encoding: str | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **values: object,
) -> None:
    """Continue from MODEL with the rows of NEW and write a run folder.

    MODEL is a model.divmix or a run folder of the methods diversified or em, NEW as for fit; its
    columns are matched by name and prepared as those of the model were. MODEL counts like the rows
    behind it, so that a table given in parts leads close to a fit of the whole. Clusters keep their
    numbers. No cluster is looked for: where NEW has rows unlike all before, drift says so, and
    divmix fit --match MODEL finds new ones. MODEL itself stays, unless it is named by -o and
    --force.
    """
    from divmix.cli import show, summary, terminal
    from divmix.workflows.update import run_update

    output = output or options.default_output(new)
    with (
        terminal.progress(quiet, verbose) as progress,
        GracefulStop(progress.stopping) as should_stop,
    ):
        run = run_update(
            model,
            new,
            options.collect(ctx, UpdateSettings),
            output,
            overwrite=force,
            unknown=unknown,
            encoding=encoding,
            assignments_format=assignments_format,
            beside=options.beside_of(keep, id_column, digits),
            csv_safe=csv_safe,
            progress=progress,
            should_stop=should_stop,
        )
    if run is None:  # a signal ended it, and GracefulStop has told
        return
    if as_json:
        show.print_json(run)
    if options.looked_at(quiet, verbose):
        summary.print_update(run, output, progress.told)
    if fail_on_drift and run["drift"]["drifted"]:
        ctx.exit(exits.FINDINGS)
