"""Configuration of a write."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from shardyfusion._types import DistanceMetric, VectorIndexConfig, VectorShardingStrategy
from shardyfusion.config import (
    VectorColumnInput,
    VectorWriteRateLimitConfig,
    WriterLifecycleConfig,
    WriterManifestConfig,
    WriterObservabilityConfig,
    WriterOutputConfig,
    WriterStorageConfig,
    require,
    validate_configs,
)
from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError

if TYPE_CHECKING:
    from shardyfusion._builtin_format import BuiltinFormat
    from shardyfusion._types import (
        AsyncVectorShardReaderFactory,
        Queries,
        VectorIndexWriterFactory,
        VectorShardReaderFactory,
    )
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.metrics import MetricsCollector
    from shardyfusion.run_registry import RunRegistry
    from shardyfusion.s3 import S3ConnectionOptions

__all__ = [
    "VectorAdapterConfig",
    "VectorColumnInput",
    "VectorIndexConfig",
    "VectorRecordInput",
    "VectorShardedWriteConfig",
    "VectorShardingConfig",
    "VectorShardingSpec",
    "VectorSpecSharding",
    "VectorWriteOptions",
]


def _check_count(name: str, value: object, minimum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value < 2**31:
        raise ConfigValidationError(f"{name}: expected an integer of at least {minimum}, found {describe(value)}")


@dataclass(slots=True)
class VectorShardingConfig:
    """How vectors are distributed over shards and queries are routed to them.

    Required settings of each strategy:

    - `CLUSTER`: `centroids` (`num_dbs` × `dim`), or `train_centroids` and `num_dbs`
    - `LSH`: `num_dbs`; `hyperplanes` (`num_hash_bits` × `dim`) are random if they are not given
    - `EXPLICIT`: `num_dbs`, and a shard id for each row
    - `CEL`: `cel_expr`, `cel_columns` (`{"name": "int"}`), and `num_dbs` or `routing_values`

    Training uses at most `centroids_training_sample_size` rows and `training_iterations` iterations. `seed` is used for
    training and for random hyperplanes: the same rows and seed give the same shards.
    """

    num_dbs: int | None = None
    strategy: VectorShardingStrategy = VectorShardingStrategy.CLUSTER
    num_probes: int = 1
    centroids: Queries | None = None
    train_centroids: bool = False
    centroids_training_sample_size: int = 100_000
    num_hash_bits: int = 8
    hyperplanes: Queries | None = None
    cel_expr: str | None = None
    cel_columns: Mapping[str, str] | None = None
    routing_values: Sequence[int | str | bytes] | None = None
    training_iterations: int = 25
    seed: int = 42

    def validate(self) -> None:
        """Raises `ConfigValidationError` if a setting is invalid, or one is missing that does not depend on the rows."""
        try:
            self.strategy = VectorShardingStrategy(self.strategy)
        except ValueError:
            names = ", ".join(VectorShardingStrategy)
            raise ConfigValidationError(f"sharding.strategy: expected {names}, found {describe(self.strategy)}") from None
        if self.num_dbs is not None:
            _check_count("num_dbs", self.num_dbs, 1)
        _check_count("sharding.num_probes", self.num_probes, 1)
        _check_count("sharding.centroids_training_sample_size", self.centroids_training_sample_size, 1)
        _check_count("sharding.training_iterations", self.training_iterations, 1)
        _check_count("sharding.num_hash_bits", self.num_hash_bits, 1)
        if not 0 <= self.seed < 2**64:
            raise ConfigValidationError(f"sharding.seed: expected 0 to 2^64 - 1, found {describe(self.seed)}")
        self._validate_strategy()

    def _validate_strategy(self) -> None:
        strategy = self.strategy
        if strategy == VectorShardingStrategy.CLUSTER and self.centroids is None and not self.train_centroids:
            raise ConfigValidationError("sharding: cluster: expected centroids, or train_centroids=True, found neither")
        if strategy == VectorShardingStrategy.CEL and not (self.cel_expr and self.cel_columns):
            raise ConfigValidationError("sharding: cel: expected cel_expr and cel_columns")
        if strategy in (VectorShardingStrategy.CEL, VectorShardingStrategy.EXPLICIT) and self.num_probes > 1:
            raise ConfigValidationError(f"sharding.num_probes: expected 1, which {strategy} needs, found {self.num_probes}")

    def check_num_dbs(self) -> None:
        """Raises `ConfigValidationError` if a write can't tell the number of shards."""
        inferred = (
            self.strategy == VectorShardingStrategy.CLUSTER and self.centroids is not None and not self.train_centroids
        ) or (self.strategy == VectorShardingStrategy.CEL and self.routing_values is not None)
        if self.num_dbs is None and not inferred:
            raise ConfigValidationError(f"num_dbs: expected the number of shards, because the sharding is {self.strategy}")


VectorShardingSpec: TypeAlias = VectorShardingConfig


@dataclass(slots=True)
class VectorSpecSharding:
    """The sharding of a `shardyfusion.config.VectorSpec`: as `VectorShardingConfig`, with the name of the strategy."""

    strategy: str = "cluster"
    num_probes: int = 1
    centroids: Queries | None = None
    train_centroids: bool = False
    centroids_training_sample_size: int = 100_000
    num_hash_bits: int = 8
    hyperplanes: Queries | None = None
    cel_expr: str | None = None
    cel_columns: Mapping[str, str] | None = None
    routing_values: Sequence[int | str | bytes] | None = None


@dataclass(slots=True)
class VectorAdapterConfig:
    """The format of the shards: `adapter_factory` is `shardyfusion.vector.adapters.lancedb_adapter.LanceDbWriterFactory`
    (the default), `shardyfusion.sqlite_vec_adapter.SqliteVecFactory`, or a `VectorIndexWriterFactory` of your own, which writes
    shards that a `reader_factory` of your own reads. A write has no use for `reader_factory`.

    `batch_size` is the maximum number of rows that are read at once from records, a table or an array, and that an adapter of your own
    gets at once.
    """

    adapter_factory: VectorIndexWriterFactory | None = None
    reader_factory: VectorShardReaderFactory | AsyncVectorShardReaderFactory | BuiltinFormat | None = None
    batch_size: int = 10_000

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        _check_count("adapter.batch_size", self.batch_size, 1)
        factory = self.adapter_factory
        if factory is not None and not callable(factory) and not isinstance(getattr(factory, "shard_format", None), str):
            expected = "LanceDbWriterFactory, SqliteVecFactory or a function that makes the writer of a shard"
            raise ConfigValidationError(f"adapter_factory: expected {expected}, found {describe(factory)}")


@dataclass(slots=True)
class VectorRecordInput:
    """Says that the input is `VectorRecord` objects, which is the default: it is never required."""

    def validate(self) -> None:
        """Always succeeds."""


@dataclass(slots=True)
class VectorWriteOptions:
    """Options of a write. Routing is always verified, for any `verify_routing`: a write is published only if a reader routes
    as the writer did.

    `max_memory_bytes` is an approximate memory limit (None: 512 MiB). `num_threads` 0 means one thread for each CPU.
    """

    verify_routing: bool = True
    max_memory_bytes: int | None = None
    num_threads: int = 0

    def validate(self) -> None:
        _check_count("options.num_threads", self.num_threads, 0)
        if self.max_memory_bytes is not None and self.max_memory_bytes < 1:
            raise ConfigValidationError(f"options.max_memory_bytes: expected at least 1, found {describe(self.max_memory_bytes)}")


def _no_conflict(group: str, config: object, **given: object) -> None:
    present = [name for name, value in given.items() if value is not None]
    if config is not None and present:
        raise ConfigValidationError(f"{group}: can't be combined with {', '.join(present)}")


@dataclass(slots=True, init=False)
class VectorShardedWriteConfig:
    """All settings of a write. The most common ones can be given without their group: `num_dbs` (of `sharding`),
    `s3_prefix`, `credential_provider` and `s3_connection_options` (of `storage`), `adapter_factory`, `reader_factory` and
    `batch_size` (of `adapter`), `max_writes_per_second` (of `rate_limits`), `metrics_collector` (of `observability`)."""

    index_config: VectorIndexConfig
    sharding: VectorShardingConfig
    storage: WriterStorageConfig
    output: WriterOutputConfig
    manifest: WriterManifestConfig
    adapter: VectorAdapterConfig
    rate_limits: VectorWriteRateLimitConfig
    observability: WriterObservabilityConfig
    lifecycle: WriterLifecycleConfig
    shard_id_col: str

    def __init__(
        self,
        *,
        index_config: VectorIndexConfig | None = None,
        sharding: VectorShardingConfig | None = None,
        storage: WriterStorageConfig | None = None,
        output: WriterOutputConfig | None = None,
        manifest: WriterManifestConfig | None = None,
        adapter: VectorAdapterConfig | None = None,
        rate_limits: VectorWriteRateLimitConfig | None = None,
        observability: WriterObservabilityConfig | None = None,
        lifecycle: WriterLifecycleConfig | None = None,
        shard_id_col: str = "_vector_db_id",
        num_dbs: int | None = None,
        s3_prefix: str | os.PathLike[str] | None = None,
        adapter_factory: VectorIndexWriterFactory | None = None,
        reader_factory: VectorShardReaderFactory | AsyncVectorShardReaderFactory | BuiltinFormat | None = None,
        batch_size: int | None = None,
        max_writes_per_second: float | None = None,
        credential_provider: CredentialProvider | None = None,
        s3_connection_options: S3ConnectionOptions | None = None,
        metrics_collector: MetricsCollector | None = None,
        run_registry: RunRegistry | None = None,
    ) -> None:
        _no_conflict(
            "storage",
            storage,
            s3_prefix=s3_prefix,
            credential_provider=credential_provider,
            s3_connection_options=s3_connection_options,
        )
        _no_conflict(
            "adapter", adapter, adapter_factory=adapter_factory, reader_factory=reader_factory, batch_size=batch_size
        )
        _no_conflict("rate_limits", rate_limits, max_writes_per_second=max_writes_per_second)
        _no_conflict("observability", observability, metrics_collector=metrics_collector)
        _no_conflict("lifecycle", lifecycle, run_registry=run_registry)
        if sharding is not None and num_dbs is not None:
            if sharding.num_dbs not in (None, num_dbs):
                raise ConfigValidationError(f"num_dbs: expected sharding's {sharding.num_dbs}, found {num_dbs}")
            sharding.num_dbs = num_dbs
        self.index_config = VectorIndexConfig(dim=0) if index_config is None else index_config
        _check_count("index_config.dim", self.index_config.dim, 1)
        self.sharding = sharding or VectorShardingConfig(num_dbs=num_dbs)
        self.storage = storage or WriterStorageConfig(s3_prefix or "", credential_provider, s3_connection_options)
        self.output = output or WriterOutputConfig()
        self.manifest = manifest or WriterManifestConfig()
        self.adapter = adapter or VectorAdapterConfig(
            adapter_factory, reader_factory, 10_000 if batch_size is None else batch_size
        )
        self.rate_limits = rate_limits or VectorWriteRateLimitConfig(max_writes_per_second)
        self.observability = observability or WriterObservabilityConfig(metrics_collector)
        self.lifecycle = lifecycle or WriterLifecycleConfig(run_registry)
        self.shard_id_col = shard_id_col
        self.validate()

    def validate(self) -> None:
        """Raises `ConfigValidationError` if settings are missing, invalid or incompatible."""
        _check_count("index_config.dim", self.index_config.dim, 1)
        if self.index_config.metric not in list(DistanceMetric):
            expected = ", ".join(DistanceMetric)
            raise ConfigValidationError(f"index_config.metric: expected {expected}, found {describe(self.index_config.metric)}")
        column: Any = self.shard_id_col
        if not isinstance(column, str) or not column:
            raise ConfigValidationError(f"shard_id_col: expected a name, found {describe(column)}")
        validate_configs(
            self.sharding,
            self.storage,
            self.output,
            self.manifest,
            self.adapter,
            self.rate_limits,
            self.observability,
            self.lifecycle,
        )

    def check_for_write(self) -> None:
        """Raises `ConfigValidationError` if a write can't do what the settings ask for: checked when it begins."""
        self.validate()
        self.sharding.check_num_dbs()
        self.output.check_layout()
        require("index_config.quantization (vectors are float32)", None, self.index_config.quantization)

    @property
    def num_dbs(self) -> int | None:
        return self.sharding.num_dbs

    @property
    def s3_prefix(self) -> str | os.PathLike[str]:
        return self.storage.s3_prefix

    @s3_prefix.setter
    def s3_prefix(self, value: str | os.PathLike[str]) -> None:
        self.storage.s3_prefix = value
        self.storage.validate()

    @property
    def adapter_factory(self) -> Any:
        return self.adapter.adapter_factory

    @adapter_factory.setter
    def adapter_factory(self, value: Any) -> None:
        self.adapter.adapter_factory = value
        self.adapter.validate()

    @property
    def reader_factory(self) -> Any:
        return self.adapter.reader_factory

    @reader_factory.setter
    def reader_factory(self, value: Any) -> None:
        self.adapter.reader_factory = value

    @property
    def batch_size(self) -> int:
        return self.adapter.batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self.adapter.batch_size = value
        self.adapter.validate()

    @property
    def credential_provider(self) -> CredentialProvider | None:
        return self.storage.credential_provider

    @credential_provider.setter
    def credential_provider(self, value: CredentialProvider | None) -> None:
        self.storage.credential_provider = value

    @property
    def s3_connection_options(self) -> S3ConnectionOptions | None:
        return self.storage.s3_connection_options

    @s3_connection_options.setter
    def s3_connection_options(self, value: S3ConnectionOptions | None) -> None:
        self.storage.s3_connection_options = value

    @property
    def metrics_collector(self) -> MetricsCollector | None:
        return self.observability.metrics_collector

    @metrics_collector.setter
    def metrics_collector(self, value: MetricsCollector | None) -> None:
        self.observability.metrics_collector = value
        self.observability.validate()

    @property
    def run_registry(self) -> RunRegistry | None:
        return self.lifecycle.run_registry

    @run_registry.setter
    def run_registry(self, value: RunRegistry | None) -> None:
        self.lifecycle.run_registry = value
        self.lifecycle.validate()
