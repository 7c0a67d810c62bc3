"""What the driver does for every engine, with one that has no other processes."""

import logging
import os
import pickle
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from faulty_engine import FaultyEngine
from local_engine import LocalEngine
from rows import check_answers, columns, config, objects_below, open_reader, shards_of, table, vectors_of
from shardyfusion.errors import ConfigValidationError, ReaderStateError, ShardCoverageError
from shardyfusion.vector.writer import write_sharded
from shardyfusion.writer import _driver, _worker

HERE = Path(__file__).resolve().parent
KILLS = int(os.environ.get("SHARDYFUSION_KILLS", "20"))


def write(rows, settings, given=None):
    engine = rows if hasattr(rows, "run") else LocalEngine(rows)
    return _driver.write(engine, settings, given or columns(settings.sharding.strategy.value), None)


class TestTrainingSamples:
    def test_a_sample_does_not_depend_on_how_rows_lie_in_partitions(self, tmp_path):
        rows = table(1000)
        turned = rows.take(pa.array(np.random.default_rng(3).permutation(1000))).combine_chunks()
        turned = pa.concat_tables([turned.slice(first, 70) for first in range(0, 1000, 70)])
        ids = [str(i) for i in range(1000)]
        found = []
        for number, given in enumerate((rows, turned)):
            write(given, config(tmp_path / str(number), centroids_training_sample_size=200))
            found.append(shards_of(tmp_path / str(number), ids, tmp_path / f"cache-{number}"))
        assert found[0] == found[1]

    def test_another_seed_draws_another_sample(self):
        ids = table(1000).column("id").combine_chunks()
        assert not np.array_equal(_worker.sample_keys(ids, 1), _worker.sample_keys(ids, 2))

    def test_a_sample_is_spread_over_the_rows(self):
        ids = pa.array(range(100_000))
        taken = np.flatnonzero(_worker.sample_keys(ids, 42) < np.uint64(2**64 // 100))
        assert 800 < len(taken) < 1200
        assert np.histogram(taken, bins=10, range=(0, 100_000))[0].min() > 50

    def test_no_more_rows_are_trained_with_than_asked_for(self, tmp_path):
        engine = LocalEngine(table(1000))
        used = _driver._used_columns(config(tmp_path), columns())
        vectors = _driver._training_vectors(engine, config(tmp_path, centroids_training_sample_size=150), used)
        assert vectors.shape == (150, 8)
        known = {vector.tobytes() for vector in vectors_of(table(1000))}
        assert {vector.tobytes() for vector in vectors} <= known


class TestTasksThatReturnOtherThanExpected:
    def test_a_shard_that_nobody_wrote_is_a_coverage_error(self, tmp_path):
        class Losing(LocalEngine):
            def run(self, function, tasks, description):
                return super().run(function, tasks[1:], description)

        with pytest.raises(ShardCoverageError, match="expected a result for each of"):
            write(Losing(table(300)), config(tmp_path / "root", "lsh"))
        assert objects_below(tmp_path / "root") == []

    def test_a_partition_that_was_routed_but_not_returned_is_a_coverage_error(self, tmp_path):
        class Cutting(LocalEngine):
            def map_partitions(self, columns, function, description):
                first, *others = super().map_partitions(columns, function, description)
                routed = _worker.received(first)
                return [pickle.dumps((True, routed._replace(extents=routed.extents[40:]))), *others]

        with pytest.raises(ShardCoverageError, match="partition 0: expected extents of 100 rows"):
            write(Cutting(table(300)), config(tmp_path / "root", "lsh"))

    def test_pieces_of_other_bytes_are_refused(self, tmp_path):
        class Overwriting(LocalEngine):
            def run(self, function, tasks, description):
                for path in (tmp_path / "root").rglob("partitions/*"):
                    path.write_bytes(bytes(path.stat().st_size))
                return super().run(function, tasks, description)

        with pytest.raises(Exception, match="expected the bytes that were written"):
            write(Overwriting(table(300)), config(tmp_path / "root", "lsh"))
        assert objects_below(tmp_path / "root") == []

    def test_rows_without_an_end_are_refused(self, tmp_path):
        class Forging(LocalEngine):
            def run(self, function, tasks, description):
                forged = [task._replace(pieces=task.pieces[:32] + b"\xff" * 8 + task.pieces[40:]) for task in tasks]
                return super().run(function, forged, description)

        with pytest.raises(ConfigValidationError, match="expected pieces of whole"):
            write(Forging(table(300)), config(tmp_path / "root", "lsh"))


class TestTasksThatOutliveTheRun:
    @pytest.mark.parametrize("call", ["partition", "task"])
    def test_a_late_task_fails_and_leaves_nothing(self, call, tmp_path):
        rows = table(300)
        root = tmp_path / "root"
        (tmp_path / "calls").mkdir()
        write(FaultyEngine(LocalEngine(rows), "kept", tmp_path / "calls"), config(root, "lsh"))
        before = objects_below(root)
        function, *task = pickle.loads((tmp_path / "calls" / call).read_bytes())
        arguments = task or [iter(rows.to_batches()), 0]
        with pytest.raises(ReaderStateError, match="ended"):
            _worker.received(function(*arguments))
        assert objects_below(root) == before
        assert not list(root.rglob("partitions"))


class SlowEngine(LocalEngine):
    """Routes its first partition a second time, in a thread that has got to the middle when the driver goes on, and ends when it
    is told to."""

    def __init__(self, rows):
        super().__init__(rows)
        self.begun, self.ended = threading.Event(), threading.Event()
        self.outcomes = []

    def map_partitions(self, columns, function, description):
        batches = self._table.select(columns).to_batches()

        def halting():
            yield batches[0]
            self.begun.set()
            assert self.ended.wait(60)
            yield batches[1]

        self.slow = threading.Thread(target=lambda: self.outcomes.append(function(halting(), 0)))
        self.slow.start()
        assert self.begun.wait(60)
        return super().map_partitions(columns, function, description)


class TestTasksThatEndAfterTheRun:
    def test_a_slow_task_changes_nothing_that_is_live(self, tmp_path):
        rows, root = table(300), tmp_path / "root"
        slow = SlowEngine(rows)
        live = write(slow, config(root, "lsh")).run_id
        before = objects_below(root)
        slow.ended.set()
        slow.slow.join()
        assert len(slow.outcomes) == 1  # it may have succeeded: its file was removed while it was open
        assert objects_below(root) == before
        assert check_answers(root, rows, tmp_path) == live


class TestSkew:
    def test_a_shard_that_is_much_larger_than_the_others_is_named(self, tmp_path, caplog):
        rows = table(600)
        settings = config(tmp_path / "root", "explicit", num_dbs=12)
        shards = pa.array([i if i < 12 else 0 for i in range(600)], pa.int64())
        rows = rows.set_column(rows.column_names.index("shard"), "shard", shards)
        with caplog.at_level(logging.WARNING, "shardyfusion"):
            write(rows, settings)
        assert "shard 0 is large: 589 rows, where the mean is 50" in caplog.text


class TestDriversThatAreKilled:
    def test_the_old_snapshot_is_live_or_a_whole_new_one(self, tmp_path):
        root = tmp_path / "root"
        rows = {0: table(2000, 0)}
        write(rows[0], config(root, "lsh"))
        random.seed(11)
        took = self.write_in_a_process(root, 1, None)
        rows[1] = table(2000, 1)
        live = 1
        for seed in range(2, 2 + KILLS):
            rows[seed] = table(2000, seed)
            self.write_in_a_process(root, seed, random.uniform(0, took))
            live = self.live_seed(root, rows, tmp_path / f"cache-{seed}", (live, seed))
        self.clean_up(root)
        assert not list(root.rglob("partitions"))
        with open_reader(root, tmp_path) as reader:
            assert reader.snapshot_info().total_vectors == 2000
        check_answers(root, rows[live], tmp_path / "last")

    @staticmethod
    def write_in_a_process(root, seed, delay):
        """Seconds that it took, unless it was killed after a delay."""
        command = [sys.executable, str(HERE / "killed_driver.py"), str(root), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            began = time.monotonic()
            if delay is None:
                assert process.stdout.readline() == "written\n"
                return time.monotonic() - began
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
        return None

    @staticmethod
    def live_seed(root, rows, cache, candidates):
        """Which of the rows are live: all of them have to be there."""
        with open_reader(root, cache) as reader:
            (found,) = reader.fetch(["1234"], include_vectors=True)
        for seed in candidates:
            if np.array_equal(np.asarray(found.vector), vectors_of(rows[seed])[1234]):
                check_answers(root, rows[seed], cache)
                return seed
        raise AssertionError("the live snapshot is none of those that were written")

    @staticmethod
    def clean_up(root):
        command = [sys.executable, "-m", "shardyfusion", "cleanup", str(root), "--older-than", "0", "--delete"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def test_one_machine_reads_the_columns_in_the_same_way(tmp_path):
    rows = table(300)
    write_sharded(rows, config(tmp_path / "root", "lsh"), columns("lsh"))
    check_answers(tmp_path / "root", rows, tmp_path)
