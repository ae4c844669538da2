"""`divmix report`: a run as one page."""

from pathlib import Path

import click

from divmix.cli import options
from divmix.cli.completion import FILE


@click.command(
    "report",
    cls=options.Command,
    short_help="Write a run as one HTML page.",
    example="divmix report wine.divmix",
)
@click.argument("run", type=FILE)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The page to write.  [default: RUN/report.html]",
)
@options.moved_data
@options.force
@options.as_json
@options.quiet
@options.verbose
def command(
    run: str,
    output: Path | None,
    data: tuple[str, ...],
    force: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write the run folder RUN as one HTML page that needs no network and no other file.

    It shows the clusters in words and numbers, a picture whose merge tree reads other numbers of
    clusters, the climb of J, outliers and the command that repeats the run. Its size follows from
    clusters and columns, not from rows. Without the table the picture has ellipses alone.
    """
    from divmix.cli import show, terminal
    from divmix.workflows.report import run_report

    output = output or Path(run) / "report.html"
    with terminal.progress(quiet, verbose) as progress:
        done = run_report(run, output, sources=data, overwrite=force, progress=progress)
    if as_json:
        show.print_json(done)
    if options.looked_at(quiet, verbose):
        show.print_written(output, None)
