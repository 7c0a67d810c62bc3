"""Columns of tables, of every type that a row can be made of: in a dictionary, in runs, sliced, in views."""

import datetime
import decimal
import random
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from shardyfusion.errors import ConfigValidationError
from shardyfusion.vector import ShardedVectorReader
from shardyfusion.vector.writer import VectorColumnInput, write_sharded

from small_snapshots import nearest, small_config

DIM, ROWS, SEED = 4, 24, 5
NAMES = [f"row-{row}" for row in range(ROWS)]
UTC = datetime.timezone.utc


def configure(root, batch_size=10, **sharding):
    return small_config(root, DIM, batch_size=batch_size, **sharding)


def lists(vectors):
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIM)


def in_runs(values):
    return pa.RunEndEncodedArray.from_arrays(list(range(1, len(values) + 1)), values)


def sliced(values):
    """The same values, with others before and behind them in their buffers."""
    return pa.concat_arrays([values[:3], values, values[-2:]])[3:-2]


ENCODINGS = {
    "plain": lambda values: values,
    "sliced": sliced,
    "dictionary": lambda values: values.dictionary_encode(),
    "sliced dictionary": lambda values: sliced(values.dictionary_encode()),
    "dictionary with int8 indices": lambda values: values.dictionary_encode().cast(pa.dictionary(pa.int8(), values.type)),
    "dictionary with uint64 indices": lambda values: pa.DictionaryArray.from_arrays(
        pa.array(range(ROWS - 1, -1, -1), pa.uint64()), values[::-1]
    ),
    "runs": in_runs,
    "runs of a slice": lambda values: in_runs(pa.concat_arrays([values[:3], values]))[3:],
}


NO_VIEWS = {name for name in ENCODINGS if "dictionary" in name}
"""pyarrow makes no dictionaries of views."""

ID_KINDS = [
    (encoding, kind)
    for kind in ("string", "large_string", "string_view", "int32", "uint64")
    for encoding in ENCODINGS
    if kind != "string_view" or encoding not in NO_VIEWS
]


@pytest.mark.parametrize(("encoding", "kind"), ID_KINDS)
def test_ids_of_any_encoding_are_taken(root, vectors, encoding, kind):
    expected = list(range(100, 100 + ROWS)) if "int" in kind else NAMES
    ids = ENCODINGS[encoding](pa.array(expected, getattr(pa, kind)()))
    write_sharded(pa.table({"id": ids, "vector": lists(vectors)}), configure(root))
    assert [hit.id for hit in nearest(root, vectors)] == expected


def test_uuids_are_ids(root, vectors):
    expected = [str(uuid.UUID(int=row << 100)) for row in range(ROWS)]
    ids = pa.array([uuid.UUID(text).bytes for text in expected], pa.uuid())
    write_sharded(pa.table({"id": ids, "vector": lists(vectors)}), configure(root))
    assert [hit.id for hit in nearest(root, vectors)] == expected


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_payloads_and_routing_of_any_encoding_are_taken(tmp_path, vectors, encoding):
    encode = ENCODINGS[encoding]
    shards = encode(pa.array([row % 2 for row in range(ROWS)], pa.int64()))
    words = encode(pa.array([f"w{row % 3}" if row % 5 else None for row in range(ROWS)]))
    texts = encode(pa.array([f'{{"row": {row}}}' if row % 5 else None for row in range(ROWS)]))
    table = pa.table({"id": NAMES, "vector": lists(vectors), "shard_id": shards, "word": words, "payload": texts})
    explicit = {"num_dbs": 2, "strategy": "explicit"}
    write_sharded(table, configure(tmp_path / "a", **explicit), VectorColumnInput(payload_cols=["word", "shard_id"]))
    for row, hit in enumerate(search_all(tmp_path / "a", vectors)):
        word = {"word": f"w{row % 3}"} if row % 5 else {}
        assert (hit.id, hit.payload) == (NAMES[row], word | {"shard_id": row % 2})
    cel = {"num_dbs": 2, "strategy": "cel", "cel_expr": "shard_id", "cel_columns": {"shard_id": "int"}}
    write_sharded(table, configure(tmp_path / "b", **cel))
    for row, hit in enumerate(search_all(tmp_path / "b", vectors)):
        assert (hit.id, hit.payload) == (NAMES[row], {"row": row} if row % 5 else None)


def search_all(root, vectors):
    """Each vector in the shard that its row was sent to."""
    with ShardedVectorReader(s3_prefix=root, local_root=root.parent / "cache") as reader:
        return [reader.search(vector, 1, shard_ids=[row % 2])[0] for row, vector in enumerate(vectors)]


SECONDS = [0, 1, -1, 86399, 951782400, -62135596800, 253402300799]
VALUES = {
    **{
        f"timestamp {unit}": (pa.timestamp(unit), [datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=s) for s in SECONDS])
        for unit in ("s", "ms", "us")
    },
    "timestamp of microseconds": (pa.timestamp("us", "UTC"), [datetime.datetime(2024, 2, 29, 1, 2, 3, 45, UTC)]),
    "timestamp of nanoseconds": (pa.timestamp("ns", "UTC"), [datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)]),
    "fixed zone": (
        pa.timestamp("s", "-03:30"),
        [datetime.datetime(2024, 1, 1, 2, tzinfo=datetime.timezone(-datetime.timedelta(hours=3, minutes=30)))],
    ),
    "date32": (pa.date32(), [datetime.date(1, 1, 1), datetime.date(1969, 12, 31), datetime.date(2024, 2, 29), datetime.date(9999, 12, 31)]),
    "date64": (pa.date64(), [datetime.date(1969, 12, 31), datetime.date(2000, 3, 1)]),
    "time32 s": (pa.time32("s"), [datetime.time(0), datetime.time(23, 59, 59)]),
    "time32 ms": (pa.time32("ms"), [datetime.time(1, 2, 3, 4000)]),
    "time64": (pa.time64("us"), [datetime.time(1, 2, 3, 4)]),
    "duration": (pa.duration("us"), [datetime.timedelta(0), datetime.timedelta(-1, 3, 5), datetime.timedelta(1), datetime.timedelta(12345, 86399)]),
    "decimal32": (pa.decimal32(5, 2), [decimal.Decimal("1.50"), decimal.Decimal("-0.01")]),
    "decimal64": (pa.decimal64(15, 4), [decimal.Decimal("12345678901.2345")]),
    "decimal128": (
        pa.decimal128(38, 10),
        [decimal.Decimal(text).quantize(decimal.Decimal("1e-10")) for text in ("0", "1", "-1.5", "123456789012345678.0123456789")],
    ),
    "small decimals": (pa.decimal128(10, 9), [decimal.Decimal("0.000001000"), decimal.Decimal("1E-9"), decimal.Decimal("-1.5E-8")]),
    "decimal256": (pa.decimal256(76, 5), [decimal.Decimal("-" + "9" * 70 + ".12345"), decimal.Decimal("0.00000")]),
    "large binary": (pa.large_binary(), [b"\x00\xff"]),
    "binary of a size": (pa.binary(2), [b"\x00\xff"]),
    "uuid": (pa.uuid(), [uuid.UUID(int=1 << 120)]),
    "list view": (pa.list_view(pa.int8()), [[1, 2], [], [3, None]]),
    "large list view": (pa.large_list_view(pa.string()), [["a"]]),
    "map": (pa.map_(pa.string(), pa.int32()), [[("a", 1), ("b", None)], []]),
    "struct": (pa.struct({"a": pa.date32(), "b": pa.list_(pa.decimal128(5, 1))}), [{"a": datetime.date(2024, 1, 1), "b": [decimal.Decimal("1.0")]}]),
    "null": (pa.null(), [None]),
    "bool": (pa.bool_(), [True, False]),
    "float16": (pa.float16(), [np.float16(0.5)]),
    "string view": (pa.string_view(), ["a longer text than twelve bytes", "ü"]),
}


def expected(value):
    """As records are written, which hold the same values as objects of Python."""
    if isinstance(value, bytes):
        return {"__bytes_hex__": value.hex()}
    if isinstance(value, dict):
        return {name: expected(member) for name, member in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return dict(value)
    if isinstance(value, list):
        return [expected(member) for member in value]
    if isinstance(value, np.float16):
        return float(value)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


@pytest.mark.parametrize("kind", VALUES)
def test_values_of_any_type_are_written_as_those_of_records(root, vectors, kind):
    arrow, values = VALUES[kind]
    rows = vectors[: len(values)]
    plain = pa.array(values, arrow)
    inner = pa.StructArray.from_arrays([plain], ["x"])
    table = pa.table({"id": NAMES[: len(values)], "vector": lists(rows), "plain": plain, "inner": inner})
    write_sharded(table, configure(root), VectorColumnInput(payload_cols=["plain", "inner"]))
    for value, hit in zip(values, nearest(root, rows), strict=True):
        text = {} if kind == "map" and not value else expected(value)
        assert hit.payload == ({"plain": text} if value is not None else {}) | {"inner": {"x": text}}


def test_timestamps_tell_the_time_in_their_zone(root, vectors):
    moments = [datetime.datetime(2024, month, 1, 12, tzinfo=UTC) for month in (1, 7)]
    table = pa.table({"vector": lists(vectors[:2]), "payload": pa.array([{"at": moment} for moment in moments], pa.struct({"at": pa.timestamp("ms", "Europe/Berlin")}))})
    write_sharded(table, configure(root))
    assert [hit.payload["at"] for hit in nearest(root, vectors[:2])] == ["2024-01-01 13:00:00+01:00", "2024-07-01 14:00:00+02:00"]


def test_decimals_are_written_as_python_writes_them(root, vectors):
    numbers = random.Random(7)
    for scale in (0, 3, 12, 38):
        values = [decimal.Decimal(numbers.randrange(-(10 ** numbers.randrange(1, 39)) + 1, 10 ** numbers.randrange(1, 39))).scaleb(-scale, decimal.Context(prec=60)) for _ in range(ROWS)]
        write_sharded(pa.table({"vector": lists(vectors), "n": pa.array(values, pa.decimal128(38, scale))}), configure(root), VectorColumnInput(payload_cols=["n"]))
        assert [hit.payload["n"] for hit in nearest(root, vectors)] == [str(value) for value in values]


VECTORS = {
    "list view": lambda rows: pa.array(rows.tolist(), pa.list_view(pa.float32())),
    "shuffled list view": lambda rows: pa.ListViewArray.from_arrays(
        pa.array(range((ROWS - 1) * DIM, -1, -DIM), pa.int32()), pa.array([DIM] * ROWS, pa.int32()), pa.array(np.ascontiguousarray(rows[::-1]).reshape(-1))
    ),
    "large list": lambda rows: pa.array(rows.tolist(), pa.large_list(pa.float64())),
    "sliced": lambda rows: sliced(lists(rows)),
    "float16": lambda rows: pa.array([list(row) for row in rows.astype(np.float16)], pa.list_(pa.float16(), DIM)),
    "chunks": lambda rows: pa.chunked_array([lists(rows[:5]), lists(rows[5:])]),
    "Series of polars": lambda rows: pl.Series(rows, dtype=pl.Array(pl.Float32, DIM)).to_arrow(),
}


@pytest.mark.parametrize("kind", VECTORS)
def test_vectors_of_any_layout_are_taken(root, vectors, kind):
    write_sharded(pa.table({"id": NAMES, "vector": VECTORS[kind](vectors)}), configure(root))
    assert [hit.id for hit in nearest(root, vectors)] == NAMES


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "int64", "uint64"])
def test_vectors_may_be_integers(root, vectors, kind):
    rows = np.random.default_rng(1).permutation(ROWS * DIM).reshape(ROWS, DIM)
    write_sharded(pa.table({"id": NAMES, "vector": pa.array(rows.tolist(), pa.list_(getattr(pa, kind)()))}), configure(root))
    hits = nearest(root, rows.astype(np.float32))
    assert [(hit.id, hit.score) for hit in hits] == [(name, 0) for name in NAMES]


def test_frames_of_pandas_are_tables(root, vectors):
    """A frame that was sorted and filtered: rows are rows, whatever their labels."""
    frame = pd.DataFrame({"id": pd.Categorical(NAMES), "vector": list(vectors), "n": range(ROWS), "at": pd.Timestamp("2024-01-01", tz="UTC")})
    frame = frame[frame.n % 3 != 0].sort_values("n", ascending=False)
    write_sharded(frame, configure(root), VectorColumnInput(payload_cols=["n", "at"]))
    hits = nearest(root, vectors[frame.n])
    assert [hit.id for hit in hits] == [NAMES[n] for n in frame.n]
    assert [hit.payload for hit in hits] == [{"n": n, "at": "2024-01-01 00:00:00+00:00"} for n in frame.n]


def test_frames_of_polars_are_tables(root, vectors):
    frame = pl.DataFrame(
        {
            "id": pl.Series(NAMES, dtype=pl.Categorical),
            "vector": pl.Series(vectors.tolist()),
            "word": pl.Series(["a", "b"] * (ROWS // 2), dtype=pl.Enum(["b", "a"])),
            "price": pl.Series([decimal.Decimal("1.50")] * ROWS),
            "at": pl.Series([datetime.datetime(2024, 1, 1, tzinfo=UTC)] * ROWS),
            "took": pl.Series([datetime.timedelta(seconds=1)] * ROWS),
        }
    ).filter(pl.col("word") == "a").reverse()
    write_sharded(frame, configure(root), VectorColumnInput(payload_cols=["word", "price", "at", "took"]))
    hits = nearest(root, vectors[::2])
    assert [hit.id for hit in hits] == NAMES[::2]
    assert hits[0].payload == {"word": "a", "price": "1.50", "at": "2024-01-01 00:00:00+00:00", "took": "0:00:01"}


def test_datasets_are_read_as_they_were_selected(root, vectors):
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_dict({"id": NAMES, "vector": vectors.tolist(), "n": list(range(ROWS))})
    picked = whole.filter(lambda row: row["n"] % 3 == 0).select([5, 1, 3, 7])
    write_sharded(picked, configure(root), VectorColumnInput(payload_cols=["n"]))
    hits = nearest(root, vectors[[15, 3, 9, 21]])
    assert [(hit.id, hit.payload) for hit in hits] == [(NAMES[n], {"n": n}) for n in (15, 3, 9, 21)]
    with ShardedVectorReader(s3_prefix=root, local_root=root.parent / "cache") as reader:
        assert reader.snapshot_info().total_vectors == 4
    streamed = root.parent / "streamed"
    write_sharded(picked.to_iterable_dataset(), configure(streamed))
    assert [hit.id for hit in found(streamed, vectors[[15, 3, 9, 21]])] == [NAMES[n] for n in (15, 3, 9, 21)]


class Dataset:
    """A stand-in for a dataset: its table is not what its batches give."""

    features = None

    def __init__(self, table, rows):
        self.data, self.rows = table, rows

    def with_format(self, kind):
        assert kind == "arrow"
        return self

    def iter(self, batch_size):
        for row in self.rows:
            yield self.data.slice(row, 1)


def test_datasets_are_read_by_their_batches(root, vectors):
    table = pa.table({"id": NAMES, "vector": lists(vectors)})
    write_sharded(Dataset(table, [7, 2, 11]), configure(root))
    assert [hit.id for hit in nearest(root, vectors[[7, 2, 11]])] == [NAMES[n] for n in (7, 2, 11)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"vector": [["a"] * DIM]}, r"^column vector: expected lists of .*, found Arrow's format 'u'$"),
        ({"vector": [[1.0] * DIM], "id": [datetime.date(2024, 1, 1)]}, r"^column id: .*found Arrow's format 'tdD'$"),
        ({"vector": [[1.0] * DIM], "id": [decimal.Decimal(1)]}, r"^column id: .*found Arrow's format 'd:1,0'$"),
        ({"vector": pa.array([[1.0] * DIM]), "id": pa.array([b"x"])}, r"^column id: .*found Arrow's format 'z'$"),
        ({"vector": [[1.0] * DIM], "id": pa.DictionaryArray.from_arrays(pa.array([None], pa.int8()), ["a"])}, "^id: row 0: expected an id, found null$"),
    ],
)
def test_a_column_of_invalid_ids_or_vectors_is_named_with_its_format(root, columns, message):
    with pytest.raises(ConfigValidationError, match=message):
        write_sharded(pa.table(columns), configure(root))


@pytest.mark.parametrize("names", ["word", b"word", {"a", "b"}, [1], 5])
def test_names_of_columns_are_a_sequence_of_strings(root, vectors, names):
    with pytest.raises(ConfigValidationError, match="^input.payload_cols: expected names of columns, found "):
        write_sharded(pa.table({"vector": lists(vectors)}), configure(root), VectorColumnInput(payload_cols=names))
