"""Settings of all tests."""

from hypothesis import settings

# The same examples in every run, on a busy machine too: a failure in CI must be one that anybody can
# repeat.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
