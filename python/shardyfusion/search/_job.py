"""What tasks of a search do: one reader in each process, pinned to the manifest that was live when the job began."""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from shardyfusion import _core, _json
from shardyfusion._paths import path_option
from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError
from shardyfusion.manifest import ManifestRef
from shardyfusion.s3 import core_options
from shardyfusion.vector.reader import ShardedVectorReader
from shardyfusion.writer._worker import whole_matrix

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

    from shardyfusion._types import VectorSearchResponse

__all__ = ["IdType", "SHARD_COL", "SearchJob", "no_results", "plan_job", "search_batches", "with_shards"]

IdType = Literal["string", "int"]
SHARD_COL = "_shardyfusion_shard"
"""The column of the shard that a query is grouped by."""

_BATCH_ROWS = 1024
_FIRST_NUMBER_BITS = 33


class PinnedStore:
    """One manifest of a root: the current one, whatever is published meanwhile."""

    def __init__(self, root: str, s3: Mapping[str, Any], ref: str, run_id: str) -> None:
        self._root = root
        self._storage = {"s3": dict(s3)} if s3 else {}
        self._pinned = ManifestRef(ref, run_id, datetime.now(timezone.utc))

    def load_current(self) -> ManifestRef:
        """Returns the manifest."""
        return self._pinned

    def load_manifest(self, ref: str, /) -> bytes:
        """Returns its bytes."""
        return _core.read_object(None, None, self._root, _core.Sink(False), reference=ref, **self._storage).wait()

    def list_manifests(self, *, limit: int = 10) -> list[ManifestRef]:
        """Returns it alone: no other may take its place."""
        return [self._pinned][:limit]


@dataclass(frozen=True)
class SearchJob:
    """All that a task needs. It is pickled; credentials in it are those of the caller's provider, which is asked on the worker."""

    vector_col: str
    query_col: str | None
    context_cols: Sequence[str] | None
    top_k: int | None
    id_type: IdType
    keywords: dict[str, Any]
    reader_options: dict[str, Any] = field(repr=False)
    groups: bool = False
    manifest_ref: str = ""
    run_id: str = ""
    num_dbs: int = 0

    def columns(self) -> list[str]:
        """Returns the columns that are read."""
        names = [self.vector_col, *([] if self.query_col is None else [self.query_col]), *(self.context_cols or [])]
        return list(dict.fromkeys(names))

    def key(self) -> tuple[object, ...]:
        """Returns what readers are told apart by."""
        return self.manifest_ref, repr(sorted(self.reader_options.items(), key=lambda item: item[0]))


def plan_job(
    reader_options: dict[str, Any],
    *,
    vector_col: str,
    query_col: str | None,
    routing_context_cols: Sequence[str] | None,
    top_k: int | None,
    id_type: IdType,
    group_by_shard: bool,
    keywords: dict[str, Any],
) -> SearchJob:
    """Checks the options by opening a reader here, and pins its manifest."""
    if id_type not in ("string", "int"):
        raise ConfigValidationError(f"id_type: expected 'string' or 'int', found {describe(id_type)}")
    if routing_context_cols is not None and keywords.get("routing_context") is not None:
        raise ConfigValidationError("routing_context: expected none beside routing_context_cols")
    if group_by_shard and query_col is None:
        raise ConfigValidationError("query_col: expected a column that names the queries, because they are grouped, found None")
    job = SearchJob(
        vector_col, query_col, routing_context_cols, top_k, id_type, keywords, reader_options, group_by_shard
    )
    with ShardedVectorReader(**reader_options) as reader:
        info = reader.snapshot_info()
    return replace(job, manifest_ref=info.manifest_ref, run_id=info.run_id, num_dbs=info.num_dbs)


# ---------------------------------------------------------------------------------------------------------------- Readers

_lock = threading.Lock()
_readers: dict[tuple[object, ...], ShardedVectorReader] = {}
_process = 0


def _reader(job: SearchJob) -> ShardedVectorReader:
    """Returns this process's reader. Those of other jobs are forgotten, and close when nobody searches with them."""
    global _process
    with _lock:
        if _process != os.getpid():  # a fork's child can't use its parent's
            _readers.clear()
            _process = os.getpid()
        found = _readers.get(job.key())
        if found is None:
            _readers.clear()
            options = dict(job.reader_options)
            s3 = core_options(options.get("s3_connection_options"), options.get("credential_provider"))
            store = PinnedStore(path_option("s3_prefix", options["s3_prefix"]), s3, job.manifest_ref, job.run_id)
            found = _readers[job.key()] = ShardedVectorReader(manifest_store=store, **options)
        return found


# --------------------------------------------------------------------------------------------------------------- Searching


def _contexts(batch: pyarrow.RecordBatch, names: Sequence[str]) -> list[tuple[dict[str, Any], list[int]]]:
    """Returns the routing contexts of a batch, each with its rows."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    values = [batch.column(name).to_pylist() for name in names]
    for row, context in enumerate(zip(*values, strict=True)):
        groups.setdefault(context, []).append(row)
    return [(dict(zip(names, context, strict=True)), rows) for context, rows in groups.items()]


def _search(reader: ShardedVectorReader, job: SearchJob, batch: pyarrow.RecordBatch, first: int) -> list[VectorSearchResponse]:
    vectors = whole_matrix(batch.column(job.vector_col), f"{job.vector_col}: row {first} and those after it")
    if job.context_cols is None:
        return reader.batch_search(vectors, job.top_k, **job.keywords)
    responses: list[Any] = [None] * len(vectors)
    for context, rows in _contexts(batch, job.context_cols):
        found = reader.batch_search(vectors[rows], job.top_k, **job.keywords | {"routing_context": context})
        for row, response in zip(rows, found, strict=True):
            responses[row] = response
    return responses


def _ids(job: SearchJob, responses: list[VectorSearchResponse]) -> list[Any]:
    if job.id_type == "string":
        return [str(row_id) for response in responses for row_id in response.ids]
    try:
        return [int(row_id) for response in responses for row_id in response.ids]
    except ValueError as error:
        raise ConfigValidationError(f"id_type: expected ids that are integers, found another: {error}") from None


def _payloads(job: SearchJob, responses: list[VectorSearchResponse]) -> list[str | None]:
    if not job.keywords.get("include_payloads", True):
        return [None] * sum(len(response) for response in responses)
    payloads = (result.payload for response in responses for result in response)
    return [None if payload is None else _json.dumps(payload) for payload in payloads]


def _results(job: SearchJob, responses: list[VectorSearchResponse], queries: Any) -> pyarrow.RecordBatch:
    import numpy
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

    counts = numpy.array([len(response) for response in responses])
    of = numpy.repeat(numpy.arange(len(responses)), counts)
    starts = numpy.repeat(numpy.cumsum(counts) - counts, counts)
    scores: list[Any] = [numpy.asarray(response.scores) for response in responses if len(response) > 0]
    columns = {
        "query": queries.take(pyarrow.array(of)),
        "rank": pyarrow.array((numpy.arange(len(of)) - starts + 1).astype(numpy.int32)),
        "id": pyarrow.array(_ids(job, responses), pyarrow.string() if job.id_type == "string" else pyarrow.int64()),
        "score": pyarrow.array(numpy.concatenate(scores) if scores else numpy.zeros(0)),
        "payload": pyarrow.array(_payloads(job, responses), pyarrow.string()),
    }
    return pyarrow.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def no_results(job: SearchJob, query_type: pyarrow.DataType) -> pyarrow.RecordBatch:
    """Returns the columns of results without any."""
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

    return _results(job, [], pyarrow.array([], query_type))


def search_batches(
    job: SearchJob, batches: Iterator[pyarrow.RecordBatch], partition: int
) -> Iterator[pyarrow.RecordBatch]:
    """Yields the results of the queries in a partition: query, rank, id, score, payload."""
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

    first = 0
    for whole in batches:
        for start in range(0, whole.num_rows, _BATCH_ROWS):
            batch = whole.slice(start, _BATCH_ROWS)
            responses = _search(_reader(job), job, batch, first)
            begin = (partition << _FIRST_NUMBER_BITS) + first
            numbered = pyarrow.array(range(begin, begin + batch.num_rows), pyarrow.int64())
            yield _results(job, responses, numbered if job.query_col is None else batch.column(job.query_col))
            first += batch.num_rows


def with_shards(job: SearchJob, batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
    """Yields the batches with the shard that each query is routed to first: queries of one shard are to come together."""
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

    for batch in batches:
        shards = pyarrow.array(_first_shards(_reader(job), job, batch), pyarrow.int32())
        yield batch.append_column(SHARD_COL, shards)


def _first_shards(reader: ShardedVectorReader, job: SearchJob, batch: pyarrow.RecordBatch) -> list[int]:
    if job.keywords.get("shard_ids") is not None:
        return [0] * batch.num_rows  # all of them search the same
    vectors = whole_matrix(batch.column(job.vector_col), job.vector_col)
    if job.context_cols is None:
        context = job.keywords.get("routing_context")
        return [reader.route_vector(vector, num_probes=1, routing_context=context)[0] for vector in vectors]
    shards = [0] * batch.num_rows
    for context, rows in _contexts(batch, job.context_cols):
        shard = reader.route_vector(vectors[rows[0]], num_probes=1, routing_context=context)[0]
        for row in rows:
            shards[row] = shard
    return shards
