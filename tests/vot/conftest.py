"""A workspace in which trackers differ."""

from compared import compared  # noqa: F401  # a fixture
