"""`divmix select`: how many clusters a table has."""

import sys
from pathlib import Path
from typing import Any

import click

from divmix.cli import options
from divmix.cli.completion import FILE
from divmix.cli.config import config_option
from divmix.cli.signals import GracefulStop, to_go_on
from divmix.settings import SELECT_SETTINGS, DiversifiedSettings, TableSettings


class Range(click.ParamType):
    """Two whole numbers such as 2:20, or one for a range of one."""

    name = "range"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        lowest, _, highest = str(value).partition(":")
        try:
            return int(lowest), int(highest or lowest)
        except ValueError:
            self.fail(f"{value} is not a range such as 2:20", param, ctx)


@options.setting_options(
    DiversifiedSettings,
    TableSettings,
    only={DiversifiedSettings: SELECT_SETTINGS},
)
@click.command(
    "select",
    cls=options.Command,
    short_help="Compare numbers of clusters.",
    example="divmix select sample_data/wine.csv -k 2:8 --exclude class",
)
@click.argument("data", nargs=-1, required=True, type=FILE)
@click.option(
    "-k",
    "--clusters",
    type=Range(),
    default="2:20",
    metavar="N:M",
    help="Fewest and most clusters to look at.  [default: 2:20]",
)
@options.table_output("-")
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write a run folder, of which divmix report makes a page.",
)
@options.force
@options.checkpoints
@options.as_json
@options.quiet
@options.verbose
@config_option
@click.pass_context
def command(
    ctx: click.Context,
    data: tuple[str, ...],
    clusters: tuple[int, int],
    output: str,
    run: Path | None,
    force: bool,
    checkpoint_every: float,
    resume: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    config: Path | None,
    **values: object,
) -> None:
    """One line for each number of clusters of DATA, the choice by ICL marked.

    log_likelihood and held_out (by the mixture of one half of the rows for the other) are nats per
    row. bic and icl are better the lower; icl also wants clusters apart. stability is the adjusted
    Rand index between the clusters that two halves of the rows lead to. With --bootstrap, jaccard
    is the mean similarity of the clusters with those of resampled rows, least_found how often the
    least stable one is found. Labels are never looked at. DATA as for fit; fit -k auto chooses in the same way, without a range.
    """
    from divmix.cli import show, terminal
    from divmix.workflows.select import run_select
    from divmix.workflows.unfinished import Checkpoints, Unfinished

    for_the_eye = output == "-" and not as_json and sys.stdout.isatty()
    written = None if output == "-" and (as_json or for_the_eye) else output
    with (
        terminal.progress(quiet, verbose) as progress,
        GracefulStop(progress.stopping) as should_stop,
    ):
        document = run_select(
            data,
            *clusters,
            options.collect(ctx, DiversifiedSettings, clusters="auto"),
            options.collect(ctx, TableSettings),
            written,
            run=run,
            origins=options.origins(ctx, DiversifiedSettings, TableSettings),
            overwrite=force,
            progress=progress,
            should_stop=should_stop,
            checkpoints=Checkpoints(checkpoint_every, resume),
        )
        if not isinstance(document, Unfinished):
            if not for_the_eye:
                progress.note(document["reason"])
        elif document.checkpoint is not None:
            should_stop.left = to_go_on(ctx, document.checkpoint, document.kept)
    if isinstance(document, Unfinished):  # a signal ended the work, and GracefulStop tells
        return
    if as_json or for_the_eye:
        show.show(document, as_json)
    if options.looked_at(quiet, verbose):
        if written is not None:
            show.print_written(written, len(document["rows"]))
        if run is not None:
            show.print_written(f"{run}/", len(document["rows"]))
