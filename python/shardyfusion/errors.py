"""The exceptions of shardyfusion.

Every exception has `retryable`: whether the same call may succeed later. `ShardyfusionError` is the base class of all;
`UnknownRoutingTokenError` is also a `ValueError`. Cancelled tasks raise `asyncio.CancelledError` as usual.
"""

from shardyfusion._core import (
    ConfigValidationError,
    DbAdapterError,
    ManifestParseError,
    ManifestStoreError,
    PoolExhaustedError,
    ReaderStateError,
    S3TransientError,
    ShardyfusionError,
    UnknownRoutingTokenError,
)

__all__ = [
    "ConfigValidationError",
    "DbAdapterError",
    "ManifestParseError",
    "ManifestStoreError",
    "PoolExhaustedError",
    "ReaderStateError",
    "S3TransientError",
    "ShardCoverageError",
    "ShardyfusionError",
    "UnknownRoutingTokenError",
]


class ShardCoverageError(ShardyfusionError):
    """The shards that were written are not those that the snapshot must have."""

    retryable = False
