"""Drawing and wording what was measured: tables, plots, overlays and HTML."""
