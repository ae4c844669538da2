"""Results for the eye: JSON, documents as text, and the closing summary of a fit."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

MOST_CLUSTERS = 20  # lines of the summary; components.csv has them all
WIDE = 200  # columns of text where no terminal sets the width


def show(document: dict[str, Any], as_json: bool) -> None:
    """Print a result on stdout, as one JSON object or as text."""
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        print_document(console(), document)


def console(stderr: bool = False) -> Console:
    """A console on stdout or stderr that cuts nothing off where the output is not a terminal."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, width=None if terminal else WIDE, highlight=False)


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


def table(rows: list[dict[str, Any]], titles: dict[str, str] | None = None) -> Table:
    """A table of the rows' values under `titles` (name -> heading, default the names)."""
    titles = titles or {name: name.replace("_", " ") for row in rows for name in row}
    made = Table(box=None, header_style="bold", pad_edge=True)
    for name, title in titles.items():
        numbers = all(isinstance(row.get(name), (int, float, type(None))) for row in rows)
        made.add_column(Text(title), justify="right" if numbers else "left")
    for row in rows:
        made.add_row(*(Text(_text(row.get(name))) for name in titles))
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


def summary(run: dict[str, Any], output: Path) -> None:
    """What a fit found, on stderr: the clusters, the figures, and the next command to type."""
    out, result = console(stderr=True), run["result"]
    clusters = result["clusters"]
    out.print()
    out.print(table([_cluster(c) for c in clusters[:MOST_CLUSTERS]]))
    if len(clusters) > MOST_CLUSTERS:
        out.print(f"  ... and {len(clusters) - MOST_CLUSTERS} more in {output}/components.csv")
    out.print()
    how = "converged" if result["converged"] else f"not converged: {result['stop_reason']}"
    facts = {"log-likelihood": f"{result['log_likelihood']:.6f} nats per row, after "
                               f"{result['iterations']} iterations, {how}"}
    if result["evaluation"]:
        facts["against truth"] = ", ".join(
            f"{name.replace('_', ' ')} {_text(value)}"
            for name, value in result["evaluation"].items() if isinstance(value, float))
    for number, note in enumerate(run["notes"]):
        facts["note" + " " * number] = note
    facts["wrote"] = f"{output}/"
    facts["next"] = f"divmix predict {output} NEW.csv -o labels.csv"
    for name, value in facts.items():
        out.print(Text(f"  {name.strip():<15} {value}"))


def _cluster(cluster: dict[str, Any]) -> dict[str, Any]:
    apart = ", ".join(f"{column['column']} {_signed(column)}" for column in cluster["apart"][:3])
    probability = cluster["mean_probability"]  # None where a cluster has no row
    return {"cluster": cluster["cluster"], "rows": cluster["size"],
            "share": f"{cluster['share']:6.1%}",
            "probability": None if probability is None else f"{probability:.3f}",
            "what sets it apart": apart}


def _signed(column: dict[str, Any]) -> str:
    return f"{column['mean']:.4g} ({column['difference']:+.1f} sd)"
