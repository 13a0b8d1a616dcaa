"""Requests to the world outside: guarded, polite, and never believed."""
