"""`divmix evaluate`: clusters against known classes, scores against known anomalies."""

import click

from divmix.cli import options
from divmix.cli.completion import COLUMN, FILE


@click.command(
    "evaluate",
    cls=options.Command,
    short_help="Compare clusters with known classes.",
    example="divmix evaluate labels.csv --truth class --data sample_data/wine.csv",
)
@click.argument("table", type=FILE)
@click.option(
    "--truth", required=True, type=COLUMN, metavar="COL", help="Column with the known classes."
)
@click.option(
    "--data",
    type=FILE,
    metavar="FILE",
    help="Table that holds the truth, row by row. Default: TABLE itself.",
)
@click.option(
    "--prediction",
    default="cluster",
    type=COLUMN,
    metavar="COL",
    help="Column with the clusters.  [default: cluster]",
)
@click.option(
    "--anomaly",
    metavar="VALUE",
    help="For a TABLE from detect: the class that stands for an anomaly.  [default: 1 or true]",
)
@options.encoding
@options.as_json
def command(
    table: str,
    truth: str,
    data: str | None,
    prediction: str,
    anomaly: str | None,
    encoding: str | None,
    as_json: bool,
) -> None:
    """Compare the clusters in TABLE with known classes, or the scores of detect with anomalies.

    TABLE may be a run folder: its assignments, or scores, are compared with the table that has them.

    Prints the adjusted Rand index, normalised and adjusted mutual information, and the accuracy
    under the best matching of clusters to classes. Of scores and flags it prints the area under
    the ROC curve, average precision, precision, recall and F1.
    """
    from divmix.cli.show import show
    from divmix.workflows.evaluate import run_evaluate

    result = run_evaluate(
        table, truth, prediction=prediction, data=data, anomaly=anomaly, encoding=encoding
    )
    show(result, as_json)
