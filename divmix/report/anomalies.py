"""The page of a run of detect: the rows that stand out, why, and how p-values lie."""

from html import escape

import numpy as np

from divmix.report import charts, html
from divmix.report.colours import NOISE, TEN
from divmix.report.contents import Contents
from divmix.report.plane import plane_of
from divmix.report.raster import frame_of, png, raster

NORMAL, FLAGGED = TEN[0], TEN[3]
RULES = {
    "fdr": "false discovery rate",
    "alpha_level": "p-value up to",
    "contamination": "share of the rows",
    "threshold": "quantile of the scores",
}


def page(contents: Contents) -> str:
    """The whole page."""
    return html.document(
        contents.title,
        contents.document.get("divmix"),
        _headline(contents),
        _highest(contents),
        _picture(contents),
        _p_values(contents),
        html.settings(contents.document, contents.command),
    )


def _headline(contents: Contents) -> list[tuple[str, str]]:
    document, mixture = contents.document, contents.mixture
    rule = document["rule"]
    return [
        (f"{document['rows']:,}", "rows scored"),
        (f"{document['flagged']:,}", "rows flagged"),
        (f"{rule['level']:g}", RULES[rule["name"]]),
        (f"{len(mixture.design.schema.columns):,}", "columns"),
        (f"{mixture.components.count}", f"{mixture.family.name} components"),
    ]


def _highest(contents: Contents) -> str:
    rows = [
        (
            f"{own['row']:,}",
            f"{own['score']:.4g}",
            f"{own['p_value']:.3g}",
            html.dot(FLAGGED, "yes") if own["flagged"] else "no",
            escape(own["because"] or "-"),
        )
        for own in contents.document["highest"]
    ]
    head = ("row, from 0", "score, nats", "p-value", "flagged", "because of")
    return html.section(
        "highest",
        "Highest scores",
        html.soft(
            f"The score is -log density; p-values by {contents.document['calibrated_by']}: how rarely "
            "a normal row scores as high. scores.csv has all rows."
        ),
        html.table("Highest scores", head, rows),
    )


def _picture(contents: Contents) -> str:
    if contents.X is None or contents.flagged is None:
        return html.section("picture-section", "Picture", html.soft(contents.lacking or ""))
    plane = plane_of(contents.mixture)
    places = plane.places(contents.X)
    # Those flagged may lie far out, and are what is looked for.
    frame = frame_of(np.concatenate([places, np.repeat(places[contents.flagged], 3, axis=0)]))
    image = png(raster(places, contents.flagged.astype(np.int64), frame), [NORMAL, FLAGGED])
    outlines = plane.ellipses(contents.mixture.family, contents.mixture.components)
    ellipses = [charts.ellipse_numbers(-1, own, frame) for own in outlines]
    told = f"Rows in the plane, {contents.document['flagged']} of them flagged"
    across, up = plane.names
    about = (
        f"Across mostly {across}, up mostly {up}. An ellipse holds nine of ten rows of a component of "
        "the density, were it normal."
    )
    if len(contents.X) < contents.document["rows"]:
        about += f" {len(contents.X):,} of {contents.document['rows']:,} rows are drawn."
    names = [(NORMAL, "not flagged"), (FLAGGED, "flagged"), (NOISE, "components")]
    return html.section(
        "picture-section",
        "Picture",
        f'<div class="one">{charts.picture("picture", html.uri(image), ellipses, told)}</div>',
        html.keys(names, "Colours of the picture"),
        html.soft(about),
    )


def _p_values(contents: Contents) -> str:
    if contents.p_values is None:
        return ""
    told = "Rows by p-value, in twentieths"
    return html.section(
        "p-values",
        "p-values",
        html.soft("Of normal rows alone every bar would be alike; anomalies pile up at the left."),
        charts.histogram(contents.p_values, "p-value 0", "1", told),
    )
