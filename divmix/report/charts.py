"""Charts as SVG, drawn with the colours of the page."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from divmix.progress import TraceRow
from divmix.report.colours import colour
from divmix.report.cuts import Cuts
from divmix.report.figures import climbs
from divmix.report.plane import Ellipse
from divmix.report.raster import HEIGHT, WIDTH, Frame

MOST_POINTS = 400  # of one climb in the chart of J
WIDE, HIGH = 600, 220  # of the smaller charts
BOTTOM = 30  # for the numbers below an axis


def ellipse_numbers(cluster: int, ellipse: Ellipse, frame: Frame) -> list[float]:
    """Cluster, centre, half axes and angle in degrees, in pixels of the picture."""
    x, y = frame.pixels(np.array([[ellipse.x, ellipse.y]]))[0]
    unit = WIDTH / (frame.right - frame.left)
    sizes = (max(length * unit, 1.0) for length in (ellipse.major, ellipse.minor))
    angle = -float(np.degrees(ellipse.angle))
    return [cluster, *(round(float(number), 1) for number in (x, y, *sizes, angle))]


def picture(name: str, image: str, ellipses: Sequence[list[float]], told: str) -> str:
    """Rows as one image under ellipses. image: a data URI, or empty; told: what a reader hears."""
    rows = f' href="{image}"' if image else ""
    drawn = "".join(
        f'<ellipse rx="{major}" ry="{minor}" transform="translate({x} {y}) rotate({angle})"'
        f' stroke="{colour(int(cluster))}"/>'
        for cluster, x, y, major, minor, angle in ellipses
    )
    return (
        f'<svg id="{name}" class="picture" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(told)}"><image id="{name}-rows" width="{WIDTH}" height="{HEIGHT}"'
        f'{rows}/><g id="{name}-ellipses" fill="none" stroke-width="2">{drawn}</g></svg>'
    )


def twentieths(values: np.ndarray) -> np.ndarray:
    """How many of the values (n,) between 0 and 1 are in each twentieth, (20,); NaN in none."""
    return np.histogram(values[~np.isnan(values)], 20, (0.0, 1.0))[0]


def histogram(counts: np.ndarray, low: str, high: str, told: str) -> str:
    """Bars for counts, from `low` to `high`."""
    most, width = max(int(counts.max()), 1), WIDE / len(counts)
    bars = "".join(
        f'<rect x="{j * width + 1:.1f}" y="{HIGH * (1 - count / most):.1f}" '
        f'width="{width - 2:.1f}" height="{HIGH * count / most:.1f}"><title>{count:,} rows</title></rect>'
        for j, count in enumerate(counts.tolist())
    )
    return (
        f'<svg class="chart" viewBox="-2 -2 {WIDE + 4} {HIGH + BOTTOM}" role="img" '
        f'aria-label="{escape(told)}"><g class="bars">{bars}</g>'
        f'<path class="axis" d="M0 {HIGH}H{WIDE}"/>'
        f'<text x="0" y="{HIGH + 22}">{escape(low)}</text>'
        f'<text x="{WIDE}" y="{HIGH + 22}" text-anchor="end">{escape(high)}</text></svg>'
    )


def objective(trace: Sequence[TraceRow]) -> str:
    """J by iteration, a line for each climb, a colour for each phase; `phases` are its keys."""
    values = np.array([row.objective for row in trace])
    # The first steps from a start may lie far below all others.
    scale = _Scale(float(np.quantile(values, 0.02)), float(values.max()))
    order, last = phases(trace), max(trace[-1].iteration, 1)
    lines = []
    for climb in climbs(trace):
        kept = climb[:: max(len(climb) // MOST_POINTS, 1)]
        places = [(row.iteration / last, row.objective) for row in (*kept, climb[-1])]
        lines.append(_line(places, scale, colour(order.index(climb[0].phase))))
    told = f"J over {len(trace)} iterations, from {scale.low:.4g} to {scale.high:.4g} nats per row"
    return _plot(lines, scale, told)


def phases(trace: Sequence[TraceRow]) -> list[str]:
    """The phases in their order: the j-th has the colour j."""
    return list(dict.fromkeys(row.phase for row in trace))


def curves(
    across: Sequence[int], curves: Sequence[Sequence[float | None]], marked: int, told: str
) -> str:
    """Curves over whole numbers, the j-th in colour j, and an upright line at one of the numbers.
    A value that is not known has no point."""
    known = [value for curve in curves for value in curve if value is not None]
    scale = _Scale(min(known), max(known)) if known else _Scale(0.0, 1.0)
    span = max(across[-1] - across[0], 1)
    parts = []
    for j, curve in enumerate(curves):
        places = [((k - across[0]) / span, v) for k, v in zip(across, curve) if v is not None]
        parts.append(_line(places, scale, colour(j)))
        for x, value in places:
            place = f'cx="{WIDE * x:.1f}" cy="{scale.height(value):.1f}"'
            title = f"<title>{round(across[0] + span * x)}: {value:.6g}</title>"
            parts.append(f'<circle {place} r="4" fill="{colour(j)}" stroke="none">{title}</circle>')
    at = WIDE * (marked - across[0]) / span
    parts.append(f'<path class="cut" d="M{at:.1f} 0V{HIGH}"/>')
    ends = (
        f'<text x="0" y="{HIGH + 22}">{across[0]}</text>'
        f'<text x="{WIDE}" y="{HIGH + 22}" text-anchor="end">{across[-1]}</text>'
    )
    return _plot(parts, scale, told, ends)


class _Scale(NamedTuple):
    """What the lower and the upper edge of a chart stand for."""

    low: float
    high: float

    def height(self, value: float) -> float:
        """Where a value is drawn, from the upper edge; what lies below the lower edge is on it."""
        return HIGH * (1 - max(value - self.low, 0.0) / max(self.high - self.low, 1e-9))


def _line(places: Sequence[tuple[float, float]], scale: _Scale, stroke: str) -> str:
    points = " ".join(f"{WIDE * x:.1f},{scale.height(value):.1f}" for x, value in places)
    return f'<polyline points="{points}" stroke="{stroke}"/>'


def _plot(parts: Sequence[str], scale: _Scale, told: str, beneath: str = "") -> str:
    """Lines between two axes, with the numbers at the ends of the upright one."""
    return (
        f'<svg class="chart" viewBox="-6 -8 {WIDE + 12} {HIGH + (BOTTOM if beneath else 0) + 14}" '
        f'role="img" aria-label="{escape(told)}">'
        f'<g fill="none" stroke-width="2">{"".join(parts)}</g>'
        f'<path class="axis" d="M0 0V{HIGH}H{WIDE}"/>'
        f'<text class="over" x="12" y="14">{scale.high:.5g}</text>'
        f'<text class="over" x="12" y="{HIGH - 8}">{scale.low:.5g}</text>{beneath}</svg>'
    )


def tree(cuts: Cuts, k: int) -> str:
    """The merges of the leaves: the lower a bar, the earlier they join. A bar is a control: it cuts
    just below. Heights are the order of the merges, so that each level is one number of clusters."""
    order = _leaf_order(cuts)
    place = {leaf: (WIDE * (i + 0.5) / cuts.leaves, float(HIGH)) for i, leaf in enumerate(order)}
    lines, controls = [], []
    steps = len(cuts.merges)
    for step, (one, other, cost) in enumerate(cuts.merges):
        (x1, y1), (x2, y2) = place[one], place[other]
        y = HIGH * (1 - (step + 1) / (steps + 0.5))
        lines.append(f"M{x1:.1f} {y1:.1f}V{y:.1f}H{x2:.1f}V{y2:.1f}")
        place[cuts.leaves + step] = ((x1 + x2) / 2, y)
        clusters = cuts.leaves - step
        controls.append(
            f'<rect class="join" data-k="{clusters}" x="0" width="{WIDE}" y="{y:.1f}" '
            f'height="{HIGH / (steps + 0.5):.1f}"><title>{clusters} clusters; joining two of them '
            f"costs {cost:.4g}</title></rect>"
        )
    at = HIGH * (1 - (cuts.leaves - k + 0.5) / (steps + 0.5))
    return (
        f'<svg id="tree" class="chart" viewBox="-2 -2 {WIDE + 4} {HIGH + 4}" role="img" '
        f'data-step="{HIGH / (steps + 0.5):.3f}" data-leaves="{cuts.leaves}" '
        f'aria-label="Merge tree of {cuts.leaves} leaves">{"".join(controls)}'
        f'<path class="branches" d="{"".join(lines)}"/>'
        f'<path id="cut" class="cut" d="M0 {at:.1f}H{WIDE}"/></svg>'
    )


def _leaf_order(cuts: Cuts) -> list[int]:
    """Leaves from left to right, so that no branches cross."""
    below: dict[int, list[int]] = {leaf: [leaf] for leaf in range(cuts.leaves)}
    for step, (one, other, _) in enumerate(cuts.merges):
        below[cuts.leaves + step] = below[one] + below[other]
    return below[cuts.leaves + len(cuts.merges) - 1]
