"""What the pages of runs are made of: sections, tables, keys, and the document around them."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

from divmix.model.scores import NOISE
from divmix.report.colours import colour

TEXTS = ("what sets it apart", "because of", "value", "from")  # heads of columns of text
NOTHING = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


class Cell(NamedTuple):
    """A cell of a table as HTML, with a colour behind it and words that a pointer shows."""

    html: str
    shade: str = ""
    title: str = ""


def document(title: str, version: Any, facts: Sequence[tuple[str, str]], *sections: str) -> str:
    """A whole page that needs nothing else. facts: headline figures, each with what it is."""
    style, script = (
        files("divmix.report").joinpath(f"page.{kind}").read_text() for kind in ("css", "js")
    )
    name = escape(title)
    items = "".join(
        f"<li><b>{escape(value)}</b><span>{escape(told)}</span></li>" for value, told in facts
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{NOTHING}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{name} - divmix</title><style>{style}</style></head>'
        f'<body><header><h1>{name}</h1><ul class="facts">{items}</ul></header><main>'
        + "".join(sections)
        + f"</main><footer>divmix {escape(str(version or ''))}</footer>"
        f"<script>{script}</script></body></html>\n"
    )


def section(name: str, title: str, *parts: str) -> str:
    """A part of the page under a heading of its own."""
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">'
        f'<h2 id="{name}-title">{escape(title)}</h2>{"".join(parts)}</section>'
    )


def soft(text: str) -> str:
    """A paragraph that explains."""
    return f'<p class="soft">{escape(text)}</p>'


def table(name: str, head: Sequence[str], rows: Iterable[Sequence[str | Cell]]) -> str:
    """A table whose first column names the rows. Where its last column is text, on a phone that
    stands below the others, each of which then tells its head."""
    told = head[-1] in TEXTS
    heads = "".join(f'<th scope="col"{_kind(cell)}>{escape(cell)}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(_cells(head, row, told))}</tr>" for row in rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="Table: {escape(name)}">'
        f'<table class="{"told" if told else "numbers"}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(head: Sequence[str], row: Sequence[str | Cell], told: bool) -> Iterable[str]:
    for place, (name, own) in enumerate(zip(head, row)):
        cell = own if isinstance(own, Cell) else Cell(own)
        attributes = _kind(name)
        if told and name not in TEXTS:
            attributes += f' data-head="{escape(name)}"'
        if cell.shade:
            attributes += f' style="background:{cell.shade}"'
        if cell.title:
            attributes += f' title="{escape(cell.title)}"'
        start, end = ('<th scope="row"', "</th>") if place == 0 else ("<td", "</td>")
        yield f"{start}{attributes}>{cell.html}{end}"


def _kind(head: str) -> str:
    return ' class="text"' if head in TEXTS else ""


def dot(of_colour: str, name: str) -> str:
    """A name after a dot of its colour."""
    return f'<span class="dot" style="background:{of_colour}"></span>{escape(name)}'


def cluster_dot(cluster: int) -> str:
    """The number of a cluster after a dot of its colour."""
    return dot(colour(cluster), "noise" if cluster == NOISE else f"{cluster}")


def keys(names: Iterable[tuple[str, str]], told: str, name: str = "") -> str:
    """What the colours of a picture stand for: (colour, name) each."""
    items = "".join(f"<li>{dot(*key)}</li>" for key in names)
    own = f' id="{name}"' if name else ""
    return f'<ul class="keys"{own} aria-label="{escape(told)}">{items}</ul>'


def uri(picture: bytes) -> str:
    """A PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def settings(document: dict[str, Any], command: str) -> str:
    """The command that repeats a run, its notes and all its settings with where they came from."""
    origins = document.get("origins", {})
    rows = [
        (escape(name.replace("_", " ")), escape(_value(value)), escape(origins.get(name, "")))
        for name, value in document["settings"].items()
    ]
    notes = "".join(f"<li>{escape(note)}</li>" for note in document.get("notes", []))
    source = document.get("input", {})
    digest = f"Input SHA-256 {source['sha256']}, {source['bytes']:,} bytes." if source else ""
    return section(
        "settings",
        "Settings",
        f"<pre><code>{escape(command)}</code></pre>",
        soft(digest) if digest else "",
        f"<ul>{notes}</ul>" if notes else "",
        "<details><summary>All settings</summary>"
        + table("Settings", ("setting", "value", "from"), rows)
        + "</details>",
    )


def _value(value: Any) -> str:
    if value is None or value == []:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
