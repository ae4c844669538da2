"""The page of a fit: one HTML file that needs nothing else, as large as clusters and columns make it."""

import base64
import json
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from divmix.model.profile import pictures_of, profile_of
from divmix.model.scores import NOISE
from divmix.report import charts, html
from divmix.report.colours import colour
from divmix.report.contents import Contents
from divmix.report.cuts import Cuts, cuts_of, leaves_of_rows
from divmix.report.numbers import short
from divmix.report.plane import Plane, plane_of
from divmix.report.raster import MOST_LABELS, Frame, frame_of, grey_png, png, raster

MOST_COLUMNS, MOST_CLUSTERS = 50, 60  # of the profile, and of every list of clusters
NOTHING_BESIDE = 1e-4
PICTURE_HEIGHT = 64  # of the mean picture of a cluster, in pixels of the page
STRONG = 2.0  # standard deviations at which the colour of a cell of the profile is full


def page(contents: Contents) -> str:
    """The whole page of a fit or a cut."""
    return html.document(
        contents.title,
        contents.document.get("divmix"),
        _headline(contents),
        _clusters(contents),
        _pictures(contents),
        _profile(contents),
        _uncertainty(contents),
        _outliers(contents),
        _trace(contents),
        _certificate(contents),
        html.settings(contents.document, contents.command),
    )


def _headline(contents: Contents) -> list[tuple[str, str]]:
    mixture, result = contents.mixture, contents.document.get("result", {})
    facts = [
        (f"{mixture.about['rows']:,}", "rows"),
        (f"{len(mixture.design.schema.columns):,}", "columns"),
        (f"{mixture.n_clusters}", "clusters"),
        (
            f"{mixture.components.count}",
            f"components, {mixture.family.structure.name} covariance",
        ),
    ]
    if mixture.about.get("log_likelihood") is not None:
        facts.append((f"{mixture.about['log_likelihood']:.4f}", "log-likelihood, nats per row"))
    if mixture.about.get("effective_components") is not None:
        facts.append(
            (f"{mixture.about['effective_components']:.2f}", "effective components, exp(H)")
        )
    if result.get("evaluation"):
        facts.append((f"{result['evaluation']['ari']:.3f}", "ARI against truth"))
    if "converged" in result:
        ended = "converged" if result["converged"] else result["stop_reason"]
        facts.append((f"{result['iterations']:,}", f"iterations, {ended}"))
    return facts


def _clusters(contents: Contents) -> str:
    """Sizes, and a sentence for each cluster."""
    found = contents.document.get("result", {}).get("clusters")
    weights = contents.mixture.cluster_weights
    if found is None or len(found) != len(weights):  # a density, or a cut
        found = [{"cluster": c, "share": float(w), "size": None} for c, w in enumerate(weights)]
    shown = pictures_of(contents.mixture, profile_of(contents.mixture))
    rows, largest = [], max(own["share"] for own in found) or 1.0
    for own in found[:MOST_CLUSTERS]:
        share, probability = own["share"], own.get("mean_probability")
        size = "-" if own["size"] is None else f"{own['size']:,}"
        sure = "-" if probability is None else f"{probability:.3f}"
        bar = f'<span class="share" style="width:{60 * share / largest:.0f}px"></span>'
        apart = _told(contents, shown, own["cluster"])
        rows.append((html.cluster_dot(own["cluster"]), size, f"{share:.1%}{bar}", sure, apart))
    more = (
        html.soft(f"... and {len(found) - MOST_CLUSTERS} more, in components.csv.")
        if len(found) > MOST_CLUSTERS
        else ""
    )
    noise = contents.document.get("result", {}).get("noise")
    if noise:
        more += html.soft(
            f"{noise['size']:,} rows ({noise['share']:.1%}) are noise: they belong to no cluster."
        )
    head = ("cluster", "rows", "share", "mean probability", "what sets it apart")
    return html.section("clusters", "Clusters", html.table("Clusters", head, rows), more)


def _told(contents: Contents, pictures: np.ndarray | None, cluster: int) -> str:
    """What sets a cluster apart: a sentence, or of pictures the mean one."""
    told = escape(sentence(contents.apart[cluster]))
    if pictures is None:
        return told
    _, height, width = pictures.shape
    size = f'width="{PICTURE_HEIGHT * width // height}" height="{PICTURE_HEIGHT}"'
    uri = html.uri(grey_png(pictures[cluster], pictures.min(), pictures.max()))
    return f'<img class="mean" {size} src="{uri}" alt="Mean picture of cluster {cluster}. {told}">'


def sentence(apart: list[dict[str, Any]]) -> str:
    """`high proline (1095, 747 overall); low hue (0.7, 0.96 overall); country: DE (62%), AT (20%)`"""
    parts = []
    for column in apart:
        if "shares" in column:
            named = ", ".join(f"{name} ({share:.0%})" for name, share in column["shares"].items())
            parts.append(f"{column['column']}: {named}")
        elif column["difference"] is None or abs(column["difference"]) >= 0.1:
            side = "high" if column["mean"] > column["overall_mean"] else "low"
            parts.append(
                f"{side} {column['column']} ({short(column['mean'])}, {short(column['overall_mean'])} overall)"
            )
    return "; ".join(parts) or "like the table as a whole"


def _pictures(contents: Contents) -> str:
    plane = plane_of(contents.mixture)
    cuts = cuts_of(contents.mixture, plane)
    drawn = _drawn(contents, plane)
    frame = frame_of(drawn)
    parts = [_picture(contents, plane, frame)]
    if contents.truth is not None and contents.X is not None:
        parts.append(_truth_picture(contents, plane, frame))
    shown = f'<div class="{"one" if len(parts) == 1 else "two"}">{"".join(parts)}</div>'
    about = (
        "The plane nearest to the clusters' means."
        if contents.mixture.design.is_embedding
        else "The plane that keeps the clusters farthest apart for their width (Fisher's discriminants)."
    )
    across, up = plane.names
    about += f" Across mostly {across}, up mostly {up}. An ellipse holds nine of ten rows of a component."
    rows = contents.mixture.about["rows"]
    if contents.X is not None and len(contents.X) < rows:
        about += f" {len(contents.X):,} of {rows:,} rows are drawn, evenly taken."
    lacking = html.soft(contents.lacking) if contents.lacking else ""
    return html.section(
        "picture-section",
        "Picture",
        shown,
        html.soft(about),
        lacking,
        _cut_control(contents, cuts, plane, frame),
    )


def _drawn(contents: Contents, plane: Plane) -> np.ndarray:
    """Places that the frame should hold."""
    if contents.X is not None:
        return plane.places(contents.X)
    corners = []
    for e in plane.ellipses(contents.mixture.family, contents.mixture.components):
        corners += [[e.x - e.major, e.y - e.major], [e.x + e.major, e.y + e.major]]
    return np.array(corners)


def _picture(contents: Contents, plane: Plane, frame: Frame) -> str:
    mixture = contents.mixture
    image = ""
    if contents.X is not None and contents.clusters is not None:
        k = mixture.n_clusters
        labels = np.where(contents.clusters < 0, k, contents.clusters)
        colours = [*map(colour, range(k)), colour(NOISE)]
        image = html.uri(
            png(
                raster(plane.places(contents.X), np.minimum(labels, MOST_LABELS - 1), frame),
                colours[:MOST_LABELS],
            )
        )
    ellipses = [
        charts.ellipse_numbers(int(cluster), ellipse, frame)
        for cluster, ellipse in zip(
            mixture.clusters, plane.ellipses(mixture.family, mixture.components)
        )
    ]
    told = f"{mixture.n_clusters} clusters in the plane"
    names = [(colour(c), f"cluster {c}") for c in range(min(mixture.n_clusters, MOST_CLUSTERS))]
    return (
        f"<div>{charts.picture('picture', image, ellipses, told)}"
        f"{html.keys(names, 'Clusters of the picture', 'keys')}</div>"
    )


def _truth_picture(contents: Contents, plane: Plane, frame: Frame) -> str:
    truth, X = contents.truth, contents.X
    assert truth is not None and X is not None
    labels = np.minimum(truth.drawn, MOST_LABELS - 1)
    colours = [colour(j) for j in _cluster_of_class(truth.table)]
    image = html.uri(png(raster(plane.places(X), labels, frame), colours[:MOST_LABELS]))
    told = f"the same rows by their known class, column {truth.column}"
    names = zip(colours[:MOST_CLUSTERS], truth.names)
    return f"<div>{charts.picture('truth', image, [], told)}{html.keys(names, told)}</div>"


def _cluster_of_class(table: np.ndarray) -> np.ndarray:
    """A number for each class, whose colour it gets: that of the cluster it is matched with by rows
    in common, table (k, classes), or one that no cluster has."""
    k, classes = table.shape
    number = np.full(classes, -1)
    clusters, matched = linear_sum_assignment(table, maximize=True)
    number[matched] = clusters
    number[number < 0] = k + np.arange((number < 0).sum())
    return number


def _cut_control(contents: Contents, cuts: Cuts | None, plane: Plane, frame: Frame) -> str:
    if cuts is None:
        return html.soft(
            "The method keeps no merge tree, so there are no other numbers of clusters to look at."
        )
    mixture = contents.mixture
    k = mixture.n_clusters
    own = zip(mixture.clusters.tolist(), plane.ellipses(mixture.family, mixture.components))
    levels: list[dict[str, Any]] = []
    for number, cut in enumerate(cuts.cuts, 1):
        ellipses = own if number == k else cut.ellipses
        levels.append(
            {
                "groups": cut.groups.tolist(),
                "ellipses": [charts.ellipse_numbers(c, e, frame) for c, e in ellipses],
            }
        )
    data: dict[str, Any] = {"k": k, "run": contents.title, "cuts": levels}
    data["colours"] = [colour(j) for j in range(max(cuts.leaves, k))]
    data["leaves"] = None
    if contents.X is not None:
        leaves = raster(plane.places(contents.X), leaves_of_rows(mixture, contents.X), frame)
        data["leaves"] = base64.b64encode(png(leaves, [colour(NOISE)] * cuts.leaves)).decode()
    encoded = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    shown = min(k, cuts.leaves)
    return (
        '<div class="screen"><h3 id="tree-title">Other numbers of clusters</h3>'
        f'<label for="cut-at">Clusters: <output id="said" for="cut-at">{k} clusters, as fitted</output></label>'
        f'<input type="range" id="cut-at" min="1" max="{cuts.leaves}" value="{shown}"></div>'
        + charts.tree(cuts, shown)
        + html.soft(
            "The merge tree: branches join upwards in the order in which clusters do. A click, or "
            "the slider, cuts it, and the picture shows these clusters. Away from the fitted "
            "number a row has the colour of its likeliest component."
        )
        + f'<script type="application/json" id="cuts">{encoded}</script>'
    )


def _profile(contents: Contents) -> str:
    """Mean of each column in each cluster, in the data's units; the columns that differ most first,
    each with its categories."""
    mixture = contents.mixture
    k, profile, design = mixture.n_clusters, profile_of(mixture), mixture.design.of_columns
    stacked = np.vstack([profile.overall, profile.means])
    summary = design.column_summary(stacked, np.zeros_like(stacked))
    differences, unit, full = profile.differences, "sd", f"at {STRONG:g} standard deviations"
    if not profile.in_deviations:  # all pixels have one unit, and so have columns left unscaled
        differences = STRONG * differences / max(float(np.abs(differences).max()), NOTHING_BESIDE)
        unit, full = "", "at the largest difference"
    # What is nothing beside the column's other means is rounding.
    sizes = np.abs(summary.mean)
    shown_means = np.where(sizes < NOTHING_BESIDE * sizes.max(axis=0), 0.0, summary.mean)
    most = _shown_features(np.abs(differences).max(axis=0), design.blocks)
    shown = range(min(k, MOST_CLUSTERS))
    told_of = [_percent if is_share else short for is_share in design.indicator]
    rows: list[Sequence[str | html.Cell]] = [
        (
            escape(summary.names[j]),
            told_of[j](shown_means[0, j]),
            *(_cell(told_of[j](shown_means[c + 1, j]), differences[c, j], unit) for c in shown),
        )
        for j in most
    ]
    told = (
        "Means in the data's own units, of a category its share. Shaded by the difference from the "
        f"whole table: orange above, blue below, full {full}."
    )
    if len(summary.names) > len(most):
        told += f" The {len(most)} of {len(summary.names):,} columns that differ most"
        told += "." if mixture.design.is_embedding else "; components.csv has all."
    return html.section(
        "profile",
        "Profile",
        html.table("Profile of the clusters", ["column", "all", *map(str, shown)], rows),
        html.soft(told),
    )


def _shown_features(differences: np.ndarray, blocks: Sequence[np.ndarray]) -> list[int]:
    """Features that differ most, (d,): by column, that of the largest difference first."""
    most = np.argsort(-differences, kind="stable")[:MOST_COLUMNS]
    column_of = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])[most]
    first = list(dict.fromkeys(column_of.tolist()))
    return [int(j) for column in first for j in most[column_of == column]]


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _cell(told: str, difference: float, unit: str) -> html.Cell:
    strength = min(abs(difference) / STRONG, 1.0) * 0.55
    shade = "230,120,20" if difference > 0 else "40,120,210"
    title = f"{difference:+.2f} {unit}" if unit else ""
    return html.Cell(told, f"rgba({shade},{strength:.2f})", title)


def _uncertainty(contents: Contents) -> str:
    parts = []
    counts = contents.certainty
    if counts is not None and counts.sum():
        sure = counts[-2:].sum() / counts.sum()
        parts.append(
            html.soft(
                f"Probability of its cluster, of each row: {sure:.1%} of the rows have .9 or more."
            )
        )
        parts.append(
            charts.histogram(
                counts,
                "probability 0",
                "1",
                f"Rows by the probability of their cluster; {sure:.1%} have .9 or more",
            )
        )
    if contents.truth is not None:
        parts.append(_confusion(contents))
    if not parts:
        parts = [html.soft("The run keeps no row, so nothing can be said of single ones.")]
    return html.section("uncertainty", "How sure", *parts)


def _confusion(contents: Contents) -> str:
    truth = contents.truth
    assert truth is not None
    rows = [
        (html.cluster_dot(c), *(f"{count:,}" for count in counts[:MOST_CLUSTERS]))
        for c, counts in enumerate(truth.table.tolist()[:MOST_CLUSTERS])
    ]
    head = [f"cluster \\ {truth.column}", *truth.names[:MOST_CLUSTERS]]
    return html.soft(
        f"Rows by cluster and known class, column {truth.column}, which the fit did not see."
    ) + html.table("Clusters against classes", head, rows)


def _outliers(contents: Contents) -> str:
    if contents.outliers is None:
        return html.section(
            "outliers", "Outliers", html.soft(contents.lacking or "The run does not tell its rows.")
        )
    rows = [
        (
            f"{own.row:,}",
            html.cluster_dot(own.cluster),
            f"{own.log_density:.4g}",
            escape(own.because or "-"),
        )
        for own in contents.outliers
    ]
    head = ("row, from 0", "cluster", "log-density, nats", "because of")
    return html.section(
        "outliers",
        "Outliers",
        html.soft(
            "The rows of lowest density, and the columns that make them so. divmix detect tells which are anomalies."
        ),
        html.table("Outliers", head, rows),
    )


def _trace(contents: Contents) -> str:
    if not contents.trace:
        return ""
    told = (
        "J = log-likelihood + alpha x entropy + log prior, nats per row, by iteration. A line never "
        "falls; each is a climb of its own, in the search on a sample of rows."
    )
    names = ((colour(j), phase) for j, phase in enumerate(charts.phases(contents.trace)))
    drawn = charts.objective(contents.trace) + html.keys(names, "Phases")
    return html.section("trace", "The climb of J", drawn, html.soft(told))


def _certificate(contents: Contents) -> str:
    gap = contents.document.get("result", {}).get("gap")
    if gap is None:
        text = "Not computed. divmix fit --gap bounds what the log-likelihood could still gain."
    else:
        text = f"No mixture of components about as wide as these, of however many, has a log-likelihood more than {gap:.4g} nats per row higher on the rows of the search."
    return html.section("certificate", "Certificate", f"<p>{escape(text)}</p>")
