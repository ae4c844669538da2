"""`divmix compare`: two clusterings held against each other."""

import click

from divmix.cli import options
from divmix.cli.completion import FILE


@click.command(
    "compare",
    cls=options.Command,
    short_help="Hold two runs, models or tables of labels against each other.",
    example="divmix compare wine.divmix wine_today.divmix",
    more=("divmix compare model.divmix labels.csv --data sample_data/wine.csv",),
)
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option(
    "--data",
    multiple=True,
    metavar="FILE",
    help="Table whose rows both label; can be given several times. Default: the table of both "
    "runs, or rows drawn from both models.",
)
@click.option(
    "--column",
    default="cluster",
    metavar="COL",
    help="Column with the clusters, of a table of labels.  [default: cluster]",
)
@options.as_json
@options.quiet
@options.verbose
def command(
    a: str, b: str, data: tuple[str, ...], column: str, as_json: bool, quiet: bool, verbose: bool
) -> None:
    """Agreement of A and B, the clusters that belong together, and what moved.

    A and B are run folders, models, or tables with a column of clusters. Clusters are matched that
    have the most rows in common. Of two models the columns are told whose means moved most, in
    the data's own units and in standard deviations; of rows that were drawn also how far the
    densities lie apart, by the symmetric Kullback-Leibler divergence.
    """
    from divmix.cli import show, terminal, views
    from divmix.workflows.compare import run_compare

    with terminal.progress(quiet, verbose) as progress:
        progress.stage(f"comparing {a} and {b}")
        found = run_compare(a, b, data=data, column=column, progress=progress)
        progress.output()
    if as_json:
        show.print_json(found)
    else:
        views.print_comparison(found)
