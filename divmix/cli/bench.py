"""`divmix bench`: re-runs a published table."""

from importlib import import_module

import click

from divmix.cli import options

# Name -> what it measures; the module of that name in divmix.benchmarks has `run() -> dict`.
BENCHMARKS = {
    "toy": "five Gaussians on a line from a bad start (the paper's example)",
    "speed": "an iteration, the particle step and a whole fit against other packages",
}


@click.command("bench", cls=options.Command, short_help="Re-run a published table.",
               example="divmix bench toy")
@click.argument("name", type=click.Choice(list(BENCHMARKS)))
@options.as_json
@options.quiet
def command(name: str, as_json: bool, quiet: bool) -> None:
    """Re-run a published table and print what comes out."""
    from divmix.cli import terminal
    from divmix.cli.show import show

    with terminal.progress(quiet, verbose=False) as progress:
        result = import_module(f"divmix.benchmarks.{name}").run(progress=progress)
    show(result, as_json)
