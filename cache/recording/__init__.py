"""Raw answers of providers, kept for good."""
