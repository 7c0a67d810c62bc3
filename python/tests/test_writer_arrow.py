"""Writing Arrow streams: tables of pyarrow, polars and DuckDB, of any layout, and some that contradict themselves."""

import ctypes
import itertools
import json

import numpy as np
import pytest
from shardyfusion.errors import ConfigValidationError, UnknownRoutingTokenError
from shardyfusion.vector.writer import VectorColumnInput, write_sharded
import writing
from writing import CEL, EXPLICIT, SHARDS, assert_finds, configure, language_of, open_reader, payload_of, shard_of

DIM, ROWS, SEED = writing.DIM, writing.ROWS, writing.SEED


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


def test_an_invalid_table_is_refused_by_name(root, vectors, pa):
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


def test_the_error_of_a_stream_is_passed_on(root, vectors, pa):
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
