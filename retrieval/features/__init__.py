"""Feature sets: what is computed of posts and photos for the systems that read it."""
