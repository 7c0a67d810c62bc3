"""What holds for every engine. The tests of an engine inherit these, and give a fixture `engine` with `frame`, `write`, and
`wrap`, the engine's own adapter."""

import os

import numpy as np
import pyarrow as pa
import pytest
from store import ACCESS_KEY, SECRET_KEY, DriverOnlyCredentials, connection

from rows import (
    BACKENDS,
    COLOURS,
    DIM,
    STRATEGIES,
    check_answers,
    columns,
    config,
    objects_below,
    open_reader,
    shards_of,
    table,
    vectors_of,
)
from fault_proxy import FaultProxy, FaultyFifth
from faulty_engine import FaultyEngine
from shardyfusion.credentials import StaticCredentialProvider
from shardyfusion.errors import ConfigValidationError, ShardyfusionError
from shardyfusion.vector.writer import write_sharded
from shardyfusion.writer import _driver


def bad_rows():
    """(what is wrong, how to make a column wrong, strategy, what the message says)."""

    def vector(value):
        return lambda rows: replace(rows, "vec", 250, value, pa.list_(pa.float32()))

    yield "dimension", vector([1.0, 2.0]), "cluster", ["id 250", "expected 8 components, found 2"]
    yield "null vector", vector(None), "lsh", ["id 250", "found null"]
    yield "not finite", vector([float("inf")] * DIM), "lsh", ["id 250", "finite"]
    yield "null id", lambda rows: replace(rows, "id", 250, None, pa.int64()), "explicit", ["found null"]
    yield "shard out of range", lambda rows: replace(rows, "shard", 250, 9, pa.int64()), "explicit", ["id 250", "0 to 3, found 9"]
    yield "unknown token", lambda rows: replace(rows, "tenant", 250, "t9", pa.string()), "cel", ["id 250", "t9"]


def replace(rows, name, row, value, kind):
    values = rows.column(name).to_pylist()
    values[row] = value
    return rows.set_column(rows.column_names.index(name), name, pa.array(values, kind))


class EngineCases:
    @pytest.mark.essential
    @pytest.mark.parametrize("backend", BACKENDS)
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_a_snapshot_has_all_rows_and_the_answers_of_brute_force(self, engine, strategy, backend, tmp_path):
        rows = table()
        root = tmp_path / "root"
        result = engine.write(engine.frame(rows), config(root, strategy, backend), columns(strategy))
        assert result.stats.rows_written == rows.num_rows
        assert check_answers(root, rows, tmp_path) == result.run_id
        left = [path for path in objects_below(root) if "partitions/" in path]
        assert left == []
        databases = [path for path in objects_below(root) if path.endswith("shard.db")]
        sidecars = [path for path in objects_below(root) if path.endswith("shard.sidecar")]
        assert len(databases) == len(sidecars) == (len(result.winners) if backend == "sqlite-vec" else 0)

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_rows_go_to_the_shards_that_one_machine_puts_them_in(self, engine, strategy, tmp_path):
        rows = table()
        ids = [str(i) for i in range(rows.num_rows)]
        engine.write(engine.frame(rows), config(tmp_path / "engine", strategy), columns(strategy))
        write_sharded(rows, config(tmp_path / "alone", strategy), columns(strategy))
        found = shards_of(tmp_path / "engine", ids, tmp_path / "a")
        assert len(found) == rows.num_rows
        assert found == shards_of(tmp_path / "alone", ids, tmp_path / "b")

    @pytest.mark.parametrize(("change", "strategy", "said"), [case[1:] for case in bad_rows()], ids=[case[0] for case in bad_rows()])
    def test_a_bad_row_ends_the_run_before_anything_is_published(self, engine, change, strategy, said, tmp_path):
        root = tmp_path / "root"
        rows = table(300)
        live = engine.write(engine.frame(rows), config(root, strategy), columns(strategy)).run_id
        before = objects_below(root)
        with pytest.raises((ConfigValidationError, ShardyfusionError)) as failure:
            engine.write(engine.frame(change(rows)), config(root, strategy), columns(strategy))
        assert "partition " in str(failure.value)
        for text in said:
            assert text in str(failure.value)
        assert objects_below(root) == before
        assert check_answers(root, rows, tmp_path) == live

    def test_an_id_that_two_partitions_have_ends_the_run(self, engine, tmp_path):
        rows = replace(table(600), "id", 577, 23, pa.int64())
        with pytest.raises(ConfigValidationError, match=r"row \d+ of partition \d+: expected an id of its own, found 23, the id of row"):
            engine.write(engine.frame(rows), config(tmp_path / "root", "lsh"), columns("lsh"))
        assert objects_below(tmp_path / "root") == []

    def test_ids_can_be_strings_and_payloads_of_many_types(self, engine, tmp_path):
        rows = table(200)
        names = [f"row-{i}" for i in range(rows.num_rows)]
        rows = rows.set_column(0, "id", pa.array(names))
        rows = rows.append_column("flag", pa.array([i % 2 == 0 for i in range(200)]))
        rows = rows.append_column("none", pa.array([None if i % 2 else "x" for i in range(200)]))
        given = columns("lsh", payload_cols=["colour", "size", "flag", "none", "shard"])
        engine.write(engine.frame(rows), config(tmp_path / "root", "lsh", "sqlite-vec"), given)
        with open_reader(tmp_path / "root", tmp_path) as reader:
            found = reader.fetch(["row-0", "row-7", "row-200"])
        assert found[0].payload == {"colour": "red", "size": 0.0, "flag": True, "none": "x", "shard": 0}
        assert found[1].payload == {"colour": COLOURS[1], "size": 1.75, "flag": False, "shard": 3}
        assert found[2] is None

    def test_no_payload_columns_mean_no_payloads(self, engine, tmp_path):
        engine.write(engine.frame(table(200)), config(tmp_path / "root", "lsh"), columns("lsh", payload_cols=None))
        with open_reader(tmp_path / "root", tmp_path) as reader:
            assert reader.fetch(["3"])[0].payload is None

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"id_col": None}, "input.id_col: expected a column"),
            ({"vector_col": "other"}, "expected a column 'other'"),
            ({"payload_cols": ["colour", "shape"]}, "expected a column 'shape'"),
        ],
        ids=["no id", "no vector", "no payload"],
    )
    def test_a_missing_column_is_named(self, engine, given, said, tmp_path):
        with pytest.raises(ConfigValidationError, match=said):
            engine.write(engine.frame(table(100)), config(tmp_path / "root"), columns(**given))

    def test_a_column_that_is_called_as_the_shards_are_is_refused(self, engine, tmp_path):
        rows = table(100).append_column("_vector_db_id", pa.array([0] * 100))
        with pytest.raises(ConfigValidationError, match="shard_id_col"):
            engine.write(engine.frame(rows), config(tmp_path / "root"), columns())

    @pytest.mark.essential
    @pytest.mark.parametrize("phase", ["partition", "task"])
    @pytest.mark.parametrize("kind", ["killed", "twice"])
    def test_tasks_that_are_killed_or_run_twice_leave_every_row_once(self, engine, kind, phase, tmp_path):
        rows = table(300)
        root = tmp_path / "root"
        (tmp_path / "calls").mkdir()
        faulty = FaultyEngine(engine.wrap(engine.frame(rows)), kind, tmp_path / "calls", phase)
        result = _driver.write(faulty, config(root, "lsh"), columns("lsh"), None)
        assert check_answers(root, rows, tmp_path) == result.run_id
        attempts = {path.split("/attempt=")[0]: path.split("/")[3] for path in objects_below(root) if "/attempt=" in path}
        for path in objects_below(root):
            if "/attempt=" in path:
                assert path.split("/")[3] == attempts[path.split("/attempt=")[0]]
        assert len(attempts) == len(result.winners)

    def test_vectors_may_be_of_other_numbers(self, engine, tmp_path):
        rows = table(200)
        doubles = pa.array(vectors_of(rows).astype(np.float64).tolist(), pa.list_(pa.float64()))
        engine.write(engine.frame(rows.set_column(1, "vec", doubles)), config(tmp_path / "root", "lsh"), columns("lsh"))
        check_answers(tmp_path / "root", rows, tmp_path)

    def test_a_store_that_fails_one_request_in_five_has_a_whole_snapshot(self, engine, moto, tmp_path):
        rows = table(300)
        root = f"s3://bucket/faulty-{engine.wrap.__name__}"
        keys = StaticCredentialProvider(ACCESS_KEY, SECRET_KEY)
        with FaultProxy(moto.port) as proxy:
            proxy.choose = FaultyFifth(7, ("refused", "503", "500", "truncated", "latency"))
            proxy.add(method="GET", contains="/partitions/", corrupt_at=40, times=2)
            options = connection(proxy.port) | {"read_timeout": 5.0}
            given = config(root, "lsh")
            given.storage.credential_provider, given.storage.s3_connection_options = keys, options
            result = engine.write(engine.frame(rows), given, columns("lsh"))
            assert sum(proxy.choose.counts.values()) > 10
            assert proxy.faults[0].times == 0
        direct = {"credential_provider": keys, "s3_connection_options": connection(moto.port)}
        assert check_answers(root, rows, tmp_path, **direct) == result.run_id
        listed = moto.client().list_objects_v2(Bucket="bucket", Prefix=f"{root[12:]}/shards/")["Contents"]
        assert all("/attempt=" in found["Key"] for found in listed)
        assert {found["Key"].split("/")[4] for found in listed} == {f"attempt={shard.attempt}" for shard in result.winners}

    def test_workers_without_credentials_end_the_run_and_leave_the_live_snapshot(self, engine, moto, tmp_path):
        rows = table(300)
        root = f"s3://bucket/keys-{engine.wrap.__name__}"
        keys = StaticCredentialProvider(ACCESS_KEY, SECRET_KEY)
        given = config(root, "lsh")
        given.storage.credential_provider, given.storage.s3_connection_options = keys, connection(moto.port)
        live = engine.write(engine.frame(rows), given, columns("lsh")).run_id
        given.storage.credential_provider = DriverOnlyCredentials(os.getpid())
        with pytest.raises(ConfigValidationError, match="credentials: expected them on the worker, found none"):
            engine.write(engine.frame(table(100)), given, columns("lsh"))
        direct = {"credential_provider": keys, "s3_connection_options": connection(moto.port)}
        assert check_answers(root, rows, tmp_path, **direct) == live
