"""Recipes and the command ``ramie``; the only room that knows both halves."""
