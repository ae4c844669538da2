"""`divmix cut`: another number of clusters, without a fit."""

from pathlib import Path

import click

from divmix.cli import options
from divmix.cli.completion import FILE


@click.command(
    "cut",
    cls=options.Command,
    short_help="Read another number of clusters from a model.",
    example="divmix cut wine.divmix -k 2 -o wine2.divmix --data sample_data/wine.csv",
)
@click.argument("model", type=FILE)
@click.option(
    "-k",
    "--clusters",
    type=click.IntRange(1),
    required=True,
    metavar="N",
    help="Clusters to return, at most as many as the merge tree has components.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder to write: model.divmix, components.csv and, with --data, the assignments.",
)
@click.option(
    "--data",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Table whose rows are labelled too; can be given several times.",
)
@options.assignments_format
@options.unknown
@options.force
@options.csv_safe
@options.as_json
@options.quiet
@options.verbose
def command(
    model: str,
    clusters: int,
    output: Path,
    data: tuple[str, ...],
    assignments_format: str,
    unknown: str,
    force: bool,
    csv_safe: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Cut the merge tree of MODEL at N clusters and write that model, without a fit.

    MODEL is a model.divmix or a run folder of the method diversified. Where its clusters are
    unions of components, the components stay and are united otherwise: the density of a row is the
    same at any N. Where they are ellipses, each is made from the moments of the components of the
    relaxed mixture that it stands for. `divmix describe MODEL` shows the tree.
    """
    from divmix.cli import show, terminal
    from divmix.workflows.cut import run_cut

    with terminal.progress(quiet, verbose) as progress:
        done = run_cut(
            model,
            clusters,
            output,
            sources=data,
            overwrite=force,
            csv_safe=csv_safe,
            assignments_format=assignments_format,
            unknown=unknown,
            progress=progress,
        )
    if as_json:
        show.print_json(done)
    if options.looked_at(quiet, verbose):
        show.print_written(f"{output}/", done["rows"])
