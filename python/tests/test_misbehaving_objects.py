"""The package's objects in hostile hands: results that change while they are read, calls from inside of callbacks, copies,
and objects that were never opened. An exception, never a crash. Run with the address sanitizer, too."""

import asyncio
import copy
import datetime
import gc
import pickle
import weakref

import pytest
from shardyfusion import _core
from shardyfusion.errors import ConfigValidationError, ReaderStateError, ShardyfusionError
from shardyfusion.vector import AsyncShardedVectorReader, SearchResult, ShardedVectorReader, VectorSearchResponse
from shardyfusion.vector.writer import VectorRecord, write_sharded

from small_snapshots import small_config

DIM, ROWS, SEED = 4, 30, 2


class Boom(Exception):
    pass


def configure(root, **sharding):
    return small_config(root, DIM, batch_size=8, **sharding)


class Changing:
    """A result whose attributes change the list that it is in."""

    def __init__(self, change):
        self.change, self.results = change, None

    def _touch(self):
        if self.results is not None:
            self.change(self.results)
        return 1

    id = property(_touch)
    score = property(_touch)


def grow(results):
    if len(results) < 20_000:
        results.extend([SearchResult(1, 0.5)] * 5_000)


@pytest.mark.parametrize("change", [grow, list.clear, list.pop, lambda results: results.__setitem__(slice(None), [])])
@pytest.mark.parametrize("attribute", ["scores", "ids"])
def test_results_may_change_while_they_are_read(change, attribute):
    changing = [Changing(change) for _ in range(50)]
    response = VectorSearchResponse(changing, 1, 0.0)
    for result in changing:
        result.results = response.results
    assert list(getattr(response, attribute)) == [1] * 50
    assert len(response) == len(response.results)


def test_results_of_any_kind_are_read_or_refused():
    with pytest.raises(AttributeError):
        VectorSearchResponse([object()], 1, 0.0).scores
    with pytest.raises(TypeError):
        VectorSearchResponse(5, 1, 0.0)
    assert VectorSearchResponse([SearchResult(2**80, 0.5)], 1, 0.0).ids == [2**80]
    assert VectorSearchResponse([SearchResult("a", 0.5)], 1, 0.0).ids == ["a"]


class Index:
    """An index that empties the response while it is asked for."""

    def __init__(self, response):
        self.response = response

    def __index__(self):
        self.response.results.clear()
        gc.collect()
        return 0


def test_an_index_may_empty_the_response():
    response = VectorSearchResponse([SearchResult(1, 0.5)], 1, 0.0)
    with pytest.raises(IndexError):
        response[Index(response)]


class Equal:
    def __init__(self, response):
        self.response = response

    def __eq__(self, other):
        self.response.results.clear()
        return True


def test_comparisons_may_empty_the_response():
    response = VectorSearchResponse([SearchResult(1, 0.5)] * 3, 1, 0.0)
    assert response.count(Equal(response)) in (0, 1, 3)
    response = VectorSearchResponse([SearchResult(1, 0.5)] * 3, 1, 0.0)
    assert response.index(Equal(response)) == 0
    other = VectorSearchResponse([SearchResult(Equal(response), 0.5)], 1, 0.0)
    assert (other == VectorSearchResponse([SearchResult(1, 0.5)], 1, 0.0)) in (True, False)


def test_results_may_be_nested_as_deep_as_memory_goes():
    for wrap in (
        lambda inner: SearchResult(1, 0.0, inner),
        lambda inner: SearchResult(inner, 0.0),
        lambda inner: SearchResult(1, 0.0, None, inner),
        lambda inner: VectorSearchResponse([inner], 1, 0.0),
    ):
        nested = None
        for _ in range(200_000):
            nested = wrap(nested)
        with pytest.raises(RecursionError):
            repr(nested)
        del nested


def test_results_in_a_cycle_are_freed():
    class Held:
        pass

    for place in range(3):
        held = Held()
        fields = [1, None, None]
        fields[place] = held
        held.result = SearchResult(fields[0], 0.5, fields[1], fields[2])
        held.response = VectorSearchResponse([held.result], 1, 0.0)
        gone = weakref.ref(held)
        del held, fields
        gc.collect()
        assert gone() is None


def test_results_are_pickled_and_copied(reader, vectors):
    response = reader.search(vectors[0], 3, shard_ids=[0, 1])
    for again in (pickle.loads(pickle.dumps(response)), copy.copy(response), copy.deepcopy(response)):
        assert again == response
    assert copy.deepcopy(response[0]) == response[0]


@pytest.mark.parametrize("arguments", [(), (1,), (1, "x"), ("a", 1.0, None, None, None), (None, None)])
def test_results_take_their_arguments_once(arguments):
    with pytest.raises(TypeError):
        SearchResult(*arguments)
    result = SearchResult(1, 0.5)
    try:
        result.__init__(2, 3.0)
    except TypeError:
        pass
    assert (result.id, result.score) == (1, 0.5)


# --------------------------------------------------------------------------------------------------- Closing from inside


class Closing:
    """A component of a query that closes the reader."""

    def __init__(self, reader):
        self.reader = reader

    def __float__(self):
        self.reader.close()
        return 0.5


def test_a_query_may_close_the_reader(reader):
    with pytest.raises(ReaderStateError, match="closed"):
        reader.search([Closing(reader)] * DIM)


class Limiter:
    def __init__(self):
        self.reader = None

    def acquire(self, tokens=1):
        self.reader.close()


def test_a_limiter_may_close_the_reader(written, tmp_path, vectors):
    limiter = Limiter()
    limiter.reader = ShardedVectorReader(s3_prefix=written, local_root=tmp_path / "cache", rate_limiter=limiter)
    for search in (limiter.reader.search, lambda query: limiter.reader.batch_search([query])):
        with pytest.raises(ReaderStateError, match="closed"):
            search(vectors[0])


class Collector:
    """Searches, closes or raises when it is told of an event."""

    def __init__(self, act):
        self.act, self.reader, self.depth, self.told = act, None, 0, []

    def emit(self, event, fields):
        self.told.append(event)
        if self.reader is not None and self.depth < 3:
            self.depth += 1
            self.act(self.reader)
            self.depth -= 1


def explode(reader):
    raise Boom("emit")


@pytest.mark.parametrize(
    "act", [explode, ShardedVectorReader.close, ShardedVectorReader.refresh, lambda reader: reader.search([0.5] * DIM, 1, shard_ids=[0])]
)
def test_a_collector_may_call_the_reader(written, tmp_path, vectors, act):
    collector = Collector(act)
    reader = ShardedVectorReader(s3_prefix=written, local_root=tmp_path / "cache", metrics_collector=collector)
    collector.reader = reader
    for _ in range(3):
        try:
            reader.search(vectors[0], 1, shard_ids=[0])
        except (Boom, ReaderStateError):
            pass
    collector.reader = None
    reader.close()
    assert collector.told


async def test_a_collector_of_a_loop_may_raise_and_close(written, tmp_path, vectors):
    closings = []
    for act in (explode, lambda reader: closings.append(asyncio.ensure_future(reader.close()))):
        collector = Collector(act)
        reader = await AsyncShardedVectorReader.open(
            s3_prefix=written, local_root=tmp_path / "cache", metrics_collector=collector
        )
        collector.reader = reader
        found = await asyncio.gather(
            *(reader.search(vectors[0], 1, shard_ids=[0]) for _ in range(4)), return_exceptions=True
        )
        assert all(isinstance(one, (VectorSearchResponse, Boom, ReaderStateError)) for one in found)
        collector.reader = None
        await asyncio.gather(*closings)
        await reader.close()


def test_progress_may_write_another_snapshot(root, vectors, tmp_path):
    told = []

    def progress(step):
        if not told:
            told.append(step)
            write_sharded(vectors, configure(tmp_path / "inner"))

    write_sharded(vectors, configure(root), progress=progress)
    assert told and (tmp_path / "inner" / "_CURRENT").exists() and (root / "_CURRENT").exists()


class Store:
    def __init__(self, current):
        self.current = current

    def load_current(self):
        return self.current

    def load_manifest(self, ref):
        raise Boom("load")

    def list_manifests(self, *, limit=10):
        raise Boom("list")


def test_a_store_and_a_factory_may_raise_anything(written, tmp_path, vectors):
    where = {"s3_prefix": written, "local_root": tmp_path / "cache"}
    with pytest.raises((AttributeError, ShardyfusionError)):
        ShardedVectorReader(**where, manifest_store=Store(object()))
    with pytest.raises(ReaderStateError):
        ShardedVectorReader(**where, manifest_store=Store(None))

    def factory(**arguments):
        raise Boom("factory")

    with ShardedVectorReader(**where, reader_factory=factory) as reader, pytest.raises(Boom):
        reader.search(vectors[0], 1, shard_ids=[0])


# -------------------------------------------------------------------------------------------------------------- Objects


def test_readers_are_not_copied(reader):
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="can't be copied or pickled"):
            act(reader)


def test_a_reader_is_opened_once(reader, written, tmp_path, vectors):
    with pytest.raises(ReaderStateError, match="open already"):
        reader.__init__(s3_prefix=written, local_root=tmp_path / "other")
    assert len(reader.search(vectors[0], 1, shard_ids=[0])) == 1


class Forgetful(ShardedVectorReader):
    def __init__(self):
        pass


@pytest.mark.parametrize("make", [Forgetful, lambda: ShardedVectorReader.__new__(ShardedVectorReader)])
def test_a_reader_that_was_never_opened_refuses_every_call(make, vectors):
    reader = make()
    for use in (
        lambda: reader.search(vectors[0]),
        lambda: reader.batch_search(vectors),
        lambda: reader.route_vector(vectors[0]),
        reader.snapshot_info,
        reader.shard_details,
        reader.health,
        reader.refresh,
    ):
        with pytest.raises(ReaderStateError, match="never opened"):
            use()
    assert "never opened" in repr(reader)
    reader.close()
    del reader


async def test_an_asynchronous_reader_that_was_never_opened_refuses_every_call(vectors):
    reader = AsyncShardedVectorReader.__new__(AsyncShardedVectorReader)
    for use in (lambda: reader.search(vectors[0]), lambda: reader.batch_search(vectors), reader.refresh):
        with pytest.raises(ReaderStateError, match="never opened"):
            await use()
    for use in (lambda: reader.route_vector(vectors[0]), reader.snapshot_info, reader.health):
        with pytest.raises(ReaderStateError, match="never opened"):
            use()
    assert "never opened" in repr(reader)
    await reader.close()


@pytest.mark.parametrize("name", ["Reader", "Operation", "CompletionQueue", "Sink", "Builder", "ArrowStream", "SearchResult"])
def test_types_of_the_extension_are_final(name):
    kind = getattr(_core, name)
    with pytest.raises(TypeError):
        type("Sub", (kind,), {})
    with pytest.raises(TypeError):
        object.__new__(kind)
    if name in ("Reader", "Operation"):
        with pytest.raises(TypeError):
            kind()


@pytest.mark.parametrize("make", [lambda: _core.CompletionQueue(), lambda: _core.Sink(False)])
def test_handles_are_not_copied(make):
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            act(make())


def test_the_garbage_collector_may_run_at_any_time(root, written, tmp_path, vectors):
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        records = (VectorRecord(f"row-{row}", list(vector), {"row": row}) for row, vector in enumerate(vectors))
        write_sharded(records, configure(root))
        with ShardedVectorReader(s3_prefix=written, local_root=tmp_path / "cache") as reader:
            for response in reader.batch_search(vectors, 3, shard_ids=[0, 1]):
                assert len(response.results) == 3 and repr(response) and response == copy.copy(response)
    finally:
        gc.set_threshold(*thresholds)


class Exporter:
    """A table whose stream is none."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __arrow_c_stream__(self, requested_schema=None):
        if isinstance(self.capsule, BaseException):
            raise self.capsule
        return self.capsule


@pytest.mark.parametrize("capsule", [None, 5, "capsule", datetime.datetime_CAPI], ids=lambda given: type(given).__name__)
def test_a_table_without_a_stream_is_refused(root, capsule):
    with pytest.raises(ConfigValidationError, match="^Arrow stream: expected a capsule"):
        write_sharded(Exporter(capsule), configure(root))
    with pytest.raises(Boom):
        write_sharded(Exporter(Boom()), configure(root))
