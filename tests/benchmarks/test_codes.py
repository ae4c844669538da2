import sys

import pytest

from divmix.benchmarks import codes
from divmix.progress import Progress

linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")


def test_the_table_has_few_values_in_many_columns():
    table = codes.made(120, 7)
    assert table.shape == (120, 7)
    assert all(2 <= len(column.unique()) <= codes.VALUES for column in table.columns)
    assert codes.made(120, 7).equals(table) and not codes.made(120, 7, seed=1).equals(table)


@linux
@pytest.mark.long
def test_a_fit_takes_little_more_than_the_codes():
    """At 200,000 rows what does not grow with them weighs five times what it does at a million: of the
    detector nearly as much as the codes."""
    fit, detect = codes.run(rows=200_000, progress=Progress())["results"]
    assert fit["met"] and fit["codes_bytes"] == 200_000 * codes.COLUMNS
    assert detect["ratio"] < 2.5
