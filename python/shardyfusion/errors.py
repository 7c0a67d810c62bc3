"""What shardyfusion raises.

Every exception has `retryable`: whether the same call may succeed later. `ShardyfusionError` is the base of all;
`UnknownRoutingTokenError` is a `ValueError` too. Cancelled tasks get `asyncio.CancelledError`, as ever.
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
    "ShardyfusionError",
    "UnknownRoutingTokenError",
]
