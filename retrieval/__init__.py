"""Fills a store: readers, observation, providers, curation, builder."""
