"""Results for the eye: JSON, documents as text, and the closing summary of a fit."""

import errno
import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

MOST_CLUSTERS = 20  # lines in the table of clusters
MOST_COMPONENTS = 8  # columns in the table of components
MOST_NAMES = 12  # columns that the summary of a fit names
ROOM_FOR_EXAMPLES = 100  # columns of a terminal
MOST_SNIFFED = 60  # columns that sniff shows
MOST_MERGES = 20  # lines of the merge tree: the last ones
SELDOM, MOST_SELDOM = 0.9, 5  # clusters named that fewer resamples have, and how many of them
PICTURES_WIDTH = 80  # characters of the mean pictures of clusters, side by side
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


def print_summary(run: dict[str, Any], output: Path, told: Collection[str] = frozenset()) -> None:
    """What a fit found, on stderr: the clusters, the figures, and the next command to type.

    Notes that were `told` while it ran are not told again.
    """
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
    if result.get("bootstrap"):
        facts.append(("resamples", _resamples(result)))
    if result["evaluation"]:
        facts.append(("against truth", _scores(result["evaluation"])))
    facts += [("columns", _columns(run["columns"]))] if run.get("columns") else []
    facts += [("note", note) for note in run["notes"] if note not in told]
    facts += [("wrote", where) for where in _written(run, output)]
    for name in ("clusters", "means", "trace"):
        for path in (f"{output}/{name}.{kind}" for kind in ("png", "svg")):
            if Path(path).is_file():
                facts.append(("picture", path))
    facts += [
        ("next", f"divmix predict {quote(str(output))} NEW.csv -o labels.csv"),
    ]
    print_facts(out, facts)


def print_update(run: dict[str, Any], output: Path, told: Collection[str] = frozenset()) -> None:
    """What an update found, on stderr: the clusters, and how far the new rows drifted."""
    out, result, drift = console(stderr=True), run["result"], run["drift"]
    out.print()
    _print_clusters(out, result["clusters"], f"{output}/components.csv has them all")
    out.print()
    how = "converged" if result["converged"] else f"not converged ({result['stop_reason']})"
    facts = [
        ("updated", f"{result['iterations']} iterations, {how}"),
        ("drift", _drifted(drift)),
        ("", f"symmetric KL of the model before and after {drift['symmetric_kl']:.4f} "
             f"± {drift['standard_error']:.4f} nats, {drift['expected_by_chance']:.2g} by chance"),
        ("", f"{drift['changed']:.1%} of the new rows changed cluster; {drift['unlike']:.1%} are "
             "less likely than 99% of what the model draws"),
    ]  # fmt: skip
    facts += [("note", note) for note in run["notes"] if note not in told]
    facts += [("wrote", where) for where in _written(run, output)]
    print_facts(out, facts)


def _drifted(drift: dict[str, Any]) -> str:
    """`none beyond chance (p .4)`, or what moved most."""
    p_value = drift["p_value"]
    chance = "p < 0.0001" if p_value < 1e-4 else f"p {p_value:.2g}"
    if not drift["drifted"]:
        return f"none beyond chance ({chance})"
    column, cluster = drift["columns"][0], max(drift["clusters"], key=lambda own: abs(own["z"]))
    found = [
        (
            abs(column["z"]),
            f"{column['column']} {column['before']:.4g} to {column['new']:.4g} "
            f"({column['shift']:+.2f} sd within clusters)",
        ),
        (
            abs(cluster["z"]),
            f"cluster {cluster['cluster']} from {cluster['expected']:.1%} to {cluster['share']:.1%} "
            "of the rows",
        ),
    ]
    density = drift["log_density"]
    if density is not None:
        words = f"log-density {density['expected']:.3f} to {density['found']:.3f}"
        found.append((abs(density["z"]), words))
    far = max(z for z, _ in found) / 2
    told = [words for z, words in sorted(found, reverse=True) if z >= max(far, 3)]
    return f"yes ({chance}): {'; '.join(told)}"


def print_comparison(found: dict[str, Any]) -> None:
    """Two clusterings for the eye on stdout: agreement, rows in common, matched clusters."""
    out = console()
    names = ("a", "b", "compared_on", "rows", "same", "ari", "nmi", "ami")
    facts = {name: found[name] for name in names}
    if "symmetric_kl" in found:
        facts["symmetric KL"] = f"{found['symmetric_kl']:.4f} ± {found['standard_error']:.4f} nats"
    for side, density in found["log_density"].items():
        if density is not None:
            facts[f"log-density {side}"] = density
    print_document(out, facts)
    counts = found["contingency"]
    if len(counts["a"]) <= MOST_CLUSTERS + 1 and len(counts["b"]) <= MOST_CLUSTERS + 1:
        out.print(Text("rows in common: clusters of a down, of b across", style="bold"))
        out.print(table(_contingency(counts)))
    out.print(Text("clusters that belong together", style="bold"))
    out.print(table([_pair(pair) for pair in found["clusters"][:MOST_CLUSTERS]]))
    if len(found["clusters"]) > MOST_CLUSTERS:
        out.print(f"  ... and {len(found['clusters']) - MOST_CLUSTERS} more; --json has them all")
    for side in "ab":
        if found[f"only_{side}"]:
            out.print(f"only in {side}: {_text(found[f'only_{side}'])}")


def _contingency(counts: dict[str, Any]) -> list[dict[str, Any]]:
    """Lines of the table, without noise where no row is noise."""
    rows = list(zip(counts["a"], counts["rows"]))
    noise = {side: any(line) for side, line in zip("a", [counts["rows"][0]])}
    noise["b"] = any(line[0] for line in counts["rows"])
    return [
        {"a": name} | {
            other: n for other, n in zip(counts["b"], line) if noise["b"] or other != "noise"
        }
        for name, line in rows
        if noise["a"] or name != "noise"
    ]  # fmt: skip


def _pair(pair: dict[str, Any]) -> dict[str, Any]:
    moved = ", ".join(
        f"{own['column']} {own['a']:.4g} to {own['b']:.4g} ({own['difference']:+.2f} sd)"
        for own in pair["moved"]
    )
    line = {
        "a": pair["a"],
        "b": pair["b"],
        "rows a": pair["rows_a"],
        "rows b": pair["rows_b"],
        "in both": pair["both"],
        "jaccard": f"{pair['jaccard']:.3f}",
    }
    return line | ({"what moved most": moved} if moved else {})


def print_facts(out: Console, facts: Sequence[tuple[str, str]], width: int = 14) -> None:
    """Names and values in two columns; a long value goes on below itself."""
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(width=width)
    lines.add_column(overflow="fold")
    for name, value in facts:
        lines.add_row(Text(name), Text(value))
    out.print(Padding(lines, (0, 0, 0, 2), expand=False))


def print_written(output: str | Path, rows: int) -> None:
    """What a command wrote and how much, on stderr."""
    where = "standard output" if str(output) == "-" else output
    told = "1 row" if rows == 1 else f"{rows:,} rows"
    console(stderr=True).print(Text(f"  {'wrote':<14}  {where} ({told})"), soft_wrap=True)


def _columns(columns: dict[str, list[str]]) -> str:
    """`age, income (log), country (5 categories) | left out: id (all different)`."""
    used, left_out = (_some(columns[part]) for part in ("used", "left_out"))
    return f"{used} | left out: {left_out}" if left_out else used


def _written(run: dict[str, Any], output: Path) -> list[str]:
    """The run folder with its rows, and the table of labels."""
    rows = f" ({run['input']['rows']:,} rows)" if "input" in run else ""
    labels = run.get("labels")
    return [f"{output}/{rows}", *([f"{labels}{rows}"] if labels not in (None, "-") else [])]


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def print_detection(found: dict[str, Any], told: Collection[str] = frozenset()) -> None:
    """What detect found, on stderr, without notes that were told."""
    out, rule = console(stderr=True), found["rule"]
    flagged = f"{found['flagged']:,} of {found['rows']:,} rows"
    facts = [
        ("flagged", f"{flagged} by --{rule['name'].replace('_', '-')} {rule['level']:g}"),
        ("calibrated by", found["calibrated_by"]),
    ]
    facts += [("note", note) for note in found["notes"] if note not in told]
    print_facts(out, facts)
    out.print()
    out.print(table(found["highest"]))


def print_sniffed(found: dict[str, Any]) -> None:
    """What a table holds, for the eye on stdout: columns, notes, problems, the command to type."""
    out = console()
    how = {name: value for name, value in found["format"].items() if value not in (0, [])}
    rows = {} if found["rows"] is None else {"rows": found["rows"]}
    print_document(out, {"table": found["names"], **how, **rows})
    if found["columns"]:
        out.print()
        shown, examples = found["columns"][:MOST_SNIFFED], out.width >= ROOM_FOR_EXAMPLES
        out.print(table([_sniffed(column, examples) for column in shown]))
        more = len(found["columns"]) - MOST_SNIFFED
        if more > 0:
            out.print(f"  ... and {more:,} more; --json has them all")
    out.print()
    facts = [("note", note) for note in found["notes"]]
    for problem in found["problems"]:
        facts += [("problem", problem["problem"]), ("hint", problem["hint"])]
    print_facts(out, facts, width=7)
    command = found["command"] or "nothing to type yet: mend the last problem first"
    out.print(Text(f"  next     {command}", style="bold"), soft_wrap=True)  # to be copied


def _sniffed(column: dict[str, Any], examples: bool) -> dict[str, Any]:
    reason = f": {column['why'] or column['role']}" if column["fit"] == "left out" else ""
    return {
        "column": column["column"],
        "type": column["type"],
        "role": column["role"],
        "empty": f"{column['empty']:.1%}" if column["empty"] else "",
        "in a fit": column["fit"] + reason,
        **({"for example": " | ".join(column["for_example"])} if examples else {}),
    }


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
    what = "feature of the embedding" if settings.get("encoder") else "column"
    out.print(Text(f"components: mean and spread of each {what}", style="bold"))
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
        line["what sets it apart"] = ", ".join(map(_apart, cluster["apart"]))
    return line


def _apart(column: dict[str, Any]) -> str:
    """`age 41.2 (+1.3 sd)`, `p36 12 (4.1 overall)`, `country: 62 % US, 31 % DE`."""
    if "shares" in column:
        shares = (f"{share:.0%} {name}" for name, share in column["shares"].items())
        return f"{column['column']}: {', '.join(shares)}"
    mean = f"{column['column']} {column['mean']:.4g}"
    if "interval" in column:
        mean += " [{:.4g}, {:.4g}]".format(*column["interval"])
    if column["difference"] is None:
        return f"{mean} ({column['overall_mean']:.4g} overall)"
    return f"{mean} ({column['difference']:+.1f} sd)"


def _resamples(result: dict[str, Any]) -> str:
    """`50: cluster 3 is found in 62% of them, the others in 95% or more`."""
    found = [(one["found"], one["cluster"]) for one in result["clusters"]]
    seldom = [one for one in sorted(found) if one[0] < SELDOM][:MOST_SELDOM]
    told = [f"cluster {cluster} is found in {share:.0%} of them" for share, cluster in seldom]
    others = [share for share, cluster in found if (share, cluster) not in seldom]
    if others:
        least = f"in {min(others):.0%} of them or more"
        told.append(f"the others {least}" if told else f"each cluster is found {least}")
    return f"{result['bootstrap']['resamples']}: {', '.join(told)}"


def _scores(evaluation: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.upper() if len(name) == 3 else name.replace('_', ' ')} {value:.3f}"
        for name, value in evaluation.items()
        if isinstance(value, float)
    )
