"""Writing snapshots with Spark: `write_sharded`."""

# pyright: reportUnknownVariableType=false

from shardyfusion.writer.spark.vector_writer import write_sharded

write_vector_sharded = write_sharded

__all__ = ["write_sharded", "write_vector_sharded"]
