"""Building: a store from posts, shard by shard, going on where an earlier run stopped."""
