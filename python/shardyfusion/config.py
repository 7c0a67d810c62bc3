"""Configuration of a write, apart from the vectors: output, storage and metrics."""

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
    """Checks a setting for which only one value is supported."""
    if found != expected:
        raise ConfigValidationError(f"{name}: expected {expected!r}, found {describe(found)}")


def _default_local_root() -> str:
    return os.path.join(tempfile.gettempdir(), "shardyfusion")


@dataclass(slots=True)
class WriterStorageConfig:
    """The root of the snapshot (`s3://bucket/prefix`, `file:///path` or a path) and how to access object storage."""

    s3_prefix: str | os.PathLike[str] = ""
    credential_provider: CredentialProvider | None = None
    s3_connection_options: S3ConnectionOptions | None = None

    def validate(self) -> None:
        """Raises `ConfigValidationError` if a setting is invalid. So does `validate` of the other classes."""
        from shardyfusion._paths import path_option

        path_option("s3_prefix", self.s3_prefix)


@dataclass(slots=True)
class WriterOutputConfig:
    """The name of the run, and the folder in which its shards are staged before they are uploaded to object storage.

    `run_id` consists of letters, digits, `-`, `_` and `.`, and must be unused at the root; None: a random UUID. The layout of
    a root is fixed: templates and prefixes must have their default values.
    """

    run_id: str | None = None
    db_path_template: str = "db={db_id:05d}"
    shard_prefix: str = "shards"
    run_registry_prefix: str = "runs"
    local_root: str | os.PathLike[str] = field(default_factory=_default_local_root)

    def validate(self) -> None:
        from shardyfusion._paths import path_option

        require("output.db_path_template", "db={db_id:05d}", self.db_path_template)
        require("output.shard_prefix", "shards", self.shard_prefix)
        require("output.run_registry_prefix", "runs", self.run_registry_prefix)
        path_option("output.local_root", self.local_root)


@dataclass(slots=True)
class WriterManifestConfig:
    """Manifests are published below the same root as the shards, with a fixed set of fields: only the defaults are accepted."""

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
    """Maximum number of batches, each of at most `batch_size` rows, that are written per second; None: no limit."""

    max_writes_per_second: float | None = None

    def validate(self) -> None:
        limit = self.max_writes_per_second
        if limit is not None and not 0 < limit < float("inf"):
            raise ConfigValidationError(f"rate_limits.max_writes_per_second: expected a number above 0, found {describe(limit)}")


@dataclass(slots=True)
class WriterObservabilityConfig:
    """The metrics collector of the write: see `shardyfusion.metrics`."""

    metrics_collector: MetricsCollector | None = None

    def validate(self) -> None:
        collector = self.metrics_collector
        if collector is not None and not callable(getattr(collector, "emit", None)):
            raise ConfigValidationError(f"metrics_collector: expected emit(event, fields), found {describe(collector)}")


@dataclass(slots=True)
class WriterLifecycleConfig:
    """Runs are recorded at the root itself: only the default is accepted."""

    run_registry: None = None

    def validate(self) -> None:
        require("lifecycle.run_registry", None, self.run_registry)


@dataclass(slots=True, frozen=True)
class VectorColumnInput:
    """The columns of a table (anything with `__arrow_c_stream__`).

    If `id_col`, `payload_col` or `shard_id_col` is None, the column `id`, `payload` or `shard_id` is used if it exists.
    Without ids, rows are numbered. `payload_col` contains JSON objects as strings, or structs; alternatively,
    `payload_cols` names columns that together form the payload. `routing_context_cols` names the columns of the routing
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
