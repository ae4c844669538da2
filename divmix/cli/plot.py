"""`divmix plot`: the pictures of a run in the terminal, or as a file."""

import shutil
from pathlib import Path

import click

from divmix.cli import options
from divmix.cli.completion import FILE

WIDEST, HIGH = 100, 24  # characters


@click.command(
    "plot",
    cls=options.Command,
    short_help="Draw the clusters of a run.",
    example="divmix plot wine.divmix",
)
@click.argument("run", type=FILE)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw to this .png, .svg or .pdf instead (extra report).",
)
@click.option("--trace", is_flag=True, help="With -o: draw the climb of J, not the clusters.")
@options.moved_data
@options.force
@options.quiet
@options.verbose
def command(
    run: str,
    output: Path | None,
    trace: bool,
    data: tuple[str, ...],
    force: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Draw the run folder RUN in the terminal: its clusters in a plane, and the climb of J.

    The plane is that of divmix report and divmix fit --figures. Without the table of the run the
    ellipses of its components are drawn.
    """
    from divmix.cli import show, terminal
    from divmix.workflows.plot import draw_run, plot_run

    with terminal.progress(quiet, verbose) as progress:
        if output is not None:
            draw_run(
                run, output, trace=trace, sources=data, overwrite=force, progress=progress
            )  # fmt: skip
            if options.looked_at(quiet, verbose):
                show.print_written(output, None)
            return
        width = min(shutil.get_terminal_size().columns, WIDEST)
        shown = plot_run(run, width, HIGH, _paint, sources=data, progress=progress)
    click.echo(shown)


def _paint(text: str, rgb: tuple[int, int, int]) -> str:
    return click.style(text, fg=rgb)
