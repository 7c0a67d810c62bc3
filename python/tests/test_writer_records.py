"""Writing records: of every kind of id, vector and payload; one that is wrong is named, and nothing is published."""

import dataclasses
import itertools

import numpy as np
import pytest
from shardyfusion.errors import ConfigValidationError, UnknownRoutingTokenError
from shardyfusion.vector.writer import VectorRecord, write_sharded
import writing
from writing import CEL, EXPLICIT, SHARDS, assert_finds, configure, make_records, open_reader

DIM, ROWS, SEED = writing.DIM, writing.ROWS, writing.SEED


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


def test_json_that_c_strings_cannot_hold_is_stored_and_returned(root, vectors):
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


def test_an_invalid_record_is_named(root, vectors):
    records = [*itertools.islice(make_records(vectors), 17), {"id": 17}]
    with pytest.raises(ConfigValidationError, match="^records: record 17: expected a VectorRecord, found {'id': 17}"):
        write_sharded(records, configure(root))


@pytest.mark.parametrize("records", [None, 5, object()])
def test_an_invalid_input_is_refused(root, records):
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
