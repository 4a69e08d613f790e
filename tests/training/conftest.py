"""What trainings of seconds take."""

from quick import clip, workspace  # noqa: F401  # fixtures
