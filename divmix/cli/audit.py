"""`divmix audit`: what two tables share, before a score is believed."""

import click

from divmix.cli import options
from divmix.cli.completion import COLUMN, COLUMNS, FILE


@click.command(
    "audit",
    cls=options.Command,
    short_help="Check new rows against training rows.",
    example="divmix audit sample_data/wine.csv sample_data/wine.csv",
)
@click.argument("train", type=FILE)
@click.argument("new", type=FILE)
@click.option("--truth", type=COLUMN, metavar="COL", help="Column of NEW with known classes.")
@click.option(
    "--anomaly", metavar="VALUE", help="The class that stands for an anomaly.  [default: 1 or true]"
)
@click.option(
    "--exclude",
    multiple=True,
    type=COLUMNS,
    metavar="A,B",
    help="Columns to leave out, such as an id.",
)
@options.encoding
@options.as_json
def command(
    train: str,
    new: str,
    truth: str | None,
    anomaly: str | None,
    exclude: tuple[str, ...],
    encoding: str | None,
    as_json: bool,
) -> None:
    """Duplicates, leaks, new categories and columns out of range between TRAIN and NEW.

    A row of NEW that stands in TRAIN tells nothing about a model. With --truth it is also told
    how well a mere look-up of known rows would find the anomalies: a detector that does not beat
    it has learned nothing.
    """
    from divmix.cli.show import show
    from divmix.workflows.audit import run_audit

    names = tuple(name for own in exclude for name in own.split(",") if name)
    found = run_audit(
        [train], [new], truth=truth, anomaly=anomaly, exclude=names, encoding=encoding
    )
    show(found, as_json)
