"""Objects of users' own that misbehave: an exception, never a crash. Run with the address sanitizer, too."""

import asyncio
import collections
import copy
import datetime
import gc
import pathlib
import pickle
import warnings
import weakref

import numpy as np
import pytest
from shardyfusion import _core
from shardyfusion.errors import ConfigValidationError, ReaderStateError, ShardyfusionError
from shardyfusion.sqlite_vec_adapter import SqliteVecFactory
from shardyfusion.vector import AsyncShardedVectorReader, SearchResult, ShardedVectorReader, VectorSearchResponse
from shardyfusion.vector.writer import (
    VectorIndexConfig,
    VectorRecord,
    VectorShardedWriteConfig,
    VectorShardingConfig,
    write_sharded,
)

DIM, ROWS = 4, 30


class Boom(Exception):
    pass


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(2).standard_normal((ROWS, DIM)).astype(np.float32)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "snapshot"


def configure(root, **sharding):
    return VectorShardedWriteConfig(
        index_config=VectorIndexConfig(dim=DIM, metric="l2"),
        sharding=VectorShardingConfig(**(sharding or {"num_dbs": 1, "train_centroids": True})),
        s3_prefix=root,
        adapter_factory=SqliteVecFactory(),
        batch_size=8,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory, vectors):
    root = tmp_path_factory.mktemp("written") / "snapshot"
    cel = {"num_dbs": 2, "strategy": "cel", "cel_expr": "shard", "cel_columns": {"shard": "int"}}
    write_sharded(vectors, configure(root, **cel), routing_contexts=[{"shard": row % 2} for row in range(ROWS)])
    return root


@pytest.fixture
def reader(written, tmp_path):
    with ShardedVectorReader(s3_prefix=written, local_root=tmp_path / "cache") as opened:
        yield opened


class Items:
    def __init__(self, items):
        self.given = items

    def items(self):
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


BAD_ITEMS = [[1, 2], [()], [("shard",)], [("shard", 1, 2)], None, 5, "ab", [(1, 2)], [([], 1)], [("shard", object())]]


@pytest.mark.parametrize("items", BAD_ITEMS, ids=lambda items: repr(items)[:20])
def test_a_routing_context_whose_items_are_no_pairs_is_refused(reader, root, vectors, items):
    with pytest.raises(ConfigValidationError, match="^routing_context: expected a mapping"):
        reader.search(vectors[0], 1, routing_context=Items(items))
    cel = {"num_dbs": 2, "strategy": "cel", "cel_expr": "shard", "cel_columns": {"shard": "int"}}
    with pytest.raises(ConfigValidationError, match="^routing_context: record 0: expected a mapping"):
        write_sharded([VectorRecord(0, vectors[0], routing_context=Items(items))], configure(root, **cel))
    with pytest.raises(ConfigValidationError, match="^routing_contexts: row 0: expected a mapping"):
        write_sharded(vectors, configure(root, **cel), routing_contexts=[Items(items)] * ROWS)


def test_what_items_raises_is_passed_on(reader, vectors):
    with pytest.raises(Boom):
        reader.search(vectors[0], 1, routing_context=Items(Boom()))


# --------------------------------------------------------------------------------------------------------------- Results


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


# ----------------------------------------------------------------------------------------------------- Numbers and arrays


class Mutating:
    """A number that changes the list that it is in."""

    def __init__(self, container, change):
        self.container, self.change = container, change

    def __float__(self):
        self.change(self.container)
        gc.collect()
        return 0.5

    def __index__(self):
        self.change(self.container)
        gc.collect()
        return 1


CHANGES = [list.clear, lambda values: values.extend(range(5_000)), list.pop]


@pytest.mark.parametrize("change", CHANGES)
def test_numbers_may_change_their_list(reader, root, vectors, change):
    query = [0.5] * DIM
    query[0] = Mutating(query, change)
    assert len(reader.search(query, 1, shard_ids=[0])) == 1
    queries = [list(vectors[0]), list(vectors[1])]
    queries[0][0] = Mutating(queries, change)
    assert len(reader.batch_search(queries, 1, shard_ids=[0])) == 2
    shard_ids = [0, 1]
    shard_ids[0] = Mutating(shard_ids, change)
    assert len(reader.search(vectors[0], 1, shard_ids=shard_ids)) == 1
    ids = list(range(100, 100 + ROWS))
    ids[3] = Mutating(ids, change)
    try:
        write_sharded(vectors, configure(root), ids=ids)
    except ConfigValidationError:
        pass


class Lying(collections.abc.Sequence):
    def __init__(self, length, items):
        self.length, self.given = length, items

    def __len__(self):
        if isinstance(self.length, BaseException):
            raise self.length
        return self.length

    def __getitem__(self, index):
        return self.given[index]


@pytest.mark.parametrize("length", [0, 2, ROWS, 2**40, Boom()], ids=repr)
@pytest.mark.parametrize("count", [0, 2, ROWS, 3 * ROWS])
def test_sequences_may_lie_about_their_lengths(root, vectors, reader, length, count):
    try:
        write_sharded(vectors, configure(root), ids=Lying(length, list(range(count))))
        assert length == ROWS and count == ROWS
    except (ConfigValidationError, Boom):
        assert length != ROWS or count != ROWS
    with pytest.raises((ConfigValidationError, Boom)):
        reader.search(Lying(length, list(range(count))))
    try:
        assert reader.batch_search(Lying(length, [vectors[0]] * count), 1, shard_ids=[0, 1])[0][0].id == 0
    except (ConfigValidationError, Boom, IndexError):
        assert not count or isinstance(length, Boom)


class Converting:
    def __init__(self, result):
        self.result = result

    def __array__(self, dtype=None, copy=None):
        if isinstance(self.result, BaseException):
            raise self.result
        return self if self.result == "self" else self.result


@pytest.mark.parametrize(
    "result", ["self", "text", None, 5, [0.5] * DIM, object(), b"abcd", TypeError("no"), ValueError("no"), np.array(5)], ids=lambda given: repr(given)[:8]
)
def test_conversions_to_arrays_may_give_anything(root, vectors, reader, result):
    for action in (
        lambda: reader.search(Converting(result)),
        lambda: reader.batch_search(Converting(result)),
        lambda: reader.route_vector(Converting(result)),
        lambda: write_sharded(Converting(result), configure(root)),
        lambda: write_sharded([VectorRecord(1, Converting(result))], configure(root)),
        lambda: write_sharded(vectors, configure(root, num_dbs=2, centroids=Converting(result))),
    ):
        with pytest.raises(ConfigValidationError):
            action()


class Opaque:
    """Everything that may be asked of it raises."""

    def __getattr__(self, name):
        raise Boom(name)

    def __repr__(self):
        raise Boom("repr")

    __str__ = __len__ = __iter__ = __hash__ = __repr__

    def __eq__(self, other):
        raise Boom("eq")


def test_objects_whose_every_method_raises_are_refused(root, vectors, reader):
    bad = Opaque()
    for action in (
        lambda: reader.search(bad),
        lambda: reader.batch_search(bad),
        lambda: reader.search(vectors[0], bad),
        lambda: reader.search(vectors[0], shard_ids=bad),
        lambda: reader.search(vectors[0], shard_ids=[bad]),
        lambda: reader.search(vectors[0], num_probes=bad),
        lambda: reader.search(vectors[0], routing_context=bad),
        lambda: reader.search([bad] * DIM),
        lambda: write_sharded(bad, configure(root)),
        lambda: write_sharded([bad], configure(root)),
        lambda: write_sharded([VectorRecord(bad, bad)], configure(root)),
        lambda: write_sharded(vectors, configure(root), ids=bad),
        lambda: write_sharded(vectors, configure(root), ids=[bad] * ROWS),
        lambda: write_sharded(vectors, configure(root), payloads=[bad] * ROWS),
        lambda: write_sharded(vectors, configure(root), payloads=[{"a": bad}] * ROWS),
    ):
        with pytest.raises((ShardyfusionError, Boom)):
            action()


class Text(str):
    def __eq__(self, other):
        raise Boom("eq")

    def __hash__(self):
        raise Boom("hash")

    def __str__(self):
        raise Boom("str")


def test_strings_of_a_type_of_their_own_are_ids(root, vectors):
    write_sharded(vectors, configure(root), ids=[Text(f"row-{row}") for row in range(ROWS)])
    with ShardedVectorReader(s3_prefix=root, local_root=root.parent / "cache") as opened:
        assert [response[0].id for response in opened.batch_search(vectors, 1)] == [f"row-{row}" for row in range(ROWS)]


@pytest.mark.parametrize("name", ["records", "ids", "payloads", "queries"])
def test_what_iterators_raise_is_passed_on(root, reader, vectors, name):
    def values():
        yield VectorRecord(0, vectors[0]) if name == "records" else vectors[0] if name == "queries" else None
        raise Boom(name)

    with pytest.raises((Boom, ConfigValidationError)) as caught:
        if name == "records":
            write_sharded(values(), configure(root))
        elif name == "queries":
            reader.batch_search(values())
        else:
            write_sharded(vectors, configure(root), **{name: values()})
    assert caught.type is Boom or name == "ids"
    assert not (root / "_CURRENT").exists()


def test_what_never_ends_is_given_up(reader):
    def forever():
        while True:
            yield 0.5

    with pytest.raises(ConfigValidationError, match="^query: .*more than"):
        reader.search(forever())


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
def test_a_collector_may_come_back(written, tmp_path, vectors, act):
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


def test_progress_may_come_back(root, vectors, tmp_path):
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


# ---------------------------------------------------------------------------------------------------------------- Objects


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
def test_a_reader_that_was_never_opened_says_so(make, vectors):
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


async def test_an_asynchronous_reader_that_was_never_opened_says_so(vectors):
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


# ------------------------------------------------------------------------------------------------- Credentials and paths

KEYS = {"access_key_id": "key", "secret_access_key": "secret"}


class Provider:
    def __init__(self, given):
        self.given = given

    def resolve(self):
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


class Awaitable:
    async def resolve(self):
        return KEYS


@pytest.mark.parametrize("given", [None, 5, {}, {"access_key_id": "key"}, KEYS | {"access_key_id": 5}, KEYS | {"session_token": b"x"}, KEYS | {"expires_at": "later"}, KEYS | {"access_key_id": "a\0b"}, [("access_key_id", "key")], object()], ids=lambda given: type(given).__name__)
async def test_what_gives_no_credentials_is_named(tmp_path, given):
    where = {"s3_prefix": "s3://bucket/prefix", "local_root": tmp_path, "credential_provider": Provider(given)}
    for attempt in range(2):
        with pytest.raises(ConfigValidationError, match="credential_provider: ") as caught:
            if attempt:
                await AsyncShardedVectorReader.open(**where)
            else:
                await asyncio.to_thread(lambda: ShardedVectorReader(**where))
        assert "Provider" in str(caught.value) or "NUL" in str(caught.value)
        assert "secret'" not in str(caught.value)


async def test_a_coroutine_is_no_credentials(tmp_path):
    where = {"s3_prefix": "s3://bucket/prefix", "local_root": tmp_path, "credential_provider": Awaitable()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConfigValidationError, match="resolve.. of Awaitable .*coroutine"):
            await AsyncShardedVectorReader.open(**where)
        gc.collect()


@pytest.mark.parametrize("path", ["a\0b", "\udcff", b"a\0b", b"\xff\xfe", "", b"", None, 5, pathlib.Path("\udcff")], ids=repr)
def test_paths_that_are_none_are_refused(written, tmp_path, path):
    for where in ({"s3_prefix": path, "local_root": tmp_path}, {"s3_prefix": written, "local_root": path}):
        name = "s3_prefix" if where["s3_prefix"] is path else "local_root"
        with pytest.raises(ConfigValidationError, match=f"^{name}: expected a path or URL"):
            ShardedVectorReader(**where)


def test_a_tilde_is_the_home_folder(tmp_path, vectors, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write_sharded(vectors, configure("~/snapshot"))
    assert (tmp_path / "home" / "snapshot" / "_CURRENT").exists()
    for prefix, cache in (("~/snapshot", "~/cache"), (b"~/snapshot", pathlib.PurePath("~") / "cache")):
        with ShardedVectorReader(s3_prefix=prefix, local_root=cache) as reader:
            assert reader.search(vectors[3], 1)[0].id == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["cache", "snapshot"]
    with pytest.raises(ConfigValidationError, match="expected file:///absolute/path"):
        ShardedVectorReader(s3_prefix="file://~/snapshot", local_root=tmp_path)


@pytest.mark.parametrize("setting", ["run_id", "cel_expr"])
def test_texts_with_a_nul_are_refused_rather_than_cut(root, vectors, setting):
    config = configure(root, num_dbs=2, strategy="cel", cel_expr="shard\0 + 1", cel_columns={"shard": "int"})
    if setting == "run_id":
        config = configure(root)
        config.output.run_id = "a\0b"
    with pytest.raises(ConfigValidationError, match=f"{setting}: expected "):
        write_sharded(vectors, config, routing_contexts=[{"shard": 0}] * ROWS)
