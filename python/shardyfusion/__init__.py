"""Nearest-neighbour search over sharded vector snapshots, exact within the shards that are searched.

The readers are `shardyfusion.vector.AsyncShardedVectorReader` (asyncio) and `shardyfusion.vector.ShardedVectorReader`.
"""

from shardyfusion import errors
from shardyfusion._core import kernel_name
from shardyfusion._core import version as _version
from shardyfusion.rate_limiter import TokenBucket

__all__ = ["TokenBucket", "errors", "kernel_name"]
__version__ = _version()
