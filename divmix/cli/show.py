"""Results for the eye: JSON, documents as text, and the closing summary of a fit."""

import errno
import json
import sys
from pathlib import Path
from shlex import quote
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

MOST_CLUSTERS = 20  # lines in the table of clusters
MOST_COMPONENTS = 8  # columns in the table of components
MOST_MERGES = 20  # lines of the merge tree: the last ones
WIDE = 200  # columns of text where no terminal sets the width


def show(document: dict[str, Any], as_json: bool) -> None:
    """Print a result on stdout, as one JSON object or as text."""
    if as_json:
        print_json(document)
    else:
        print_document(console(), document)


def print_json(document: dict[str, Any]) -> None:
    """Print a document on stdout as one JSON object; NumPy's numbers become plain ones."""
    click.echo(
        json.dumps(
            document,
            indent=2,
            ensure_ascii=False,
            allow_nan=False,
            default=lambda value: value.tolist(),
        )
    )


def console(stderr: bool = False) -> Console:
    """A console on stdout or stderr that cuts nothing off where the output is not a terminal."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return _Console(stderr=stderr, width=None if terminal else WIDE, highlight=False)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `exits`, which knows the code of a closed pipe; Rich would exit with 1."""
        raise BrokenPipeError(errno.EPIPE, "the reader has left")


def print_document(out: Console, document: dict[str, Any], indent: int = 0) -> None:
    """Names and values in two columns, nested ones indented, a list of objects as a table."""
    width = max((len(str(name)) for name in document), default=0)
    for name, value in document.items():
        title = f"{'':{indent}}{str(name).replace('_', ' '):<{width}}"
        if isinstance(value, dict) and value:
            out.print(Text(title.rstrip(), style="bold"))
            print_document(out, value, indent + 2)
        elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            out.print(Text(title.rstrip(), style="bold"))
            out.print(table(value))
        else:
            out.print(Text(f"{title}  {_text(value)}"))


def table(rows: list[dict[str, Any]]) -> Table:
    """A table with a column for each name in the rows; numbers stand to the right."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    made = Table(box=None, header_style="bold")
    for name in names:
        numbers = all(isinstance(row.get(name), (int, float, type(None))) for row in rows)
        made.add_column(Text(name.replace("_", " ")), justify="right" if numbers else "left")
    for row in rows:
        made.add_row(*(Text(_text(row.get(name))) for name in names))
    return made


def _text(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value)
    return str(value)


def print_summary(run: dict[str, Any], output: Path) -> None:
    """What a fit found, on stderr: the clusters, the figures, and the next command to type."""
    out, result = console(stderr=True), run["result"]
    out.print()
    _print_clusters(out, result["clusters"], f"{output}/components.csv has them all")
    out.print()
    how = "converged" if result["converged"] else f"not converged ({result['stop_reason']})"
    facts = [
        (
            "log-likelihood",
            f"{result['log_likelihood']:.5f} nats per row after "
            f"{result['iterations']} iterations, {how}",
        )
    ]
    facts.append(
        (
            "diversity",
            f"entropy {result['entropy']:.3f} nats, {result['effective_components']:.2f} effective "
            f"components of {result['n_components']}",
        )
    )
    if result.get("noise"):
        facts.append(
            (
                "noise",
                "{size:,} rows, {share:.1%} of all, belong to no cluster (-1)".format(
                    **result["noise"]
                ),
            )
        )
    if result.get("gap") is not None:
        facts.append(("gap", f"at most {result['gap']:.4f} nats per row could still be gained"))
    if result.get("restarts"):
        facts.append(
            (
                "starts",
                "{starts}: log-likelihood best {best:.5f}, median {median:.5f}, "
                "worst {worst:.5f}".format(**result["restarts"]),
            )
        )
    if result["evaluation"]:
        facts.append(("against truth", _scores(result["evaluation"])))
    facts += [("note", note) for note in run["notes"]]
    facts += [
        ("wrote", f"{output}/"),
        ("next", f"divmix predict {quote(str(output))} NEW.csv -o labels.csv"),
    ]
    for name, value in facts:
        out.print(Text(f"  {name:<14}  {value}"))


def print_detection(found: dict[str, Any]) -> None:
    """What detect found, on stderr."""
    out, rule = console(stderr=True), found["rule"]
    flagged = f"{found['flagged']:,} of {found['rows']:,} rows"
    facts = [
        ("flagged", f"{flagged} by --{rule['name'].replace('_', '-')} {rule['level']:g}"),
        ("calibrated by", found["calibrated_by"]),
    ]
    facts += [("note", note) for note in found["notes"]]
    for name, value in facts:
        out.print(Text(f"  {name:<14}  {value}"))
    out.print()
    out.print(table(found["highest"]))


def print_model(document: dict[str, Any]) -> None:
    """A model for the eye on stdout: columns, the settings that matter, clusters, components."""
    out = console()
    shown = {
        name: value
        for name, value in document.items()
        if name not in ("settings", "schema", "clusters", "components", "merge_tree")
    }
    settings = {
        name: value
        for name, value in document["settings"].items()
        if value not in (None, [], False)
    }
    columns = [
        f"{column['name']} ({len(column['categories'])} categories)"
        if column["categories"]
        else column["name"]
        for column in document["schema"]
    ]
    print_document(out, shown | {"columns": columns, "settings": settings})
    out.print(Text("clusters", style="bold"))
    _print_clusters(out, document["clusters"], "--json has them all")
    components = document["components"]
    out.print(Text("components: mean and spread of each column", style="bold"))
    out.print(
        table(
            [
                {"column": name}
                | {
                    f"component {c['component']}": f"{c['mean'][name]:.4g} ±{c['spread'][name]:.3g}"
                    for c in components[:MOST_COMPONENTS]
                }
                for name in components[0]["mean"]
            ]
        )
    )
    if len(components) > MOST_COMPONENTS:
        out.print(f"  ... and {len(components) - MOST_COMPONENTS} more; --json has them all")
    if document.get("merge_tree"):
        _print_merges(out, **document["merge_tree"])


def _print_merges(out: Console, criterion: str, components: int, merges: list) -> None:
    """The last merges, from the most clusters to one."""
    out.print(
        Text(
            f"merge tree by {criterion} over {components} components: what joins, at what "
            "cost; divmix cut -k reads another number of clusters from it",
            style="bold",
        )
    )
    sides = [
        " + ".join(
            f"{share:.1%} ({count})" for share, count in zip(merge["weights"], merge["components"])
        )
        for merge in merges
    ]
    out.print(
        table(
            [
                {
                    "clusters": f"{merge['clusters'] + 1} to {merge['clusters']}",
                    "cost": merge["cost"],
                    "share of each side (components)": side,
                }
                for merge, side in zip(merges, sides)
            ][-MOST_MERGES:]
        )
    )
    if len(merges) > MOST_MERGES:
        out.print(f"  {len(merges) - MOST_MERGES} merges before these; --json has them all")


def _print_clusters(out: Console, clusters: list[dict[str, Any]], where: str) -> None:
    out.print(table([_cluster(c) for c in clusters[:MOST_CLUSTERS]]))
    if len(clusters) > MOST_CLUSTERS:
        out.print(Text(f"  ... and {len(clusters) - MOST_CLUSTERS} more; {where}"))


def _cluster(cluster: dict[str, Any]) -> dict[str, Any]:
    """One line of the table: what there is of rows, share, weight and probability, in words."""
    formats = {
        "share": ("share", "{:6.1%}"),
        "weight": ("weight", "{:.4f}"),
        "mean_probability": ("probability", "{:.3f}"),
    }
    line = {"cluster": cluster["cluster"]}
    if "size" in cluster:
        line["rows"] = cluster["size"]
    for name, (title, style) in formats.items():
        if name in cluster:  # None where a cluster has no row
            line[title] = "-" if cluster[name] is None else style.format(cluster[name])
    line["what sets it apart"] = ", ".join(map(_apart, cluster["apart"]))
    return line


def _apart(column: dict[str, Any]) -> str:
    """`age 41.2 (+1.3 sd)`, `country: 62 % US, 31 % DE`."""
    if "shares" in column:
        shares = (f"{share:.0%} {name}" for name, share in column["shares"].items())
        return f"{column['column']}: {', '.join(shares)}"
    return f"{column['column']} {column['mean']:.4g} ({column['difference']:+.1f} sd)"


def _scores(evaluation: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.upper() if len(name) == 3 else name.replace('_', ' ')} {value:.3f}"
        for name, value in evaluation.items()
        if isinstance(value, float)
    )
