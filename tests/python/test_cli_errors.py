"""What can be wrong with a snapshot or a question: each error by its name, with the object named, nothing printed."""

import json
import os
import random
import shutil

import numpy as np
import pytest
import snapshot_builder as builder
from conftest import assert_exact

sqlite3 = builder.sqlite3


def execute(path, *statements):
    """SQL against a manifest or a shard; `writable_schema` and all."""
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(*statement) if isinstance(statement, tuple) else db.executescript(statement)
    db.commit()
    db.close()


def change_json(path, column, change):
    db = sqlite3.connect(path)
    value = json.loads(db.execute(f"SELECT {column} FROM build_meta").fetchone()[0])
    change(value)
    db.execute(f"UPDATE build_meta SET {column} = ?", (json.dumps(value),))
    db.commit()
    db.close()


# -------------------------------------------------------------------------------------------------------------- Pointer


def test_no_current_is_a_reader_state_error(cli, tmp_path):
    cli.fails("ReaderStateError", "info", tmp_path, names=["_CURRENT"])


def test_no_root_is_a_reader_state_error(cli, tmp_path):
    cli.fails("ReaderStateError", "info", tmp_path / "nowhere", names=["_CURRENT"])


POINTERS = {
    "empty": "",
    "not JSON": "{",
    "not an object": "[]",
    "no manifest_ref": '{"run_id": "r", "format_version": 1}',
    "manifest_ref not a string": '{"manifest_ref": 3, "run_id": "r", "format_version": 1}',
    "binary": "\u0000\u0001\u0002",
}


@pytest.mark.parametrize("text", POINTERS.values(), ids=POINTERS.keys())
def test_a_malformed_pointer_is_a_manifest_parse_error(cli, snapshot, text):
    (snapshot.root / "_CURRENT").write_text(text)
    cli.fails("ManifestParseError", "info", snapshot.root, names=["_CURRENT"])


# ------------------------------------------------------------------------------------------------------------- Manifest


def set_meta(column, value):
    return lambda path: execute(path, (f"UPDATE build_meta SET {column} = ?", (value,)))


def set_shard(column, value):
    return lambda path: execute(
        path, "PRAGMA ignore_check_constraints = 1", (f"UPDATE shards SET {column} = ? WHERE db_id = 1", (value,))
    )


def set_sharding(**changes):
    return lambda path: change_json(path, "sharding", lambda sharding: sharding.update(changes))


def drop_sharding(name):
    return lambda path: change_json(path, "sharding", lambda sharding: sharding.pop(name))


def duplicate_shard(path):
    execute(
        path,
        "ALTER TABLE shards RENAME TO old; CREATE TABLE shards AS SELECT * FROM old; DROP TABLE old;"
        "INSERT INTO shards SELECT * FROM shards WHERE db_id = 1; DELETE FROM shards WHERE db_id = 0",
    )


CEL = {"strategy": "cel", "cel_expr": "x", "cel_columns": {"x": "int"}}
MALFORMED = {
    "empty": lambda path: path.write_bytes(b""),
    "no magic": lambda path: path.write_bytes(b"not a database at all" * 1000),
    "magic only": lambda path: path.write_bytes(b"SQLite format 3\0"),
    "truncated": lambda path: os.truncate(path, 4096),
    "truncated by one": lambda path: os.truncate(path, path.stat().st_size - 1),
    "no build_meta table": lambda path: execute(path, "DROP TABLE build_meta"),
    "no shards table": lambda path: execute(path, "DROP TABLE shards"),
    "no build_meta row": lambda path: execute(path, "DELETE FROM build_meta"),
    "a column missing": lambda path: execute(path, "ALTER TABLE build_meta DROP COLUMN sharding"),
    "format_version 3": set_meta("format_version", 3),
    "format_version 5": set_meta("format_version", 5),
    "num_dbs 0": set_meta("num_dbs", 0),
    "num_dbs negative": set_meta("num_dbs", -1),
    "fewer num_dbs than shards": set_meta("num_dbs", 3),
    "num_dbs not a number": set_meta("num_dbs", "many"),
    "db_id out of range": set_shard("db_id", 4),
    "db_id negative": set_shard("db_id", -1),
    "db_id twice": duplicate_shard,
    "row_count negative": set_shard("row_count", -1),
    "db_bytes negative": set_shard("db_bytes", -5),
    "attempt negative": set_shard("attempt", -1),
    "sharding not JSON": set_meta("sharding", "{"),
    "sharding not an object": set_meta("sharding", "[]"),
    "custom not JSON": set_meta("custom", "{'vector'"),
    "writer_info not JSON": set_shard("writer_info", "{"),
    "min_key not JSON": set_shard("min_key", "{"),
    "max_key not JSON": set_shard("max_key", "nope"),
    "no strategy": drop_sharding("strategy"),
    "no hash_algorithm": drop_sharding("hash_algorithm"),
    "another hash_algorithm": set_sharding(hash_algorithm="md5"),
    "CEL without an expression": set_sharding(**CEL | {"cel_expr": None}),
    "CEL without columns": set_sharding(**CEL | {"cel_columns": None}),
    "CEL with too few values": set_sharding(**CEL, routing_values=["a"]),
    "CEL with no values": set_sharding(**CEL, routing_values=[]),
    "hash with an expression": set_sharding(cel_expr="x"),
    "hash with columns": set_sharding(cel_columns={"x": "int"}),
    "hash with values": set_sharding(routing_values=["a", "b", "c", "d"]),
}


@pytest.mark.parametrize("damage", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_manifest_is_a_manifest_parse_error(cli, snapshot, damage):
    damage(snapshot.manifest_path)
    cli.fails("ManifestParseError", "info", snapshot.root, names=[snapshot.run_id])


def test_a_manifest_that_is_missing_fails_and_is_named(cli, snapshot):
    snapshot.manifest_path.unlink()
    done = cli.run("info", snapshot.root)
    assert done.returncode == 1
    assert done.stdout == ""
    assert snapshot.run_id in done.stderr


@pytest.mark.parametrize("custom", ["{}", '{"other": 1}', '{"vector": {}}', '{"vector": null}'])
def test_no_vector_metadata_is_a_reader_state_error(cli, snapshot, custom):
    set_meta("custom", custom)(snapshot.manifest_path)
    cli.fails("ReaderStateError", "info", snapshot.root, names=["vector"])


def test_unknown_keys_are_ignored(cli, snapshot, query_text):
    change_json(snapshot.manifest_path, "custom", lambda custom: custom["vector"].update(later={"a": [1]}))
    change_json(snapshot.manifest_path, "sharding", lambda sharding: sharding.update(later=1))
    cli.one("search", snapshot.root, "--query", query_text)


def flip(data, rng):
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


@pytest.mark.parametrize("seed", range(40))
def test_a_manifest_with_flipped_bits_opens_or_fails_by_name(cli, snapshot, seed):
    data = snapshot.manifest_path.read_bytes()
    snapshot.manifest_path.write_bytes(flip(data, random.Random(seed)))
    done = cli.run("shards", snapshot.root)
    if done.returncode == 0:
        assert len(done.stdout.splitlines()) >= 1
    else:
        assert done.returncode == 1
        assert done.stdout == ""
        assert "Error: " in done.stderr


# ------------------------------------------------------------------------------------------------------------- Fallback


@pytest.fixture
def five_runs(tmp_path):
    return [
        builder.publish(
            tmp_path / "s",
            [builder.Shard([number], np.ones((1, 4)))],
            timestamp=f"2026-01-0{number + 1}T00:00:00.000000Z",
            run_id=f"run-{number}",
        )
        for number in range(5)
    ]


def spoil(*runs):
    for run in runs:
        run.manifest_path.write_bytes(b"spoilt")


def test_a_malformed_manifest_falls_back_to_the_newest_older_one(cli, five_runs):
    spoil(five_runs[4])
    assert cli.one("info", five_runs[0].root)["run_id"] == "run-3"
    answer = cli.search(five_runs[0].root, [1, 1, 1, 1], "--shard-ids", "0")
    assert answer["results"][0]["id"] == 3


def test_fallback_tries_three_others(cli, five_runs):
    spoil(*five_runs[2:])
    assert cli.one("info", five_runs[0].root)["run_id"] == "run-1"
    spoil(five_runs[1])
    cli.fails("ManifestParseError", "info", five_runs[0].root, names=["run-4"])
    assert cli.one("info", five_runs[0].root, "--max-fallback-attempts", 4)["run_id"] == "run-0"


def test_fallback_can_be_turned_off(cli, five_runs):
    spoil(five_runs[4])
    cli.fails("ManifestParseError", "info", five_runs[0].root, "--max-fallback-attempts", 0, names=["run-4"])


def test_the_first_error_is_raised_when_nothing_parses(cli, five_runs):
    spoil(*five_runs)
    cli.fails("ManifestParseError", "info", five_runs[0].root, "--max-fallback-attempts", 10, names=["run-4"])


def test_a_pointer_to_an_older_manifest_is_served(cli, five_runs):
    builder.write_current(five_runs[0].root, five_runs[1].manifest_ref, "run-1", "2026-01-02T00:00:00.000000Z")
    assert cli.one("info", five_runs[0].root)["run_id"] == "run-1"


# ----------------------------------------------------------------------------------------------------------- Relocation


def test_a_snapshot_that_was_moved_opens(cli, snapshot, queries, tmp_path):
    moved = tmp_path / "moved" / "else where"
    moved.parent.mkdir()
    shutil.move(snapshot.root, moved)
    assert_exact(cli.search(moved, queries[0]), snapshot.search(queries[0]))
    assert cli.run("verify", moved).returncode == 0


def test_a_reference_does_not_lead_out_of_the_root(cli, snapshot, query_text):
    outside = snapshot.root.parent / "outside"
    shutil.copytree(snapshot.shard_folder(0), outside)
    set_shard("db_url", f"{snapshot.s3_prefix}/../outside")(snapshot.manifest_path)
    done = cli.run("search", snapshot.root, "--query", query_text, "--num-probes", 4)
    assert done.returncode == 1
    assert done.stdout == ""


# ------------------------------------------------------------------------------------------------------------ Artifacts


@pytest.fixture
def hashed(tmp_path):
    return builder.random_snapshot(tmp_path / "hashed", seed=7, strategy="lsh")


def truncate(path):
    os.truncate(path, path.stat().st_size - 4)


ARTIFACT_DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": truncate,
    "not npy": lambda path: path.write_bytes(b"x" * 500),
    "one row too few": lambda path: np.save(path, np.load(path)[:-1]),
    "one column too few": lambda path: np.save(path, np.load(path)[:, :-1]),
    "transposed": lambda path: np.save(path, np.load(path).T),
    "one dimension": lambda path: np.save(path, np.load(path).ravel()),
    "complex numbers": lambda path: np.save(path, np.load(path).astype(np.complex64)),
    "text": lambda path: np.save(path, np.load(path).astype("U8")),
    "Python objects": lambda path: np.save(path, np.load(path).astype(object)),
    "a structured type": lambda path: np.save(path, np.load(path).view([("x", "<f4")])),
}


@pytest.mark.parametrize("damage", ARTIFACT_DAMAGE.values(), ids=ARTIFACT_DAMAGE.keys())
def test_centroids_that_do_not_hold_are_a_reader_state_error(cli, snapshot, damage):
    damage(snapshot.artifact("centroids"))
    cli.fails("ReaderStateError", "info", snapshot.root, names=["centroids"])


@pytest.mark.parametrize("damage", ARTIFACT_DAMAGE.values(), ids=ARTIFACT_DAMAGE.keys())
def test_hyperplanes_that_do_not_hold_are_a_reader_state_error(cli, hashed, damage):
    damage(hashed.artifact("hyperplanes"))
    cli.fails("ReaderStateError", "info", hashed.root, names=["hyperplanes"])


def test_a_needed_reference_that_is_absent_is_a_reader_state_error(cli, snapshot, hashed):
    change_json(snapshot.manifest_path, "custom", lambda custom: custom["vector"].pop("centroids_ref"))
    cli.fails("ReaderStateError", "info", snapshot.root, names=["centroids"])
    change_json(hashed.manifest_path, "custom", lambda custom: custom["vector"].pop("hyperplanes_ref"))
    cli.fails("ReaderStateError", "info", hashed.root, names=["hyperplanes"])


def test_an_artifact_that_is_not_needed_is_not_missed(cli, tmp_path):
    snapshot = builder.random_snapshot(tmp_path / "s", seed=7, strategy="explicit", centroids=np.ones((4, 16), "f4"))
    snapshot.artifact("centroids").unlink()
    assert cli.one("info", snapshot.root)["sharding"] == "explicit"


DTYPES = [order + kind for order in "<>" for kind in ("f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8")]


@pytest.mark.parametrize("dtype", [*DTYPES, "i1", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("strategy", ["cluster", "lsh"])
def test_artifacts_of_all_types_and_orders_route_as_numpy_does(
    cli, snapshot, hashed, queries, tmp_path, dtype, order, strategy
):
    snapshot, name = (snapshot, "centroids") if strategy == "cluster" else (hashed, "hyperplanes")
    path = snapshot.artifact(name)
    values = np.round(np.load(path).astype("f8") * 20)
    values = np.abs(values) if np.dtype(dtype).kind in "ub" else values
    np.save(path, np.array(values, dtype=dtype, order=order))
    setattr(snapshot, name, np.load(path).astype("f8"))
    np.save(tmp_path / "q.npy", queries)
    lines = cli.lines("route", snapshot.root, "--query-file", tmp_path / "q.npy", "--num-probes", 4)
    assert [line["route"] for line in lines] == [snapshot.route(query, num_probes=4) for query in queries]


# --------------------------------------------------------------------------------------------------------------- Shards


def search_all(cli, snapshot, query_text, *arguments):
    return ["search", snapshot.root, "--query", query_text, "--shard-ids", "0,1,2,3", "--top-k", 1000, *arguments]


SCHEMA = "PRAGMA writable_schema = 1;"
SHARD_DAMAGE = {
    "missing": lambda path: path.unlink(),
    "missing folder": lambda path: shutil.rmtree(path.parent),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "empty": lambda path: path.write_bytes(b""),
    "not a database": lambda path: path.write_bytes(b"x" * 20_000),
    "no chunks": lambda path: execute(path, "DROP TABLE vec_index_chunks"),
    "no vectors": lambda path: execute(path, "DROP TABLE vec_index_vector_chunks00"),
    "vectors gone": lambda path: execute(path, "DELETE FROM vec_index_vector_chunks00"),
    "vectors too short": lambda path: execute(
        path, "UPDATE vec_index_vector_chunks00 SET vectors = substr(vectors, 1, length(vectors) - 4)"
    ),
    "vectors too long": lambda path: execute(
        path, "UPDATE vec_index_vector_chunks00 SET vectors = CAST(vectors || x'00000000' AS BLOB)"
    ),
    "vectors empty": lambda path: execute(path, "UPDATE vec_index_vector_chunks00 SET vectors = x''"),
    "vectors a number": lambda path: execute(path, "UPDATE vec_index_vector_chunks00 SET vectors = 7"),
    "validity too short": lambda path: execute(path, "UPDATE vec_index_chunks SET validity = x'ff'"),
    "validity too long": lambda path: execute(path, "UPDATE vec_index_chunks SET validity = zeroblob(129)"),
    "rowids too short": lambda path: execute(path, "UPDATE vec_index_chunks SET rowids = x'0000'"),
    "rowids a text": lambda path: execute(path, "UPDATE vec_index_chunks SET rowids = 'text'"),
    "size zero": lambda path: execute(path, "UPDATE vec_index_chunks SET size = 0"),
    "size negative": lambda path: execute(path, "UPDATE vec_index_chunks SET size = -1024"),
    "size huge": lambda path: execute(path, "UPDATE vec_index_chunks SET size = 9223372036854775807"),
    "chunks a view": lambda path: execute(
        path,
        "ALTER TABLE vec_index_chunks RENAME TO c;"
        "CREATE VIEW vec_index_chunks AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT i AS chunk_id, size, validity, rowids FROM n, c",
    ),
    "vectors a view": lambda path: execute(
        path,
        "ALTER TABLE vec_index_vector_chunks00 RENAME TO v;"
        "CREATE VIEW vec_index_vector_chunks00 AS SELECT rowid AS rowid, randomblob(65536) AS vectors FROM v",
    ),
    "a column missing": lambda path: execute(
        path, "DROP TABLE vec_index_chunks; CREATE TABLE vec_index_chunks(chunk_id INTEGER PRIMARY KEY, size INTEGER)"
    ),
    "id not JSON": lambda path: execute(path, "UPDATE vec_id_map SET original_id = '{'"),
    "id without a value": lambda path: execute(path, """UPDATE vec_id_map SET original_id = '{"t": "int"}'"""),
    "id without a type": lambda path: execute(path, """UPDATE vec_id_map SET original_id = '{"v": 1}'"""),
    "id of an unknown type": lambda path: execute(
        path, """UPDATE vec_id_map SET original_id = '{"v": 1, "t": "float"}'"""
    ),
    "id not of its type": lambda path: execute(
        path, """UPDATE vec_id_map SET original_id = '{"v": "a", "t": "int"}'"""
    ),
    "id out of range": lambda path: execute(
        path, """UPDATE vec_id_map SET original_id = '{"v": 9223372036854775808, "t": "int"}'"""
    ),
}


@pytest.mark.parametrize("damage", SHARD_DAMAGE.values(), ids=SHARD_DAMAGE.keys())
def test_a_shard_that_does_not_hold_is_a_db_adapter_error(cli, snapshot, query_text, damage):
    damage(snapshot.shard_file(2))
    cli.fails("DbAdapterError", *search_all(cli, snapshot, query_text), names=[snapshot.shard_url(2)])


def test_a_shard_of_another_dimension_is_a_db_adapter_error(cli, snapshot, query_text):
    snapshot.shard_file(2).unlink()
    builder.write_shard(snapshot.shard_file(2), builder.Shard([1, 2], np.ones((2, 8))), "cosine")
    cli.fails("DbAdapterError", *search_all(cli, snapshot, query_text), names=[snapshot.shard_url(2)])


def test_other_shards_are_still_searched(cli, snapshot, queries):
    snapshot.shard_file(2).unlink()
    answer = cli.search(snapshot.root, queries[0], "--shard-ids", "0,1,3")
    assert_exact(answer, snapshot.search(queries[0], shard_ids=[0, 1, 3]))


def assert_exact_or_refused(cli, snapshot, query, query_text):
    """Never a wrong answer, a crash or a partial line."""
    done = cli.run(*search_all(cli, snapshot, query_text))
    assert done.returncode in (0, 1), (done.returncode, done.stderr)
    if done.returncode == 0:
        assert_exact(json.loads(done.stdout), snapshot.search(query, 1000, shard_ids=[0, 1, 2, 3]))
    else:
        assert done.stdout == ""
        assert "DbAdapterError" in done.stderr
        assert snapshot.shard_url(2) in done.stderr


@pytest.mark.parametrize("tenths", range(0, 10))
def test_a_truncated_shard_is_a_db_adapter_error(cli, snapshot, query_text, tenths):
    path = snapshot.shard_file(2)
    length = path.stat().st_size
    for cut in (length * tenths // 10, length * tenths // 10 + 1, (length * tenths // 10 + 4096) // 4096 * 4096 - 4096):
        shutil.copy(path, path.parent / "whole")
        os.truncate(path, cut)
        cli.fails("DbAdapterError", *search_all(cli, snapshot, query_text), names=[snapshot.shard_url(2)])
        shutil.move(path.parent / "whole", path)


@pytest.mark.parametrize("seed", range(60))
def test_a_shard_with_flipped_bits_in_page_headers_is_refused_or_exact(cli, snapshot, queries, query_text, seed):
    path = snapshot.shard_file(2)
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    pages = len(data) // 4096
    for _ in range(rng.randint(1, 3)):
        page = rng.randrange(pages)
        # Only what orders the pages, not the vectors, ids and payloads that lie behind it. Overflow pages of the
        # vectors begin with the number of the next page.
        first = 16 if page == 0 else 0
        span = 96 if page == 0 else 4
        data[page * 4096 + first + rng.randrange(span)] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    assert_exact_or_refused(cli, snapshot, queries[0], query_text)


@pytest.mark.parametrize("seed", range(60))
def test_a_shard_with_random_bytes_overwritten_never_crashes(cli, snapshot, query_text, seed):
    path = snapshot.shard_file(2)
    rng = random.Random(1000 + seed)
    data = bytearray(path.read_bytes())
    start = rng.randrange(len(data))
    data[start : start + rng.choice([1, 16, 512])] = rng.randbytes(rng.choice([1, 16, 512]))
    path.write_bytes(data)
    for arguments in (search_all(cli, snapshot, query_text), ["verify", snapshot.root]):
        done = cli.run(*arguments)
        assert done.returncode in (0, 1), (done.returncode, done.stderr)
        for line in done.stdout.splitlines():
            json.loads(line)


def test_a_shard_without_a_payload_table_has_no_payloads_or_is_refused(cli, snapshot, query_text):
    execute(snapshot.shard_file(2), "DROP TABLE vec_payloads")
    done = cli.run(*search_all(cli, snapshot, query_text))
    assert done.returncode in (0, 1)
    if done.returncode == 1:
        assert "DbAdapterError" in done.stderr


# ------------------------------------------------------------------------------------------------------------ Questions


@pytest.mark.parametrize("query", ["[]", "[1]", "[" + "1," * 16 + "1]"])
def test_a_query_of_another_dimension_is_a_config_validation_error(cli, shared_snapshot, query):
    cli.fails("ConfigValidationError", "search", shared_snapshot.root, "--query", query, names=["16"])
    cli.fails("ConfigValidationError", "route", shared_snapshot.root, "--query", query, names=["16"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_query_that_is_not_finite_is_a_config_validation_error(cli, shared_snapshot, tmp_path, value):
    query = np.ones(16)
    query[5] = value
    np.save(tmp_path / "q.npy", query)
    cli.fails("ConfigValidationError", "search", shared_snapshot.root, "--query-file", tmp_path / "q.npy")


def test_a_component_that_float32_cannot_hold_is_a_config_validation_error(cli, shared_snapshot):
    query = "[" + "1," * 15 + "1e39]"
    cli.fails("ConfigValidationError", "search", shared_snapshot.root, "--query", query)


@pytest.mark.parametrize("option", ["--top-k", "--num-probes"])
@pytest.mark.parametrize("value", [0, -1, -(2**63)])
def test_counts_below_one_are_config_validation_errors(cli, shared_snapshot, query_text, option, value):
    cli.fails("ConfigValidationError", "search", shared_snapshot.root, "--query", query_text, option, value)


def test_a_huge_top_k_gives_all_rows(cli, shared_snapshot, query_text):
    line = cli.one(
        "search", shared_snapshot.root, "--query", query_text, "--top-k", 2**63 - 1, "--num-probes", 2**63 - 1
    )
    assert len(line["results"]) == 200


def test_explicit_without_shard_ids_is_a_config_validation_error(cli, tmp_path):
    snapshot = builder.random_snapshot(tmp_path / "s", seed=7, strategy="explicit")
    cli.fails("ConfigValidationError", "search", snapshot.root, "--query", "[" + "1," * 15 + "1]", names=["shard_ids"])


@pytest.fixture
def tenants(tmp_path):
    return builder.random_snapshot(tmp_path / "tenants", seed=7, strategy="cel")


def cel_search(snapshot, context):
    options = [] if context is None else ["--routing-context", context]
    return ["search", snapshot.root, "--query", "[" + "1," * 15 + "1]", *options]


@pytest.mark.parametrize("context", [None, "{}", "[]", "3", '{"other": "t1"}', '{"token": 1}', '{"token": null}'])
def test_a_routing_context_that_does_not_fit_is_a_config_validation_error(cli, tenants, context):
    cli.fails("ConfigValidationError", *cel_search(tenants, context))


def test_an_unknown_token_is_an_unknown_routing_token_error(cli, tenants):
    cli.fails("UnknownRoutingTokenError", *cel_search(tenants, '{"token": "t99"}'), names=["t99"])


@pytest.mark.parametrize("expression", ["token ==", "1.5", "token > 'a'", "[token]", "nope", "1 / 0", "token.nope()"])
def test_bad_cel_is_a_config_validation_error(cli, tmp_path, expression):
    cel = {"cel_expr": expression, "cel_columns": {"token": "string"}}
    snapshot = builder.random_snapshot(tmp_path / "s", seed=7, strategy="cel", cel=cel)
    cli.fails("ConfigValidationError", *cel_search(snapshot, '{"token": "t1"}'))


@pytest.mark.parametrize("content", [b"", b"not an array", b"\x93NUMPY\x01\x00"])
def test_a_query_file_that_is_no_array_is_a_config_validation_error(cli, shared_snapshot, tmp_path, content):
    (tmp_path / "q.npy").write_bytes(content)
    cli.fails(
        "ConfigValidationError", "search", shared_snapshot.root, "--query-file", tmp_path / "q.npy", names=["q.npy"]
    )


def test_a_query_file_that_is_missing_fails_and_is_named(cli, shared_snapshot, tmp_path):
    cli.fails(
        "ShardyfusionError", "search", shared_snapshot.root, "--query-file", tmp_path / "nowhere.npy", names=["nowhere"]
    )
