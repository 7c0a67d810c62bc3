"""The exceptions of shardyfusion.

Every exception has `retryable`: whether the same call may succeed later. `ShardyfusionError` is the base class of all;
`UnknownRoutingTokenError` is also a `ValueError`. Cancelled tasks raise `asyncio.CancelledError` as usual.
"""

from typing import ClassVar

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
    "ManifestBuildError",
    "ManifestParseError",
    "ManifestStoreError",
    "PoolExhaustedError",
    "PublishCurrentError",
    "PublishManifestError",
    "ReaderStateError",
    "S3TransientError",
    "ShardAssignmentError",
    "ShardCoverageError",
    "ShardWriteError",
    "ShardyfusionError",
    "UnknownRoutingTokenError",
    "VectorIndexError",
    "VectorSearchError",
]


class ShardAssignmentError(ShardyfusionError):
    """A row can't be assigned to a shard."""

    retryable: ClassVar[bool] = False


class ShardCoverageError(ShardyfusionError):
    """The shards that were written are not those that the snapshot must have."""

    retryable: ClassVar[bool] = False


class ShardWriteError(ShardyfusionError):
    """A shard can't be written."""

    retryable: ClassVar[bool] = True


class ManifestBuildError(ShardyfusionError):
    """A manifest can't be made."""

    retryable: ClassVar[bool] = False


class PublishManifestError(ShardyfusionError):
    """A manifest can't be stored: the live snapshot is unchanged."""

    retryable: ClassVar[bool] = True


class PublishCurrentError(ShardyfusionError):
    """A manifest is stored, but is not the live one: `manifest_ref` is its reference."""

    retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, manifest_ref: str | None = None) -> None:
        super().__init__(message)
        self.manifest_ref = manifest_ref


class VectorIndexError(ShardyfusionError):
    """A writer adapter can't write the vectors of a shard."""

    retryable: ClassVar[bool] = False


class VectorSearchError(ShardyfusionError):
    """A custom shard reader can't search its shard."""

    retryable: ClassVar[bool] = False
