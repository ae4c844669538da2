"""A run of each kind that has a page."""

import pytest

from divmix.settings import DetectSettings, DetectTableSettings, DiversifiedSettings, TableSettings
from divmix.workflows.detect import run_detect
from divmix.workflows.fit import run_fit
from divmix.workflows.select import run_select
from tests.report.reader import WINE


@pytest.fixture(scope="session")
def wine(tmp_path_factory):
    run = tmp_path_factory.mktemp("report") / "wine.divmix"
    run_fit([WINE], DiversifiedSettings(clusters=3), TableSettings(truth="class"), run)
    return run


@pytest.fixture(scope="session")
def detected(tmp_path_factory):
    """A run of detect that names its table: the page has the rows, their flags and p-values."""
    run = tmp_path_factory.mktemp("detected") / "found"
    tables, settings = (
        DetectTableSettings(exclude=("class",)),
        DetectSettings(components=2, contamination=0.02),
    )
    return run, run_detect([WINE], settings, tables, None, run=run)


@pytest.fixture(scope="session")
def chosen(tmp_path_factory):
    """A run of select, and what it returned."""
    run = tmp_path_factory.mktemp("chosen") / "chosen"
    tables, settings = TableSettings(exclude=("class",)), DiversifiedSettings(clusters="auto")
    return run, run_select([WINE], 2, 4, settings, tables, run=run)
