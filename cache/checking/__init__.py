"""Whether a store is what it promises, and mending it."""
