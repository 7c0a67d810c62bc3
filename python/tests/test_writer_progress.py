"""A write tells its progress and its events, can be limited, and is stopped by exceptions and Ctrl-C."""

import os
import queue
import signal
import threading

import numpy as np
import pytest
from shardyfusion.metrics import MetricEvent
from shardyfusion.vector.writer import BuildProgress, write_sharded
import writing
from writing import SHARDS, STRATEGIES, configure

DIM, ROWS, SEED = writing.DIM, writing.ROWS, writing.SEED


def test_progress_is_reported(root, vectors):
    told = []
    write_sharded(vectors, configure(root), progress=told.append)
    assert all(isinstance(progress, BuildProgress) for progress in told)
    assert told[-1].phase == "publishing"
    assert (told[-1].rows, told[-1].shards_done, told[-1].shards_total) == (ROWS, SHARDS, SHARDS)


@pytest.mark.parametrize("phase", ["training", "finishing", "publishing"])
def test_what_progress_raises_stops_the_write(root, vectors, phase):
    """Unless the snapshot is already live."""

    def stop(progress):
        if progress.phase == phase:
            raise KeyError(phase)

    num_raised = 0
    for _ in range(20):  # a phase that ends before Python looks is not reported
        pointer = root / "_CURRENT"
        live = pointer.read_bytes() if pointer.exists() else None
        try:
            write_sharded(vectors, configure(root), progress=stop)
        except KeyError as error:
            assert error.args == (phase,)
            num_raised += 1
            if phase == "training":
                assert (pointer.read_bytes() if pointer.exists() else None) == live
    if phase == "training":
        assert num_raised > 0


def test_ctrl_c_stops_a_write(root):
    rows = np.random.default_rng(1).standard_normal((300_000, 32)).astype(np.float32)
    phases = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: phases.get() and os.kill(os.getpid(), signal.SIGINT))
    thread.start()
    try:
        config = configure(root, STRATEGIES["lsh"], dim=32, batch_size=500)
        with pytest.raises(KeyboardInterrupt):
            write_sharded(rows, config, progress=lambda progress: phases.put(progress.phase))
    finally:
        phases.put(None)
        thread.join()
    assert not (root / "_CURRENT").exists()
    assert not list(root.glob("shards/*"))


def test_collectors_get_the_events_of_a_write(root, vectors):
    class Collector:
        def __init__(self):
            self.events = []

        def emit(self, event, fields):
            self.events.append((event, fields))

    collector = Collector()
    result = write_sharded(vectors, configure(root, metrics_collector=collector))
    first, *shards, last = collector.events
    assert first == (MetricEvent.VECTOR_WRITE_STARTED, {"s3_prefix": str(root), "run_id": result.run_id})
    assert [fields["row_count"] for _, fields in shards] == [shard.row_count for shard in result.winners]
    assert last[0] == "vector.write.completed" and last[1]["total_vectors"] == ROWS


def test_ready_collectors_take_the_events_of_a_write(root, vectors):
    prometheus = pytest.importorskip("prometheus_client")
    exported = pytest.importorskip("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    from opentelemetry.sdk.metrics import MeterProvider
    from shardyfusion.metrics.otel import OpenTelemetryCollector
    from shardyfusion.metrics.prometheus import PrometheusCollector

    registry = prometheus.CollectorRegistry()
    write_sharded(vectors, configure(root, metrics_collector=PrometheusCollector(registry)))
    assert registry.get_sample_value("shardyfusion_rows_written_total") == ROWS
    write_sharded(vectors, configure(root, metrics_collector=OpenTelemetryCollector(MeterProvider([exported]))))
    assert "shardyfusion.write.duration" in exported.get_metrics_data().to_json()


def test_writes_can_be_limited(root, vectors):
    result = write_sharded(vectors, configure(root, max_writes_per_second=20, batch_size=16))
    assert result.stats.durations.total_ms >= 200  # 25 batches, the first 20 at once


def test_other_threads_run_meanwhile(root):
    """The interpreter is not held while rows are written: another thread counts."""
    rows = np.random.default_rng(1).standard_normal((60_000, 64)).astype(np.float32)
    count = 0
    is_over = threading.Event()

    def work():
        nonlocal count
        while not is_over.wait(0.001):
            count += 1

    thread = threading.Thread(target=work)
    thread.start()
    write_sharded(rows, configure(root, dim=64, batch_size=60_000))
    is_over.set()
    thread.join()
    assert count > 10
