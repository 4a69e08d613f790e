"""How well masks fit the truth: overlaps, measures and their intervals."""
