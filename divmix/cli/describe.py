"""`divmix describe`: what a model file holds."""

import click

from divmix.cli import options
from divmix.cli.completion import FILE


@click.command(
    "describe",
    cls=options.Command,
    short_help="Show what a model holds.",
    example="divmix describe wine.divmix",
)
@click.argument("model", type=FILE)
@options.as_json
def command(model: str, as_json: bool) -> None:
    """Show what MODEL holds: columns, components, settings and the data it was fitted to.

    MODEL is a model.divmix or a run folder.
    """
    from divmix.cli import show, views
    from divmix.workflows.describe import describe_model

    document = describe_model(model)
    if as_json:
        show.print_json(document)
    else:
        views.print_model(document)
