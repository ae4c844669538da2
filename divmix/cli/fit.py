"""`divmix fit`: a table in, a run folder out."""

from pathlib import Path

import click

from divmix.cli import method_options, options
from divmix.cli.completion import FILE
from divmix.cli.config import config_option
from divmix.cli.memory import Memory
from divmix.cli.signals import GracefulStop, to_go_on
from divmix.errors import UsageError
from divmix.settings import TableSettings


@options.setting_options(TableSettings, more=method_options.method_options())
@click.command(
    "fit",
    cls=options.Command,
    short_help="Fit a mixture to a table.",
    example="divmix fit sample_data/wine.csv -k 3 --truth class",
    more=(
        "divmix fit customers.csv --missing model --labels labelled.csv",
        "divmix fit 'logs/*.parquet' -k 2 --log auto -o logs.divmix --force",
    ),
    everyday=(
        "clusters",
        "output",
        "force",
        "labels",
        "columns",
        "exclude",
        "truth",
        "missing",
        "dates",
        "as_json",
    ),
)
@click.argument("data", nargs=-1, required=True, type=FILE)
@options.run_output("DATA")
@options.force
@options.csv_safe
@options.assignments_format
@click.option(
    "--figures",
    type=click.Choice(["png", "svg"]),
    help="Also draw the clusters, on two principal components, and the objective by iteration.",
)
@click.option(
    "--match",
    metavar="MODEL",
    help="Number clusters like those of a former model that have the most rows in common.",
)
@click.option(
    "--labels",
    type=FILE,
    metavar="FILE",
    help="Also write all columns of DATA with the cluster of each row and its probability; - is "
    "stdout.",
)
@options.to
@options.beside
@click.option(
    "--stream",
    is_flag=True,
    help="Read DATA anew at each visit to its rows instead of holding it: the same result in little "
    "memory. Chosen by itself where DATA would not fit.",
)
@click.option(
    "--memory",
    type=Memory(),
    metavar="SIZE",
    help="Stream where holding DATA would take more than this, such as 1GB. Default: what is free.",
)
@click.option(
    "--dask",
    metavar="ADDRESS|local[:N]",
    help="Have the workers of a Dask cluster sum up the rows of Parquet DATA that all of them can "
    "read, or N workers on this machine. The result is the same.",
)
@options.checkpoints
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
    match: str | None,
    labels: str | None,
    to: str,
    keep: str,
    id_column: str | None,
    digits: int | None,
    stream: bool,
    memory: int | None,
    dask: str | None,
    checkpoint_every: float,
    resume: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    config: Path | None,
    **values: object,
) -> None:
    """Fit a diversified mixture to DATA and write a run folder.

    DATA is a CSV file (.csv, .tsv, .txt, also .gz and .zst), JSON Lines, Parquet, Arrow, several
    files, a pattern in quotes, a folder of them, or - for standard input. The run folder holds
    model.divmix (all that predict needs), assignments.csv (cluster, probability and log-density of
    each row), components.csv, trace.csv and run.json. Rows count from 0 in what is written; errors
    name the line of a CSV file, its header included, and else count rows from 1. divmix sniff DATA shows beforehand how DATA is read.
    """
    from divmix.cli import show, summary, terminal
    from divmix.workflows.fit import run_fit
    from divmix.workflows.unfinished import Checkpoints, Unfinished

    output = output or options.default_output(data)
    if labels == "-" and as_json:
        raise UsageError("--labels - and --json both write to stdout", hint="--labels FILE")
    settings, origins = method_options.collect(ctx)
    showing = terminal.progress(quiet, verbose, settings)
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
            beside=options.beside_of(keep, id_column, digits),
            labels=labels,
            match=match,
            to=to,
            stream=stream,
            memory=memory,
            dask=dask,
            progress=progress,
            origins=origins | options.origins(ctx, TableSettings),
            should_stop=should_stop,
            checkpoints=Checkpoints(checkpoint_every, resume),
        )
        if not isinstance(run, Unfinished):
            should_stop.left = f"the fit had ended, and {output} is written"
        elif run.checkpoint is not None:
            should_stop.left = to_go_on(ctx, run.checkpoint, run.kept)
    if isinstance(run, Unfinished):  # a signal ended the fit, and GracefulStop tells
        return
    if as_json:
        show.print_json(run)
    if options.looked_at(quiet, verbose):
        summary.print_summary(run, output, progress.told)
