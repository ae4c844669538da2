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
@click.option(
    "--missing",
    type=click.Choice(["error", "model", "drop"]),
    help="Empty cells: refuse the table, judge each row by the cells that it has, or give it no "
    "cluster.  [default: as in the fit]",
)
@click.option(
    "--fill",
    type=click.Choice(["mean", "draw"]),
    help="Also write the columns of the model, their empty cells filled in by the row's other cells: "
    "by conditional means (categories: the likeliest), or by draws.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    help="Of --fill draw: same seed, same result.  [default: 0]",
)
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
    missing: str | None,
    fill: str | None,
    seed: int,
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
            missing=missing,
            fill=fill,
            seed=seed,
            progress=progress,
        )
    if options.looked_at(quiet, verbose):
        from divmix.cli import show

        show.print_written(output, done["rows"])
