"""Payloads of Python objects: the JSON that they become, or an error that names the row."""

import collections
import datetime
import decimal
import enum
import fractions
import ipaddress
import pathlib
import types
import uuid

import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from shardyfusion.errors import ConfigValidationError
from shardyfusion.vector.writer import VectorRecord, write_sharded

from small_snapshots import nearest, small_config

DIM, ROWS, SEED = 6, 40, 3


def configure(root, *, metric="l2", num_dbs=1, **sharding):
    return small_config(root, DIM, metric=metric, num_dbs=num_dbs, **(sharding or {"train_centroids": True}))


class Colour(enum.Enum):
    RED = 1


WHEN = datetime.datetime(2024, 2, 29, 12, 30, 15, 250, tzinfo=datetime.timezone.utc)
VALUES = {
    "datetime": (WHEN, str(WHEN)),
    "naive": (WHEN.replace(tzinfo=None, microsecond=0), "2024-02-29 12:30:15"),
    "date": (WHEN.date(), "2024-02-29"),
    "time": (WHEN.time(), "12:30:15.000250"),
    "timedelta": (datetime.timedelta(days=1, seconds=2), "1 day, 0:00:02"),
    "Timestamp": (pd.Timestamp("2024-02-29T12:30:15", tz="Europe/Berlin"), "2024-02-29 12:30:15+01:00"),
    "NaT": (pd.NaT, None),
    "NA": (pd.NA, None),
    "datetime64": (np.datetime64("2024-02-29T12:30:15"), "2024-02-29T12:30:15"),
    "datetime64 NaT": (np.datetime64("NaT"), None),
    "Decimal": (decimal.Decimal("1.50"), "1.50"),
    "Fraction": (fractions.Fraction(1, 3), "1/3"),
    "UUID": (uuid.UUID(int=7), str(uuid.UUID(int=7))),
    "Enum": (Colour.RED, "Colour.RED"),
    "IntEnum": (enum.IntEnum("Kind", "A").A, 1),
    "StrEnum": (enum.StrEnum("Word", {"A": "a"}).A, "a"),
    "path": (pathlib.PurePosixPath("/a/b"), "/a/b"),
    "address": (ipaddress.ip_address("::1"), "::1"),
    "int64": (np.int64(5), 5),
    "uint8": (np.uint8(5), 5),
    "float32": (np.float32(0.5), 0.5),
    "bool_": (np.bool_(True), True),
    "str_": (np.str_("x"), "x"),
    "bfloat16": (ml_dtypes.bfloat16(1.5), 1.5),
    "array": (np.arange(3, dtype=">i4"), [0, 1, 2]),
    "Series": (pd.Series([1, 2], index=[9, 8]), [1, 2]),
    "Series of polars": (pl.Series([1, 2]), [1, 2]),
    "scalar of pyarrow": (pa.scalar(3), 3),
    "bytes": (b"\x00\xff", {"__bytes_hex__": "00ff"}),
    "tuple": ((1, 2), [1, 2]),
    "range": (range(3), [0, 1, 2]),
    "deque": (collections.deque([1]), [1]),
    "mapping": (types.MappingProxyType({"a": 1}), {"a": 1}),
    "UserDict": (collections.UserDict(a=decimal.Decimal(1)), {"a": "1"}),
}


@pytest.mark.parametrize("form", ["records", "array"])
def test_values_that_json_has_no_form_for_are_written(root, vectors, form):
    payloads = [{"value": value, "nested": [{"value": value}]} for value, _ in VALUES.values()]
    rows = vectors[: len(payloads)]
    if form == "array":
        write_sharded(rows, configure(root), payloads=payloads)
    else:
        write_sharded((VectorRecord(row, rows[row], payload) for row, payload in enumerate(payloads)), configure(root))
    found = {name: hit.payload for name, hit in zip(VALUES, nearest(root, rows), strict=True)}
    assert found == {name: {"value": text, "nested": [{"value": text}]} for name, (_, text) in VALUES.items()}


def test_payloads_may_be_any_mapping(root, vectors):
    frame = pd.DataFrame({"row": range(4), "word": list("abcd")})
    given = [types.MappingProxyType({"row": 0, "word": "a"}), collections.UserDict(row=1, word="b"), frame.iloc[2]]
    given.append(pa.array([{"row": 3, "word": "d"}])[0])
    write_sharded(vectors[:4], configure(root), payloads=given)
    assert [hit.payload for hit in nearest(root, vectors[:4])] == frame.to_dict("records")


@pytest.mark.parametrize(
    "bad", [object(), {1, 2}, lambda: 1, {("a", "b"): 1}, 1j], ids=["object", "set", "function", "key", "complex"]
)
def test_what_has_no_text_of_its_own_is_refused_by_its_type(root, vectors, bad):
    payloads = [{"text": "x" * 100_000, "bad": bad}] * ROWS
    with pytest.raises(ConfigValidationError, match="^payloads: row 0: expected what JSON can hold") as caught:
        write_sharded(vectors, configure(root), payloads=payloads)
    name = "tuple" if isinstance(bad, dict) else type(bad).__name__
    assert name in str(caught.value) and len(str(caught.value)) < 1000
