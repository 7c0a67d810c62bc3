"""Writing snapshots."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from uuid import uuid4

from shardyfusion import _core, _json, _values
from shardyfusion._options import Reporter
from shardyfusion._paths import path_option
from shardyfusion._text import describe, reason
from shardyfusion._types import DistanceMetric, VectorRecord, VectorShardingStrategy
from shardyfusion.config import VectorColumnInput
from shardyfusion.errors import ConfigValidationError
from shardyfusion.manifest import BuildDurations, BuildResult, BuildStats, RequiredShardMeta, WriterInfo
from shardyfusion.metrics import MetricEvent
from shardyfusion.rate_limiter import TokenBucket
from shardyfusion.s3 import core_options
from shardyfusion.vector.config import (
    VectorIndexConfig,
    VectorRecordInput,
    VectorShardedWriteConfig,
    VectorShardingConfig,
    VectorWriteOptions,
)

if TYPE_CHECKING:
    from shardyfusion._custom_write import Row
    from shardyfusion._types import Array
    from shardyfusion.manifest_store import ManifestStore
    from shardyfusion.run_registry import RunRecordLifecycle
    from typing_extensions import Buffer

    class ArrowTable(Protocol):
        """A table with the Arrow PyCapsule interface, such as those of pyarrow, polars and DuckDB."""

        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

    Rows: TypeAlias = Iterable[VectorRecord] | ArrowTable | Buffer | Array
    """The input of a write: records, a table, or an array of numbers with two dimensions, one vector per row."""

__all__ = [
    "BuildProgress",
    "BuildResult",
    "VectorColumnInput",
    "VectorIndexConfig",
    "VectorRecord",
    "VectorRecordInput",
    "VectorShardedWriteConfig",
    "VectorShardingConfig",
    "VectorWriteOptions",
    "write_sharded",
]

_METRICS = list(DistanceMetric)
_STRATEGIES = list(VectorShardingStrategy)
_SLICE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """The progress of a write. `phase` is "training", "writing", "finishing" or "publishing"."""

    phase: str
    rows: int
    shards_done: int
    shards_total: int
    bytes_done: int


def routing_values_text(values: Iterable[int | str | bytes] | None) -> str | None:
    """Returns values of a routing expression as JSON."""
    if values is None:
        return None
    try:
        return _json.dumps([_values.scalar(value) for value in _values.ordered("sharding.routing_values", values)])
    except (TypeError, ValueError) as error:
        raise ConfigValidationError(f"sharding.routing_values: {reason(error)}") from None


def _mapping(name: str, value: Mapping[str, Any] | None) -> str | None:
    try:
        return None if value is None else _json.dumps(dict(value))
    except (TypeError, ValueError) as error:
        raise ConfigValidationError(f"{name}: expected a mapping, found {describe(value)}: {reason(error)}") from None


def _is_published_here(config: VectorShardedWriteConfig) -> bool:
    """Whether the manifest is published by this module, and not by the library."""
    manifest = config.manifest
    here = (manifest.store, manifest.credential_provider, manifest.s3_connection_options)
    return any(each is not None for each in here) or bool(manifest.custom_manifest_fields)


def manifest_store_of(config: VectorShardedWriteConfig) -> ManifestStore:
    """Returns the store that a write publishes to: its own, or the manifests below the root."""
    from shardyfusion._custom_write import root_url
    from shardyfusion.manifest_store import S3ManifestStore
    from shardyfusion.storage import backend_of

    manifest = config.manifest
    if manifest.store is not None:
        return manifest.store
    provider = manifest.credential_provider or config.credential_provider
    connection = manifest.s3_connection_options or config.s3_connection_options
    return S3ManifestStore(backend_of(config.s3_prefix, provider, connection), root_url(config.s3_prefix))


def _page_size(factory: Any) -> int:
    """Bytes; 0: the library chooses, as it does for the first library's default."""
    page_size = getattr(factory, "page_size", 0)
    return 0 if page_size in ("auto", 4096) else page_size


def _emits_sidecar(factory: Any) -> bool:
    return getattr(factory, "shard_format", None) == "sqlite-vec" and bool(getattr(factory, "emit_sidecar", False))


def core_build_options(
    config: VectorShardedWriteConfig, options: VectorWriteOptions, run_id: str | None
) -> dict[str, Any]:
    """Converts the options for the extension's Builder."""
    sharding = config.sharding
    strategy = sharding.strategy
    is_cluster, is_lsh = strategy == VectorShardingStrategy.CLUSTER, strategy == VectorShardingStrategy.LSH
    is_cel = strategy == VectorShardingStrategy.CEL
    trains = is_cluster and sharding.train_centroids
    staging = path_option("output.local_root", config.output.local_root)
    is_remote = path_option("s3_prefix", config.s3_prefix).startswith("s3://")
    return {
        "metric": _METRICS.index(DistanceMetric(config.index_config.metric)),
        "strategy": _STRATEGIES.index(strategy),
        "backend": getattr(config.adapter_factory, "shard_format", "lance"),
        "dim": config.index_config.dim,
        "num_dbs": config.num_dbs or 0,
        "num_probes": sharding.num_probes,
        "centroids": sharding.centroids if is_cluster and not trains else None,
        "training_rows": sharding.centroids_training_sample_size if trains else 0,
        "training_iterations": sharding.training_iterations if trains else 0,
        "num_hash_bits": sharding.num_hash_bits if is_lsh else 0,
        "hyperplanes": sharding.hyperplanes if is_lsh else None,
        "cel_expr": sharding.cel_expr if is_cel else None,
        "cel_columns": _mapping("sharding.cel_columns", sharding.cel_columns) if is_cel else None,
        "routing_values": routing_values_text(sharding.routing_values) if is_cel else None,
        "seed": sharding.seed,
        "max_memory_bytes": options.max_memory_bytes or 0,
        "num_threads": options.num_threads,
        "allow_no_rows": 1,
        "leave_unpublished": int(_is_published_here(config)),
        "page_size": _page_size(config.adapter_factory),
        "emit_sidecar": int(_emits_sidecar(config.adapter_factory)),
        "run_id": run_id,
        "staging_dir": staging if is_remote else None,
        "s3": core_options(config.s3_connection_options, config.credential_provider) or None,
    }


def _select_columns(stream: _core.ArrowStream, columns: VectorColumnInput, config: VectorShardedWriteConfig) -> None:
    names = set(stream.names)
    strategy = config.sharding.strategy
    payload = columns.payload_col
    if payload is None and columns.payload_cols is None and "payload" in names:
        payload = "payload"
    contexts = columns.routing_context_cols
    if contexts is None:
        contexts = config.sharding.cel_columns or {}
    stream.select(
        columns.vector_col,
        columns.id_col or ("id" if "id" in names else None),
        payload,
        (columns.shard_id_col or "shard_id") if strategy == VectorShardingStrategy.EXPLICIT else None,
        None if columns.payload_cols is None else _values.names("input.payload_cols", columns.payload_cols),
        _values.names("input.routing_context_cols", contexts) if strategy == VectorShardingStrategy.CEL else None,
    )


@dataclass(frozen=True, slots=True)
class _Beside:
    """The values that accompany an array of vectors."""

    ids: Iterable[int | str] | None
    payloads: Iterable[Mapping[str, Any] | str | None] | None
    shard_ids: Iterable[int] | None
    routing_contexts: Iterable[Mapping[str, Any]] | None

    def given(self) -> dict[str, Iterable[Any] | None]:
        return {
            "ids": self.ids,
            "payloads": self.payloads,
            "shard_ids": self.shard_ids,
            "routing_contexts": self.routing_contexts,
        }

    def is_given(self) -> bool:
        return any(values is not None for values in self.given().values())


def _add_array(builder: _core.Builder, array: Any, beside: _Beside, batch_size: int) -> Iterator[int]:
    count = len(array)
    columns = {name: _values.column(name, values, count) for name, values in beside.given().items()}
    ids, payloads, shard_ids, contexts = columns.values()
    if count > 0 and _values.is_readable(array):
        builder.train(array)
    for part, first in _values.in_slices(array, batch_size):
        yield builder.add_array(part, ids, payloads, shard_ids, contexts, first, batch_size)
    for name, values in columns.items():
        _values.finish_column(name, values, count)


def _slices(
    builder: _core.Builder,
    rows: Rows,
    config: VectorShardedWriteConfig,
    columns: VectorColumnInput | None,
    beside: _Beside,
) -> Iterator[int]:
    """Adds the rows in slices and yields the size of each."""
    batch_size = max(1, min(config.batch_size, _SLICE_BYTES // (4 * config.index_config.dim)))
    array = _values.rows(rows)
    if array is not None:
        if columns is not None:
            raise ConfigValidationError("input: expected no columns with an array of vectors")
        yield from _add_array(builder, array, beside, batch_size)
        return
    if beside.is_given():
        raise ConfigValidationError(
            "ids, payloads, shard_ids, routing_contexts: expected them only with an array of numbers and two dimensions, "
            f"found them with {describe(rows)}"
        )
    table = _values.table(rows)
    if table is not None:
        stream = _core.ArrowStream(table)
        _select_columns(stream, columns or VectorColumnInput(), config)
        while added := builder.add_stream(stream, batch_size):
            yield added
        return
    if columns is not None or not isinstance(rows, Iterable) or isinstance(rows, (str, bytes, Mapping)):
        expected = "a table (with __arrow_c_stream__)" if columns is not None else "VectorRecord objects, a table or an array"
        raise ConfigValidationError(f"records: expected {expected}, found {describe(rows)}")
    records = iter(rows)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    while added := builder.add_records(records, batch_size):  # pyright: ignore[reportUnknownArgumentType]
        yield added


def _listener(progress: Callable[[BuildProgress], object]) -> Callable[[str, int, int, int, int], object]:
    def listen(phase: str, rows: int, shards_done: int, shards_total: int, bytes_done: int) -> object:
        return progress(BuildProgress(phase, rows, shards_done, shards_total, bytes_done))

    return listen


def _describe(built: tuple[Any, ...], manifest_ref: str, run_record_ref: str | None, seconds: float) -> BuildResult:
    run_id, _, num_rows, _num_dbs, shards, phases, own_record_ref, _ = built
    training, writing, finishing, publishing = (round(1000 * phase) for phase in phases)
    durations = BuildDurations(training, writing + finishing, publishing, round(1000 * seconds))
    winners = [
        RequiredShardMeta(
            db_id=db_id,
            db_url=db_url,
            attempt=attempt,
            row_count=row_count,
            db_bytes=db_bytes,
            checkpoint_id=checkpoint_id,
            writer_info=WriterInfo(attempt=attempt),
        )
        for db_id, db_url, row_count, db_bytes, attempt, checkpoint_id in shards
    ]
    stats = BuildStats(durations, len(winners), len(winners), num_rows)
    return BuildResult(run_id, winners, manifest_ref, stats, run_record_ref or own_record_ref)


def _tell_of_shard(reporter: Reporter, db_id: int, row_count: int) -> None:
    reporter.emit(MetricEvent.VECTOR_SHARD_WRITE_COMPLETED, {"db_id": db_id, "row_count": row_count})


def _tell(reporter: Reporter, result: BuildResult) -> None:
    reporter.emit(
        MetricEvent.VECTOR_WRITE_COMPLETED,
        {
            "run_id": result.run_id,
            "total_vectors": result.stats.rows_written,
            "num_shards": len(result.winners),
            "elapsed_ms": result.stats.durations.total_ms,
            "duration_ms": float(result.stats.durations.total_ms),
        },
    )


def _publish(config: VectorShardedWriteConfig, payload: bytes) -> str:
    """Publishes the manifest that the library made, with the fields that it lacks; returns its reference."""
    from shardyfusion.manifest_store import parse_sqlite_manifest

    manifest = parse_sqlite_manifest(payload)
    build = manifest.required_build
    custom = dict(config.manifest.custom_manifest_fields) | manifest.custom
    store = manifest_store_of(config)
    return store.publish(run_id=build.run_id, required_build=build, shards=manifest.shards, custom=custom)


@dataclass(slots=True)
class _Write:
    """A write that was checked."""

    rows: Rows
    config: VectorShardedWriteConfig
    columns: VectorColumnInput | None
    options: VectorWriteOptions
    beside: _Beside
    run_id: str
    reporter: Reporter
    limiter: TokenBucket | None
    listener: Callable[[str, int, int, int, int], object] | None

    def acquire(self) -> None:
        if self.limiter is not None:
            self.limiter.acquire()

    def run(self) -> BuildResult:
        """Writes by the library."""
        config = self.config
        started = time.monotonic()
        record = _record_of(config, self.run_id)
        root = path_option("s3_prefix", config.s3_prefix)
        builder: _core.Builder | None = None
        try:
            options = core_build_options(config, self.options, self.run_id)
            builder = _core.Builder(root, self.reporter.sink, self.listener, options)
            for _ in _slices(builder, self.rows, config, self.columns, self.beside):
                self.acquire()
            built = builder.finish()
            manifest_ref = _publish(config, built[-1]) if _is_published_here(config) else built[1]
            if record is not None:
                record.set_manifest_ref(manifest_ref)
                record.mark_succeeded()
        except BaseException as error:
            if record is not None:
                record.mark_failed(error)
            raise
        finally:
            if builder is not None:
                builder.close()
            self.reporter.report()
        record_ref = None if record is None else record.run_record_ref
        result = _describe(built, manifest_ref, record_ref, time.monotonic() - started)
        for shard in result.winners:
            _tell_of_shard(self.reporter, shard.db_id, shard.row_count)
        return result

    def run_custom(self) -> BuildResult:
        """Writes by the adapter of the configuration."""
        from shardyfusion._custom_write import CustomWrite
        from shardyfusion.run_registry import RunRecordLifecycle

        config = self.config
        options = core_build_options(config, self.options, self.run_id)
        writing = CustomWrite(
            config,
            options,
            self.run_id,
            self.acquire,
            lambda db_id, row_count: _tell_of_shard(self.reporter, db_id, row_count),
        )
        with RunRecordLifecycle.start(config=config, run_id=self.run_id, writer_type="vector-python") as record:
            return writing.run(self._each_row(), None, record)

    def _each_row(self) -> Iterator[Row]:
        """The rows one by one, for an adapter: of records, or of an array and what is beside it."""
        from shardyfusion._custom_write import Row

        array = _values.rows(self.rows)
        if array is not None:
            yield from _rows_of_array(array, self.beside)
            return
        records: Any = self.rows
        if self.columns is not None or self.beside.is_given() or hasattr(records, "__arrow_c_stream__"):
            raise ConfigValidationError(
                f"records: expected VectorRecord objects or an array for the adapter, found {describe(records)}"
            )
        for number, record in enumerate(records):
            if not hasattr(record, "id") or not hasattr(record, "vector"):
                raise ConfigValidationError(f"records: row {number}: expected a VectorRecord, found {describe(record)}")
            others = (getattr(record, name, None) for name in ("payload", "shard_id", "routing_context"))
            yield Row(record.id, record.vector, *others)


def _rows_of_array(array: Any, beside: _Beside) -> Iterator[Row]:
    from shardyfusion._custom_write import Row

    count = len(array)
    columns = {name: _values.column(name, values, count) for name, values in beside.given().items()}
    for number in range(count):
        given = {name: None if values is None else next(values) for name, values in columns.items()}
        given_id = number if columns["ids"] is None else given["ids"]
        yield Row(given_id, array[number], given["payloads"], given["shard_ids"], given["routing_contexts"])
    for name, values in columns.items():
        _values.finish_column(name, values, count)


def _record_of(config: VectorShardedWriteConfig, run_id: str) -> RunRecordLifecycle | None:
    """The record in a registry of the caller's own; the library keeps that of the root."""
    if config.run_registry is None:
        return None
    from shardyfusion.run_registry import RunRecordLifecycle

    return RunRecordLifecycle.start(config=config, run_id=run_id, writer_type="vector-python")


def write_sharded(
    records: Rows,
    config: VectorShardedWriteConfig,
    input: VectorRecordInput | VectorColumnInput | None = None,
    options: VectorWriteOptions | None = None,
    *,
    ids: Iterable[int | str] | None = None,
    payloads: Iterable[Mapping[str, Any] | str | None] | None = None,
    shard_ids: Iterable[int] | None = None,
    routing_contexts: Iterable[Mapping[str, Any]] | None = None,
    progress: Callable[[BuildProgress], object] | None = None,
) -> BuildResult:
    """Writes a snapshot and makes it the live one of its root.

    `records` is one of

    - an iterable of `VectorRecord`;
    - a table (an object with `__arrow_c_stream__`, or a Hugging Face dataset), whose columns `input` names;
    - an array of two dimensions, one vector per row, with optional `ids`, `payloads`, `shard_ids` and `routing_contexts`, each
      as long as the array and in the same order (labels are ignored). Arrays of float16, float32 and float64 are read in place;
      others are converted.

    Rows without ids are numbered from 0. No id may occur twice.

    Until the snapshot is published, and if anything fails, the root is unchanged. An invalid row is a `ConfigValidationError`
    that names it. The GIL is released while rows are written. `progress` is called periodically; an exception that it raises
    stops the write, and so does Ctrl-C.
    """
    options = options or VectorWriteOptions()
    columns = input if isinstance(input, VectorColumnInput) else None
    config.check_for_write()
    for checked in (options, input):
        if checked is not None:
            checked.validate()
    factory = config.adapter_factory
    is_builtin = factory is None or isinstance(getattr(factory, "shard_format", None), str)
    if is_builtin and hasattr(factory, "check"):
        factory.check(config.index_config)
    limit = config.rate_limits.max_writes_per_second
    root = path_option("s3_prefix", config.s3_prefix)
    writing = _Write(
        rows=records,
        config=config,
        columns=columns,
        options=options,
        beside=_Beside(ids, payloads, shard_ids, routing_contexts),
        run_id=config.output.run_id or str(uuid4()),
        reporter=Reporter(config.metrics_collector, root),
        limiter=None if limit is None else TokenBucket(limit, config.metrics_collector),
        listener=None if progress is None else _listener(progress),
    )
    writing.reporter.emit(MetricEvent.VECTOR_WRITE_STARTED, {"run_id": writing.run_id, "s3_prefix": root})
    result = writing.run() if is_builtin else writing.run_custom()
    _tell(writing.reporter, result)
    return result
