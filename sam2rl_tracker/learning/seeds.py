"""Which generated scenes are for what. Written down before the first training, so that nothing tested was seen."""

TRAIN = 30_000_000
"""Scenes to learn from: their seeds count up from here."""

VALIDATE = 31_000_000
"""Scenes by which an agent is chosen among those of one learning, once."""

PROBE = 32_000_000
"""Scenes on which ideas are tried while the method itself is developed."""

TEST = 8_000_000
"""Scenes of the reported evaluation. Nothing is trained or chosen on them."""
