"""Colours of clusters: distinct ones while they reach, then hues a golden angle apart."""

import colorsys

TEN = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd",
    "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#5555cc",
)  # fmt: skip
NOISE = "#8a8a8a"
GOLDEN = 0.381966


def colour(cluster: int) -> str:
    """#rrggbb of a cluster; noise is grey."""
    if cluster < 0:
        return NOISE
    if cluster < len(TEN):
        return TEN[cluster]
    hue = (cluster * GOLDEN) % 1
    lightness = (0.42, 0.55, 0.48)[cluster % 3]
    rgb = colorsys.hls_to_rgb(hue, lightness, 0.6)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def rgb(text: str) -> tuple[int, int, int]:
    """The three bytes of #rrggbb."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
