"""Reading a store: from its shards, or from files derived from them."""
