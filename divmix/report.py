"""Figures of a fit, by matplotlib (extra `report`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from divmix.encoders.extras import extra
from divmix.progress import TraceRow
from divmix.tables.writing import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_POINTS = 20_000  # more only cover each other


def check_available() -> None:
    """Raises MissingExtraError where figures cannot be drawn."""
    extra("matplotlib", "report", "--figures")


def clusters_figure(X: np.ndarray, clusters: np.ndarray, path: Path, *, overwrite: bool) -> None:
    """Draw rows X (n, d) on their two principal components, coloured by cluster (n,), -1 in grey.

    The suffix of `path` decides: .png or .svg. Raises MissingExtraError, OutputError.
    """
    check_available()
    from matplotlib.figure import Figure
    from sklearn.decomposition import PCA

    shown = np.linspace(0, len(X) - 1, min(len(X), MOST_POINTS)).astype(int)
    points, labels = X[shown], clusters[shown]
    plane = PCA(min(2, *points.shape)).fit(points)
    places = plane.transform(points)
    if places.shape[1] < 2:  # one column: along a line
        places = np.column_stack([places, np.zeros(len(places))])
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    k = int(labels.max(initial=0)) + 1
    colours = _colours(k)
    for cluster in range(-1 if (labels < 0).any() else 0, k):
        own = labels == cluster
        colour = "0.7" if cluster < 0 else colours[cluster]
        axes.scatter(
            places[own, 0],
            places[own, 1],
            s=4,
            color=[colour],
            linewidths=0,
            label="none" if cluster < 0 else f"{cluster}",
        )
    shares = [*plane.explained_variance_ratio_, 0.0]
    axes.set_xlabel(f"first principal component ({shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"second ({shares[1]:.0%})")
    if k <= 20:
        axes.legend(title="cluster", markerscale=4, loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, path, overwrite)


def trace_figure(trace: Sequence[TraceRow], path: Path, *, overwrite: bool) -> None:
    """Draw the objective by iteration, a colour for each phase.

    A phase has several climbs of J, each under a prior of its own: a line for each, which begins at
    a step of 0. The suffix of `path` decides: .png or .svg. Raises MissingExtraError, OutputError.
    """
    check_available()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    phases = list(dict.fromkeys(row.phase for row in trace))
    colours = _colours(len(phases))
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
            color=colours[number],
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
    metadata = {"Software": None} if kind == "png" else {"Date": None}
    with atomic_file(path, overwrite=overwrite) as file, rc_context({"svg.hashsalt": "divmix"}):
        figure.savefig(file, format=kind, dpi=150, metadata=metadata)


def _colours(k: int) -> np.ndarray:
    """A colour for each cluster, (k, 4): from a list of distinct ones while it reaches."""
    from matplotlib import colormaps

    if k <= 20:
        return colormaps["tab10" if k <= 10 else "tab20"](np.arange(k))
    return colormaps["turbo"](np.linspace(0, 1, k))
