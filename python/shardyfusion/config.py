"""What a write is configured with, apart from the vectors: where it goes and how it is told of."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError

if TYPE_CHECKING:
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.metrics import MetricsCollector
    from shardyfusion.s3 import S3ConnectionOptions

__all__ = [
    "VectorColumnInput",
    "VectorWriteRateLimitConfig",
    "WriterLifecycleConfig",
    "WriterManifestConfig",
    "WriterObservabilityConfig",
    "WriterOutputConfig",
    "WriterStorageConfig",
]


def require(name: str, expected: object, found: object) -> None:
    """For settings of which only one value can be written."""
    if found != expected:
        raise ConfigValidationError(f"{name}: expected {expected!r}, found {describe(found)}")


def _default_local_root() -> str:
    return os.path.join(tempfile.gettempdir(), "shardyfusion")


@dataclass(slots=True)
class WriterStorageConfig:
    """Where the snapshot goes: `s3://bucket/prefix`, `file:///path` or a path, and how object storage is reached."""

    s3_prefix: str | os.PathLike[str] = ""
    credential_provider: CredentialProvider | None = None
    s3_connection_options: S3ConnectionOptions | None = None

    def validate(self) -> None:
        """Raises `ConfigValidationError` where something is not what it has to be. So do the others' `validate`."""
        from shardyfusion._options import path_option

        path_option("s3_prefix", self.s3_prefix)


@dataclass(slots=True)
class WriterOutputConfig:
    """What a run is called, and where its shards are staged on their way to object storage.

    `run_id` has letters, digits, `-`, `_` and `.`, and is new at its root; None: a random UUID. The layout of a root is
    fixed: the templates and prefixes can only be what they are.
    """

    run_id: str | None = None
    db_path_template: str = "db={db_id:05d}"
    shard_prefix: str = "shards"
    run_registry_prefix: str = "runs"
    local_root: str | os.PathLike[str] = field(default_factory=_default_local_root)

    def validate(self) -> None:
        from shardyfusion._options import path_option

        require("output.db_path_template", "db={db_id:05d}", self.db_path_template)
        require("output.shard_prefix", "shards", self.shard_prefix)
        require("output.run_registry_prefix", "runs", self.run_registry_prefix)
        path_option("output.local_root", self.local_root)


@dataclass(slots=True)
class WriterManifestConfig:
    """Manifests are published beside the shards, with the fields that readers know: there is nothing to choose."""

    store: None = None
    custom_manifest_fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    credential_provider: None = None
    s3_connection_options: None = None

    def validate(self) -> None:
        require("manifest.store", None, self.store)
        require("manifest.custom_manifest_fields", {}, dict(self.custom_manifest_fields))
        require("manifest.credential_provider", None, self.credential_provider)
        require("manifest.s3_connection_options", None, self.s3_connection_options)


@dataclass(slots=True)
class VectorWriteRateLimitConfig:
    """How many batches, of `batch_size` rows at most, are written a second at most; None: as many as can be."""

    max_writes_per_second: float | None = None

    def validate(self) -> None:
        limit = self.max_writes_per_second
        if limit is not None and not 0 < limit < float("inf"):
            raise ConfigValidationError(f"rate_limits.max_writes_per_second: expected a number above 0, found {describe(limit)}")


@dataclass(slots=True)
class WriterObservabilityConfig:
    """Who is told of the write: see `shardyfusion.metrics`."""

    metrics_collector: MetricsCollector | None = None

    def validate(self) -> None:
        collector = self.metrics_collector
        if collector is not None and not callable(getattr(collector, "emit", None)):
            raise ConfigValidationError(f"metrics_collector: expected emit(event, fields), found {describe(collector)}")


@dataclass(slots=True)
class WriterLifecycleConfig:
    """Runs are recorded at the root itself: there is nothing to choose."""

    run_registry: None = None

    def validate(self) -> None:
        require("lifecycle.run_registry", None, self.run_registry)


@dataclass(slots=True, frozen=True)
class VectorColumnInput:
    """The columns of a table (anything with `__arrow_c_stream__`).

    Where `id_col`, `payload_col` and `shard_id_col` are None, the columns `id`, `payload` and `shard_id` are taken if there
    are any. Without ids, rows are numbered. `payload_col` holds JSON objects as strings, or structs; instead of it,
    `payload_cols` names columns that make the payload together. `routing_context_cols` names the columns of the routing
    context (None: those of `cel_columns`).
    """

    vector_col: str = "vector"
    id_col: str | None = None
    payload_cols: Sequence[str] | None = None
    shard_id_col: str | None = None
    routing_context_cols: Mapping[str, str] | Sequence[str] | None = None
    payload_col: str | None = None

    def validate(self) -> None:
        if not self.vector_col:
            raise ConfigValidationError("input.vector_col: expected a name, found none")
        if self.payload_col is not None and self.payload_cols is not None:
            raise ConfigValidationError("input: expected payload_col or payload_cols, found both")
