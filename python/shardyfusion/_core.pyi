"""Types of the extension. Use the package `shardyfusion`, not this module."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar, final, overload

from shardyfusion._types import Array, Explanation, Queries, Query
from typing_extensions import Buffer

_T = TypeVar("_T")

class ShardyfusionError(Exception):
    retryable: ClassVar[bool]

class ReaderStateError(ShardyfusionError): ...
class ManifestParseError(ShardyfusionError): ...
class DbAdapterError(ShardyfusionError): ...
class ConfigValidationError(ShardyfusionError): ...
class UnknownRoutingTokenError(ShardyfusionError, ValueError): ...
class S3TransientError(ShardyfusionError): ...
class ManifestStoreError(ShardyfusionError): ...
class PoolExhaustedError(ShardyfusionError): ...

@final
class SearchResult:
    __match_args__: ClassVar[tuple[str, str, str, str]]
    def __new__(
        cls,
        id: int | str,
        score: float,
        vector: Sequence[float] | Buffer | Array | None = None,
        payload: dict[str, Any] | None = None,
    ) -> SearchResult: ...
    @property
    def id(self) -> int | str: ...
    @property
    def score(self) -> float: ...
    @property
    def vector(self) -> memoryview[float] | None: ...
    @property
    def payload(self) -> dict[str, Any] | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class VectorSearchResponse(Sequence[SearchResult]):
    def __new__(
        cls, results: Iterable[SearchResult], num_shards_queried: int, latency_ms: float, is_exact: bool = False
    ) -> VectorSearchResponse: ...
    @property
    def results(self) -> list[SearchResult]: ...
    @property
    def num_shards_queried(self) -> int: ...
    @property
    def latency_ms(self) -> float: ...
    @property
    def is_exact(self) -> bool: ...
    @property
    def scores(self) -> memoryview[float]: ...
    @property
    def ids(self) -> memoryview[int] | list[int | str]: ...
    def explain(self) -> Explanation: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int) -> SearchResult: ...
    @overload
    def __getitem__(self, index: slice) -> list[SearchResult]: ...
    def __iter__(self) -> Iterator[SearchResult]: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]

@final
class Operation(Generic[_T]):
    @property
    def future(self) -> asyncio.Future[_T] | None: ...
    def cancel(self) -> None: ...
    def wait(self) -> _T: ...

@final
class CompletionQueue:
    def __new__(cls) -> CompletionQueue: ...
    def fileno(self) -> int: ...
    def drain(self) -> None: ...
    def abandon(self) -> None: ...

@final
class Sink:
    def __new__(cls, wants_events: bool, /) -> Sink: ...
    def take(self) -> list[tuple[str | int, Any]] | None: ...

@final
class ArrowStream:
    def __new__(cls, table: object, /) -> ArrowStream: ...
    @property
    def names(self) -> list[str]: ...
    def select(
        self,
        vector: str,
        id: str | None,
        payload: str | None,
        shard_id: str | None,
        payload_members: Iterable[str] | None,
        context_members: Iterable[str] | None,
        /,
    ) -> None: ...

@final
class Builder:
    def __new__(
        cls,
        root: str,
        sink: Sink,
        progress: Callable[[str, int, int, int, int], object] | None,
        options: dict[str, Any],
        /,
    ) -> Builder: ...
    def train(self, vectors: object, /) -> None: ...
    def add_records(self, records: Iterator[object], max_rows: int, /) -> int: ...
    def add_stream(self, stream: ArrowStream, max_rows: int, /) -> int: ...
    def add_array(
        self,
        vectors: object,
        ids: Iterator[int | str] | None,
        payloads: Iterator[Mapping[str, Any] | str | None] | None,
        shard_ids: Iterator[int] | None,
        routing_contexts: Iterator[Mapping[str, Any]] | None,
        first: int,
        max_rows: int,
        /,
    ) -> int: ...
    def finish(
        self,
    ) -> tuple[
        str,
        str,
        int,
        int,
        list[tuple[int, str, int, int, int, str]],
        tuple[float, float, float, float],
        str,
        bytes,
    ]: ...
    def artifact(self) -> tuple[str, int, bytes | None, int]: ...
    def publish(
        self, shards: list[tuple[int, int, int, int, str]], shard_rows: Buffer, samples: Buffer | None, /
    ) -> tuple[
        str,
        str,
        int,
        int,
        list[tuple[int, str, int, int, int, str]],
        tuple[float, float, float, float],
        str,
        bytes,
    ]: ...
    def finish_partition(self) -> tuple[int, int, bytes]: ...
    def close(self) -> None: ...

@final
class Expression:
    def __new__(cls, expression: str, columns: str, /) -> Expression: ...
    def evaluate(self, routing_context: str, /) -> str: ...

@final
class RowRouter:
    def __new__(cls, options: dict[str, Any], /) -> RowRouter: ...
    @property
    def num_dbs(self) -> int: ...
    def assign(
        self, vectors: object, shard_ids: Iterable[int] | None, routing_contexts: Iterable[str] | None, /
    ) -> list[int]: ...
    def route(self, query: object, routing_context: str | None, num_probes: int, /) -> list[int]: ...
    def vectors(self) -> bytes | None: ...

@final
class Reader:
    def search(
        self,
        queue: CompletionQueue | None,
        future: asyncio.Future[VectorSearchResponse] | None,
        query: Query,
        top_k: int | None,
        shard_ids: Iterable[int] | None,
        num_probes: int | None,
        routing_context: Mapping[str, Any] | None,
        narrowing: tuple[str | None, float | None, int, int, bool, bool, bool, float | None] | None,
        /,
    ) -> Operation[VectorSearchResponse]: ...
    def batch_search(
        self,
        queue: CompletionQueue | None,
        future: asyncio.Future[list[VectorSearchResponse]] | None,
        queries: Queries,
        top_k: int | None,
        shard_ids: Iterable[int] | None,
        num_probes: int | None,
        routing_context: Mapping[str, Any] | None,
        narrowing: tuple[str | None, float | None, int, int, bool, bool, bool, float | None] | None,
        /,
    ) -> Operation[list[VectorSearchResponse]]: ...
    def fetch(
        self,
        queue: CompletionQueue | None,
        future: asyncio.Future[list[SearchResult | None]] | None,
        ids: tuple[int | str, ...],
        shard_ids: Iterable[int] | None,
        include_vectors: bool,
        include_payloads: bool,
        /,
    ) -> Operation[list[SearchResult | None]]: ...
    def count(
        self,
        queue: CompletionQueue | None,
        future: asyncio.Future[int] | None,
        filter: str | None,
        shard_ids: Iterable[int] | None,
        /,
    ) -> Operation[int]: ...
    def route(
        self,
        query: Query,
        shard_ids: Iterable[int] | None,
        num_probes: int | None,
        routing_context: Mapping[str, Any] | None,
        /,
    ) -> list[int]: ...
    def refresh(
        self,
        queue: CompletionQueue | None,
        future: asyncio.Future[bool] | None,
        manifest: Buffer = ...,
        ref: str = ...,
        published_seconds: float = ...,
        /,
    ) -> Operation[bool]: ...
    def close(
        self, queue: CompletionQueue | None, future: asyncio.Future[None] | None, timeout_ms: int, /
    ) -> Operation[None]: ...
    def abandon(self) -> None: ...
    def snapshot_info(self) -> tuple[str, int, int, str, str, str, int]: ...
    def shard_details(self) -> list[tuple[int, str | None, int, str | None]]: ...
    def health(self, threshold_seconds: float, /) -> tuple[Literal["healthy", "degraded", "unhealthy"], str | None, float, int, bool, str | None]: ...
    def manifest_ref(self) -> str: ...

def open(
    queue: CompletionQueue | None,
    future: asyncio.Future[Reader] | None,
    root: str,
    sink: Sink,
    *,
    cache_dir: str | None,
    max_concurrency: int,
    max_fallback_attempts: int,
    max_cached_shards: int,
    preload_shards: bool,
    shard_format: str | None,
    manifest: Buffer | None,
    manifest_ref: str | None,
    published_seconds: float,
    s3: dict[str, Any] | None = ...,
    max_cache_bytes: int = ...,
    thread_nice: int = ...,
    max_filter_bytes: int = ...,
) -> Operation[Reader]: ...
def history(
    queue: CompletionQueue | None,
    future: asyncio.Future[list[tuple[str, str, str, bool]]] | None,
    root: str,
    sink: Sink,
    *,
    limit: int,
    s3: dict[str, Any] | None = ...,
) -> Operation[list[tuple[str, str, str, bool]]]: ...
def read_object(
    queue: CompletionQueue | None,
    future: asyncio.Future[bytes] | None,
    root: str,
    sink: Sink,
    *,
    reference: str,
    s3: dict[str, Any] | None = ...,
) -> Operation[bytes]: ...
def write_shard(sink: Sink, task: dict[str, Any], /) -> tuple[tuple[int, int, int, int, str], bytes]: ...
def find_equal_ids(sink: Sink, task: dict[str, Any], /) -> tuple[tuple[int, int], tuple[int, int]] | None: ...
def read_piece(sink: Sink, task: dict[str, Any], /) -> list[tuple[int | str, bytes, str | None]]: ...
def row_id(sink: Sink, task: dict[str, Any], row: int, /) -> int | str | None: ...
def call_object(
    queue: CompletionQueue | None,
    future: asyncio.Future[Any] | None,
    root: str,
    sink: Sink,
    *,
    action: int,
    key: str,
    bytes: Buffer | None,
    s3: dict[str, Any] | None = ...,
) -> Operation[Any]: ...
def index_snapshot(sink: Sink, options: dict[str, Any], /) -> tuple[str, bool, int, int, int, int, float]: ...
def train_centroids(options: dict[str, Any], vectors: object, /) -> bytes: ...
def check_manifest(payload: Buffer, name: str, /) -> None: ...
def version() -> str: ...
def kernel_name() -> str: ...
