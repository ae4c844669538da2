"""Draws docs/alpha.svg: the components of docs/alpha.md at four values of alpha.

python tests/docs/pictures.py
"""

import numpy as np

from divmix import DiversifiedMixture
from divmix.report import charts, html
from divmix.report.colours import NOISE
from divmix.report.plane import Plane
from divmix.report.raster import HEIGHT, WIDTH, Frame, png, raster
from tests.docs.blocks import ROOT

ALPHAS = (0, 0.25, 1, 5)
TITLE = 40  # pixels above each picture
REACH = 7.0  # half the height of the plane


def main() -> None:
    generator = np.random.default_rng(4)
    centres, rows = [(0, 0), (2.2, 0), (0, 6)], [300, 300, 150]
    X = np.concatenate([generator.normal(c, 1, (n, 2)) for c, n in zip(centres, rows)])
    plane = Plane(np.zeros(2), np.eye(2), ("", ""))
    wide = REACH * WIDTH / HEIGHT
    frame = Frame(-wide, wide, -REACH, REACH)
    parts = []
    for place, alpha in enumerate(ALPHAS):
        model = DiversifiedMixture(
            6, alpha=alpha, covariance_type="full", scale="none", random_state=0
        ).fit(X)
        mixture = model.mixture_
        rows = X - model.means_[0] + mixture.components.means[0]  # as the mixture sees them
        image = html.uri(png(raster(plane.places(rows), np.zeros(len(X), int), frame), [NOISE]))
        ellipses = plane.ellipses(mixture.family, mixture.components)
        numbers = [charts.ellipse_numbers(j, own, frame) for j, own in enumerate(ellipses)]
        drawn = charts.picture(f"alpha-{place}", image, numbers, f"alpha {alpha}")
        x, y = place % 2 * WIDTH, place // 2 * (HEIGHT + TITLE)
        drawn = drawn.replace(
            "<svg ", f'<svg x="{x}" y="{y + TITLE}" width="{WIDTH}" height="{HEIGHT}" '
        )
        parts.append(f'<text x="{x + 20}" y="{y + 28}">alpha {alpha}</text>{drawn}')
    high = 2 * (HEIGHT + TITLE)
    (ROOT / "docs/alpha.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {high}">'
        f'<rect width="{2 * WIDTH}" height="{high}" fill="#fff"/>'
        f'<g font-family="sans-serif" font-size="24">{"".join(parts)}</g></svg>\n'
    )


if __name__ == "__main__":
    main()
