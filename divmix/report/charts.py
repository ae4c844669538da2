"""Charts as SVG, drawn with the colours of the page."""

from collections.abc import Sequence
from html import escape

import numpy as np

from divmix.progress import TraceRow
from divmix.report.colours import colour
from divmix.report.cuts import Cuts
from divmix.report.figures import climbs
from divmix.report.plane import Ellipse
from divmix.report.raster import HEIGHT, WIDTH, Frame

MOST_POINTS = 400  # of one climb in the chart of J
WIDE, HIGH = 600, 220  # of the smaller charts
LEFT, BOTTOM = 56, 30  # for the numbers at the axes


def ellipse_numbers(cluster: int, ellipse: Ellipse, frame: Frame) -> list[float]:
    """Cluster, centre, half axes and angle in degrees, in pixels of the picture."""
    x, y = frame.pixels(np.array([[ellipse.x, ellipse.y]]))[0]
    unit = WIDTH / (frame.right - frame.left)
    sizes = (max(length * unit, 1.0) for length in (ellipse.major, ellipse.minor))
    angle = -float(np.degrees(ellipse.angle))
    return [cluster, *(round(float(number), 1) for number in (x, y, *sizes, angle))]


def picture(name: str, image: str, ellipses: Sequence[list[float]], told: str) -> str:
    """Rows as one image under ellipses. image: a data URI; told: what a reader hears."""
    drawn = "".join(
        f'<ellipse rx="{major}" ry="{minor}" transform="translate({x} {y}) rotate({angle})"'
        f' stroke="{colour(int(cluster))}"/>'
        for cluster, x, y, major, minor, angle in ellipses
    )
    return (
        f'<svg id="{name}" class="picture" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(told)}"><image id="{name}-rows" width="{WIDTH}" height="{HEIGHT}"'
        f' href="{image}"/><g id="{name}-ellipses" fill="none" stroke-width="2">{drawn}</g></svg>'
    )


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
        f'<text x="0" y="{HIGH + 20}">{escape(low)}</text>'
        f'<text x="{WIDE}" y="{HIGH + 20}" text-anchor="end">{escape(high)}</text></svg>'
    )


def objective(trace: Sequence[TraceRow]) -> str:
    """J by iteration, a line for each climb, a colour for each phase."""
    phases = list(dict.fromkeys(row.phase for row in trace))
    values = np.array([row.objective for row in trace])
    # The first steps from a start may lie far below all others.
    low, high = float(np.quantile(values, 0.02)), float(values.max())
    span, last = max(high - low, 1e-9), max(trace[-1].iteration, 1)
    lines = []
    for climb in climbs(trace):
        kept = climb[:: max(len(climb) // MOST_POINTS, 1)]
        points = " ".join(
            f"{LEFT + (WIDE - LEFT) * row.iteration / last:.1f},"
            f"{HIGH * (1 - max(row.objective - low, 0.0) / span):.1f}"
            for row in (*kept, climb[-1])
        )
        stroke = colour(phases.index(climb[0].phase))
        lines.append(f'<polyline points="{points}" stroke="{stroke}"/>')
    legend = "".join(
        f'<circle cx="{LEFT + 8 + 110 * j}" cy="{HIGH + 19}" r="5" fill="{colour(j)}"/>'
        f'<text x="{LEFT + 18 + 110 * j}" y="{HIGH + 24}">{escape(phase)}</text>'
        for j, phase in enumerate(phases)
    )
    told = f"J over {len(trace)} iterations, from {low:.4g} to {high:.4g} nats per row"
    return (
        f'<svg class="chart" viewBox="-4 -8 {WIDE + 8} {HIGH + BOTTOM + 8}" role="img" '
        f'aria-label="{told}"><g fill="none" stroke-width="1.5">{"".join(lines)}</g>'
        f'<path class="axis" d="M{LEFT} 0V{HIGH}H{WIDE}"/>'
        f'<text x="{LEFT - 6}" y="10" text-anchor="end">{high:.4g}</text>'
        f'<text x="{LEFT - 6}" y="{HIGH}" text-anchor="end">{low:.4g}</text>{legend}</svg>'
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
