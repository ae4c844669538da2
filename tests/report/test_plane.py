"""The plane, the raster and the cuts that the pictures are made of."""

import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import divmix
from divmix.report.colours import colour, rgb
from divmix.report.cuts import cuts_of, leaves_of_rows
from divmix.report.plane import WITHIN, plane_of
from divmix.report.raster import HEIGHT, WIDTH, frame_of, png, raster


def fitted(k=3, d=5, **options):
    generator = np.random.default_rng(1)
    centres = np.zeros((k, d))
    centres[:, 1], centres[:, -2] = np.arange(k) * 8, (np.arange(k) % 2) * 8
    X = np.concatenate(
        [c + generator.normal(size=(size, d)) for c, size in zip(centres, (120, 80, 50))]
    )
    X[:, 0] *= 50  # the widest column says nothing of the clusters
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(d)])
    return divmix.fit(frame, k, covariance_type="full", **options), frame


def rows(model, frame):
    import pyarrow as pa

    return model.mixture_.design.transform(pa.Table.from_pandas(frame)).X


def test_the_plane_is_where_clusters_part_and_not_where_columns_are_wide():
    model, frame = fitted()
    plane = plane_of(model.mixture_)
    assert "c0" not in plane.names[0]
    places = plane.places(rows(model, frame))
    centres = np.stack([places[model.labels_ == c].mean(axis=0) for c in range(3)])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)[np.triu_indices(3, 1)]
    within = max(places[model.labels_ == c].std() for c in range(3))
    assert apart.min() > 2 * within


@pytest.mark.parametrize("k, d", [(1, 3), (2, 4), (2, 1), (3, 2)])
def test_any_number_of_clusters_and_columns_has_a_plane(k, d):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(90, d)) + (np.arange(90) % k)[:, None] * 9
    mixture = divmix.fit(X, k).mixture_
    plane = plane_of(mixture)
    assert plane.directions.shape == (d, 2) and np.isfinite(plane.directions).all()
    assert len(plane.ellipses(mixture.family, mixture.components)) == mixture.components.count


def test_an_ellipse_holds_nine_of_ten_rows():
    model, _ = fitted(k=1, d=2)
    mixture = model.mixture_
    plane = plane_of(mixture)
    (ellipse,) = plane.ellipses(mixture.family, mixture.components)
    drawn, _ = mixture.draw(20_000, np.random.default_rng(0))
    offset = plane.places(drawn) - [ellipse.x, ellipse.y]
    turn = [[np.cos(ellipse.angle), -np.sin(ellipse.angle)], [np.sin(ellipse.angle), np.cos(ellipse.angle)]]  # fmt: skip
    inside = ((offset @ turn / [ellipse.major, ellipse.minor]) ** 2).sum(axis=1) <= 1
    assert inside.mean() == pytest.approx(0.9, abs=0.01)
    assert pytest.approx(4.605, abs=0.001) == WITHIN**2


def test_the_raster_has_the_labels_where_the_rows_are_and_a_bounded_size():
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50_000)
    places = generator.normal(size=(100_000, 2)) * 0.2 + labels[:, None] * 4
    frame = frame_of(places)
    picture = raster(places, labels, frame)
    assert picture.shape == (HEIGHT, WIDTH) and set(np.unique(picture)) == {0, 1, 2}
    x1 = np.flatnonzero((picture == 1).any(axis=0)).max()
    assert x1 < np.flatnonzero((picture == 2).any(axis=0)).min()  # 0 left of 1, none mixed
    assert np.flatnonzero((picture == 1).any(axis=1)).min() > HEIGHT / 2  # and below
    assert len(png(picture, ["#ff0000", "#00ff00"])) < 30_000


def test_a_picture_is_the_png_it_should_be():
    picture = np.array([[0, 1], [2, 1]], np.uint8)
    content = png(picture, ["#102030", "#405060"])
    chunks, at = {}, 8
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        chunks[kind] = content[at + 8 : at + 8 + size]
        checked = content[at + 4 : at + 8 + size]
        assert struct.unpack(">I", content[at + 8 + size : at + 12 + size])[0] == zlib.crc32(
            checked
        )
        at += 12 + size
    assert chunks[b"PLTE"][3:] == bytes([0x10, 0x20, 0x30, 0x40, 0x50, 0x60])
    assert chunks[b"tRNS"] == b"\0"
    assert zlib.decompress(chunks[b"IDAT"]) == bytes([0, 0, 1, 0, 2, 1])


def test_colours_are_distinct():
    shown = [rgb(colour(c)) for c in range(-1, 40)]
    assert len(set(shown)) == len(shown)


@pytest.mark.parametrize("merge", ["kl", "overlap"])
def test_cuts_are_those_of_the_model(merge):
    model, frame = fitted(merge=merge)
    mixture = model.mixture_
    cuts = cuts_of(mixture, plane_of(mixture))
    leaves = leaves_of_rows(mixture, rows(model, frame))
    assert len(cuts.cuts) == cuts.leaves == len(cuts.merges) + 1
    for k, cut in enumerate(cuts.cuts, 1):
        assert set(cut.groups) == set(range(k))
        assert {cluster for cluster, _ in cut.ellipses} == set(range(k))
        by_model = model.cut(k).predict(frame)
        assert np.mean(cut.groups[leaves] == by_model) > 0.93


def test_a_method_without_a_tree_has_no_cuts():
    model, _ = fitted(method="em")
    assert cuts_of(model.mixture_, plane_of(model.mixture_)) is None


def test_a_wide_mixture_is_projected_one_component_at_a_time():
    seen = []
    family = SimpleNamespace(pooled=lambda own: (seen.append(own.count), np.eye(2))[1])
    from divmix.families import Components
    from divmix.report.plane import covariances_in

    components = Components(np.full(4, 0.25), np.zeros((4, 2)), np.ones((4, 2)))
    covariances_in(family, components, np.eye(2))
    assert seen == [1, 1, 1, 1]


def spread_of(d, columns, generator):
    """A spread of Gaussian numbers, and of categories where there are columns; the same as a matrix."""
    from divmix.families import Categories, CategoryColumn, make_family
    from divmix.report.spread import Spread

    places = d - 3 * columns + np.arange(3 * columns).reshape(columns, 3)
    texts = [CategoryColumn(tuple(own.tolist()), (0.2, 0.3, 0.5)) for own in places]
    categories = Categories(d, tuple(texts)) if columns else None
    numbers = d - 3 * columns
    family = make_family(
        "gaussian", "full" if numbers < 50 else "diag", np.full(d, 0.1), categories
    )
    means = 0.1 * generator.normal(size=(3, d))
    shape = generator.normal(size=(numbers, numbers))
    covariance = np.ones(numbers) if numbers > 100 else shape @ shape.T / numbers
    components = family.start(np.full(3, 1 / 3), means, covariance)
    spread = Spread.within(family, components)
    matrix = np.diag(components.weights @ family.variances(components))
    own = family.moments(components).covariances[0]
    matrix[:numbers, :numbers] = np.diag(own) if own.ndim == 1 else own
    offsets = generator.normal(size=(2, d))
    return spread.plus(offsets), matrix + offsets.T @ offsets


@pytest.mark.parametrize("d, columns", [(4, 0), (30, 8), (150, 0), (260, 80)])
def test_a_spread_does_what_its_matrix_does(d, columns):
    generator = np.random.default_rng(3)
    spread, matrix = spread_of(d, columns, generator)
    V = generator.normal(size=(d, 2))
    np.testing.assert_allclose(spread @ V, matrix @ V, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(spread.diagonal, np.diag(matrix), rtol=1e-9)
    expected = np.linalg.solve(matrix + 1e-3 * np.eye(d), V)
    np.testing.assert_allclose(spread.solved(V, 1e-3), expected, rtol=1e-6, atol=1e-8)
    _, vectors = np.linalg.eigh(matrix)
    found = np.abs(spread.widest(2) @ vectors[:, ::-1][:, :2])
    np.testing.assert_allclose(found, np.eye(2), atol=1e-6)


@pytest.mark.parametrize("d", [5, 130])
def test_tables_of_many_numbers_have_a_report(d, tmp_path):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, d)) + 4 * (np.arange(200) % 2)[:, None]
    divmix.fit(X, 2).report(tmp_path / "page.html", X)
    assert "<svg" in (tmp_path / "page.html").read_text()
