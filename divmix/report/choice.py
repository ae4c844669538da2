"""The page of a run of select: criteria over the number of clusters, and the choice."""

from html import escape
from typing import Any

from divmix.report import charts, html
from divmix.report.colours import colour

NAMES = {
    "log_likelihood": "log-likelihood",
    "held_out": "held-out",
    "bic": "BIC",
    "icl": "ICL",
    "stability": "stability",
    "jaccard": "Jaccard",
    "least_found": "least found",
}
DIGITS = {"stability": ".3f", "jaccard": ".3f", "least_found": ".3f"}
CHARTS = (
    ("BIC and ICL, the lower the better", ("bic", "icl")),
    ("Log-likelihood, nats per row", ("log_likelihood", "held_out")),
    ("Stability, 1 where two halves of the rows lead to the same clusters", ("stability",)),
)


def page(title: str, document: dict[str, Any], command: str) -> str:
    """The whole page. document: run.json."""
    return html.document(
        title,
        document.get("divmix"),
        [
            (f"{document['clusters']}", "clusters"),
            (
                f"{document['rows'][0]['clusters']} to {document['rows'][-1]['clusters']}",
                "looked at",
            ),
            (f"{document['rows_looked_at']:,}", "rows looked at"),
            (document["covariance"], "covariance"),
        ],
        html.section("choice", "The choice", f"<p>{escape(_sentence(document['reason']))}</p>"),
        _charts(document),
        _table(document),
        _resamples(document),
        html.settings(document, command),
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _charts(document: dict[str, Any]) -> str:
    rows = document["rows"]
    across = [row["clusters"] for row in rows]
    parts = []
    for told, names in CHARTS:
        values = [[row[name] for row in rows] for name in names]
        if all(value is None for curve in values for value in curve):
            continue
        drawn = charts.curves(
            across, values, document["clusters"], f"{told}, by number of clusters"
        )
        keys = html.keys([(colour(j), NAMES[name]) for j, name in enumerate(names)], told)
        parts.append(f"<div><h3>{escape(told)}</h3>{drawn}{keys}</div>")
    about = "Across the number of clusters; the dashed line is the choice, which ICL makes."
    return html.section(
        "criteria", "Criteria", f'<div class="two">{"".join(parts)}</div>', html.soft(about)
    )


def _table(document: dict[str, Any]) -> str:
    names = [name for name in NAMES if name in document["rows"][0]]
    rows = [
        (
            html.dot(colour(0), f"{row['clusters']}") if row["chosen"] else f"{row['clusters']}",
            *(
                "-" if row.get(name) is None else f"{row[name]:{DIGITS.get(name, '.7g')}}"
                for name in names
            ),
        )
        for row in document["rows"]
    ]
    head = ["clusters", *(NAMES[name] for name in names)]
    return html.section("numbers", "Numbers", html.table("Criteria", head, rows))


def _resamples(document: dict[str, Any]) -> str:
    found = document["bootstrap"]
    if found is None:
        return ""
    rows = [(html.cluster_dot(own["cluster"]), f"{own['found']:.0%}") for own in found["clusters"]]
    told = (
        f"In how many of {found['resamples']} resamples of the rows each of the {document['clusters']} "
        f"clusters is found (Jaccard similarity above {found['found_above']:g})."
    )
    return html.section(
        "resamples",
        "Resampled rows",
        html.soft(told),
        html.table("Resamples", ("cluster", "found"), rows),
    )
