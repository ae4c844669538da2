"""`divmix bench`: re-runs a published table."""

import inspect
from importlib import import_module

import click

from divmix.cli import options
from divmix.cli.completion import FILE
from divmix.errors import UsageError

# Name -> what it measures; the module of that name in divmix.benchmarks has `run(...) -> dict`.
BENCHMARKS = {
    "toy": "five Gaussians on a line from a bad start (the paper's example)",
    "speed": "an iteration and whole commands, beside other packages",
    "suite": "clusters against classes on the labelled tables of a folder",
    "families": "clusters against classes on made tables of many shapes",
    "ablation": "what each part of the default earns, on labelled tables",
    "robustness": "how often every cluster is found, over seeds and methods",
    "anomaly": "anomaly scores on labelled tables of a folder, or made ones",
    "planted": "scores and flags of known tables with a few strange rows",
    "calibration": "p-values and flags of clean and planted made tables",
    "kdd": "connections among attacks (kddcup99_10pct.parquet)",
    "mnist": "deep and spectral clustering of 70,000 digits (mnist.parquet)",
    "scale": "more rows than memory: passes, streams, workers of a cluster",
    "codes": "memory of a fit and of detect over many text columns (Linux)",
    "density": "held-out log-likelihood over alpha, beside scikit-learn",
}


class Count(click.ParamType):
    """A number of rows; 1e8 is one too."""

    name = "count"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            count = int(float(str(value)))
        except (ValueError, OverflowError):
            count = 0
        if count < 2:
            self.fail(f"{value!r} is no number of rows such as 1e7", param, ctx)
        return count


HELP = "Re-run a published table and print what comes out.\n\n\b\n" + "\n".join(
    f"{name:<12}{what}" for name, what in BENCHMARKS.items()
)


@click.command(
    "bench",
    cls=options.Command,
    short_help="Re-run a published table.",
    help=HELP,
    example="divmix bench toy --seeds 5",
)
@click.argument("name", type=click.Choice(list(BENCHMARKS)), metavar="NAME")
@click.option(
    "--seeds",
    type=click.IntRange(1),
    metavar="N",
    help="Runs of each method; density: splits; families, planted, calibration, anomaly without --data: "
    "tables of each.",
)
@click.option(
    "--first-seed",
    type=click.IntRange(0),
    metavar="N",
    help="families, planted, calibration, anomaly: seed of the first made table, 1,000,000 unless given; those "
    "below choose settings.",
)
@click.option(
    "--data",
    type=FILE,
    metavar="FOLDER",
    help="Folder of the tables: Parquet files with a column 'label' (suite, ablation, robustness, "
    "density: 0 = noise; anomaly: 1 = anomaly), or the file of kdd or mnist.",
)
@click.option(
    "--sets",
    metavar="A,B",
    help="The same: only these tables of the folder; families: only these; mnist: only these "
    "networks, such as 10:moved; planted, calibration, anomaly without --data: only these kinds.",
)
@click.option(
    "--rows",
    type=Count(),
    metavar="N",
    help="scale: rows of the file, such as 1e8; codes: of the table, 1e6 unless given; calibration: of each "
    "table, 300 unless given.",
)
@click.option("--dask", is_flag=True, help="scale: workers of a cluster on this machine.")
@click.option("--peers", metavar="A,B", help="speed: packages to compare with, such as mlpack.")
@click.option("--quick", is_flag=True, help="speed, kdd: fewer rows.")
@click.option("--subset", type=click.Choice(["test"]), help="mnist: the last 10,000 pictures.")
@click.option("--deep", is_flag=True, help="kdd, mnist: also with an autoencoder, by PyTorch.")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "auto"]),
    help="mnist: where networks are trained.",
)
@options.as_json
@options.quiet
def command(
    name: str,
    seeds: int | None,
    first_seed: int | None,
    data: str | None,
    sets: str | None,
    rows: int | None,
    dask: bool,
    peers: str | None,
    quick: bool,
    subset: str | None,
    deep: bool,
    device: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from divmix.cli import terminal
    from divmix.cli.show import show

    run = import_module(f"divmix.benchmarks.{name}").run
    given = {
        "seeds": seeds,
        "first_seed": first_seed,
        "data": data,
        "sets": tuple(sets.split(",")) if sets else None,
        "rows": rows,
        "dask": dask or None,
        "peers": tuple(peers.split(",")) if peers else None,
        "quick": quick or None,
        "subset": subset,
        "deep": deep or None,
        "device": device,
    }
    given = {option: value for option, value in given.items() if value is not None}
    known = inspect.signature(run).parameters
    for option in given.keys() - known.keys():
        raise UsageError(
            f"bench {name} has no --{option.replace('_', '-')}", hint="see divmix bench --help"
        )
    needed = "data" in known and known["data"].default is inspect.Parameter.empty
    if needed and data is None:
        raise UsageError(f"bench {name} needs --data FOLDER", hint="see divmix bench --help")
    with terminal.progress(quiet, verbose=False) as progress:
        progress.stage(f"bench {name}")
        result = run(**given, progress=progress)
    show(result, as_json)
