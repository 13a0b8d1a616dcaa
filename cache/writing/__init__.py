"""Writing a store: shards, journal, lock, and the manifest last."""
