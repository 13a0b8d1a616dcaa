"""Benchmarks: ratios within one run, and figures beside the figures that were to be reached."""
