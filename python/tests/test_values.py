"""Arrays, columns and frames of other libraries: taken by position and by their own conversion, or refused by name."""

import array
import collections
import decimal
import fractions
import re
import types

import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from shardyfusion.errors import ConfigValidationError, ShardyfusionError
from shardyfusion.vector import AsyncShardedVectorReader, ShardedVectorReader
from shardyfusion.vector.writer import VectorColumnInput, VectorRecord, write_sharded

from small_snapshots import nearest, open_reader, small_config

DIM, ROWS, SEED = 6, 40, 3
NAMES = [f"row-{row}" for row in range(ROWS)]
LABELS = {
    "shuffled": list(np.random.default_rng(1).permutation(ROWS)),
    "reversed": list(range(ROWS - 1, -1, -1)),
    "filtered": list(range(1, 2 * ROWS, 2)),
    "repeated": [0] * ROWS,
    "named": NAMES[::-1],
}


def configure(root, *, metric="l2", num_dbs=1, **sharding):
    return small_config(root, DIM, metric=metric, num_dbs=num_dbs, **(sharding or {"train_centroids": True}))


class Frame:
    """A table by its columns' labels, as frames are: iterating it gives labels, and so does an index."""

    def __init__(self, rows):
        self.rows = np.asarray(rows)
        self.shape = self.rows.shape

    def __len__(self):
        return self.shape[0]

    def __iter__(self):
        return iter(range(self.shape[1]))

    def __getitem__(self, column):
        return self.rows[:, column]


class Tensor:
    """An array that records gradients, and refuses to be converted while it does."""

    def __init__(self, values, *, detached=False, precision="float32"):
        self.values, self.detached, self.precision = np.asarray(values), detached, precision
        self.shape, self.ndim = self.values.shape, self.values.ndim

    def detach(self):
        return Tensor(self.values, detached=True, precision=self.precision)

    def float(self):
        return Tensor(self.values, detached=self.detached)

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        if not self.detached:
            raise RuntimeError("can't convert a tensor that requires a gradient")
        if self.precision == "bfloat16":
            raise TypeError("unsupported type of elements: bfloat16")
        return self.values


class Exchanged:
    """An array that only DLPack knows."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


# ------------------------------------------------------------------------------------------------------ Beside an array

COLUMNS = {
    "list": list,
    "tuple": tuple,
    "generator": lambda values: (value for value in values),
    "iterator": iter,
    "map": lambda values: map(lambda value: value, values),
    "values of a dictionary": lambda values: dict(enumerate(values)).values(),
    "deque": collections.deque,
    "UserList": collections.UserList,
    "array of objects": lambda values: np.array(values, dtype=object),
    "Series of pandas": pd.Series,
    "Index of pandas": pd.Index,
    "Series of polars": pl.Series,
    "array of pyarrow": pa.array,
    "chunks of pyarrow": lambda values: pa.chunked_array([values[:10], values[10:]]),
} | {f"{name} Series": lambda values, index=index: pd.Series(values, index=index) for name, index in LABELS.items()}

ONLY_TEXT = {
    "array of NumPy": np.array,
    "keys of a dictionary": lambda values: dict.fromkeys(values).keys(),
    "categorical of pandas": pd.Categorical,
    "categorical Series": lambda values: pd.Series(values, dtype="category"),
    "strings of pandas": lambda values: pd.Series(values, dtype="string"),
    "categorical of polars": lambda values: pl.Series(values, dtype=pl.Categorical),
    "dictionary of pyarrow": lambda values: pa.array(values).dictionary_encode(),
    "views of pyarrow": lambda values: pa.array(values, pa.string_view()),
}


@pytest.mark.parametrize("kind", COLUMNS | ONLY_TEXT)
def test_ids_are_taken_in_their_order(root, vectors, kind):
    write_sharded(vectors, configure(root), ids=(COLUMNS | ONLY_TEXT)[kind](NAMES))
    assert [hit.id for hit in nearest(root, vectors)] == NAMES


@pytest.mark.parametrize("kind", COLUMNS)
def test_payloads_are_taken_in_their_order(root, vectors, kind):
    payloads = [{"row": row, "word": NAMES[row]} for row in range(ROWS)]
    write_sharded(vectors, configure(root), payloads=COLUMNS[kind](payloads))
    assert [hit.payload for hit in nearest(root, vectors)] == payloads


INTEGERS = {
    "range": lambda values: range(1000, 1000 + ROWS),
    "int64": lambda values: np.array(values, dtype=np.int64),
    "big-endian": lambda values: np.array(values, dtype=">i4"),
    "unsigned": lambda values: np.array(values, dtype=np.uint64),
    "array": lambda values: array.array("q", values),
    "nullable Series": lambda values: pd.Series(values, index=LABELS["reversed"], dtype="Int64"),
    "unmasked": lambda values: np.ma.array(values, mask=np.zeros(ROWS, dtype=bool)),
    "reversed view": lambda values: np.array(values[::-1])[::-1],
}


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_of_any_kind_are_ids(root, vectors, kind):
    write_sharded(vectors, configure(root), ids=INTEGERS[kind](list(range(1000, 1000 + ROWS))))
    found = nearest(root, vectors)
    assert [hit.id for hit in found] == list(range(1000, 1000 + ROWS))
    assert all(type(hit.id) is int for hit in found)


@pytest.mark.parametrize("labels", LABELS)
def test_routing_is_taken_in_its_order(tmp_path, vectors, labels):
    index = LABELS[labels]
    shards = [0] * 10 + [1] * 30
    root = tmp_path / "explicit"
    write_sharded(vectors, configure(root, num_dbs=2, strategy="explicit"), shard_ids=pd.Series(shards, index=index))
    with open_reader(root) as reader:
        assert [reader.search(vector, 1, shard_ids=[shard])[0].id for vector, shard in zip(vectors, shards)] == list(
            range(ROWS)
        )
    root = tmp_path / "cel"
    contexts = pd.Series([{"shard": shard} for shard in shards], index=index)
    routed = configure(root, num_dbs=2, strategy="cel", cel_expr="shard", cel_columns={"shard": "int"})
    write_sharded(vectors, routed, routing_contexts=contexts)
    with open_reader(root) as reader:
        for row, (vector, shard) in enumerate(zip(vectors, shards)):
            assert reader.search(vector, 1, routing_context={"shard": np.int64(shard)})[0].id == row
        assert reader.route_vector(vectors[0], routing_context=pd.Series({"shard": 1})) == [1]
        assert reader.route_vector(vectors[0], routing_context=types.MappingProxyType({"shard": 0})) == [0]


@pytest.mark.parametrize(
    "given",
    [
        set(NAMES),
        frozenset(NAMES),
        dict.fromkeys(NAMES),
        "x" * ROWS,
        b"x" * ROWS,
        5,
        pd.DataFrame({"a": NAMES}),
        pl.DataFrame({"a": NAMES}),
        pa.table({"a": NAMES}),
        Frame(np.zeros((ROWS, 2))),
        np.zeros((ROWS, 1), dtype=np.int64),
        np.int64(7),
        np.ma.array(range(ROWS), mask=[True] + [False] * (ROWS - 1)),
    ],
    ids=lambda given: type(given).__qualname__,
)
@pytest.mark.parametrize("name", ["ids", "payloads"])
def test_columns_that_have_no_order_are_refused_by_name(root, vectors, name, given):
    with pytest.raises(ConfigValidationError, match=rf"^{name}: expected 40 values in order, found ") as caught:
        write_sharded(vectors, configure(root), **{name: given})
    assert type(given).__qualname__ in str(caught.value) or repr(given)[:20] in str(caught.value)
    assert not root.exists() or not (root / "_CURRENT").exists()


@pytest.mark.parametrize("count", [ROWS - 1, ROWS + 1])
def test_iterators_have_as_many_values_as_there_are_vectors(root, vectors, count):
    with pytest.raises(ConfigValidationError, match="^ids: .*found (no )?more"):
        write_sharded(vectors, configure(root), ids=(f"row-{row}" for row in range(count)))
    assert not (root / "_CURRENT").exists()


@pytest.mark.parametrize(
    ("bad", "found"), [(1.5, "1.5"), (np.float64(2), "float64"), (None, "None"), (pd.NA, "NA"), (b"x", "b'x'")]
)
def test_an_id_that_is_none_is_named_with_its_type(root, vectors, bad, found):
    ids = pd.Series([*NAMES[:17], bad, *NAMES[18:]], index=LABELS["reversed"], dtype=object)
    with pytest.raises(ConfigValidationError, match=f"^ids: row 17: expected an integer .* found .*{found}"):
        write_sharded(vectors, configure(root), ids=ids)


# ---------------------------------------------------------------------------------------------------------------- Vectors

MATRICES = {
    "big-endian": lambda rows: rows.astype(">f4"),
    "big-endian float64": lambda rows: rows.astype(">f8"),
    "big-endian float16": lambda rows: rows.astype(">f2"),
    "float16": lambda rows: rows.astype(np.float16),
    "long double": lambda rows: rows.astype(np.longdouble),
    "Fortran order": np.asfortranarray,
    "Fortran order, big-endian": lambda rows: np.asfortranarray(rows.astype(">f4")),
    "strided": lambda rows: np.repeat(np.repeat(rows, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda rows: np.ascontiguousarray(rows[::-1, ::-1])[::-1, ::-1],
    "read-only": lambda rows: np.broadcast_to(rows, rows.shape),
    "unmasked": lambda rows: np.ma.array(rows),
    "memoryview": memoryview,
    "bfloat16": lambda rows: rows.astype(ml_dtypes.bfloat16),
    "float8": lambda rows: rows.astype(ml_dtypes.float8_e4m3fn),
    "tensor": Tensor,
    "tensor of bfloat16": lambda rows: Tensor(rows, precision="bfloat16"),
    "DLPack": Exchanged,
    "Array Series of polars": lambda rows: pl.Series(rows, dtype=pl.Array(pl.Float32, DIM)),
    "List Series of polars": lambda rows: pl.Series(rows.tolist()),
    "Series of arrays": lambda rows: pd.Series(list(rows), index=LABELS["shuffled"]),
    "Series of lists": lambda rows: pd.Series(rows.tolist(), index=LABELS["filtered"]),
    "lists of pyarrow": lambda rows: pa.array(rows.tolist()),
    "fixed-size lists of pyarrow": lambda rows: pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), DIM),
    "chunks of pyarrow": lambda rows: pa.chunked_array([rows[:7].tolist(), rows[7:].tolist()]),
    "object array": lambda rows: np.array([*rows, None], dtype=object)[:-1],
}
QUERY_MATRICES = MATRICES | {
    "DataFrame of pandas": pd.DataFrame,
    "DataFrame with other labels": lambda rows: pd.DataFrame(rows, index=LABELS["reversed"], columns=list("fedcba")),
    "DataFrame of polars": pl.DataFrame,
    "table of pyarrow": lambda rows: pa.table({str(column): rows[:, column] for column in range(DIM)}),
    "generator": lambda rows: (row for row in rows),
    "lists": lambda rows: rows.tolist(),
    "tuple of arrays": tuple,
    "values of a dictionary": lambda rows: dict(enumerate(rows)).values(),
    "list of Series": lambda rows: [pd.Series(row, index=list("fedcba")) for row in rows],
}


@pytest.fixture(scope="module")
def written(tmp_path_factory, vectors):
    root = tmp_path_factory.mktemp("written") / "snapshot"
    write_sharded(vectors, configure(root, num_dbs=2, train_centroids=True))
    return root


@pytest.mark.parametrize("kind", MATRICES)
def test_arrays_of_any_kind_are_written(root, vectors, kind):
    write_sharded(MATRICES[kind](vectors), configure(root), ids=range(100, 100 + ROWS))
    assert [hit.id for hit in nearest(root, vectors)] == list(range(100, 100 + ROWS))


def test_arrays_are_written_in_slices(root, vectors):
    config = configure(root)
    config.adapter.batch_size = 7
    write_sharded(vectors.astype(ml_dtypes.bfloat16), config, ids=pd.Series(NAMES, index=LABELS["reversed"]))
    assert [hit.id for hit in nearest(root, vectors)] == NAMES


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", ">i2", "<u4", ">i4", "<i8", ">u8", "?"])
def test_integers_are_vectors(root, vectors, dtype):
    rows = (vectors * 40).astype(np.int64)
    rows = (rows > 0) if dtype == "?" else np.abs(rows).astype(dtype) if "u" in dtype else rows.astype(dtype)
    write_sharded(rows, configure(root))
    with open_reader(root) as reader:
        for row in rows[:5]:
            for query in (row, row.tolist(), memoryview(np.ascontiguousarray(row)), row.astype(np.float32)):
                assert reader.search(query, 1)[0].score == 0
        assert [found[0].score for found in reader.batch_search(rows, 1)] == [0] * ROWS


@pytest.mark.parametrize("kind", QUERY_MATRICES)
async def test_queries_of_any_kind_are_rows(written, vectors, tmp_path, kind):
    make = QUERY_MATRICES[kind]
    async with await AsyncShardedVectorReader.open(s3_prefix=written, local_root=tmp_path) as reader:
        responses = await reader.batch_search(make(vectors), 1, num_probes=2)
        assert [response[0].id for response in responses] == list(range(ROWS))


@pytest.mark.parametrize("kind", QUERY_MATRICES)
def test_centroids_of_any_kind_are_rows(tmp_path, vectors, kind):
    """Of as many rows as components, transposed ones would pass."""
    indices = {"Series of arrays", "Series of lists", "DataFrame with other labels"}
    square = vectors[:DIM]
    given = square.tolist() if kind in indices else QUERY_MATRICES[kind](square)
    if kind == "DataFrame with other labels":
        given = pd.DataFrame(square, index=range(DIM, 0, -1), columns=list("fedcba"))
    elif kind in indices:
        given = pd.Series(list(square), index=range(DIM, 0, -1))
    root = tmp_path / "snapshot"
    write_sharded(vectors, configure(root, num_dbs=DIM, centroids=given))
    expected = [np.argmin(((square - vector) ** 2).sum(axis=1)) for vector in square]
    with open_reader(root) as reader:
        assert [reader.route_vector(vector, num_probes=1) for vector in square] == [[best] for best in expected]


def test_hyperplanes_of_a_frame_are_rows(tmp_path, vectors):
    planes = vectors[:DIM]
    routes = []
    for kind, given in (("array", planes), ("frame", pd.DataFrame(planes, index=range(DIM, 0, -1)))):
        root = tmp_path / kind
        write_sharded(
            vectors, configure(root, num_dbs=4, strategy="lsh", num_hash_bits=DIM, hyperplanes=given)
        )
        with open_reader(root) as reader:
            routes.append([reader.route_vector(vector) for vector in vectors])
    assert routes[0] == routes[1]


QUERIES = {
    "Series of pandas": lambda row: pd.Series(row, index=list("fedcba")),
    "reversed Series": lambda row: pd.Series(row, index=range(DIM - 1, -1, -1)),
    "Index": pd.Index,
    "Series of polars": pl.Series,
    "array of pyarrow": pa.array,
    "chunks of pyarrow": lambda row: pa.chunked_array([row[:2], row[2:]]),
    "scalar of pyarrow": lambda row: pa.array([row.tolist()])[0],
    "tensor": Tensor,
    "DLPack": Exchanged,
    "generator": lambda row: (float(value) for value in row),
    "values of a dictionary": lambda row: dict(enumerate(row)).values(),
    "decimals": lambda row: [decimal.Decimal(float(value)) for value in row],
    "fractions": lambda row: [fractions.Fraction(float(value)) for value in row],
    "bfloat16": lambda row: row.astype(ml_dtypes.bfloat16),
    "big-endian": lambda row: row.astype(">f8"),
    "float16": lambda row: row.astype(np.float16),
    "objects": lambda row: row.astype(object),
    "column of a frame": lambda row: pd.DataFrame({"a": row, "b": 0})["a"],
    "row of a frame": lambda row: pd.DataFrame([row], columns=list("fedcba")).iloc[0],
    "array": lambda row: array.array("d", row),
    "array of float32": lambda row: array.array("f", row),
}


@pytest.mark.parametrize("kind", QUERIES)
def test_a_query_of_any_kind_is_taken_in_its_order(written, vectors, kind):
    make = QUERIES[kind]
    with open_reader(written) as reader:
        for row in (0, 3, ROWS - 1):
            assert reader.search(make(vectors[row]), 1, num_probes=2)[0].id == row
        assert reader.route_vector(make(vectors[0])) == reader.route_vector(vectors[0])


def test_records_take_vectors_of_any_kind(root, vectors):
    kinds = list(QUERIES.values())
    records = [VectorRecord(row, kinds[row % len(kinds)](vector)) for row, vector in enumerate(vectors)]
    write_sharded(records, configure(root))
    assert [hit.id for hit in nearest(root, vectors)] == list(range(ROWS))


NO_QUERIES = {
    "frame": lambda row: pd.DataFrame([row]),
    "frame of polars": lambda row: pl.DataFrame([row], orient="row"),
    "table": lambda row: pa.table({"a": row}),
    "unknown frame": lambda row: Frame([row]),
    "array of two dimensions": lambda row: row[None],
    "tensor of two dimensions": lambda row: Tensor(row[None]),
    "set": set,
    "dictionary": lambda row: dict.fromkeys(range(len(row))),
    "text": lambda row: "0.1" * len(row),
    "bytes": lambda row: bytes(row),
    "bytearray": lambda row: bytearray(DIM),
    "strings": lambda row: [str(value) for value in row],
    "strings of NumPy": lambda row: row.astype("U8"),
    "complex": lambda row: row.astype(complex),
    "times": lambda row: np.zeros(DIM, "M8[s]"),
    "durations": lambda row: np.zeros(DIM, "m8[s]"),
    "named fields": lambda row: np.zeros(DIM, [("a", "f4")]),
    "masked": lambda row: np.ma.array(row, mask=[False, True] + [False] * (DIM - 2)),
    "masked and nullable": lambda row: pd.Series([None, *row[1:]], dtype="Float64").astype(object),
    "None": lambda row: None,
    "number": lambda row: 1.5,
    "list with None": lambda row: [None, *row[1:]],
    "object": lambda row: object(),
}


@pytest.mark.parametrize("kind", NO_QUERIES)
def test_an_invalid_query_is_refused_by_name(written, vectors, kind):
    given = NO_QUERIES[kind](vectors[3])
    with open_reader(written) as reader:
        for ask in (lambda query: reader.search(query, 1), reader.route_vector):
            with pytest.raises(ConfigValidationError, match=r"^query: expected .*, found ") as caught:
                ask(given)
            assert len(str(caught.value)) < 500
        with pytest.raises(ConfigValidationError, match=r"^queries: row 1: expected .*, found "):
            reader.batch_search([vectors[0], given])


@pytest.mark.parametrize("kind", ["set", "dictionary", "text", "bytes", "number", "None", "object"])
def test_invalid_queries_are_refused_by_name(written, vectors, kind):
    with open_reader(written) as reader, pytest.raises(ConfigValidationError, match="^queries: expected "):
        reader.batch_search(NO_QUERIES[kind](vectors[3]))


def test_masked_vectors_are_refused(root, written, vectors):
    masked = np.ma.array(vectors, mask=vectors > 2)
    masked[0, 0] = np.ma.masked
    with pytest.raises(ConfigValidationError, match="mask"):
        write_sharded(masked, configure(root))
    with pytest.raises(ConfigValidationError, match="mask"):
        write_sharded(vectors, configure(root, num_dbs=ROWS, centroids=masked))
    with open_reader(written) as reader, pytest.raises(ConfigValidationError, match="mask"):
        reader.batch_search(masked)


@pytest.mark.parametrize("dtype", ["c8", "M8[s]", "U3", "O"])
def test_arrays_of_other_things_are_refused_by_their_types(root, dtype):
    with pytest.raises(ConfigValidationError, match="^vectors: .*" + re.escape(str(np.dtype(dtype)))):
        write_sharded(np.zeros((ROWS, DIM), dtype=dtype), configure(root))


async def test_a_limited_or_custom_reader_takes_the_same_queries(written, vectors, tmp_path):
    class Limiter:
        def __init__(self):
            self.taken = 0

        async def acquire_async(self, tokens=1):
            self.taken += tokens

    limiter = Limiter()
    async with await AsyncShardedVectorReader.open(
        s3_prefix=written, local_root=tmp_path, rate_limiter=limiter
    ) as reader:
        for make in (pd.DataFrame, pl.DataFrame, iter, np.asfortranarray, lambda rows: memoryview(rows)):
            responses = await reader.batch_search(make(vectors), 1, num_probes=2)
            assert [response[0].id for response in responses] == list(range(ROWS))
    assert limiter.taken == 5 * ROWS


def test_shard_ids_of_a_search_may_come_from_any_array(written, vectors):
    with open_reader(written) as reader:
        for given in (
            pd.Series([0, 1], index=[7, 8]),
            pl.Series([0, 1]),
            pa.array([0, 1]),
            np.array([0, 1], dtype=">u2"),
            {0, 1},
            {0: "a", 1: "b"}.keys(),
            range(2),
            iter([0, 1]),
        ):
            assert reader.search(vectors[3], 1, shard_ids=given)[0].id == 3
        for given in ({0: 1}, "01", b"01", 1, [0.5], np.zeros((1, 1), int), pd.DataFrame([[0]]), [None]):
            with pytest.raises(ConfigValidationError, match="^shard_ids: expected (an integer|integers), found "):
                reader.search(vectors[3], 1, shard_ids=given)


# ----------------------------------------------------------------------------------------------------------------- Errors


def test_errors_quote_a_part_of_what_was_found(root, written, vectors):
    long = "x" * 1_000_000
    refused = [
        lambda: write_sharded(np.zeros((3, 1536)).tolist(), configure(root)),
        lambda: write_sharded([{"id": long, "vector": [0.0] * 1536}], configure(root)),
        lambda: write_sharded(vectors, configure(root), ids=["\ud800" + long] * ROWS),
        lambda: write_sharded(vectors, configure(root), ids=[long.encode()] * ROWS),
        lambda: write_sharded(vectors, configure(root), payloads=[long] * ROWS),
        lambda: write_sharded(vectors, configure(root), payloads=[{"a": {long}}] * ROWS),
        lambda: write_sharded(vectors, configure(root), payloads=["{" + long] * ROWS),
        lambda: write_sharded([VectorRecord(long, [long] * DIM)], configure(root)),
        lambda: write_sharded([VectorRecord(long, [0.0] * 100_000)], configure(root)),
        lambda: write_sharded(vectors, configure(root), VectorColumnInput(vector_col=long)),
        lambda: write_sharded(pa.table({"a": [1]}), configure(root), VectorColumnInput(vector_col=long)),
        lambda: write_sharded(pa.table({long: [1]}), configure(root), VectorColumnInput(vector_col=long)),
        lambda: write_sharded(vectors, configure(root, num_dbs=2, strategy="cel", cel_expr=long, cel_columns={"a": "int"})),
        lambda: write_sharded(vectors, configure(root, num_dbs=2, strategy=long)),
        lambda: configure(root, metric=long),
        lambda: configure("s3://" + long, metric="l2").validate() or write_sharded(vectors, configure("ftp://" + long)),
        lambda: ShardedVectorReader(s3_prefix="ftp://" + long, local_root=root),
        lambda: ShardedVectorReader(s3_prefix=written, local_root=root, max_workers=long),
        lambda: ShardedVectorReader(s3_prefix=written, local_root=root, s3_connection_options={long: 1}),
        lambda: ShardedVectorReader(s3_prefix=written, local_root=root, s3_connection_options={"endpoint_url": [long]}),
        lambda: open_reader(written).search(long),
        lambda: open_reader(written).search(vectors[0], long),
        lambda: open_reader(written).search(vectors[0], routing_context=long),
        lambda: open_reader(written).search(vectors[0], shard_ids=long),
        lambda: open_reader(written).search(vectors[0], shard_ids=[long]),
        lambda: open_reader(written).search([0.0] * 100_000),
    ]
    for action in refused:
        with pytest.raises((ShardyfusionError, TypeError)) as caught:
            action()
        assert 0 < len(str(caught.value)) <= 1024, str(caught.value)[:200]
