"""Reads a store and nothing else: encoders, fusion, heads, training, metrics."""
