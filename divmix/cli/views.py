"""A model, two clusterings and a table for the eye, on stdout."""

from typing import Any

from rich.console import Console
from rich.text import Text

from divmix.cli.clusters import MOST_CLUSTERS, print_clusters
from divmix.cli.show import as_text, console, print_document, print_facts, table
from divmix.report.numbers import short

MOST_COMPONENTS = 8  # columns in the table of components
ROOM_FOR_EXAMPLES = 100  # columns of a terminal
MOST_SNIFFED = 60  # columns that sniff shows
MOST_MERGES = 20  # lines of the merge tree: the last ones


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
        if len(column["categories"]) > 1
        else column["name"]
        for column in document["schema"]
    ]
    print_document(out, shown | {"columns": columns, "settings": settings})
    out.print(Text("clusters", style="bold"))
    print_clusters(out, document["clusters"], "--json has them all")
    components = document["components"]
    shares = {
        f"{column['name']}={category}"
        for column in document["schema"]
        for category in column["categories"]
    }
    what = "feature of the embedding" if settings.get("encoder") else "column"
    out.print(Text(f"components: mean and spread of each {what}", style="bold"))
    out.print(
        table(
            [
                {"column": name}
                | {
                    f"component {c['component']}": _mean(c, name, name in shares)
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


def _mean(component: dict[str, Any], name: str, is_share: bool) -> str:
    """`41.2 ±9.8`; of a category, whose spread follows from it, `35.0%`."""
    mean = component["mean"][name]
    return f"{mean:.1%}" if is_share else f"{short(mean)} ±{short(component['spread'][name])}"


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
            out.print(f"only in {side}: {as_text(found[f'only_{side}'])}")


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
        f"{own['column']} {short(own['a'])} to {short(own['b'])} ({own['difference']:+.2f} sd)"
        for own in pair["moved"]
        if round(own["difference"], 2)
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
