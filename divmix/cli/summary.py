"""What a command found, on stderr: the closing words of fit, update and detect."""

from collections.abc import Collection
from pathlib import Path
from shlex import quote
from typing import Any

from divmix.cli.clusters import print_clusters
from divmix.cli.show import console, print_facts, table
from divmix.progress import counted
from divmix.report.numbers import short

MOST_NAMES = 12  # columns that the summary of a fit names
SELDOM, MOST_SELDOM = 0.9, 5  # clusters named that fewer resamples have, and how many of them


def print_summary(run: dict[str, Any], output: Path, told: Collection[str] = frozenset()) -> None:
    """What a fit found, on stderr: the clusters, the figures, and the next command to type.

    Notes that were `told` while it ran are not told again.
    """
    out, result = console(stderr=True), run["result"]
    out.print()
    print_clusters(out, result["clusters"], f"{output}/components.csv has them all")
    out.print()
    how = "converged" if result["converged"] else f"not converged ({result['stop_reason']})"
    facts = [
        (
            "log-likelihood",
            f"{result['log_likelihood']:.5f} nats per row after "
            f"{counted(result['iterations'], 'iteration')}, {how}",
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
    print_clusters(out, result["clusters"], f"{output}/components.csv has them all")
    out.print()
    how = "converged" if result["converged"] else f"not converged ({result['stop_reason']})"
    facts = [
        ("updated", f"{counted(result['iterations'], 'iteration')}, {how}"),
        ("drift", _drifted(drift)),
        ("", f"symmetric KL of the model before and after {drift['symmetric_kl']:.4f} "
             f"± {drift['standard_error']:.4f} nats, {drift['expected_by_chance']:.2g} by chance"),
        ("", f"{drift['changed']:.1%} of the new rows changed cluster; {drift['unlike']:.1%} are "
             "less likely than 99% of what the model draws"),
    ]  # fmt: skip
    facts += [("note", note) for note in run["notes"] if note not in told]
    facts += [("wrote", where) for where in _written(run, output)]
    print_facts(out, facts)


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
            f"{column['column']} {short(column['before'])} to {short(column['new'])} "
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
