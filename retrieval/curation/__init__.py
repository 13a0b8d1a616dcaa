"""Curation: from hits to evidence, every other hit with the step and reason it fell to."""
