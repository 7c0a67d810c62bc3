"""Factories that fix the format of the shards. Without one, each shard is looked at for what it is."""
