"""SAM 2 with an explicit memory bank and pluggable memory policies."""

__version__ = "0.1.0"
