"""Composite snapshots, key-value data with vectors beside it, in both readers."""

import json
import shutil
import sqlite3

import numpy as np
import pytest
from conftest import GOLDEN

from shardyfusion.errors import ConfigValidationError, DbAdapterError, UnknownRoutingTokenError
from shardyfusion.sqlite_vec_adapter import AsyncSqliteVecReaderFactory
from shardyfusion.vector.adapters.lancedb_adapter import AsyncLanceDbReaderFactory
from shardyfusion.vector.async_reader import AsyncShardedVectorReader
from shardyfusion.vector.reader import ShardedVectorReader

NAME = "composite-sqlitekv-lance-cosine"
BY_TENANT = {
    "strategy": "cel",
    "hash_algorithm": "xxh3_64",
    "cel_expr": "tenant",
    "cel_columns": {"tenant": "string"},
    "routing_values": ["a", "b", "c"],
}


@pytest.fixture
def where(tmp_path):
    """A copy, for a test to change."""
    shutil.copytree(GOLDEN / NAME / "snapshot", tmp_path / "snapshot")
    return {"s3_prefix": str(tmp_path / "snapshot"), "local_root": str(tmp_path / "cache")}


@pytest.fixture
def query():
    return np.load(GOLDEN / NAME / "queries.npy")[0]


@pytest.fixture
def expected():
    """Ids of the ten nearest, over all shards."""
    cases = json.loads((GOLDEN / NAME / "expected.json").read_text())["cases"]
    return [result["id"] for result in next(c for c in cases if c["query"] == 0 and c["top_k"] == 10)["results"]]


def shard_keys_by_tenant(tmp_path):
    with sqlite3.connect(next((tmp_path / "snapshot").glob("manifests/*/manifest"))) as db:
        db.execute("UPDATE build_meta SET sharding = ?", (json.dumps(BY_TENANT),))


@pytest.mark.parametrize("preload", [False, True])
async def test_vectors_beside_key_value_data_are_searched(where, query, expected, preload):
    async with await AsyncShardedVectorReader.open(**where, preload_shards=preload) as reader:
        assert [result.id for result in await reader.search(query)] == expected
        assert reader.route_vector(query) == [0, 1, 2]
        with pytest.raises(ConfigValidationError, match="routing_context"):
            await reader.search(query, routing_context={"tenant": "a"})


async def test_the_backend_can_be_fixed_to_the_one_there_is(where, query, expected):
    async with await AsyncShardedVectorReader.open(**where, reader_factory=AsyncLanceDbReaderFactory()) as reader:
        assert [result.id for result in await reader.search(query)] == expected
    async with await AsyncShardedVectorReader.open(**where, reader_factory=AsyncSqliteVecReaderFactory()) as reader:
        with pytest.raises(DbAdapterError, match="shard_format lance, as the manifest's backend says, found sqlite-vec"):
            await reader.search(query)


def test_the_synchronous_reader_takes_the_context_of_a_key(where, query, expected, tmp_path):
    shard_keys_by_tenant(tmp_path)
    with ShardedVectorReader(**where) as reader:
        assert [result.id for result in reader.search(query)] == expected
        response = reader.search(query, routing_context={"tenant": "b"})
        assert response.num_shards_queried == 1
        assert [result.id for result in response] == [result.id for result in reader.search(query, shard_ids=[1])]
        assert reader.route_vector(query, routing_context={"tenant": "c"}) == [2]
        with pytest.raises(UnknownRoutingTokenError):
            reader.search(query, routing_context={"tenant": "d"})
