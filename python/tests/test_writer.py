"""What write_sharded writes is found again, and what it can't write is refused before anything is published."""

import ctypes
import dataclasses
import itertools
import json
import os
import queue
import signal
import threading

import numpy as np
import pytest
from shardyfusion.config import WriterOutputConfig
from shardyfusion.errors import ConfigValidationError, ShardyfusionError, UnknownRoutingTokenError
from shardyfusion.metrics import MetricEvent
from shardyfusion.sqlite_vec_adapter import SqliteVecFactory
from shardyfusion.vector import DistanceMetric, ShardedVectorReader, VectorShardingStrategy
from shardyfusion.vector.adapters.lancedb_adapter import LanceDbWriterFactory
from shardyfusion.vector.writer import (
    BuildProgress,
    BuildResult,
    VectorColumnInput,
    VectorIndexConfig,
    VectorRecord,
    VectorShardedWriteConfig,
    VectorShardingConfig,
    VectorWriteOptions,
    write_sharded,
)

DIM, ROWS, SHARDS = 12, 400, 4
BACKENDS = {"lance": LanceDbWriterFactory(), "sqlite-vec": SqliteVecFactory()}
TRAINED = {"num_dbs": SHARDS, "train_centroids": True}
EXPLICIT = {"num_dbs": SHARDS, "strategy": VectorShardingStrategy.EXPLICIT}
CEL = {
    "num_dbs": SHARDS,
    "strategy": VectorShardingStrategy.CEL,
    "cel_expr": "language",
    "cel_columns": {"language": "string"},
    "routing_values": ["da", "de", "en", "fr"],
}
STRATEGIES = {
    "cluster": TRAINED,
    "lsh": {"num_dbs": SHARDS, "strategy": VectorShardingStrategy.LSH},
    "explicit": EXPLICIT,
    "cel": CEL,
}


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(7).standard_normal((ROWS, DIM)).astype(np.float32)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "snapshot"


def configure(root, sharding=None, *, dim=DIM, metric=DistanceMetric.COSINE, **settings):
    return VectorShardedWriteConfig(
        index_config=VectorIndexConfig(dim=dim, metric=metric),
        sharding=VectorShardingConfig(**(TRAINED if sharding is None else sharding)),
        s3_prefix=str(root),
        **({"adapter_factory": SqliteVecFactory()} | settings),
    )


def shard_of(row):
    return row % SHARDS


def language_of(row):
    return CEL["routing_values"][shard_of(row)]


def make_records(vectors, identify=lambda row: row):
    for row, vector in enumerate(vectors):
        payload = {"row": row, "word": "naïve \"quoted\"\n"} if row % 3 else None
        context = {"language": language_of(row)}
        yield VectorRecord(identify(row), vector, payload, shard_of(row), context)


def open_reader(root):
    return ShardedVectorReader(s3_prefix=str(root), local_root=str(root.parent / "cache"))


def distances(vectors, query, metric):
    vectors, query = vectors.astype(np.float64), query.astype(np.float64)
    if metric == DistanceMetric.L2:
        return ((vectors - query) ** 2).sum(axis=1)
    products = vectors @ query
    if metric == DistanceMetric.DOT_PRODUCT:
        return 1 - products
    return 1 - products / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)


def assert_finds(root, vectors, metric=DistanceMetric.COSINE, identify=lambda row: row, rows_with_payload=None):
    """Every shard is searched, and the nearest rows are those of NumPy."""
    with open_reader(root) as reader:
        assert reader.snapshot_info().total_vectors == len(vectors)
        for query in vectors[::37]:
            expected = np.argsort(distances(vectors, query, metric), kind="stable")[:5]
            found = reader.search(query, top_k=5, shard_ids=range(reader.snapshot_info().num_dbs))
            assert [str(result.id) for result in found] == [str(identify(row)) for row in expected]
            for row, result in zip(expected, found, strict=True):
                if rows_with_payload is not None:
                    assert result.payload == rows_with_payload(row)


def payload_of(row):
    return {"row": row, "word": "naïve \"quoted\"\n"} if row % 3 else None


# ----------------------------------------------------------------------------------------------------------- Round trips


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("metric", list(DistanceMetric))
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_written_is_found(root, vectors, backend, metric, strategy):
    if backend == "sqlite-vec" and metric == DistanceMetric.DOT_PRODUCT:
        with pytest.raises(ConfigValidationError, match="dot_product"):
            write_sharded(make_records(vectors), configure(root, STRATEGIES[strategy], metric=metric))
        assert not (root / "_CURRENT").exists()
        return
    config = configure(root, STRATEGIES[strategy], metric=metric, adapter_factory=BACKENDS[backend])
    result = write_sharded(make_records(vectors), config)
    assert isinstance(result, BuildResult)
    assert result.stats.rows_written == ROWS == sum(shard.row_count for shard in result.winners)
    assert result.manifest_ref.endswith("/manifest")
    assert_finds(root, vectors, metric, rows_with_payload=payload_of)
    with open_reader(root) as reader:
        assert reader.snapshot_info().run_id == result.run_id
        for row in range(0, ROWS, 29):
            routing = {
                "explicit": {"shard_ids": [shard_of(row)]},
                "cel": {"routing_context": {"language": language_of(row)}},
            }.get(strategy, {})
            nearest = [result.id for result in reader.search(vectors[row], top_k=50, **routing)]
            assert str(row) in map(str, nearest)  # where a reader that asks one shard looks for it


def test_lance_shards_are_the_default(root, vectors):
    write_sharded(make_records(vectors), configure(root, adapter_factory=None))
    assert list(root.glob("shards/*/*/*/vector_index.lance"))


def test_the_same_rows_and_seed_give_the_same_shards(tmp_path, vectors):
    def counts(name, seed):
        sharding = TRAINED | {"seed": seed}
        return [shard.row_count for shard in write_sharded(vectors, configure(tmp_path / name, sharding)).winners]

    assert counts("a", 1) == counts("b", 1) != counts("c", 2)


def test_a_second_write_replaces_the_first(root, vectors):
    first = write_sharded(vectors, configure(root))
    second = write_sharded(vectors[:100], configure(root, output=WriterOutputConfig(run_id="second")))
    assert (second.run_id, second.stats.rows_written) == ("second", 100)
    assert first.run_id != "second"
    assert_finds(root, vectors[:100])


@pytest.mark.parametrize("given", ["centroids", "hyperplanes"])
@pytest.mark.parametrize("form", [np.asarray, np.float64, lambda array: array.tolist()], ids=["f4", "f8", "lists"])
def test_centroids_and_hyperplanes_may_be_given(root, vectors, given, form):
    if given == "centroids":
        sharding = {"centroids": form(vectors[:3])}
    else:
        sharding = {"num_dbs": 3, "strategy": "lsh", "num_hash_bits": 5, "hyperplanes": form(vectors[:5])}
    write_sharded(vectors, configure(root, sharding))
    assert_finds(root, vectors)
    (path,) = root.glob(f"vector_meta/*/{given}.npy")
    np.testing.assert_array_equal(np.load(path), vectors[: 3 if given == "centroids" else 5])


# ---------------------------------------------------------------------------------------------------------------- Records


def test_records_may_hold_vectors_of_any_kind(root, vectors):
    rounded = vectors.astype(np.float16)
    forms = [lambda v: v, lambda v: v.astype(np.float64), lambda v: v.tolist(), lambda v: tuple(v), np.float16]
    records = (VectorRecord(f"é{row}", forms[row % 5](vector)) for row, vector in enumerate(rounded.astype(np.float32)))
    write_sharded(records, configure(root, batch_size=7))
    assert_finds(root, rounded.astype(np.float32), identify=lambda row: f"é{row}")


def test_ids_may_be_integers_and_strings(root, vectors):
    identify = lambda row: np.int32(row) if row % 2 else f"s{row}"  # noqa: E731
    write_sharded(make_records(vectors, identify), configure(root))
    assert_finds(root, vectors, identify=identify)


BAD_RECORDS = {
    "vector: record 17: expected 12 components, found 3": {"vector": [1.0, 2.0, 3.0]},
    "vector: record 17: component 5: expected a finite number (as float32), found nan": {"vector": [0.0] * 5 + [np.nan] * 7},
    "vector: record 17: component 0: expected a finite number (as float32), found inf": {"vector": [1e39] * 12},
    "vector: record 17: expected float16, float32 or float64 values of one dimension, or numbers, found 'x'": {"vector": "x"},
    "vector: record 17: expected float16, float32 or float64 values of one dimension, or numbers, found None": {
        "vector": None
    },
    "id: record 17: expected an integer of 64 bits or a string, found 1.5": {"id": 1.5},
    f"id: record 17: expected an integer of 64 bits or a string, found {2**63}": {"id": 2**63},
    "id: record 17: expected an id in UTF-8, found '\\ud800': 'utf-8' codec can't encode character '\\ud800' in position 0: "
    "surrogates not allowed": {"id": "\ud800"},
    "payload: record 17: expected what JSON can hold, found {'x': {1}}: set has no form in JSON: {1}": {"payload": {"x": {1}}},
}


@pytest.mark.parametrize("message", BAD_RECORDS)
def test_a_record_that_is_wrong_is_named(root, vectors, message):
    write_sharded(vectors, configure(root))
    live = (root / "_CURRENT").read_bytes()
    records = list(make_records(vectors))
    records[17] = dataclasses.replace(records[17], **BAD_RECORDS[message])
    with pytest.raises(ConfigValidationError) as raised:
        write_sharded(records, configure(root))
    assert str(raised.value) == message
    assert (root / "_CURRENT").read_bytes() == live
    assert len(list(root.glob("shards/*"))) == 1


@pytest.mark.parametrize("payload", ["[1]", "{", "no", {1: float("nan")}.__repr__()])
def test_a_payload_that_is_no_json_object_is_named(root, vectors, payload):
    records = list(make_records(vectors))
    records[17].payload = payload
    with pytest.raises(ConfigValidationError, match="^payload: record 17: "):
        write_sharded(records, configure(root))


@pytest.mark.parametrize("payload", ['{"a": NaN}', '{"a": 1.}', "{'a': 1}", '{"a": "\t"}', '{"a": "\ud800"}'])
def test_text_that_is_not_json_is_named(root, vectors, payload):
    """Also what json.dumps makes of numbers that are not finite."""
    records = list(make_records(vectors))
    records[17].payload = payload
    with pytest.raises(ConfigValidationError, match="^payload: record 17: "):
        write_sharded(records, configure(root))


def test_payload_numbers_that_json_lacks_become_null(root, vectors):
    """A missing value in one row is no reason to give up a build; what is published is JSON."""
    records = list(make_records(vectors))
    records[17].payload = {"a": float("nan"), 'b "NaN" \\': [float("inf"), {"c": -np.inf}], "d": "NaN, \"Infinity", "e": 2**70}
    write_sharded(records, configure(root))
    with open_reader(root) as reader:
        found = next(r for r in reader.search(vectors[17], 5) if r.id == records[17].id)
    assert found.payload == {"a": None, 'b "NaN" \\': [None, {"c": None}], "d": "NaN, \"Infinity", "e": 2**70}


def test_what_json_holds_and_c_does_not_comes_back(root, vectors):
    records = list(make_records(vectors))
    records[17].payload = {"a\0b": "c\0d", "\ud800": "\udfff", "n": -(2**64)}
    write_sharded(records, configure(root))
    with open_reader(root) as reader:
        found = next(r for r in reader.search(vectors[17], 5) if r.id == records[17].id)
    assert found.payload == records[17].payload


@pytest.mark.parametrize("identifier", ["\ud800", 2**63, -(2**63) - 1, 2**70])
def test_an_id_that_the_format_cannot_hold_is_named(root, vectors, identifier):
    records = list(make_records(vectors))
    records[17].id = identifier
    with pytest.raises(ConfigValidationError, match="^id: record 17: "):
        write_sharded(records, configure(root))


@pytest.mark.parametrize("shard_id", [SHARDS, -1, None, "x", 2**70])
def test_a_shard_id_out_of_range_is_named(root, vectors, shard_id):
    records = list(make_records(vectors))
    records[17].shard_id = shard_id
    with pytest.raises(ConfigValidationError, match="^shard_id: record 17: "):
        write_sharded(records, configure(root, EXPLICIT))
    assert not (root / "_CURRENT").exists()


def test_a_token_that_is_unknown_is_named(root, vectors):
    records = list(make_records(vectors))
    records[17].routing_context = {"language": "xx"}
    with pytest.raises(UnknownRoutingTokenError, match="^routing_context: record 17: .*xx"):
        write_sharded(records, configure(root, CEL))


@pytest.mark.parametrize("context", [None, {}, {"language": 5}, [1], {"language": object()}])
def test_a_routing_context_that_is_wrong_is_named(root, vectors, context):
    records = list(make_records(vectors))
    records[17].routing_context = context
    with pytest.raises(ConfigValidationError, match="^routing_context: record 17: "):
        write_sharded(records, configure(root, CEL))


def test_an_id_that_comes_twice_is_refused(root, vectors):
    with pytest.raises(ConfigValidationError, match="17"):
        write_sharded(make_records(vectors, lambda row: 16 if row == 17 else row), configure(root))
    assert not (root / "_CURRENT").exists()


def test_what_is_no_record_is_named(root, vectors):
    records = [*itertools.islice(make_records(vectors), 17), {"id": 17}]
    with pytest.raises(ConfigValidationError, match="^records: record 17: expected a VectorRecord, found {'id': 17}"):
        write_sharded(records, configure(root))


@pytest.mark.parametrize("records", [None, 5, object()])
def test_what_is_no_input_is_refused(root, records):
    with pytest.raises(ConfigValidationError, match="^records: expected VectorRecord objects, a table or an array"):
        write_sharded(records, configure(root))


def test_an_exception_of_the_records_is_passed_on(root, vectors):
    def records():
        yield from itertools.islice(make_records(vectors), 17)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        write_sharded(records(), configure(root))
    assert not list(root.glob("shards/*"))


def test_records_may_come_from_another_write(root, vectors):
    def records():
        write_sharded(vectors, configure(root.parent / "other"))
        yield from make_records(vectors)

    write_sharded(records(), configure(root))
    assert_finds(root, vectors)


# ----------------------------------------------------------------------------------------------------------------- Arrays


def strided(array):
    wide = np.zeros((2 * len(array), DIM + 3), array.dtype)
    wide[::2, 2:-1] = array
    return wide[::2, 2:-1]


def unaligned(array):
    room = np.zeros(array.nbytes + 1, np.uint8)
    room[1:] = np.frombuffer(array.tobytes(), np.uint8)
    return room[1:].view(array.dtype).reshape(array.shape)


LAYOUTS = {
    "contiguous": lambda array: array,
    "fortran": np.asfortranarray,
    "strided": strided,
    "backwards": lambda array: array[::-1].copy()[::-1],
    "unaligned": unaligned,
    "memoryview": memoryview,
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_any_layout_are_taken(root, vectors, layout, dtype):
    typed = vectors.astype(dtype)
    config = configure(root, batch_size=33)
    write_sharded(LAYOUTS[layout](typed), config, ids=np.arange(ROWS) * 10, payloads=[payload_of(i) for i in range(ROWS)])
    assert_finds(root, typed.astype(np.float32), identify=lambda row: 10 * row, rows_with_payload=payload_of)


def test_an_array_may_be_mapped_from_a_file(root, vectors, tmp_path):
    np.save(tmp_path / "vectors.npy", vectors)
    write_sharded(np.load(tmp_path / "vectors.npy", mmap_mode="r"), configure(root))
    assert_finds(root, vectors)


def test_rows_without_ids_are_numbered(root, vectors):
    write_sharded(vectors, configure(root))
    assert_finds(root, vectors, rows_with_payload=lambda row: None)


def test_routing_may_lie_beside_an_array(tmp_path, vectors):
    shard_ids = np.arange(ROWS) % SHARDS
    contexts = [{"language": language_of(row)} for row in range(ROWS)]
    write_sharded(vectors, configure(tmp_path / "a", EXPLICIT), shard_ids=shard_ids)
    write_sharded(vectors, configure(tmp_path / "b", CEL), routing_contexts=contexts)
    for name in "ab":
        with open_reader(tmp_path / name) as reader:
            assert [shard.vector_count for shard in reader.shard_details()] == [ROWS // SHARDS] * SHARDS


@pytest.mark.parametrize("name", ["ids", "payloads", "shard_ids", "routing_contexts"])
def test_mismatched_counts_are_named(root, vectors, name):
    with pytest.raises(ConfigValidationError, match=f"^{name}: expected 400, one for each vector, found 399"):
        write_sharded(vectors, configure(root), **{name: [0] * (ROWS - 1)})


def test_what_is_wrong_with_an_array_is_named(root, vectors):
    config = configure(root, batch_size=5)
    bad = vectors.copy()
    bad[17, 3] = np.nan
    for rows, extra, message in [
        (bad, {}, "vectors: row 17: component 3: expected a finite number (as float32), found nan"),
        (vectors[:, :5], {}, "vectors: expected 12 components, found 5"),
        (vectors, {"ids": ["x"] * 17 + [None] * (ROWS - 17)}, "ids: row 17: expected an integer of 64 bits or a string, found None"),
        (np.zeros((3, DIM), np.complex64), {}, "vectors: expected an array of numbers, found ndarray of complex64, shape (3, 12)"),
    ]:
        with pytest.raises(ConfigValidationError) as raised:
            write_sharded(rows, config, **extra)
        assert str(raised.value) == message
    with pytest.raises(ConfigValidationError, match="^payloads: row 17: "):
        write_sharded(vectors, config, payloads=[{}] * 17 + ["{"] * (ROWS - 17))
    with pytest.raises(ConfigValidationError, match="^ids, payloads, shard_ids, routing_contexts: expected them only"):
        write_sharded(make_records(vectors), config, ids=list(range(ROWS)))
    assert not (root / "_CURRENT").exists()


@pytest.mark.parametrize("rows", [np.zeros((0, DIM), np.float32), []], ids=["array", "records"])
@pytest.mark.parametrize("strategy", ["cluster", "lsh"])
def test_no_rows_are_no_snapshot(root, rows, strategy):
    with pytest.raises(ConfigValidationError, match="expected at least one row"):
        write_sharded(rows, configure(root, STRATEGIES[strategy]))
    assert not (root / "_CURRENT").exists()


# ------------------------------------------------------------------------------------------------------------------ Arrow


@pytest.fixture
def pa():
    return pytest.importorskip("pyarrow")


def vector_column(pa, vectors, kind, dtype):
    values = pa.array(vectors.astype(dtype).reshape(-1))
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(values, DIM)
    offsets = np.arange(0, vectors.size + 1, DIM)
    if kind == "list":
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)


@pytest.mark.parametrize("kind", ["fixed", "list", "large_list"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_vectors_of_a_table_may_be_lists_of_any_floats(root, vectors, pa, kind, dtype):
    column = vector_column(pa, vectors, kind, dtype)
    whole = pa.table({"n": pa.nulls(ROWS), "vector": column})
    table = pa.concat_tables([whole.slice(0, 5), whole.slice(5, 0), whole.slice(5, 190), whole.slice(195)])
    write_sharded(table, configure(root, batch_size=50))
    assert_finds(root, vectors.astype(dtype).astype(np.float32))


@pytest.mark.parametrize("name", ["int8", "uint16", "int32", "uint32", "int64", "uint64"])
def test_ids_of_a_table_may_be_integers(root, vectors, pa, name):
    count = 120
    table = pa.table(
        {"key": pa.array(range(count), getattr(pa, name)()), "vector": vector_column(pa, vectors[:count], "fixed", np.float32)}
    )
    write_sharded(table.slice(3), configure(root), VectorColumnInput(id_col="key"))
    assert_finds(root, vectors[3:count], identify=lambda row: row + 3)


@pytest.mark.parametrize("name", ["string", "large_string", "string_view"])
def test_ids_and_payloads_of_a_table_may_be_strings(root, vectors, pa, name):
    kind = getattr(pa, name)()
    ids = [f"é{row}" if row % 2 else f"a long identifier, number {row}" for row in range(ROWS)]
    payloads = [None if payload_of(row) is None else json.dumps(payload_of(row), indent=2) for row in range(ROWS)]
    table = pa.table(
        {"id": pa.array(ids, kind), "payload": pa.array(payloads, kind), "vector": vector_column(pa, vectors, "fixed", np.float32)}
    )
    write_sharded(table.slice(7), configure(root, batch_size=11))
    assert_finds(
        root, vectors[7:], identify=lambda row: ids[row + 7], rows_with_payload=lambda row: payload_of(row + 7)
    )


NESTED = [
    {"text": 'a "b"\\\n\x01é', "number": -(2**40), "real": 0.1, "yes": True, "list": [1, 2], "struct": {"x": [1.5, None]}},
    {"text": "", "number": 0, "real": -1e300, "yes": False, "list": [], "struct": {"x": []}},
]


def test_payloads_may_be_structs(root, vectors, pa):
    payloads = pa.array([None, *itertools.islice(itertools.cycle(NESTED), ROWS - 1)])
    table = pa.table({"payload": payloads, "vector": vector_column(pa, vectors, "fixed", np.float32)})
    write_sharded(table.slice(1), configure(root, batch_size=33))
    assert_finds(root, vectors[1:], rows_with_payload=lambda row: NESTED[row % 2])


def test_payloads_may_be_made_of_columns(root, vectors, pa):
    rows = list(itertools.islice(itertools.cycle(NESTED), ROWS))
    table = pa.Table.from_pylist(rows).append_column("v", vector_column(pa, vectors, "list", np.float64))
    table = table.append_column("big", pa.array([2**64 - 1 if row % 2 else None for row in range(ROWS)], pa.uint64()))
    columns = VectorColumnInput(vector_col="v", payload_cols=["text", "struct", "big"])
    write_sharded(table, configure(root), columns)
    expected = [{name: row[name] for name in ("text", "struct")} for row in NESTED]
    expected[1]["big"] = 2**64 - 1
    assert_finds(root, vectors, rows_with_payload=lambda row: expected[row % 2])


def test_a_table_may_hold_the_routing(tmp_path, vectors, pa):
    table = pa.table(
        {
            "vector": vector_column(pa, vectors, "fixed", np.float32),
            "shard_id": pa.array([shard_of(row) for row in range(ROWS)], pa.uint8()),
            "language": [language_of(row) for row in range(ROWS)],
            "bytes": pa.array([language_of(row).encode() for row in range(ROWS)], pa.binary()),
        }
    )
    by_bytes = CEL | {
        "cel_expr": "bytes",
        "cel_columns": {"bytes": "bytes"},
        "routing_values": [value.encode() for value in CEL["routing_values"]],
    }
    for name, sharding in {"a": EXPLICIT, "b": CEL, "c": by_bytes}.items():
        write_sharded(table, configure(tmp_path / name, sharding))
        with open_reader(tmp_path / name) as reader:
            assert [shard.vector_count for shard in reader.shard_details()] == [ROWS // SHARDS] * SHARDS


@pytest.mark.parametrize(
    "expression, kind, values",
    [
        ("place", "uint", [0, 1, 2, 3]),
        ("uint(place) % 4u", "int", [4, 5, 6, 7]),
        ("place", "string", ["0", "01", " +2", "3\n"]),
        ("place", "bytes", [b"0", b"01", b" +2", b"3"]),
    ],
)
def test_an_expression_may_name_a_shard_by_a_uint_or_in_decimal(root, vectors, expression, kind, values):
    cel = {"num_dbs": SHARDS, "strategy": "cel", "cel_expr": expression, "cel_columns": {"place": kind}}
    contexts = [{"place": values[shard_of(row)]} for row in range(ROWS)]
    write_sharded(vectors, configure(root, cel), routing_contexts=contexts)
    with open_reader(root) as reader:
        assert [shard.vector_count for shard in reader.shard_details()] == [ROWS // SHARDS] * SHARDS
        for shard, value in enumerate(values):
            assert reader.route_vector(vectors[0], routing_context={"place": value}) == [shard]


def test_a_uint_is_the_routing_value_of_its_number(root, vectors):
    cel = {"strategy": "cel", "cel_expr": "place", "cel_columns": {"place": "uint"}}
    cel["routing_values"] = [7, "7", 2**63, 2**64 - 1]
    contexts = [{"place": [7, 2**63, 2**64 - 1][row % 3]} for row in range(ROWS)]
    write_sharded(vectors, configure(root, cel), routing_contexts=contexts)
    with open_reader(root) as reader:
        assert [reader.route_vector(vectors[0], routing_context=context) for context in contexts[:3]] == [[0], [2], [3]]
        with pytest.raises(UnknownRoutingTokenError, match="18446744073709551614"):
            reader.search(vectors[0], routing_context={"place": 2**64 - 2})


def test_what_is_wrong_with_a_table_is_named(root, vectors, pa):
    good = vector_column(pa, vectors, "fixed", np.float32)
    lists = vectors.tolist()
    seventeen = {
        "short": [*lists[:17], lists[17][:3], *lists[18:]],
        "null": [*lists[:17], None, *lists[18:]],
        "hole": [*lists[:17], [*lists[17][:4], None, *lists[17][5:]], *lists[18:]],
        "nan": [*lists[:17], [*lists[17][:4], float("nan"), *lists[17][5:]], *lists[18:]],
    }
    integers = list(range(ROWS))
    bad = pa.array([*integers[:17], None, *integers[18:]])
    kind = pa.list_(pa.float32())
    for columns, settings, message in [
        ({"x": good}, {}, "column vector: expected it, found none of that name"),
        ({"vector": pa.array(integers)}, {}, "column vector: expected lists of float16, float32, float64 or integers, found Arrow's format 'l'"),
        ({"vector": pa.array(seventeen["short"], kind)}, {}, "vector: row 17: expected 12 components, found 3"),
        ({"vector": pa.array(seventeen["null"], kind)}, {}, "vector: row 17: expected a vector, found null"),
        ({"vector": pa.array(seventeen["null"], pa.list_(pa.float32(), DIM))}, {}, "vector: row 17: expected a vector, found null"),
        ({"vector": pa.array(seventeen["hole"], kind)}, {}, "vector: row 17: component 4: expected a number, found null"),
        ({"vector": pa.array(seventeen["nan"], kind)}, {}, "vector: row 17: component 4: expected a finite number (as float32), found nan"),
        ({"vector": good, "id": bad}, {}, "id: row 17: expected an integer, found null"),
        ({"vector": good, "id": bad.cast(pa.string())}, {}, "id: row 17: expected an id, found null"),
        ({"vector": good, "id": pa.array([2**63] * ROWS, pa.uint64())}, {}, f"id: row 0: expected an integer of at most 2^63 - 1, found {2**63}"),
        ({"vector": good, "id": pa.array([0.5] * ROWS)}, {}, "column id: expected integers or strings, found Arrow's format 'g'"),
        ({"vector": good, "id": pa.array([0.5] * ROWS).dictionary_encode()}, {}, "column id: expected integers or strings, found Arrow's format 'g' in a dictionary"),
        ({"vector": good, "payload": pa.array(integers)}, {}, "column payload: expected JSON objects as strings, or structs, found Arrow's format 'l'"),
        ({"vector": good, "payload": pa.array([{"when": None}] * ROWS, pa.struct([("when", pa.month_day_nano_interval())]))}, {}, "column payload: expected booleans, numbers, strings, bytes, decimals, dates, times, lists, structs or maps of these, found Arrow's format 'tin'"),
        ({"vector": good}, {"id_col": "key"}, "column key: expected it, found none of that name"),
    ]:
        with pytest.raises(ConfigValidationError) as raised:
            write_sharded(pa.table(columns), configure(root, batch_size=16), VectorColumnInput(**settings))
        assert str(raised.value) == message
    with pytest.raises(ConfigValidationError, match="^shard_id: row 17: "):
        write_sharded(pa.table({"vector": good, "shard_id": [0] * 17 + [9] * (ROWS - 17)}), configure(root, EXPLICIT))
    with pytest.raises(ConfigValidationError, match="^payload: row 17: "):
        write_sharded(pa.table({"vector": good, "payload": ["{}"] * 17 + ["{"] * (ROWS - 17)}), configure(root))
    assert not (root / "_CURRENT").exists()


def test_a_stream_that_fails_says_why(root, vectors, pa):
    def batches():
        yield pa.record_batch({"vector": vector_column(pa, vectors, "fixed", np.float32)})
        raise ValueError("the disk is gone")

    schema = pa.schema({"vector": pa.list_(pa.float32(), DIM)})
    with pytest.raises(OSError, match="the disk is gone"):
        write_sharded(pa.RecordBatchReader.from_batches(schema, batches()), configure(root))
    assert not (root / "_CURRENT").exists()


class ArrowArray(ctypes.Structure):
    """As the Arrow C data interface has it."""


ArrowArray._fields_ = [
    *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(ArrowArray))),
    *((name, ctypes.c_void_p) for name in ("dictionary", "release", "private_data")),
]


class TamperedStream:
    """A table whose chunks something is done to before they are given away."""

    def __init__(self, table, tamper):
        self.address = (ctypes.c_void_p * 5)()
        table.to_reader()._export_to_c(ctypes.addressof(self.address))
        prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ArrowArray))
        get_next = prototype(self.address[1])

        def tampered(stream, array):
            status = get_next(stream, array)
            if status == 0 and array.contents.release:
                tamper(array.contents)
            return status

        self.callback = prototype(tampered)
        self.address[1] = ctypes.cast(self.callback, ctypes.c_void_p).value

    def __arrow_c_stream__(self, requested_schema=None):
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return new(ctypes.addressof(self.address), b"arrow_array_stream", None)


def set_long_list(array):
    offsets = ctypes.cast(array.children[1].contents.buffers[1], ctypes.POINTER(ctypes.c_int32))
    offsets[ROWS] = 2**31 - 1


TAMPERINGS = {
    "a column that is too short": lambda array: setattr(array.children[0].contents, "length", 3),
    "no children": lambda array: setattr(array, "n_children", 0),
    "no buffers": lambda array: setattr(array.children[0].contents, "n_buffers", 0),
    "a negative offset": lambda array: setattr(array.children[1].contents, "offset", -1),
    "a list that ends outside": set_long_list,
    "elements that are too few": lambda array: setattr(array.children[1].contents.children[0].contents, "length", 30),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_chunks_that_contradict_themselves_are_refused(root, vectors, pa, tampering):
    table = pa.table({"id": [str(row) for row in range(ROWS)], "vector": vector_column(pa, vectors, "list", np.float32)})
    write_sharded(TamperedStream(table, lambda array: None), configure(root))
    assert_finds(root, vectors)
    with pytest.raises((ValueError, ConfigValidationError), match="does not fit its schema|within the column's array"):
        write_sharded(TamperedStream(table, TAMPERINGS[tampering]), configure(root))


def test_tables_of_polars_are_taken(root, vectors):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {
            "id": [f"identifier number {row}" for row in range(ROWS)],
            "embedding": pl.Series(vectors, dtype=pl.Array(pl.Float32, DIM)),
            "row": range(ROWS),
        }
    )
    columns = VectorColumnInput(vector_col="embedding", payload_cols=["row"])
    for rows in (frame, frame.with_columns(pl.col("embedding").cast(pl.List(pl.Float64)))):
        write_sharded(rows, configure(root), columns)
        identify = lambda row: f"identifier number {row}"  # noqa: E731
        assert_finds(root, vectors, identify=identify, rows_with_payload=lambda row: {"row": row})


def test_relations_of_duckdb_are_taken(root, vectors, pa):
    duckdb = pytest.importorskip("duckdb")
    numbered = pa.table({"k": range(ROWS), "vector": vector_column(pa, vectors, "fixed", np.float32)})  # noqa: F841
    relation = duckdb.sql("select 'id ' || k as id, vector, {'k': k} as payload from numbered order by k")
    write_sharded(relation, configure(root))
    assert_finds(root, vectors, identify=lambda row: f"id {row}", rows_with_payload=lambda row: {"k": row})


# --------------------------------------------------------------------------------------------- Progress, limits, stopping


def test_progress_is_told(root, vectors):
    told = []
    write_sharded(vectors, configure(root), progress=told.append)
    assert all(isinstance(progress, BuildProgress) for progress in told)
    assert told[-1].phase == "publishing"
    assert (told[-1].rows, told[-1].shards_done, told[-1].shards_total) == (ROWS, SHARDS, SHARDS)


@pytest.mark.parametrize("phase", ["training", "finishing", "publishing"])
def test_what_progress_raises_stops_the_write(root, vectors, phase):
    """Unless the snapshot is already live."""

    def stop(progress):
        if progress.phase == phase:
            raise KeyError(phase)

    for _ in range(20):  # which phases are told of is up to the clock
        try:
            write_sharded(vectors, configure(root), progress=stop)
        except KeyError as error:
            assert error.args == (phase,)
        if phase == "training":
            assert not (root / "_CURRENT").exists()


def test_ctrl_c_stops_a_write(root):
    rows = np.random.default_rng(1).standard_normal((300_000, 32)).astype(np.float32)
    phases = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: phases.get() and os.kill(os.getpid(), signal.SIGINT))
    thread.start()
    try:
        config = configure(root, STRATEGIES["lsh"], dim=32, batch_size=500)
        with pytest.raises(KeyboardInterrupt):
            write_sharded(rows, config, progress=lambda progress: phases.put(progress.phase))
    finally:
        phases.put(None)
        thread.join()
    assert not (root / "_CURRENT").exists()
    assert not list(root.glob("shards/*"))


def test_collectors_are_told(root, vectors):
    class Collector:
        def __init__(self):
            self.events = []

        def emit(self, event, fields):
            self.events.append((event, fields))

    collector = Collector()
    result = write_sharded(vectors, configure(root, metrics_collector=collector))
    first, *shards, last = collector.events
    assert first == (MetricEvent.VECTOR_WRITE_STARTED, {"s3_prefix": str(root), "run_id": None})
    assert [fields["row_count"] for _, fields in shards] == [shard.row_count for shard in result.winners]
    assert last[0] == "vector_write_completed" and last[1]["total_vectors"] == ROWS


def test_ready_collectors_take_the_events_of_a_write(root, vectors):
    prometheus = pytest.importorskip("prometheus_client")
    exported = pytest.importorskip("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    from opentelemetry.sdk.metrics import MeterProvider
    from shardyfusion.metrics.otel import OpenTelemetryCollector
    from shardyfusion.metrics.prometheus import PrometheusCollector

    registry = prometheus.CollectorRegistry()
    write_sharded(vectors, configure(root, metrics_collector=PrometheusCollector(registry)))
    assert registry.get_sample_value("shardyfusion_rows_written_total") == ROWS
    write_sharded(vectors, configure(root, metrics_collector=OpenTelemetryCollector(MeterProvider([exported]))))
    assert "shardyfusion.write.duration" in exported.get_metrics_data().to_json()


def test_writes_can_be_limited(root, vectors):
    result = write_sharded(vectors, configure(root, max_writes_per_second=20, batch_size=16))
    assert result.stats.durations.total_ms >= 200  # 25 batches, the first 20 at once


def test_other_threads_run_meanwhile(root):
    """The interpreter is not held while rows are written: another thread counts."""
    rows = np.random.default_rng(1).standard_normal((60_000, 64)).astype(np.float32)
    count = 0
    is_over = threading.Event()

    def work():
        nonlocal count
        while not is_over.wait(0.001):
            count += 1

    thread = threading.Thread(target=work)
    thread.start()
    write_sharded(rows, configure(root, dim=64, batch_size=60_000))
    is_over.set()
    thread.join()
    assert count > 10


# ---------------------------------------------------------------------------------------------------------- Configuration


def test_settings_have_the_names_and_defaults_of_the_first_writer(root):
    config = VectorShardedWriteConfig(
        index_config=VectorIndexConfig(dim=3), sharding=VectorShardingConfig(**TRAINED), s3_prefix="s3://b/p"
    )
    assert (config.batch_size, config.shard_id_col, config.s3_prefix) == (10_000, "_vector_db_id", "s3://b/p")
    assert (config.output.db_path_template, config.output.shard_prefix) == ("db={db_id:05d}", "shards")
    assert config.index_config == VectorIndexConfig(3, DistanceMetric.COSINE, "hnsw", {}, None)
    sharding = config.sharding
    assert (sharding.strategy, sharding.num_probes, sharding.num_hash_bits) == ("cluster", 1, 8)
    assert sharding.centroids_training_sample_size == 100_000
    assert [field.name for field in dataclasses.fields(VectorRecord)] == [
        "id", "vector", "payload", "shard_id", "routing_context",
    ]  # fmt: skip
    assert VectorWriteOptions().verify_routing


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"index_config": VectorIndexConfig(dim=0)}, "index_config.dim: expected an integer of at least 1, found 0"),
        ({"index_config": VectorIndexConfig(dim=3, quantization="i8")}, "index_config.quantization: expected None"),
        ({"index_config": VectorIndexConfig(dim=3, metric="x")}, "index_config.metric: expected cosine, l2, dot_product"),
        ({"sharding": VectorShardingConfig(num_dbs=2)}, "sharding: cluster: expected centroids, or train_centroids=True"),
        ({"sharding": VectorShardingConfig(train_centroids=True)}, "num_dbs: expected the number of shards"),
        ({"sharding": VectorShardingConfig(num_dbs=2, strategy="cel")}, "sharding: cel: expected cel_expr and cel_columns"),
        ({"sharding": VectorShardingConfig(num_dbs=2, strategy="x")}, "sharding.strategy: expected cluster, lsh"),
        ({"sharding": VectorShardingConfig(num_dbs=0, strategy="lsh")}, "num_dbs: expected an integer of at least 1"),
        ({"sharding": VectorShardingConfig(num_dbs=2, strategy="explicit", num_probes=2)}, "sharding.num_probes: expected 1"),
        ({"sharding": VectorShardingConfig(num_dbs=2, strategy="lsh"), "num_dbs": 3}, "num_dbs: expected sharding's 2"),
        ({"s3_prefix": ""}, "s3_prefix: expected a path or URL"),
        ({"batch_size": 0}, "adapter.batch_size: expected an integer of at least 1, found 0"),
        ({"adapter_factory": print}, "adapter_factory: expected LanceDbWriterFactory or SqliteVecFactory"),
        ({"max_writes_per_second": 0}, "rate_limits.max_writes_per_second: expected a number above 0"),
        ({"output": WriterOutputConfig(shard_prefix="x")}, "output.shard_prefix: expected 'shards', found 'x'"),
        ({"metrics_collector": 5}, r"metrics_collector: expected emit\(event, fields\)"),
        ({"run_registry": 5}, "lifecycle.run_registry: expected None, found 5"),
    ],
)
def test_settings_that_are_wrong_are_named(settings, message):
    given = {"index_config": VectorIndexConfig(dim=3), "s3_prefix": "x"} | settings
    if "sharding" not in given:
        given["sharding"] = VectorShardingConfig(**TRAINED)
    with pytest.raises(ConfigValidationError, match=f"^{message}"):
        VectorShardedWriteConfig(**given)


@pytest.mark.parametrize(
    "sharding",
    [
        {"centroids": np.zeros((3, 5), np.float32)},
        {"centroids": np.zeros((3, DIM), np.float32), "num_dbs": 4},
        {"centroids": "x"},
        {"num_dbs": 3, "strategy": "lsh", "hyperplanes": np.zeros((3, DIM)), "num_hash_bits": 8},
        {**CEL, "cel_expr": "language +"},
        {**CEL, "cel_columns": {"language": "text"}},
        {**CEL, "routing_values": [1.5, 2, 3, 4]},
    ],
)
def test_sharding_that_is_wrong_is_refused_before_anything_is_written(root, vectors, sharding):
    with pytest.raises(ShardyfusionError):
        write_sharded(make_records(vectors), configure(root, sharding))
    assert not (root / "_CURRENT").exists()


def test_a_run_id_is_used_once(root, vectors):
    config = configure(root, output=WriterOutputConfig(run_id="one"))
    write_sharded(vectors, config)
    with pytest.raises(ShardyfusionError, match="one"):
        write_sharded(vectors, config)
