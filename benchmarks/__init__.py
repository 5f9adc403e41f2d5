"""Figures side by side in one run: `python -m benchmarks`. They are printed and never asserted."""
