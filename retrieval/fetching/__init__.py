"""Fetching: pages and images that live providers name, once per URL, believed in nothing."""
