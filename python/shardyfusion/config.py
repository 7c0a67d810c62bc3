"""Configuration of a write, apart from the vectors: output, storage and metrics."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError

if TYPE_CHECKING:
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.manifest_store import ManifestStore
    from shardyfusion.metrics import MetricsCollector
    from shardyfusion.run_registry import RunRegistry
    from shardyfusion.s3 import S3ConnectionOptions
    from shardyfusion.vector.config import VectorIndexConfig, VectorShardingConfig, VectorSpecSharding

__all__ = [
    "UnifiedVectorWriteConfig",
    "ValidatableConfig",
    "VectorColumnInput",
    "VectorMetricLiteral",
    "VectorSpec",
    "VectorWriteRateLimitConfig",
    "VectorWriteTuple",
    "WriterLifecycleConfig",
    "WriterManifestConfig",
    "WriterObservabilityConfig",
    "WriterOutputConfig",
    "WriterStorageConfig",
    "validate_configs",
    "validate_shard_id_col_no_collision",
    "vector_metric_to_str",
]

VectorMetricLiteral: TypeAlias = Literal["cosine", "l2", "dot_product"]
VectorWriteTuple: TypeAlias = tuple[int | str, Any, dict[str, Any] | None]
"""The id, the vector and the payload of a row."""


class ValidatableConfig(Protocol):
    """Settings that can be checked."""

    def validate(self) -> None: ...


def validate_configs(*configs: ValidatableConfig) -> None:
    """Checks all of them, in order."""
    for config in configs:
        config.validate()


def validate_shard_id_col_no_collision(config: Any, user_columns: set[str]) -> None:
    """Raises `ConfigValidationError` if the input has a column of the name that is used for the shard of a row."""
    if config.shard_id_col in user_columns:
        raise ConfigValidationError(
            f"shard_id_col: expected a name that the input does not use, found {describe(config.shard_id_col)}"
        )


def vector_metric_to_str(metric: Any) -> VectorMetricLiteral:
    """Returns the name of a metric, which may be a `DistanceMetric`."""
    name = getattr(metric, "value", metric)
    if name not in ("cosine", "l2", "dot_product"):
        raise ConfigValidationError(f"metric: expected cosine, l2 or dot_product, found {describe(metric)}")
    return name  # type: ignore[no-any-return]


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

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Raises `ConfigValidationError` if a setting is invalid. So does `validate` of the other classes."""
        from shardyfusion._paths import path_option

        path_option("s3_prefix", self.s3_prefix)


@dataclass(slots=True)
class WriterOutputConfig:
    """The name of the run, and the folder in which its shards are staged before they are uploaded to object storage.

    `run_id` consists of letters, digits, `-`, `_` and `.`, and must be unused at the root; None: a random UUID. The layout of
    a root is fixed: a write refuses templates and prefixes that do not have their default values.
    """

    run_id: str | None = None
    db_path_template: str = "db={db_id:05d}"
    shard_prefix: str = "shards"
    run_registry_prefix: str = "runs"
    local_root: str | os.PathLike[str] = field(default_factory=_default_local_root)

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        from shardyfusion._paths import path_option

        for name in ("shard_prefix", "run_registry_prefix"):
            _check_segment(f"output.{name}", getattr(self, name))
        try:
            self.db_path_template.format(db_id=0)
        except (AttributeError, LookupError, TypeError, ValueError):
            expected = "a template such as db={db_id:05d}"
            raise ConfigValidationError(
                f"output.db_path_template: expected {expected}, found {describe(self.db_path_template)}"
            ) from None
        path_option("output.local_root", self.local_root)

    def check_layout(self) -> None:
        """Raises `ConfigValidationError` unless the layout is that of the format, which a write needs."""
        require("output.db_path_template", "db={db_id:05d}", self.db_path_template)
        require("output.shard_prefix", "shards", self.shard_prefix)
        require("output.run_registry_prefix", "runs", self.run_registry_prefix)


def _check_segment(name: str, value: Any) -> None:
    allowed = isinstance(value, str) and value.strip(".") and all(c.isalnum() or c in "._-" for c in value)
    if not allowed or not value.isascii():
        raise ConfigValidationError(f"{name}: expected letters, digits, '.', '_' and '-', found {describe(value)}")


@dataclass(slots=True)
class WriterManifestConfig:
    """Where the manifest is published, and what it says besides.

    `store` is used instead of the manifests below the root: any object with `publish` (see
    `shardyfusion.manifest_store.ManifestStore`). Without one, `credential_provider` and `s3_connection_options` are for publishing
    the manifest alone. `custom_manifest_fields` are members of the manifest's `custom`, in which `vector` is the library's own.
    """

    store: ManifestStore | None = None
    custom_manifest_fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    credential_provider: CredentialProvider | None = None
    s3_connection_options: S3ConnectionOptions | None = None

    def validate(self) -> None:
        if self.store is not None and not callable(getattr(self.store, "publish", None)):
            raise ConfigValidationError(f"manifest.store: expected publish(…), found {describe(self.store)}")
        fields: Any = self.custom_manifest_fields
        if not isinstance(fields, Mapping):
            raise ConfigValidationError(f"manifest.custom_manifest_fields: expected a mapping, found {describe(fields)}")


@dataclass(slots=True)
class VectorWriteRateLimitConfig:
    """Maximum number of batches, each of at most `batch_size` rows, that are written per second; None: no limit."""

    max_writes_per_second: float | None = None

    def __post_init__(self) -> None:
        self.validate()

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
    """Where runs are recorded, besides the root itself: see `shardyfusion.run_registry.RunRegistry`."""

    run_registry: RunRegistry | None = None

    def validate(self) -> None:
        registry = self.run_registry
        if registry is not None and not callable(getattr(registry, "create", None)):
            raise ConfigValidationError(f"lifecycle.run_registry: expected create(record), found {describe(registry)}")


def _default_spec_sharding() -> VectorSpecSharding:
    from shardyfusion.vector.config import VectorSpecSharding

    return VectorSpecSharding()


@dataclass(slots=True)
class VectorSpec:
    """The vectors of a snapshot and how they are sharded, in one place, with names instead of enumerations."""

    dim: int
    vector_col: str | None = None
    metric: VectorMetricLiteral = "cosine"
    index_type: str = "hnsw"
    index_params: dict[str, object] = field(default_factory=dict[str, object])
    quantization: str | None = None
    sharding: VectorSpecSharding = field(default_factory=_default_spec_sharding)

    def __post_init__(self) -> None:
        self.metric = vector_metric_to_str(self.metric)

    def to_vector_index_config(self) -> VectorIndexConfig:
        """Returns the vectors as a write is told of them."""
        from shardyfusion.vector.config import VectorIndexConfig
        from shardyfusion.vector.types import DistanceMetric

        metric = DistanceMetric(self.metric)
        return VectorIndexConfig(self.dim, metric, self.index_type, self.index_params, self.quantization)

    def to_vector_sharding_spec(self) -> VectorShardingConfig:
        """Returns the sharding as a write is told of it."""
        from dataclasses import fields

        from shardyfusion.vector.config import VectorShardingConfig
        from shardyfusion.vector.types import VectorShardingStrategy

        given = {each.name: getattr(self.sharding, each.name) for each in fields(self.sharding)}
        return VectorShardingConfig(**given | {"strategy": VectorShardingStrategy(self.sharding.strategy)})


UnifiedVectorWriteConfig = VectorSpec


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
