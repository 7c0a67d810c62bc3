"""Writes by each engine while things go wrong at random: afterwards the old snapshot is live, or a whole new one. `make soak` runs this.

SHARDYFUSION_ENGINE_ROUNDS is how often each thing goes wrong, SHARDYFUSION_SEED where."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import ray
from distributed import get_client
from fault_proxy import FaultProxy, FaultyFifth
from faulty_engine import FaultyEngine
from rows import BACKENDS, STRATEGIES, check_answers, columns, config, open_reader, table, vectors_of
from shardyfusion.credentials import StaticCredentialProvider
from shardyfusion.errors import ReaderStateError, ShardyfusionError
from shardyfusion.writer import _driver, _worker
from store import ACCESS_KEY, SECRET_KEY, RunningOutCredentials, connection
from test_dask import engine as dask_engine  # noqa: F401
from test_ray import engine as ray_engine  # noqa: F401
from test_spark import engine as spark_engine  # noqa: F401

ROUNDS = int(os.environ.get("SHARDYFUSION_ENGINE_ROUNDS", "2"))
SEED = int(os.environ.get("SHARDYFUSION_SEED", "1"))
PROGRAM = Path(__file__).resolve().parent / "killed_engine.py"
ROWS = 300


def live_seed(root, candidates, cache, **options):
    """Which of the seeds' rows are live: all of them have to be there."""
    with open_reader(root, cache, **options) as reader:
        (found,) = reader.fetch(["123"], include_vectors=True)
    for seed in candidates:
        rows = table(ROWS, seed)
        if np.array_equal(np.asarray(found.vector), vectors_of(rows)[123]):
            check_answers(root, rows, cache, **options)
            return seed
    raise AssertionError(f"the live snapshot is none of those of the seeds {candidates}")


class Soak:
    def test_a_task_is_killed_or_all_run_twice(self, engine, tmp_path):
        chance = random.Random(SEED)
        for number in range(ROUNDS):
            kind, phase = chance.choice(["killed", "killed", "twice"]), chance.choice(["partition", "task"])
            strategy, backend = chance.choice(STRATEGIES), chance.choice(list(BACKENDS))
            chosen = chance.randrange(3)
            print(f"round {number}: {kind} {phase} {chosen}, {strategy}, {backend}")
            folder = tmp_path / str(number)
            (folder / "calls").mkdir(parents=True)
            rows = table(ROWS, number)
            faulty = FaultyEngine(engine.wrap(engine.frame(rows)), kind, folder / "calls", phase, chosen)
            result = _driver.write(faulty, config(folder / "root", strategy, backend), columns(strategy), None)
            assert check_answers(folder / "root", rows, folder) == result.run_id

    def test_a_task_is_delayed_past_the_end_of_the_driver(self, engine, tmp_path):
        for number in range(ROUNDS):
            folder = tmp_path / str(number)
            folder.mkdir()
            rows = table(ROWS, number)
            wrapped = engine.wrap(engine.frame(rows))
            kept = FaultyEngine(wrapped, "kept", folder)
            _driver.write(kept, config(folder / "root", "lsh"), columns("lsh"), None)
            function, task = kept.kept("task")
            (partition,) = kept.kept("partition")
            for outcome in wrapped.run(function, [task], "late") + wrapped.map_partitions(
                ["vec", "id", "colour", "size"], partition, "late"
            ):
                with pytest.raises(ReaderStateError, match="ended"):
                    _worker.received(outcome)
            check_answers(folder / "root", rows, folder)

    def test_the_driver_is_killed(self, engine, address, tmp_path):
        root = tmp_path / "root"
        chance = random.Random(SEED)
        took = self.write_in_a_process(engine, address, root, 0, None)
        live = 0
        for seed in range(1, 1 + ROUNDS):
            delay = chance.uniform(0, took)
            print(f"round {seed}: killed after {delay:.3f} s of {took:.3f} s")
            self.write_in_a_process(engine, address, root, seed, delay)
            live = live_seed(root, (live, seed), tmp_path / f"cache-{seed}")
        command = [sys.executable, "-m", "shardyfusion", "cleanup", str(root), "--older-than", "0", "--delete"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        assert live_seed(root, (live,), tmp_path / "last") == live

    @staticmethod
    def write_in_a_process(engine, address, root, seed, delay):
        """Seconds that it took, unless it was killed after a delay."""
        name = engine.wrap.name
        command = [sys.executable, str(PROGRAM), name, address, str(root), str(seed), str(ROWS)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert "ready\n" in process.stdout  # reads up to it: engines may print before
            began = time.monotonic()
            if delay is None:
                assert process.stdout.readline() == "written\n"
                return time.monotonic() - began
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
        return None

    def test_workers_run_out_of_credentials(self, engine, moto, tmp_path):
        keys = StaticCredentialProvider(ACCESS_KEY, SECRET_KEY)
        root = f"s3://bucket/out-{engine.wrap.__name__}"
        given = config(root, "lsh")
        given.storage.credential_provider, given.storage.s3_connection_options = keys, connection(moto.port)
        engine.write(engine.frame(table(ROWS, 0)), given, columns("lsh"))
        direct = {"credential_provider": keys, "s3_connection_options": connection(moto.port)}
        live, failed = 0, 0
        chance = random.Random(SEED)
        for seed in range(1, 1 + ROUNDS):
            folder = tmp_path / str(seed)
            folder.mkdir()
            given.storage.credential_provider = RunningOutCredentials(os.getpid(), str(folder), chance.randrange(12))
            expected = (seed,)
            try:
                engine.write(engine.frame(table(ROWS, seed)), given, columns("lsh"))
            except ShardyfusionError:
                failed, expected = failed + 1, (live,)
            live = live_seed(root, expected, folder / "cache", **direct)
        print(f"{failed} of {ROUNDS} writes failed")

    def test_a_store_fails_one_request_in_five(self, engine, moto, tmp_path):
        keys = StaticCredentialProvider(ACCESS_KEY, SECRET_KEY)
        root = f"s3://bucket/fifth-{engine.wrap.__name__}"
        direct = {"credential_provider": keys, "s3_connection_options": connection(moto.port)}
        live = None
        for seed in range(ROUNDS):
            with FaultProxy(moto.port) as proxy:
                proxy.choose = FaultyFifth(SEED + seed, ("refused", "503", "500", "truncated", "latency"))
                given = config(root, "lsh")
                given.storage.credential_provider = keys
                given.storage.s3_connection_options = connection(proxy.port) | {"read_timeout": 5.0}
                expected = (seed,)
                try:
                    engine.write(engine.frame(table(ROWS, seed)), given, columns("lsh"))
                except ShardyfusionError as error:
                    assert live is not None, error
                    expected = (live, seed)  # the last request may have been answered, and its answer lost
            live = live_seed(root, expected, tmp_path / f"cache-{seed}", **direct)


class TestSpark(Soak):
    @pytest.fixture
    def engine(self, spark_engine):  # noqa: F811
        return spark_engine

    @pytest.fixture
    def address(self):
        return "local"


class TestDask(Soak):
    @pytest.fixture
    def engine(self, dask_engine):  # noqa: F811
        return dask_engine

    @pytest.fixture
    def address(self, engine):
        return get_client().scheduler.address


class TestRay(Soak):
    @pytest.fixture
    def engine(self, ray_engine):  # noqa: F811
        return ray_engine

    @pytest.fixture
    def address(self, engine):
        return ray.get_runtime_context().gcs_address
