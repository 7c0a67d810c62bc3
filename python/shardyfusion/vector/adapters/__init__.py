"""Factories that select the format of shards. Without one, a reader detects the format of each shard."""
