"""`divmix doctor`: what this machine offers."""

import click

from divmix.cli import options


@click.command(
    "doctor",
    cls=options.Command,
    short_help="Check versions, threads and cache.",
    example="divmix doctor",
)
@options.as_json
def command(as_json: bool) -> None:
    """Show versions, threads, the cache folder, the CPU and the installed extras."""
    from divmix.cli.show import show
    from divmix.workflows.doctor import diagnose

    document = diagnose()
    show(document, as_json)
