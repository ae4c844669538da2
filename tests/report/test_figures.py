"""The figures of a fit."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from divmix.errors import MissingExtraError
from divmix.progress import TraceRow
from divmix.report.figures import climbs
from divmix.settings import DiversifiedSettings, TableSettings
from divmix.workflows.fit import run_fit

WINE = str(Path(__file__).parents[2] / "sample_data" / "wine.csv")


def fit(output, **options):
    return run_fit(
        [WINE], DiversifiedSettings(clusters=3), TableSettings(truth="class"), output, **options
    )


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_clusters_are_drawn_and_the_same_run_draws_the_same(kind, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra report is not installed")
    for name in "ab":
        fit(tmp_path / name, figures=kind)
    first, second = ((tmp_path / name / f"clusters.{kind}").read_bytes() for name in "ab")
    assert first == second
    if kind == "svg":
        marks = [e for e in ElementTree.fromstring(first).iter() if e.tag.endswith("}use")]
        assert len(marks) >= 178  # a mark for each row
    else:
        from matplotlib.image import imread

        picture = imread(tmp_path / "a" / "clusters.png")
        colours = {tuple(colour) for colour in np.round(picture[..., :3].reshape(-1, 3), 2)}
        assert len(colours) > 3


def test_the_trace_is_drawn_a_line_for_each_climb(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra report is not installed")
    for name in "ab":
        fit(tmp_path / name, figures="svg")
    first, second = ((tmp_path / name / "trace.svg").read_bytes() for name in "ab")
    assert first == second
    phases = [phase.encode() for phase in ("relax", "diversify", "reduce", "refine")]
    assert all(b"<!-- %s -->" % phase in first for phase in phases)
    trace = pd.read_csv(tmp_path / "a" / "trace.csv")
    rows = [TraceRow(**row) for row in trace.to_dict("records")]
    found = climbs(rows)
    assert sum(map(len, found)) == len(rows) and len(found) > 10
    for climb in found:
        assert len({row.phase for row in climb}) == 1
        assert (np.diff([row.objective for row in climb]) >= -1e-9).all()


def test_a_missing_package_is_told_before_the_fit(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match="matplotlib") as caught:
        fit(tmp_path / "run", figures="png")
    assert "divmix[report]" in caught.value.hint
    assert not (tmp_path / "run").exists()
