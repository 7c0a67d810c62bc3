"""Writing snapshots with Ray: `write_sharded`."""

# pyright: reportUnknownVariableType=false

from shardyfusion.writer.ray.vector_writer import write_sharded

write_vector_sharded = write_sharded

__all__ = ["write_sharded", "write_vector_sharded"]
