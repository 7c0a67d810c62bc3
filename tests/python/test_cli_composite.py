"""Composite snapshots: key-value data with vectors beside it, in all the ways that the two can lie."""

import json
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import snapshot_builder
from conftest import GOLDEN, assert_exact
from snapshot_builder import SHARDING, Shard

NAME = "composite-sqlitekv-lance-cosine"


class Composite:
    """A copy of the golden one, for a test to change."""

    def __init__(self, folder):
        self.folder = folder
        self.root = folder / NAME / "snapshot"
        shutil.copytree(GOLDEN / NAME, folder / NAME)

    def shards(self):
        return sorted(path.parent.parent for path in self.root.glob("shards/*/*/*/vector/vector_index.lance"))

    def change_vector(self, **changes):
        with sqlite3.connect(next(self.root.glob("manifests/*/manifest"))) as db:
            custom = json.loads(db.execute("SELECT custom FROM build_meta").fetchone()[0])
            custom["vector"] |= changes
            custom["vector"] = {key: value for key, value in custom["vector"].items() if value is not None}
            db.execute("UPDATE build_meta SET custom = ?", (json.dumps(custom),))

    def shard_keys_by(self, **sharding):
        with sqlite3.connect(next(self.root.glob("manifests/*/manifest"))) as db:
            db.execute("UPDATE build_meta SET sharding = ?", (json.dumps(SHARDING | sharding),))

    def query(self, row=0):
        return json.dumps([float(x) for x in np.load(self.folder / NAME / "queries.npy")[row]])


@pytest.fixture
def composite(tmp_path):
    return Composite(tmp_path)


def assert_answered(composite, cli_path):
    check = [sys.executable, GOLDEN / "check.py", "--cli", cli_path, "--dir", composite.folder]
    done = subprocess.run(check, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def key_value_data_are_no_database(composite):
    for shard in composite.shards():
        (shard / "shard.db").write_bytes(b"something else" * 1000)


def key_value_data_are_in_slatedb(composite):
    for shard in composite.shards():
        (shard / "shard.db").unlink()
        (shard / "shard.sidecar").unlink()
        for name in ("manifest/00000000000000000001.manifest", "wal/00000000000000000001.sst", "compacted/01.sst"):
            (shard / name).parent.mkdir(exist_ok=True)
            (shard / name).write_bytes(b"sst" * 100)


def an_empty_database_lies_beside_the_vectors(composite):
    for shard in composite.shards():
        (shard / "vector" / "shard.db").write_bytes(b"")


def vectors_of_another_kind_lie_in_the_database(composite):
    for shard in composite.shards():
        (shard / "shard.db").unlink()
        snapshot_builder.write_shard(shard / "shard.db", Shard(ids=[1], vectors=np.ones((1, 32))), "cosine")


WAYS = [
    key_value_data_are_no_database,
    key_value_data_are_in_slatedb,
    an_empty_database_lies_beside_the_vectors,
    vectors_of_another_kind_lie_in_the_database,
]


@pytest.mark.parametrize("lie", WAYS, ids=lambda lie: lie.__name__)
def test_the_backend_settles_where_vectors_are(cli, cli_path, composite, lie):
    lie(composite)
    assert_answered(composite, cli_path)
    assert {finding["status"] for finding in cli.lines("verify", composite.root)} == {"ok"}


@pytest.mark.parametrize("lie", [None, *WAYS[:3]], ids=lambda lie: lie and lie.__name__)
def test_without_a_backend_a_shard_is_looked_at(cli, cli_path, composite, lie):
    composite.change_vector(backend=None)
    if lie is not None:
        lie(composite)
    assert_answered(composite, cli_path)
    assert {finding["status"] for finding in cli.lines("verify", composite.root)} == {"ok"}


def test_a_backend_that_a_shard_has_not_is_named(cli, composite):
    composite.change_vector(backend="sqlite-vec")
    cli.fails("DbAdapterError", "search", composite.root, "--query", composite.query(), names=["shard", "vec_index"])


def test_an_unknown_backend_is_a_manifest_parse_error(cli, composite):
    composite.change_vector(backend="faiss")
    cli.fails("ManifestParseError", "info", composite.root, names=["backend", "faiss"])


def test_commands_describe_a_composite_snapshot(cli, composite):
    assert cli.one("info", composite.root)["total_vectors"] == 1500
    assert [shard["vector_count"] for shard in cli.lines("shards", composite.root)] == [517, 502, 481]
    assert cli.one("route", composite.root, "--query", composite.query())["route"] == [0, 1, 2]


def test_a_routing_context_searches_the_shard_of_its_keys(cli, composite):
    composite.shard_keys_by(
        strategy="cel", cel_expr="tenant", cel_columns={"tenant": "string"}, routing_values=list("abc")
    )
    query = ("--query", composite.query())
    expected = cli.one("search", composite.root, *query, "--shard-ids", "1")
    context = ("--routing-context", json.dumps({"tenant": "b"}))
    found = cli.one("search", composite.root, *query, *context)
    assert found["results"] == expected["results"] and found["num_shards_queried"] == 1
    assert cli.one("route", composite.root, *query, *context)["route"] == [1]
    assert cli.one("search", composite.root, *query)["num_shards_queried"] == 3
    unknown = ("--routing-context", json.dumps({"tenant": "d"}))
    cli.fails("UnknownRoutingTokenError", "search", composite.root, *query, *unknown, names=["d"])


def test_keys_sharded_by_a_number_take_a_routing_context(cli, composite):
    composite.shard_keys_by(strategy="cel", cel_expr="shard_hash(key) % 3u", cel_columns={"key": "int"})
    context = ("--routing-context", json.dumps({"key": 12}))
    expected = snapshot_builder.xxhash.xxh3_64_intdigest((12).to_bytes(8, "little")) % 3
    assert cli.one("route", composite.root, "--query", composite.query(), *context)["route"] == [expected]


def test_a_routing_context_is_refused_where_keys_are_sharded_by_hash(cli, composite):
    context = ("--routing-context", json.dumps({"tenant": "b"}))
    for command in ("search", "route"):
        cli.fails(
            "ConfigValidationError",
            command,
            composite.root,
            "--query",
            composite.query(),
            *context,
            names=["routing_context"],
        )


def unified(tmp_path, **vector):
    rng = np.random.default_rng(5)
    shards = [Shard(ids=list(range(i, 60, 3)), vectors=rng.normal(size=(20, 8))) for i in range(3)]
    changes = {"unified": True, "kv_backend": "sqlite", "sharding_strategy": None, "num_probes": None} | vector
    return snapshot_builder.publish(tmp_path / "unified", shards, vector_changes=changes)


@pytest.mark.parametrize("backend", ["sqlite-vec", None])
@pytest.mark.parametrize("deeper", [False, True], ids=["beside", "below"])
def test_vectors_in_the_database_of_key_value_data_are_searched(cli, tmp_path, backend, deeper):
    snapshot = unified(tmp_path, backend=backend)
    for db_id in range(3) if deeper else ():
        (snapshot.shard_folder(db_id) / "vector").mkdir()
        snapshot.shard_file(db_id).rename(snapshot.shard_folder(db_id) / "vector" / "shard.db")
    query = np.ones(8, np.float32)
    assert_exact(cli.search(snapshot.root, query), snapshot.search(query, shard_ids=[0, 1, 2]))
    assert {finding["status"] for finding in cli.lines("verify", snapshot.root)} == {"ok"}
