"""Whole studies, each one command: the demo, the benchmark, speed, scores, transfer."""
