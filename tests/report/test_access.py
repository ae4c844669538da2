"""A page for everybody: landmarks, headings, names, and contrast in light and dark (WCAG 2.2 AA)."""

import re
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest

from divmix.workflows.report import run_report

TEXT = 4.5  # contrast of text with what is behind it (1.4.3)
CONTROL = 3.0  # of what is no text (1.4.11)
CSS = files("divmix.report").joinpath("page.css").read_text()


class Outline(HTMLParser):
    """The elements of a page in their order, each with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found, self.inside = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def all(self, *tags):
        return [own for tag, own in self.found if tag in tags]


@pytest.fixture(params=["wine", "detected", "chosen"])
def outline(request, tmp_path):
    run = request.getfixturevalue(request.param)
    run_report(run[0] if isinstance(run, tuple) else run, tmp_path / "page.html")
    return Outline((tmp_path / "page.html").read_text())


def test_landmarks_and_headings_are_in_order(outline):
    assert outline.all("html")[0]["lang"] == "en"
    for landmark in ("header", "main", "footer", "h1"):
        assert len(outline.all(landmark)) == 1, landmark
    levels = [int(tag[1]) for tag, _ in outline.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert "user-scalable" not in str(outline.all("meta"))  # a page may be made larger


def test_everything_has_a_name(outline):
    ids = {own["id"] for _, own in outline.found if "id" in own}
    for section in outline.all("section"):
        assert section["aria-labelledby"] in ids
    for picture in outline.all("svg"):
        assert picture["role"] == "img" and picture["aria-label"]
    for control in outline.all("input"):
        assert control["id"] in {label.get("for") for label in outline.all("label")}
    for head in outline.all("th"):
        assert head["scope"] in ("col", "row")
    for _, own in outline.found:  # what scrolls can be reached by keys and is named
        if own.get("class") == "wide":
            assert own["tabindex"] == "0" and own["role"] == "region" and own["aria-label"]
    labels = [own["aria-label"] for _, own in outline.found if own.get("role") == "region"]
    assert len(labels) == len(set(labels))


def colours(theme):
    """The colours of the page by name; those of the dark theme replace the others."""
    light, dark = re.findall(r":root\{(.*?)\}", CSS)[:2]
    declared = light + (";" + dark if theme == "dark" else "")
    found = re.findall(r"--(\w+):(#\w+)", declared)
    return {name: rgb(value) for name, value in found}


def rgb(text):
    digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
    return [int(digits[i : i + 2], 16) for i in (0, 2, 4)]


def luminance(colour):
    parts = [
        c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4
        for c in colour
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_black_on_white_and_of_a_known_pair():
    assert contrast(rgb("#000"), rgb("#fff")) == pytest.approx(21)
    assert contrast(rgb("#777"), rgb("#fff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_what_is_behind_it(theme):
    own = colours(theme)
    for ink in ("ink", "soft"):
        for paper in ("paper", "card"):
            assert contrast(own[ink], own[paper]) >= TEXT, (ink, paper)
    for ink in ("accent", "bar"):
        assert contrast(own[ink], own["card"]) >= CONTROL, ink


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_can_be_read_on_the_strongest_shade_of_the_profile(theme, wine, tmp_path):
    run_report(wine, tmp_path / "page.html")
    own, page = colours(theme), (tmp_path / "page.html").read_text()
    shades = re.findall(r"background:rgba\((\d+),(\d+),(\d+),([\d.]+)\)", page)
    assert len(shades) >= 39
    for red, green, blue, strength in shades:
        share = float(strength)
        mixed = [
            share * float(c) + (1 - share) * p for c, p in zip((red, green, blue), own["card"])
        ]
        assert contrast(own["ink"], mixed) >= TEXT
    for shade in ("230,120,20", "40,120,210"):
        assert f"{shade}," in page
