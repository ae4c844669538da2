"""`divmix fit`: a table in, a run folder out."""

import sys
from pathlib import Path

import click

from divmix.cli import method_options, options
from divmix.cli.config import config_option
from divmix.cli.signals import GracefulStop
from divmix.settings import TableSettings


@options.setting_options(TableSettings, more=method_options.method_options())
@click.command(
    "fit",
    cls=options.Command,
    short_help="Fit a mixture to a table.",
    example="divmix fit sample_data/wine.csv -k 3 --truth class",
)
@click.argument("data", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The run folder. Default: the name of DATA with .divmix, where you stand.",
)
@options.force
@options.csv_safe
@click.option(
    "--format",
    "assignments_format",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    help="Format of the assignments.  [default: csv]",
)
@click.option(
    "--figures",
    type=click.Choice(["png", "svg"]),
    help="Also draw the clusters, on two principal components, and the objective by iteration.",
)
@options.as_json
@options.quiet
@options.verbose
@config_option
@click.pass_context
def command(
    ctx: click.Context,
    data: tuple[str, ...],
    output: Path | None,
    force: bool,
    csv_safe: bool,
    assignments_format: str,
    figures: str | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    config: Path | None,
    **values: object,
) -> None:
    """Fit a diversified mixture to DATA and write a run folder.

    DATA is a CSV file (.csv, .tsv, .txt, also .gz and .zst), Parquet, Arrow, several files, a
    folder of them, or - for standard input. The run folder holds model.divmix (all that predict
    needs), assignments.csv (cluster, probability and log-density of each row), components.csv,
    trace.csv and run.json.
    """
    from divmix.cli import show, terminal
    from divmix.workflows.fit import run_fit

    output = output or default_output(data)
    looked_at = not quiet and (verbose or sys.stderr.isatty())
    settings, origins = method_options.collect(ctx)
    showing = terminal.progress(quiet, verbose, settings.time_budget)
    with showing as progress, GracefulStop(progress.stopping) as should_stop:
        run = run_fit(
            data,
            settings,
            options.collect(ctx, TableSettings),
            output,
            overwrite=force,
            csv_safe=csv_safe,
            assignments_format=assignments_format,
            figures=figures,
            progress=progress,
            origins=origins | options.origins(ctx, TableSettings),
            should_stop=should_stop,
        )
    if run is None:  # a signal ended the fit, and GracefulStop has told
        return
    if as_json:
        show.print_json(run)
    if looked_at:
        show.print_summary(run, output)


def default_output(data: tuple[str, ...]) -> Path:
    """`path/to/table.csv.gz` gives `table.divmix`, standard input `stdin.divmix`."""
    name = Path(data[0]).resolve().name
    if data[0] == "-" or name.startswith("pipe:["):  # <(...) has no name of its own
        name = "stdin"
    return Path(Path(name.removesuffix(".gz").removesuffix(".zst")).stem + ".divmix")
