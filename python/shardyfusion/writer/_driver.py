"""The driver of a write by an engine: what it does is the same for all of them.

The input is routed partition by partition: a worker checks the rows of one, assigns each to its shard, and writes them to a
partition file below the run's own prefix of the root, sorted by shard. Then each shard is written by one task, which reads the
shard's pieces of all partition files. What a task returned counts, and only that: a repeated or late one has written under a
name of its own. So nothing has to be shuffled by the engine, and no task holds more than a bounded part of a shard.
"""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import copy
import dataclasses
import logging
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from shardyfusion import _core, _values
from shardyfusion._options import Reporter
from shardyfusion._text import describe
from shardyfusion._types import VectorShardingStrategy
from shardyfusion.errors import ConfigValidationError, ShardCoverageError
from shardyfusion.manifest import BuildDurations, BuildResult, BuildStats, RequiredShardMeta
from shardyfusion.metrics import MetricEvent
from shardyfusion.vector import writer as _local
from shardyfusion.vector.config import VectorColumnInput, VectorShardedWriteConfig, VectorWriteOptions
from shardyfusion.writer import _worker
from shardyfusion.writer._worker import Adapter, Columns, Context, EqualIds, Partition, ShardTask, WrittenShard

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

    Batches = Iterator[pyarrow.RecordBatch]
    PartitionFunction = Callable[[Batches, int], bytes]

__all__ = ["Engine", "write"]

_DRIVER = 1
_NUM_ID_LISTS = 64
_IDS_PER_TASK = 8_000_000
_TASK_MEMORY_BYTES = 256 << 20
_SKEW = 4

_log = logging.getLogger("shardyfusion")


class Engine(Protocol):
    """An engine with the frame that is written."""

    name: str

    def columns(self) -> Sequence[str]:
        """Returns the names of the frame's columns."""
        ...

    def count(self) -> int:
        """Returns how many rows the frame has."""
        ...

    def sampled(self, id_column: str, seed: int, fraction: float) -> Engine:
        """Returns an engine of about that share of the rows, which the ids and the seed decide; or itself."""
        ...

    def map_partitions(self, columns: list[str], function: PartitionFunction, description: str) -> list[bytes]:
        """Calls the function with the batches and the number of each partition; returns what it returned, in order."""
        ...

    def run(self, function: Callable[[Any], bytes], tasks: Sequence[Any], description: str) -> list[bytes]:
        """Calls the function with each task, one in each task of the engine; returns what it returned, in order."""
        ...


# --------------------------------------------------------------------------------------------------------------- Settings


def _with_cel_columns(config: VectorShardedWriteConfig, columns: VectorColumnInput) -> VectorShardedWriteConfig:
    """Returns the config with the types of `routing_context_cols`, which declare the variables of the expression."""
    if config.sharding.strategy != VectorShardingStrategy.CEL or not isinstance(columns.routing_context_cols, Mapping):
        return config
    changed = copy.copy(config)
    changed.sharding = dataclasses.replace(config.sharding, cel_columns=dict(columns.routing_context_cols))
    return changed


def _used_columns(config: VectorShardedWriteConfig, columns: VectorColumnInput) -> Columns:
    strategy = config.sharding.strategy
    if columns.id_col is None:
        raise ConfigValidationError("input.id_col: expected a column, found None")
    if strategy == VectorShardingStrategy.EXPLICIT and columns.shard_id_col is None:
        raise ConfigValidationError("input.shard_id_col: expected a column, because the sharding is explicit, found None")
    contexts = None
    if strategy == VectorShardingStrategy.CEL:
        given = columns.routing_context_cols
        contexts = _values.names("input.routing_context_cols", given if given is not None else config.sharding.cel_columns or {})
    payloads = None
    if columns.payload_cols:
        payloads = _values.names("input.payload_cols", columns.payload_cols)
    shard_id = columns.shard_id_col if strategy == VectorShardingStrategy.EXPLICIT else None
    return Columns(columns.vector_col, columns.id_col, columns.payload_col, payloads, shard_id, contexts)


def _check_columns(found: Sequence[str], used: Columns, shard_id_col: str) -> None:
    if shard_id_col in found:
        raise ConfigValidationError(f"shard_id_col: expected a name that no column of the input has, found {shard_id_col!r}")
    for name in used.names():
        if name not in found:
            raise ConfigValidationError(f"input: expected a column {name!r}, found {describe(list(found))}")


def _is_builtin(factory: Any) -> bool:
    """Whether the library writes the shards itself."""
    return factory is None or isinstance(getattr(factory, "shard_format", None), str)


def _adapter_of(config: VectorShardedWriteConfig) -> Adapter | None:
    """Returns how the caller's own adapter writes shards, if it does."""
    from shardyfusion._custom_write import root_url
    from shardyfusion._paths import path_option

    if _is_builtin(config.adapter_factory):
        return None
    local_root = path_option("output.local_root", config.output.local_root)
    return Adapter(config.adapter_factory, root_url(config.s3_prefix), local_root, config.index_config)


def _core_options(config: VectorShardedWriteConfig, options: VectorWriteOptions) -> dict[str, Any]:
    config.check_for_write()
    factory = config.adapter_factory
    if _is_builtin(factory) and _local._page_size(factory):  # pyright: ignore[reportPrivateUsage]
        found = describe(getattr(factory, "page_size", None))
        raise ConfigValidationError(f"adapter_factory: page_size: expected the default beside an engine, found {found}")
    if config.run_registry is not None:
        raise ConfigValidationError(
            f"lifecycle.run_registry: expected none beside an engine, found {describe(config.run_registry)}"
        )
    run_id = config.output.run_id
    return _local.core_build_options(config, options, run_id)  # pyright: ignore[reportPrivateUsage]


def _worker_options(given: dict[str, Any]) -> dict[str, Any]:
    """Returns the options of a task's builder: an engine's task has one core and a part of a machine's memory."""
    options = dict(given)
    options["max_memory_bytes"] = given["max_memory_bytes"] or _TASK_MEMORY_BYTES
    options["num_threads"] = given["num_threads"] or 1
    return options


# --------------------------------------------------------------------------------------------------------------- Training


def _fraction(count: int, wanted: int) -> float | None:
    """Returns the share of the rows that has some more than are wanted; None: all rows are wanted."""
    return None if count <= wanted else min(1.0, (wanted + 6 * wanted**0.5 + 10) / count)


def _training_vectors(engine: Engine, config: VectorShardedWriteConfig, columns: Columns) -> Any:
    """Returns vectors to train with: all, in the order of the rows, or a sample that the ids and the seed decide."""
    import numpy

    dim, seed = config.index_config.dim, config.sharding.seed
    wanted = config.sharding.centroids_training_sample_size
    fraction = _fraction(engine.count(), wanted)
    limit = None if fraction is None else min(2**64 - 1, int(fraction * 2**64))
    if fraction is not None and (sampled := engine.sampled(columns.id, seed, fraction)) is not engine:
        engine, limit = sampled, 2**64 - 1
    function = partial(_worker.sample, (columns.vector, columns.id), dim, seed, limit)
    outcomes = engine.map_partitions([columns.vector, columns.id], function, "shardyfusion: sample vectors")
    samples = [_worker.received(outcome) for outcome in outcomes]
    vectors = numpy.frombuffer(b"".join(part.vectors for part in samples), dtype=numpy.float32).reshape(-1, dim)
    if limit is None:
        return vectors
    keys = numpy.frombuffer(b"".join(part.keys for part in samples), dtype=numpy.uint64)
    return numpy.ascontiguousarray(vectors[numpy.argsort(keys, kind="stable")[:wanted]])


# ----------------------------------------------------------------------------------------------------------------- Shards


def _piece(token: int, extent: _worker.Piece) -> bytes:
    return array("Q", (token, *extent)).tobytes()


def _lists(partitions: Iterable[Partition]) -> dict[int, tuple[int, list[bytes]]]:
    """Returns the rows and pieces of each list, in the order of the partitions."""
    lists: dict[int, tuple[int, list[bytes]]] = {}
    for routed in partitions:
        for extent in routed.pieces():
            rows, pieces = lists.setdefault(extent.list, (0, []))
            pieces.append(_piece(routed.token, extent))
            lists[extent.list] = rows + extent.num_rows, pieces
    return lists


def _tasks(lists: dict[int, tuple[int, list[bytes]]], num_dbs: int, num_rows: int) -> list[ShardTask]:
    """Returns the shards to write, the largest first, and lists of ids to look through, as many together as memory allows."""
    shards = [ShardTask(db_id, rows, b"".join(pieces)) for db_id, (rows, pieces) in lists.items() if db_id < num_dbs]
    num_groups = min(_NUM_ID_LISTS, 1 + num_rows // _IDS_PER_TASK)
    groups: dict[int, list[tuple[int, list[bytes]]]] = {}
    for number, found in lists.items():
        if number >= num_dbs:
            groups.setdefault((number - num_dbs) % num_groups, []).append(found)
    ids = [
        ShardTask(-1, sum(rows for rows, _ in group), b"".join(piece for _, pieces in group for piece in pieces))
        for group in groups.values()
    ]
    return sorted(shards, key=lambda task: (-task.num_rows, task.db_id)) + ids


def _tell_of_skew(tasks: Sequence[ShardTask]) -> None:
    shards = [task for task in tasks if task.db_id >= 0]
    mean = sum(task.num_rows for task in shards) / max(1, len(shards))
    if shards and shards[0].num_rows > _SKEW * mean:
        largest = shards[0]
        _log.warning("shard %d is large: %d rows, where the mean is %.0f", largest.db_id, largest.num_rows, mean)


def _row_of(place: tuple[int, int], partitions: Mapping[int, Partition]) -> str:
    return f"row {place[1]} of partition {partitions[place[0]].number}"


def _fail_equal_ids(context: Context, partitions: Sequence[Partition], num_dbs: int, equal: EqualIds) -> None:
    by_token = {routed.token: routed for routed in partitions}
    routed = by_token[equal.second[0]]
    rows = b"".join(_piece(routed.token, extent) for extent in routed.pieces() if extent.list < num_dbs)
    row_id = _core.row_id(Reporter(None).sink, context.task(rows), equal.second[1])
    first, second = _row_of(equal.first, by_token), _row_of(equal.second, by_token)
    raise ConfigValidationError(
        f"{context.columns.id}: {second}: expected an id of its own, found {describe(row_id)}, the id of {first}"
    )


def _choose_winners(tasks: Sequence[ShardTask], written: Iterable[WrittenShard]) -> list[WrittenShard]:
    """Returns one result for each shard: of several, the one with the lowest attempt."""
    wanted = {task.db_id: task.num_rows for task in tasks if task.db_id >= 0}
    winners: dict[int, WrittenShard] = {}
    for shard in written:
        if shard.num_rows != wanted.get(shard.db_id):
            raise ShardCoverageError(
                f"shard {shard.db_id}: expected {wanted.get(shard.db_id)} rows, as many as were routed to it, found {shard.num_rows}"
            )
        best = winners.get(shard.db_id)
        if best is None or shard.attempt < best.attempt:
            winners[shard.db_id] = shard
    missing = sorted(set(wanted) - set(winners))
    if missing:
        raise ShardCoverageError(f"shards: expected a result for each of {len(wanted)}, found none for {describe(missing)}")
    return sorted(winners.values())


def _check_partitions(partitions: Sequence[Partition]) -> None:
    for routed in partitions:
        rows = sum(extent.num_rows for extent in routed.pieces())
        if rows != 2 * routed.num_rows:  # the rows, and as many ids
            raise ShardCoverageError(f"partition {routed.number}: expected extents of {routed.num_rows} rows, found others")


# ------------------------------------------------------------------------------------------------------------------ Write


class _Clock:
    """Milliseconds since the last reading."""

    def __init__(self) -> None:
        self.started = self._last = time.monotonic()

    def lap(self) -> int:
        now = time.monotonic()
        elapsed, self._last = now - self._last, now
        return round(1000 * elapsed)

    def total(self) -> int:
        return round(1000 * (time.monotonic() - self.started))


@dataclasses.dataclass
class _Run:
    """A write under way."""

    engine: Engine
    config: VectorShardedWriteConfig
    columns: Columns
    options: dict[str, Any]
    root: str
    builder: _core.Builder

    def context(self) -> tuple[Context, int]:
        """Trains where centroids are to be trained; returns what workers need, and the number of shards."""
        sharding = self.config.sharding
        if sharding.strategy == VectorShardingStrategy.CLUSTER and sharding.train_centroids:
            self.builder.train(_training_vectors(self.engine, self.config, self.columns))
        run_id, num_dbs, artifact, artifact_rows = self.builder.artifact()
        options = dict(_worker_options(self.options), num_dbs=num_dbs, centroids=None, hyperplanes=None)
        limit = self.config.rate_limits.max_writes_per_second
        batch_size = self.config.batch_size
        context = Context(
            self.root,
            run_id,
            self.columns,
            options,
            artifact,
            artifact_rows,
            batch_size,
            limit,
            _adapter_of(self.config),
        )
        return context, num_dbs

    def route(self, context: Context) -> list[Partition]:
        description = f"shardyfusion: route rows of run {context.run_id}"
        outcomes = self.engine.map_partitions(self.columns.names(), partial(_worker.route, context), description)
        partitions = [_worker.received(outcome) for outcome in outcomes]
        _check_partitions(partitions)
        return partitions

    def write_shards(self, context: Context, partitions: list[Partition], num_dbs: int) -> tuple[list[ShardTask], list[WrittenShard]]:
        tasks = _tasks(_lists(partitions), num_dbs, sum(routed.num_rows for routed in partitions))
        _tell_of_skew(tasks)
        description = f"shardyfusion: write {sum(task.db_id >= 0 for task in tasks)} shards of run {context.run_id}"
        outcomes = [_worker.received(outcome) for outcome in self.engine.run(partial(_worker.run, context), tasks, description)]
        equal = sorted(outcome for outcome in outcomes if isinstance(outcome, EqualIds))
        if equal:
            _fail_equal_ids(context, partitions, num_dbs, equal[0])
        return tasks, [outcome for outcome in outcomes if isinstance(outcome, WrittenShard)]

    def publish(self, tasks: Sequence[ShardTask], winners: Sequence[WrittenShard], num_dbs: int) -> Any:
        shard_rows = array("Q", bytes(8 * num_dbs))
        for task in tasks:
            if task.db_id >= 0:
                shard_rows[task.db_id] = task.num_rows
        samples = b"".join(shard.sample for shard in winners)
        return self.builder.publish([shard.for_core() for shard in winners], shard_rows.tobytes(), samples)

    def write(self) -> BuildResult:
        clock = _Clock()
        context, num_dbs = self.context()
        training_ms = clock.lap()
        partitions = self.route(context)
        tasks, written = self.write_shards(context, partitions, num_dbs)
        winners = _choose_winners(tasks, written)
        write_ms = clock.lap()
        built = self.publish(tasks, winners, num_dbs)
        manifest_ref = built[1]
        if _local._is_published_here(self.config):  # pyright: ignore[reportPrivateUsage]
            manifest_ref = _local._publish(self.config, built[-1])  # pyright: ignore[reportPrivateUsage]
        durations = BuildDurations(training_ms, write_ms, clock.lap(), clock.total())
        return _describe(built, manifest_ref, winners, len(written), durations)


def _describe(
    built: tuple[Any, ...],
    manifest_ref: str,
    winners: Sequence[WrittenShard],
    num_results: int,
    durations: BuildDurations,
) -> BuildResult:
    run_id, _, num_rows, _, shards, *_ = built
    urls = {shard[0]: shard[1] for shard in shards}
    described = [
        RequiredShardMeta(
            db_id=shard.db_id,
            db_url=urls[shard.db_id],
            attempt=shard.attempt,
            row_count=shard.num_rows,
            db_bytes=shard.num_bytes,
            checkpoint_id=shard.checkpoint_id,
        )
        for shard in winners
    ]
    stats = BuildStats(durations, num_results, len(winners), num_rows)
    return BuildResult(run_id, described, manifest_ref, stats, built[6])


def _tell(reporter: Reporter, result: BuildResult) -> None:
    for shard in result.winners:
        fields = {"db_id": shard.db_id, "row_count": shard.row_count}
        reporter.emit(MetricEvent.VECTOR_SHARD_WRITE_COMPLETED, fields)
    summary = {
        "run_id": result.run_id,
        "total_vectors": result.stats.rows_written,
        "num_shards": len(result.winners),
        "elapsed_ms": result.stats.durations.total_ms,
        "duration_ms": float(result.stats.durations.total_ms),
    }
    reporter.emit(MetricEvent.VECTOR_WRITE_COMPLETED, summary)


def write(
    engine: Engine, config: VectorShardedWriteConfig, input: VectorColumnInput, options: VectorWriteOptions | None
) -> BuildResult:
    """Writes the engine's frame as a snapshot, and makes it the live one of its root."""
    from shardyfusion._paths import path_option

    options = options or VectorWriteOptions()
    config = _with_cel_columns(config, input)
    for checked in (config, input, options):
        checked.validate()
    columns = _used_columns(config, input)
    _check_columns(engine.columns(), columns, config.shard_id_col)
    root = path_option("s3_prefix", config.s3_prefix)
    core_options = _core_options(config, options)
    reporter = Reporter(config.metrics_collector)
    reporter.emit(MetricEvent.VECTOR_WRITE_STARTED, {"s3_prefix": root, "run_id": config.output.run_id})
    builder: _core.Builder | None = None
    try:
        builder = _core.Builder(root, reporter.sink, None, core_options | {"role": _DRIVER})
        result = _Run(engine, config, columns, core_options, root, builder).write()
    finally:
        if builder is not None:
            builder.close()
        reporter.report()
    _tell(reporter, result)
    return result
