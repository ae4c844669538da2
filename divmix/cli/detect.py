"""`divmix detect`: the rows that are unlike the others."""

from pathlib import Path

import click

from divmix.cli import exits, options
from divmix.cli.completion import FILE
from divmix.cli.config import config_option
from divmix.cli.signals import GracefulStop
from divmix.settings import DetectSettings, DetectTableSettings


@options.setting_options(DetectSettings, DetectTableSettings)
@click.command(
    "detect",
    cls=options.Command,
    short_help="Find the rows unlike the others.",
    example="divmix detect sample_data/wine.csv --exclude class -o scores.csv",
)
@click.argument("data", nargs=-1, required=True, type=FILE)
@click.option(
    "--score",
    multiple=True,
    type=FILE,
    metavar="NEW",
    help="The table to score, where it is not DATA itself; may be given several times.",
)
@click.option(
    "--model",
    type=FILE,
    metavar="MODEL",
    help="Score DATA by a model that detect --run has written; nothing is fitted.",
)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write a run folder, whose model scores new rows later.",
)
@click.option(
    "--only-flagged", is_flag=True, help="Write the flagged rows alone, under their numbers."
)
@click.option("--fail-on-findings", is_flag=True, help="Exit with code 8 when a row is flagged.")
@options.table_output("-")
@options.to
@options.beside
@options.force
@options.csv_safe
@options.as_json
@options.quiet
@options.verbose
@config_option
@click.pass_context
def command(
    ctx: click.Context,
    data: tuple[str, ...],
    score: tuple[str, ...],
    model: str | None,
    run: Path | None,
    only_flagged: bool,
    fail_on_findings: bool,
    output: str,
    to: str,
    keep: str,
    id_column: str | None,
    digits: int | None,
    force: bool,
    csv_safe: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    config: Path | None,
    **values: object,
) -> None:
    """Score, p-value, flag and reason for each row, by a density of DATA.

    score is -log density in nats, in the units of the prepared columns; where several mixtures are
    pooled, a mean of theirs. p_value is how rarely a normal row scores as high: a rank among rows
    of DATA that the density has not seen; or, where DATA itself is scored, from a model of the tail
    of its scores, each by a density that has not seen the row. because names the columns to blame, of flagged rows and of the ten highest.
    Columns are prepared by range, and by logarithm where they have a heavy tail.
    """
    from divmix.cli import show, summary, terminal
    from divmix.workflows.detect import run_detect

    written = None if output == "-" and as_json else output
    with (
        terminal.progress(quiet, verbose) as progress,
        GracefulStop(progress.stopping) as should_stop,
    ):
        found = run_detect(
            data,
            options.collect(ctx, DetectSettings),
            options.collect(ctx, DetectTableSettings),
            written,
            score=score,
            model=model,
            run=run,
            only_flagged=only_flagged,
            overwrite=force,
            beside=options.beside_of(keep, id_column, digits),
            to=to,
            origins=options.origins(ctx, DetectSettings, DetectTableSettings),
            csv_safe=csv_safe,
            progress=progress,
            should_stop=should_stop,
        )
    if found is None:  # a signal ended the work, and GracefulStop has told
        return
    if as_json:
        show.print_json(found)
    if options.looked_at(quiet, verbose):
        summary.print_detection(found, progress.told)
        if written is not None:
            show.print_written(written, found["flagged" if only_flagged else "rows"])
        if run is not None:
            show.print_written(f"{run}/", found["rows"])
    if fail_on_findings and found["flagged"]:
        ctx.exit(exits.FINDINGS)
