"""Figures of a fit, by matplotlib (extra `report`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from divmix.encoders.extras import extra
from divmix.families import AnyMatrix
from divmix.families.coded import matrix_of
from divmix.model.mixture import Mixture
from divmix.model.profile import pictures_of, profile_of
from divmix.progress import TraceRow
from divmix.report.colours import colour
from divmix.report.plane import plane_of
from divmix.tables.writing import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_POINTS = 20_000  # more only cover each other
MOST_PICTURES, PICTURES_A_LINE = 100, 10


def check_available(wanted: str = "--figures") -> None:
    """Raises MissingExtraError where figures cannot be drawn, as `wanted` asks."""
    extra("matplotlib", "report", wanted)


def clusters_figure(
    mixture: Mixture, X: AnyMatrix, clusters: np.ndarray, path: Path, *, overwrite: bool
) -> None:
    """Draw rows X (n, d) and components in the plane of the clusters, as the page of a run does.

    clusters (n,), -1 in grey. The suffix of `path` decides: .png, .svg or .pdf. Raises
    MissingExtraError, OutputError.
    """
    check_available()
    from matplotlib.figure import Figure
    from matplotlib.patches import Ellipse

    shown = np.linspace(0, len(X) - 1, min(len(X), MOST_POINTS)).astype(int)
    plane, labels = plane_of(mixture), clusters[shown]
    places = plane.places(matrix_of(X[shown]))
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    for cluster in range(-1 if (labels < 0).any() else 0, mixture.n_clusters):
        own = labels == cluster if cluster >= 0 else labels < 0
        axes.scatter(
            places[own, 0],
            places[own, 1],
            s=4,
            color=colour(cluster),
            linewidths=0,
            label="none" if cluster < 0 else f"{cluster}",
        )
    ellipses = plane.ellipses(mixture.family, mixture.components)
    for cluster, (x, y, major, minor, angle) in zip(mixture.clusters, ellipses):
        axes.add_patch(
            Ellipse(
                (x, y),
                2 * major,
                2 * minor,
                angle=np.degrees(angle),
                fill=False,
                color=colour(int(cluster)),
            )
        )
    axes.set_xlabel(f"mostly {plane.names[0]}")
    axes.set_ylabel(f"mostly {plane.names[1]}")
    if mixture.n_clusters <= 20:
        axes.legend(title="cluster", markerscale=4, loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, path, overwrite)


def means_figure(mixture: Mixture, path: Path, *, overwrite: bool) -> None:
    """Draw the mean picture of each cluster, where the columns are pixels; else nothing.

    The suffix of `path` decides: .png, .svg or .pdf. Raises MissingExtraError, OutputError.
    """
    check_available()
    from matplotlib.figure import Figure

    pictures = pictures_of(mixture, profile_of(mixture))
    if pictures is None:
        return
    shown = pictures[:MOST_PICTURES]
    lines = -(-len(shown) // PICTURES_A_LINE)
    figure = Figure(figsize=(PICTURES_A_LINE, 1.2 * lines), layout="constrained")
    grid = figure.subplots(lines, PICTURES_A_LINE, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for cluster, (axes, picture) in enumerate(zip(grid, shown)):
        axes.imshow(picture, cmap="gray_r", vmin=pictures.min(), vmax=pictures.max())
        axes.set_title(f"{cluster}", color=colour(cluster))
    _save(figure, path, overwrite)


def trace_figure(trace: Sequence[TraceRow], path: Path, *, overwrite: bool) -> None:
    """Draw the objective by iteration, a colour for each phase.

    A phase has several climbs of J, each under a prior of its own: a line for each, which begins at
    a step of 0. The suffix of `path` decides: .png, .svg or .pdf. Raises MissingExtraError, OutputError.
    """
    check_available()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    phases = list(dict.fromkeys(row.phase for row in trace))
    drawn: set[int] = set()
    for climb in climbs(trace):
        number = phases.index(climb[0].phase)
        label = None if number in drawn else phases[number]  # one entry for each phase
        drawn.add(number)
        places, values = [row.iteration for row in climb], [row.objective for row in climb]
        axes.plot(
            places,
            values,
            ".-",
            markersize=3,
            linewidth=1,
            color=colour(number),
            label=label,
        )
    axes.legend()
    axes.set_xlabel("iteration")
    axes.set_ylabel("J, nats per row")
    _save(figure, path, overwrite)


def climbs(trace: Sequence[TraceRow]) -> list[list[TraceRow]]:
    """The rows of each climb: one begins with a step of 0, or with another phase."""
    found: list[list[TraceRow]] = []
    for row in trace:
        if not found or row.step == 0 or row.phase != found[-1][-1].phase:
            found.append([])
        found[-1].append(row)
    return found


def _save(figure: "Figure", path: Path, overwrite: bool) -> None:
    from matplotlib import rc_context

    kind = path.suffix.removeprefix(".")
    # No date in the file: the same run draws the same bytes.
    dates = {"png": "Software", "svg": "Date", "pdf": "CreationDate"}
    metadata = {dates[kind]: None}
    with atomic_file(path, overwrite=overwrite) as file, rc_context({"svg.hashsalt": "divmix"}):
        figure.savefig(file, format=kind, dpi=150, metadata=metadata)
