"""What tasks on workers do: route a partition of the input, write a shard, look for equal ids.

A task returns plain values, pickled. An error that would come again is a value, too: engines would repeat the task, and some
pass on only the text of an exception.
"""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import json
import pickle
import re
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from shardyfusion import _core
from shardyfusion._options import Reporter
from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError, ShardyfusionError
from shardyfusion.rate_limiter import TokenBucket

if TYPE_CHECKING:
    import numpy
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

_ROUTER = 2
_MAX_TRIES = 3
_ROW = re.compile(r"\brow (\d+)\b")


class Columns(NamedTuple):
    """The columns of the input, by their use."""

    vector: str
    id: str
    payload: str | None
    payloads: list[str] | None
    shard_id: str | None
    contexts: list[str] | None

    def names(self) -> list[str]:
        """Returns each column once."""
        single = [self.vector, self.id, self.payload, self.shard_id]
        return list(dict.fromkeys([name for name in single if name is not None] + (self.payloads or []) + (self.contexts or [])))


class Piece(NamedTuple):
    """A stretch of a partition file with rows of one list: a shard, or ids."""

    list: int
    offset: int
    num_bytes: int
    num_rows: int
    checksum: int


_TOKEN_BYTES = 8
_PIECE_BYTES = 8 * len(Piece._fields)


class Partition(NamedTuple):
    """A partition of the input that was routed."""

    number: int
    token: int
    num_rows: int
    extents: bytes

    def pieces(self) -> Iterator[Piece]:
        """Yields the extents."""
        numbers = memoryview(self.extents).cast("Q")
        for first in range(0, len(numbers), len(Piece._fields)):
            yield Piece(*numbers[first : first + len(Piece._fields)])


class ShardTask(NamedTuple):
    """A shard to write, or lists of ids to look through (`db_id` −1), with the pieces as the extension takes them."""

    db_id: int
    num_rows: int
    pieces: bytes


class WrittenShard(NamedTuple):
    """What became of a `ShardTask`. `sample` is the vector of a row."""

    db_id: int
    attempt: int
    num_rows: int
    num_bytes: int
    checkpoint_id: str
    sample: bytes

    def for_core(self) -> tuple[int, int, int, int, str]:
        """Returns what the extension takes."""
        return self.db_id, self.attempt, self.num_rows, self.num_bytes, self.checkpoint_id


class EqualIds(NamedTuple):
    """Two rows of one id, each by the token of its partition and its number there."""

    first: tuple[int, int]
    second: tuple[int, int]


@dataclass(frozen=True)
class Adapter:
    """How an adapter of the caller's own writes shards: the factory, and what it is called with."""

    factory: Callable[..., Any] = field(repr=False)
    root_url: str
    local_root: str
    index_config: Any


@dataclass(frozen=True)
class Context:
    """All that workers need of a run. It is pickled; credentials in it are those of the caller's provider, which is asked for
    them on the worker."""

    root: str
    run_id: str
    columns: Columns
    options: dict[str, Any] = field(repr=False)
    artifact: bytes | None = field(repr=False)
    artifact_rows: int
    batch_size: int
    max_writes_per_second: float | None
    adapter: Adapter | None = None

    def router_options(self) -> dict[str, Any]:
        """Returns the options of a partition's builder."""
        options = dict(self.options, role=_ROUTER, run_id=self.run_id)
        if self.artifact is not None:
            name = "centroids" if options["strategy"] == 0 else "hyperplanes"
            shape = [self.artifact_rows, options["dim"]]
            options[name] = memoryview(self.artifact).cast("f", shape=shape)
            if name == "hyperplanes":
                options["num_hash_bits"] = self.artifact_rows
        return options

    def task(self, pieces: bytes) -> dict[str, Any]:
        """Returns the arguments of a task over pieces."""
        names = ("backend", "metric", "dim", "staging_dir", "s3", "page_size", "emit_sidecar")
        given = {name: self.options[name] for name in names if name in self.options}
        return {"root": self.root, "run_id": self.run_id, "pieces": pieces, **given}


def returned(call: Callable[[], Any]) -> bytes:
    """Calls, and pickles the outcome: the value, or an error of the package that is not worth a retry."""
    try:
        return pickle.dumps((True, call()))
    except ShardyfusionError as error:
        if error.retryable:
            raise
        return failed(error)


def failed(error: ShardyfusionError) -> bytes:
    """Returns what a task returns that fails."""
    return pickle.dumps((False, error))


def received(outcome: bytes) -> Any:
    """Returns the value that a task returned, or raises its error."""
    succeeded, value = pickle.loads(outcome)
    if succeeded:
        return value
    raise value


class _LastRows:
    """Passes batches on, and remembers the last ones: errors are to name the row's id."""

    def __init__(self, batches: Iterator[pyarrow.RecordBatch], id_column: str) -> None:
        self._batches = batches
        self._id_column = id_column
        self._recent: deque[tuple[int, pyarrow.RecordBatch]] = deque(maxlen=4)
        self._num_rows = 0

    def __iter__(self) -> Iterator[pyarrow.RecordBatch]:
        for batch in self._batches:
            self._recent.append((self._num_rows, batch))
            self._num_rows += batch.num_rows
            yield batch

    def id_of(self, row: int) -> Any:
        """Returns the id of a row, or None if it isn't known any more."""
        for first, batch in self._recent:
            if first <= row < first + batch.num_rows:
                return batch.column(self._id_column)[row - first].as_py()
        return None


def _named(error: ShardyfusionError, partition: int, rows: _LastRows) -> ShardyfusionError:
    """Returns the error with the partition, and the id of the row that it names."""
    text = str(error)
    found = _ROW.search(text)
    row_id = None if found is None else rows.id_of(int(found[1]))
    known = "" if row_id is None else f", id {describe(row_id)}"
    return type(error)(f"partition {partition}{known}: {text}")


def _add_rows(builder: _core.Builder, context: Context, schema: pyarrow.Schema, rows: _LastRows) -> None:
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

    columns = context.columns
    limit = context.max_writes_per_second
    limiter = None if limit is None else TokenBucket(limit)
    stream = _core.ArrowStream(pyarrow.RecordBatchReader.from_batches(schema, iter(rows)))
    stream.select(columns.vector, columns.id, columns.payload, columns.shard_id, columns.payloads, columns.contexts)
    while builder.add_stream(stream, context.batch_size):
        if limiter is not None:
            limiter.acquire()


def _route(context: Context, batches: Iterator[pyarrow.RecordBatch], number: int) -> Partition:
    first = next(batches, None)
    if first is None:
        return Partition(number, 0, 0, b"")

    def all_batches() -> Iterator[pyarrow.RecordBatch]:
        yield first
        yield from batches

    reporter = Reporter(None)
    rows = _LastRows(all_batches(), context.columns.id)
    builder: _core.Builder | None = None
    try:
        builder = _core.Builder(context.root, reporter.sink, None, context.router_options())
        _add_rows(builder, context, first.schema, rows)
        return Partition(number, *builder.finish_partition())
    except ShardyfusionError as error:
        raise _named(error, number, rows) from error
    finally:
        if builder is not None:
            builder.close()
        reporter.report()


def route(context: Context, batches: Iterator[pyarrow.RecordBatch], number: int) -> bytes:
    """Routes a partition of the input: checks its rows, and writes them by shard to a partition file."""
    return returned(lambda: _route(context, batches, number))


def _rows_of(reporter: Reporter, context: Context, pieces: bytes, first: int) -> list[tuple[Any, bytes, str | None]]:
    return _core.read_piece(reporter.sink, context.task(pieces[first : first + _TOKEN_BYTES + _PIECE_BYTES]))


def _write_by_adapter(reporter: Reporter, context: Context, adapter: Adapter, task: ShardTask, attempt: int) -> WrittenShard:
    """Writes a shard by the caller's adapter, in a local folder of the attempt's own. The adapter begins after the first piece was
    read: a run that has ended is not begun again."""
    import numpy
    from shardyfusion._adapter_shard import AdapterShard, shard_url

    places = range(0, len(task.pieces), _TOKEN_BYTES + _PIECE_BYTES)
    limit = context.max_writes_per_second
    limiter = None if limit is None else TokenBucket(limit)
    url = shard_url(adapter.root_url, "shards", context.run_id, "db={db_id:05d}", task.db_id, attempt)
    folder = Path(adapter.local_root) / f"{context.run_id}-{attempt}"
    rows = _rows_of(reporter, context, task.pieces, 0)
    sample = rows[0][1]
    try:
        with AdapterShard(
            adapter.factory,
            task.db_id,
            url,
            folder,
            adapter.index_config,
            context.batch_size,
            lambda: None if limiter is None else limiter.acquire(),
            attempt,
        ) as shard:
            for place in places:
                for row_id, vector, payload in rows if place == 0 else _rows_of(reporter, context, task.pieces, place):
                    values = numpy.frombuffer(vector, dtype=numpy.float32)
                    shard.add(row_id, values, None if payload is None else json.loads(payload))
            shard.finish()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _rows_of(reporter, context, task.pieces, 0)  # fails if the run has ended meanwhile
    return WrittenShard(task.db_id, attempt, shard.row_count, shard.db_bytes, str(shard.checkpoint_id), sample)


def _run(context: Context, task: ShardTask) -> WrittenShard | EqualIds | None:
    reporter = Reporter(None)
    try:
        if task.db_id < 0:
            found = _core.find_equal_ids(reporter.sink, context.task(task.pieces))
            return None if found is None else EqualIds(*found)
        attempt = secrets.randbelow(2**31 - 1) + 1  # no other attempt has it
        if context.adapter is not None:
            return _write_by_adapter(reporter, context, context.adapter, task, attempt)
        arguments = context.task(task.pieces) | {"db_id": task.db_id, "attempt": attempt}
        written, sample = _core.write_shard(reporter.sink, arguments)
        return WrittenShard(*written, sample)
    finally:
        reporter.report()


def run(context: Context, task: ShardTask) -> bytes:
    """Writes a shard, or looks for equal ids. A storage that fails is tried again with an attempt of its own."""
    for _ in range(_MAX_TRIES - 1):
        try:
            return returned(lambda: _run(context, task))
        except ShardyfusionError:
            pass
    return returned(lambda: _run(context, task))


# ---------------------------------------------------------------------------------------------------------------- Samples


class Sample(NamedTuple):
    """Vectors of a partition to train with: float32, one after the other; with keys that decide which are taken."""

    number: int
    keys: bytes
    vectors: bytes


def _lists(column: Any, name: str) -> Any:
    """Returns a column of vectors as lists of a varying length."""
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

    lists: Any = column.storage if isinstance(column, pyarrow.ExtensionArray) else column
    if pyarrow.types.is_fixed_size_list(lists.type):
        lists = lists.cast(pyarrow.list_(lists.type.value_type))
    if not (pyarrow.types.is_list(lists.type) or pyarrow.types.is_large_list(lists.type)):
        raise ConfigValidationError(f"{name}: expected a column of lists of numbers, found {lists.type}")
    return lists


def whole_matrix(column: Any, name: str) -> numpy.ndarray[Any, Any]:
    """Returns the vectors of a column as float32, one a row: all of one length, without nulls."""
    import numpy

    lists = _lists(column, name)
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    values: Any = lists.flatten()
    if lists.null_count > 0 or values.null_count > 0 or (len(lengths) > 0 and lengths.min() != lengths.max()):
        raise ConfigValidationError(f"{name}: expected vectors of one length, without nulls, found others")
    numbers: Any = values.to_numpy(zero_copy_only=False)
    return numpy.ascontiguousarray(numbers.astype(numpy.float32).reshape(len(lists), -1))


def _matrix(column: Any, dim: int) -> tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]:
    """Returns the vectors of a column that have the right dimension, and their rows. Others are found when they are routed."""
    import numpy
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

    lists = _lists(column, "vectors")
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    rows = numpy.flatnonzero(lengths == dim)
    values = lists.take(pyarrow.array(rows)).flatten()
    vectors: Any = values.to_numpy(zero_copy_only=False).astype(numpy.float32).reshape(-1, dim)
    finite = numpy.isfinite(vectors).all(axis=1)
    return vectors[finite], rows[finite]


def sample_keys(ids: Any, seed: int) -> numpy.ndarray[Any, Any]:
    """Returns a number from 0 to 2⁶⁴ − 1 for each id of a column: the same wherever the row lies."""
    import numpy
    import pandas  # type: ignore[import-not-found,import-untyped,unused-ignore]

    values = ids.to_numpy(zero_copy_only=False)
    keys: Any = pandas.util.hash_array(values, categorize=False).astype(numpy.uint64)
    # The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    keys = keys + numpy.uint64((seed * 0x9E3779B97F4A7C15 + 1) % 2**64)
    keys = (keys ^ (keys >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    mixed: numpy.ndarray[Any, Any] = keys ^ (keys >> numpy.uint64(31))
    return mixed


def _sample(
    columns: tuple[str, str], dim: int, seed: int, limit: int | None, batches: Iterator[pyarrow.RecordBatch], number: int
) -> Sample:
    import numpy
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

    keys: list[bytes] = []
    vectors: list[bytes] = []
    for batch in batches:
        key: Any = None if limit is None else sample_keys(batch.column(columns[1]), seed)
        column = batch.column(columns[0])
        if limit is not None:
            taken = numpy.flatnonzero(key < numpy.uint64(limit))
            key, column = key[taken], column.take(pyarrow.array(taken))
        matrix, rows = _matrix(column, dim)
        if key is not None:
            keys.append(key[rows].tobytes())
        vectors.append(numpy.ascontiguousarray(matrix).tobytes())
    return Sample(number, b"".join(keys), b"".join(vectors))


def sample(
    columns: tuple[str, str], dim: int, seed: int, limit: int | None, batches: Iterator[pyarrow.RecordBatch], number: int
) -> bytes:
    """Returns the vectors of the rows whose key is below the limit; None: of all rows, without keys."""
    return returned(lambda: _sample(columns, dim, seed, limit, batches, number))
