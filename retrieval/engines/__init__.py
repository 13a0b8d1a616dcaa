"""Engines: where posts are looked at when one machine is not enough."""
