"""`divmix predict`: the cluster of each row of new data."""

import click

from divmix.cli import options
from divmix.cli.completion import FILE


@click.command(
    "predict",
    cls=options.Command,
    short_help="Label the rows of new data.",
    example="divmix predict wine.divmix sample_data/wine.csv -o labels.csv",
)
@click.argument("model", type=FILE)
@click.argument("data", nargs=-1, required=True, type=FILE)
@options.table_output("-")
@options.to
@options.beside
@options.force
@click.option(
    "--probabilities",
    is_flag=True,
    help="Also a column for each cluster with the row's probability of being in it.",
)
@options.unknown
@options.encoding
@options.quiet
@options.verbose
def command(
    model: str,
    data: tuple[str, ...],
    output: str,
    to: str,
    keep: str,
    id_column: str | None,
    digits: int | None,
    force: bool,
    probabilities: bool,
    unknown: str,
    encoding: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Cluster, probability and log-density of each row of DATA, in batches of constant memory.

    MODEL is a model.divmix or a run folder. DATA as for fit; its columns are matched by name.
    """
    from divmix.cli import terminal
    from divmix.workflows.predict import run_predict

    with terminal.progress(quiet, verbose) as progress:
        progress.stage("labelling " + ", ".join(data))
        done = run_predict(
            model,
            data,
            output,
            overwrite=force,
            unknown=unknown,
            probabilities=probabilities,
            beside=options.beside_of(keep, id_column, digits),
            to=to,
            encoding=encoding,
            progress=progress,
        )
    if options.looked_at(quiet, verbose):
        from divmix.cli import show

        show.print_written(output, done["rows"])
