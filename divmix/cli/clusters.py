"""The clusters of a model, one line each, or their mean pictures side by side."""

from typing import Any

from rich.console import Console
from rich.text import Text

from divmix.cli.show import table
from divmix.report.numbers import short

MOST_CLUSTERS = 20  # lines in the table of clusters
PICTURES_WIDTH = 80  # characters of the mean pictures of clusters, side by side


def print_clusters(out: Console, clusters: list[dict[str, Any]], where: str) -> None:
    out.print(table([_cluster(c) for c in clusters[:MOST_CLUSTERS]]))
    if len(clusters) > MOST_CLUSTERS:
        out.print(Text(f"  ... and {len(clusters) - MOST_CLUSTERS} more; {where}"))
    if "picture" in clusters[0]:
        _print_pictures(out, clusters[:MOST_CLUSTERS])


def _print_pictures(out: Console, clusters: list[dict[str, Any]]) -> None:
    """The mean picture of each cluster, side by side, as many as the width holds."""
    import numpy as np

    from divmix.report.terminal import picture

    drawn = [picture(np.array(cluster["picture"])) for cluster in clusters]
    width = len(drawn[0][0]) + 2
    beside = max(1, (min(out.width, PICTURES_WIDTH) - 1) // width)
    for start in range(0, len(drawn), beside):
        part = range(start, min(start + beside, len(drawn)))
        out.print()
        out.print(Text(" " + "".join(f"{clusters[c]['cluster']:<{width}}" for c in part)))
        for lines in zip(*(drawn[c] for c in part)):
            out.print(Text(" " + "".join(f"{line:<{width}}" for line in lines)))


def _cluster(cluster: dict[str, Any]) -> dict[str, Any]:
    """One line of the table: what there is of rows, share, weight and probability, in words."""
    formats = {
        "share": ("share", "{:6.1%}"),
        "weight": ("weight", "{:.4f}"),
        "mean_probability": ("probability", "{:.3f}"),
        "found": ("found", "{:.0%}"),
    }
    line = {"cluster": cluster["cluster"]}
    if "size" in cluster:
        line["rows"] = cluster["size"]
    for name, (title, style) in formats.items():
        if name in cluster:  # None where a cluster has no row
            line[title] = "-" if cluster[name] is None else style.format(cluster[name])
    if cluster.get("weight_interval"):
        line["weight 95%"] = "{:.3f} to {:.3f}".format(*cluster["weight_interval"])
    if "picture" not in cluster:  # which is shown below
        line["what sets it apart"] = ", ".join(_told_apart(cluster)) or "like the table as a whole"
    return line


def _told_apart(cluster: dict[str, Any]) -> list[str]:
    """The columns whose difference shows in the one digit that is told of it."""
    least = 0.05  # standard deviations
    return [
        apart(column)
        for column in cluster["apart"]
        if column["difference"] is None or abs(column["difference"]) >= least
    ]


def apart(column: dict[str, Any]) -> str:
    """`age 41.2 (+1.3 sd)`, `p36 12 (4.1 overall)`, `country: 62 % US, 31 % DE`."""
    if "shares" in column:
        shares = (f"{share:.0%} {name}" for name, share in column["shares"].items())
        return f"{column['column']}: {', '.join(shares)}"
    mean = f"{column['column']} {short(column['mean'])}"
    if "interval" in column:
        mean += f" [{', '.join(map(short, column['interval']))}]"
    if column["difference"] is None:
        return f"{mean} ({short(column['overall_mean'])} overall)"
    return f"{mean} ({column['difference']:+.1f} sd)"
