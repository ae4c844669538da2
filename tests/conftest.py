"""Settings of all tests."""

import pytest
from hypothesis import settings

# The same examples in every run, on a busy machine too: a failure in CI must be one that anybody can
# repeat.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def cut_short(monkeypatch):
    """Has segments of a batch and pools of so few rows, so that a short table is cut like a long one."""
    from divmix import sampling
    from divmix.rows import segments

    def cut(least_rows):
        monkeypatch.setattr(segments, "SEGMENT_CELLS", segments.STEP)
        monkeypatch.setattr(sampling, "POOL_CELLS", 1)
        monkeypatch.setattr(sampling, "LEAST_ROWS", least_rows)

    return cut
