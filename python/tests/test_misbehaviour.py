"""Arguments of users' own that misbehave: an exception, never a crash. Run with the address sanitizer, too."""

import asyncio
import collections
import gc
import pathlib
import warnings

import numpy as np
import pytest
from shardyfusion.errors import ConfigValidationError, ShardyfusionError
from shardyfusion.vector import AsyncShardedVectorReader, ShardedVectorReader
from shardyfusion.vector.writer import VectorRecord, write_sharded

from small_snapshots import small_config

DIM, ROWS, SEED = 4, 30, 2


class Boom(Exception):
    pass


def configure(root, **sharding):
    return small_config(root, DIM, batch_size=8, **sharding)


class Items:
    def __init__(self, items):
        self.given = items

    def items(self):
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


BAD_ITEMS = [[1, 2], [()], [("shard",)], [("shard", 1, 2)], None, 5, "ab"]


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


# ---------------------------------------------------------------------------------------------- Numbers and arrays


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
def test_sequences_may_report_wrong_lengths(root, vectors, reader, length, count):
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


def test_an_iterator_that_never_ends_is_refused(reader):
    def forever():
        while True:
            yield 0.5

    with pytest.raises(ConfigValidationError, match="^query: .*more than"):
        reader.search(forever())


# ------------------------------------------------------------------------------------------ Credentials and paths

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
