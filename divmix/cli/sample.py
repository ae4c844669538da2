"""`divmix sample`: new rows drawn from a model."""

import click

from divmix.cli import options
from divmix.cli.completion import FILE


@click.command(
    "sample",
    cls=options.Command,
    short_help="Draw new rows from a model.",
    example="divmix sample wine.divmix -n 100 -o new.csv",
)
@click.argument("model", type=FILE)
@click.option(
    "-n",
    "--rows",
    type=click.IntRange(1),
    required=True,
    metavar="N",
    help="Rows to draw.  [at least 1]",
)
@options.table_output("-")
@options.force
@options.csv_safe
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Start of the random numbers.  [default: 0]",
)
def command(model: str, rows: int, output: str, force: bool, csv_safe: bool, seed: int) -> None:
    """Draw new rows with the columns of the table that MODEL was fitted to.

    MODEL is a model.divmix or a run folder.
    """
    from divmix.workflows.sample import run_sample

    run_sample(model, rows, output, seed=seed, overwrite=force, csv_safe=csv_safe)
    if options.looked_at():
        from divmix.cli import show

        show.print_written(output, rows)
